#include "ingest/chunker.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "ingest/sections.h"
#include "ingest/token_counts.h"

namespace lastro::ingest {
namespace {

using retrieval::Chunk;

constexpr int kReservedTokens = 4;   // special tokens a model may add
constexpr int kMinBudgetTokens = 8;  // of a chunk's text; a model that leaves less is of no use
constexpr size_t kMaxPrefixBytes = 200;
constexpr size_t kMaxColumnNameBytes = 100;
constexpr size_t kMaxNameBytes = 4'096;  // of all cells of a chunk: a small file names no end of them
constexpr int kAnchorPeriod = 4;         // one block in so many is a place to cut chosen by content
constexpr int kMaxShrinks = 12;          // of the budget, by a quarter each, when text tokenises longer in pieces

// The cut points of a section's blocks: pieces are the smallest parts that are not cut any further.
struct Piece {
  const Block* block = nullptr;
  size_t index = 0;  // of the block in its section
  size_t begin = 0;  // bytes of the block's text
  size_t end = 0;
  int weight = 0;
  bool starts_block = false;
};

struct Budget {
  int target = 0;
  int hard = 0;  // for merging a small last chunk
};

bool IsPageLabel(absl::string_view heading) {
  if (!absl::ConsumePrefix(&heading, "p. ") && !absl::ConsumePrefix(&heading, "pp. ")) return false;
  return !heading.empty() && heading.find_first_not_of("0123456789-") == absl::string_view::npos;
}

std::string Prefix(const std::vector<std::string>& headings) {
  size_t end = headings.size();
  if (end > 0 && IsPageLabel(headings[end - 1])) --end;
  size_t begin = end, bytes = 0;
  while (begin > 0 && bytes + headings[begin - 1].size() <= kMaxPrefixBytes) bytes += headings[--begin].size() + 3;
  return absl::StrJoin(headings.begin() + begin, headings.begin() + end, " > ");
}

bool IsRunKind(BlockKind kind) { return kind == BlockKind::kListItem || kind == BlockKind::kTableRow; }

// Whether a chunk may begin at `block` because of its content alone. Lists and tables are better kept in one piece.
bool IsAnchor(const Block& block) { return !IsRunKind(block.kind) && Hash64(block.content.text) % kAnchorPeriod == 0; }

// Cuts one block into pieces of at most `target`.
std::vector<Piece> CutBlock(const Block& block, size_t index, const TokenCounts& tokens, int target) {
  std::vector<Piece> pieces;
  const std::string& text = block.content.text;
  int whole = tokens.Weight(0, text.size());
  if (whole <= target) return {{&block, index, 0, text.size(), whole, true}};
  size_t begin = 0;
  for (size_t end : SentenceEnds(text)) {
    while (begin < end) {
      size_t cut = tokens.Weight(begin, end) <= target ? end : tokens.CutBefore(text, begin, end, target);
      pieces.push_back({&block, index, begin, cut, tokens.Weight(begin, cut), begin == 0});
      begin = cut;
    }
  }
  return pieces;
}

// The name of the column that `cell` stands in, by the header row of its table; empty where there is none, as of a
// header that is one cell over all columns, or a sentence.
std::string ColumnName(const Block& header, const TableCell& cell) {
  if (header.cells.size() < 2) return "";
  for (const TableCell& name : header.cells) {
    if (cell.column < name.column || cell.column - name.column >= name.span) continue;
    if (name.end - name.begin > kMaxColumnNameBytes) return "";
    return header.content.text.substr(name.begin, name.end - name.begin);
  }
  return "";
}

// Adds the cells of bytes [begin, end) of a row, which are bytes [at, ...) of a chunk's text, as far as they are named
// by `header` or are names themselves, and `name_bytes`, of the names so far, are not too many.
void AddCells(const Block& row, size_t begin, size_t end, const Block* header, size_t at, size_t* name_bytes,
              std::vector<retrieval::NamedCell>* cells) {
  if (header == nullptr) return;
  for (const TableCell& cell : row.cells) {
    const size_t from = std::max(cell.begin, begin), to = std::min(cell.end, end);
    if (from >= to) continue;
    std::string column = &row == header ? "" : ColumnName(*header, cell);
    if (&row != header && column.empty()) continue;
    if (*name_bytes + column.size() > kMaxNameBytes) return;
    *name_bytes += column.size();
    cells->push_back({at + from - begin, at + to - begin, std::move(column)});
  }
}

// The text of pieces [first, last) of one chunk, neighbours of one block joined as they were, and its cells. `headers`:
// of the pieces' blocks.
MappedText JoinPieces(const std::vector<Piece>& pieces, size_t first, size_t last,
                      const std::vector<const Block*>& headers, std::vector<retrieval::NamedCell>* cells) {
  MappedTextBuilder out;
  size_t name_bytes = 0;
  const Block* before = nullptr;
  for (size_t i = first; i < last;) {
    const Block* block = pieces[i].block;
    const Block* header = headers[pieces[i].index];
    size_t begin = pieces[i].begin, end = pieces[i].end;
    for (++i; i < last && pieces[i].block == block; ++i) end = pieces[i].end;
    const std::string& text = block->content.text;
    while (begin < end && (text[begin] == '\n' || (begin > 0 && text[begin] == ' '))) ++begin;
    while (end > begin && absl::ascii_isspace(text[end - 1])) --end;
    if (begin == end) continue;
    if (before != nullptr) {
      out.AppendWithoutSource(IsRunKind(block->kind) && before->kind == block->kind ? "\n" : "\n\n");
    }
    AddCells(*block, begin, end, header, out.size(), &name_bytes, cells);
    out.Append(Slice(block->content, begin, end));
    before = block;
  }
  return out.Finish();
}

// Whether the piece is the end of a block that announces the next one.
bool AnnouncesNext(const Piece& piece) {
  return piece.end == piece.block->content.text.size() && Announces(*piece.block);
}

// Lists and tables, with what announces them; every other piece is a run of its own.
struct Runs {
  std::vector<size_t> begins;  // beside each piece, of its run
  std::vector<int> weights;    // beside the first piece of a run, of all of it
};

Runs RunsOf(const std::vector<Piece>& pieces) {
  Runs runs{{}, std::vector<int>(pieces.size())};
  for (size_t i = 0; i < pieces.size(); ++i) {
    const Block& block = *pieces[i].block;
    const auto goes_on = [&](const Piece& before) {
      if (!IsRunKind(block.kind)) return false;
      return AnnouncesNext(before) || (before.block->kind == block.kind && before.block->table == block.table);
    };
    runs.begins.push_back(i > 0 && goes_on(pieces[i - 1]) ? runs.begins.back() : i);
    runs.weights[runs.begins.back()] += pieces[i].weight;
  }
  return runs;
}

// Where a chunk that began at piece `begin` and would end before piece `end` ends: not within a run that one chunk has
// room for, nor behind what only announces the next piece.
size_t GoodCut(const std::vector<Piece>& pieces, const Runs& runs, size_t begin, size_t end, int target) {
  const size_t run = runs.begins[end];
  if (run > begin && runs.weights[run] <= target) return run;
  const bool parts = end - begin > 1 && IsRunKind(pieces[end].block->kind) && AnnouncesNext(pieces[end - 1]);
  return parts && pieces[end - 1].weight + pieces[end].weight <= target ? end - 1 : end;
}

// Where the chunks of a section end, as counts of pieces.
std::vector<size_t> PackPieces(const std::vector<Piece>& pieces, const Budget& budget) {
  const Runs runs = RunsOf(pieces);
  std::vector<size_t> ends;
  std::vector<int> weights;
  int weight = 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    bool full = weight + pieces[i].weight > budget.target;
    bool anchor = pieces[i].starts_block && weight * 2 >= budget.target && IsAnchor(*pieces[i].block);
    if (weight > 0 && (full || anchor)) {
      ends.push_back(GoodCut(pieces, runs, ends.empty() ? 0 : ends.back(), i, budget.target));
      int left = 0;
      for (size_t k = ends.back(); k < i; ++k) left += pieces[k].weight;
      weights.push_back(std::exchange(weight, left) - left);
    }
    weight += pieces[i].weight;
  }
  bool small_tail = weight * 4 < budget.target && !ends.empty() && weights.back() + weight <= budget.hard;
  if (small_tail) ends.pop_back();
  if (!pieces.empty()) ends.push_back(pieces.size());
  return ends;
}

std::string PageLabel(int first, int last) {
  return first == last ? absl::StrCat("p. ", first) : absl::StrCat("pp. ", first, "-", last);
}

// Cuts sections and holds what their chunks need to be cut again, smaller.
class SectionChunker {
 public:
  SectionChunker(const Section& section, const std::vector<TokenCounts>& tokens) : section_(section), tokens_(tokens) {}

  std::vector<Chunk> Cut(const Budget& budget) const {
    std::vector<Piece> pieces;
    for (size_t i = 0; i < section_.blocks.size(); ++i) {
      const std::vector<Piece> cut = CutBlock(*section_.blocks[i], i, tokens_[section_.first_block + i], budget.target);
      pieces.insert(pieces.end(), cut.begin(), cut.end());
    }
    std::vector<Chunk> chunks;
    size_t first = 0;
    for (size_t last : PackPieces(pieces, budget)) {
      AddChunk(pieces, first, last, &chunks);
      first = last;
    }
    return chunks;
  }

 private:
  void AddChunk(const std::vector<Piece>& pieces, size_t first, size_t last, std::vector<Chunk>* chunks) const {
    Chunk chunk;
    MappedText text = JoinPieces(pieces, first, last, section_.table_headers, &chunk.cells);
    if (text.text.empty()) return;
    chunk.text = std::move(text.text);
    chunk.segments = std::move(text.segments);
    chunk.headings = section_.headings;
    const Block* header = section_.table_headers[pieces[first].index];
    if (header != nullptr && header != pieces[first].block) chunk.headings.push_back(HeadingText(*header));
    const Block* announcer = section_.list_announcers[pieces[first].index];
    if (announcer != nullptr) chunk.headings.push_back(LastSentence(*announcer));
    if (pieces[first].block->page > 0) {
      chunk.headings.push_back(PageLabel(pieces[first].block->page, pieces[last - 1].block->page));
    }
    chunks->push_back(std::move(chunk));
  }

  const Section& section_;
  const std::vector<TokenCounts>& tokens_;  // of all blocks of the document
};

class DocumentChunker {
 public:
  DocumentChunker(const ChunkerOptions& options, int max_tokens, retrieval::TextEmbedder* embedder,
                  const CallContext& context)
      : options_(options), limit_(max_tokens - kReservedTokens), embedder_(embedder), context_(context) {}

  absl::StatusOr<std::vector<Chunk>> Run(const std::vector<Block>& blocks) {
    std::vector<Section> sections = SplitSections(blocks);
    LASTRO_RETURN_IF_ERROR(CountTokens(sections));
    std::vector<Chunk> all;
    for (size_t begin = 0; begin < sections.size();) {
      LASTRO_RETURN_IF_ERROR(context_.Check());
      size_t end = std::min(begin + kSectionsAtOnce, sections.size());
      LASTRO_RETURN_IF_ERROR(ChunkSections(sections, begin, end, &all));
      begin = end;
    }
    for (size_t i = 0; i < all.size(); ++i) all[i].ordinal = static_cast<int32_t>(i);
    return all;
  }

 private:
  static constexpr size_t kSectionsAtOnce = 64;

  absl::Status CountTokens(const std::vector<Section>& sections) {
    std::vector<std::string> prefixes;
    std::vector<absl::string_view> texts;
    for (const Section& section : sections) {
      prefixes.push_back(Prefix(section.headings));
      for (const Block* block : section.blocks) texts.push_back(block->content.text);
    }
    LASTRO_ASSIGN_OR_RETURN(tokens_, TokenCounts::Of(texts, embedder_, context_));
    std::vector<absl::string_view> prefix_texts(prefixes.begin(), prefixes.end());
    LASTRO_ASSIGN_OR_RETURN(prefix_tokens_, TokenCounts::Of(prefix_texts, embedder_, context_));
    return absl::OkStatus();
  }

  // The budget of a section after `shrinks` reductions.
  Budget BudgetOf(size_t section, int shrinks) const {
    int room = limit_ - prefix_tokens_[section].total();
    Budget budget;
    budget.target = std::max(std::min(options_.chunk_tokens, room), kMinBudgetTokens);
    for (int i = 0; i < shrinks; ++i) budget.target = std::max(budget.target * 3 / 4, 1);
    budget.hard = std::min(budget.target + budget.target / 4, std::max(room, budget.target));
    return budget;
  }

  absl::Status ChunkSections(const std::vector<Section>& sections, size_t begin, size_t end, std::vector<Chunk>* all) {
    std::vector<std::vector<Chunk>> cut(end - begin);
    for (size_t i = begin; i < end; ++i) cut[i - begin] = SectionChunker(sections[i], tokens_).Cut(BudgetOf(i, 0));
    LASTRO_ASSIGN_OR_RETURN(std::vector<bool> fits, CountChunks(&cut));
    for (size_t i = begin; i < end; ++i) {
      if (!fits[i - begin]) {
        LASTRO_ASSIGN_OR_RETURN(cut[i - begin], CutSmaller(sections[i], i));
      }
      std::move(cut[i - begin].begin(), cut[i - begin].end(), std::back_inserter(*all));
    }
    return absl::OkStatus();
  }

  // Tokens do not always add up: text cut inside of a word or joined to a prefix may take more of them.
  absl::StatusOr<std::vector<Chunk>> CutSmaller(const Section& section, size_t index) {
    for (int shrinks = 1; shrinks <= kMaxShrinks; ++shrinks) {
      std::vector<std::vector<Chunk>> cut = {SectionChunker(section, tokens_).Cut(BudgetOf(index, shrinks))};
      LASTRO_ASSIGN_OR_RETURN(std::vector<bool> fits, CountChunks(&cut));
      if (fits[0]) return std::move(cut[0]);
    }
    return absl::FailedPreconditionError(absl::StrCat("the embedding model takes only ", limit_ + kReservedTokens,
                                                      " tokens; that is too few for this text"));
  }

  // Sets `tokens` and `text_sha256` of every chunk; whether all chunks of each section are within the model's limit.
  absl::StatusOr<std::vector<bool>> CountChunks(std::vector<std::vector<Chunk>>* cut) {
    std::vector<std::string> embedded;
    std::vector<absl::string_view> views;
    for (const std::vector<Chunk>& chunks : *cut) {
      for (const Chunk& chunk : chunks) embedded.push_back(EmbeddedText(chunk));
    }
    views.assign(embedded.begin(), embedded.end());
    LASTRO_ASSIGN_OR_RETURN(std::vector<TokenCounts> counts, TokenCounts::Of(views, embedder_, context_));
    std::vector<bool> fits;
    size_t at = 0;
    for (std::vector<Chunk>& chunks : *cut) {
      bool all_fit = true;
      for (Chunk& chunk : chunks) {
        size_t size = embedded[at].size();
        chunk.tokens = counts[at].Tokens(size - chunk.text.size(), size);
        chunk.text_sha256 = Sha256Hex(embedded[at]);
        all_fit = all_fit && counts[at].total() <= limit_;
        ++at;
      }
      fits.push_back(all_fit);
    }
    return fits;
  }

  const ChunkerOptions options_;
  const int limit_;  // tokens of an embedded text, without special ones
  retrieval::TextEmbedder* const embedder_;
  const CallContext& context_;
  std::vector<TokenCounts> tokens_;         // of every block of every section, in order
  std::vector<TokenCounts> prefix_tokens_;  // of every section
};

}  // namespace

std::string EmbeddedText(const Chunk& chunk) {
  std::string prefix = Prefix(chunk.headings);
  return prefix.empty() ? chunk.text : absl::StrCat(prefix, "\n", chunk.text);
}

absl::StatusOr<std::vector<Chunk>> ChunkBlocks(const std::vector<Block>& blocks, const ChunkerOptions& options,
                                               retrieval::TextEmbedder* embedder, const CallContext& context) {
  LASTRO_ASSIGN_OR_RETURN(retrieval::EmbedderInfo info, embedder->Info(context));
  if (info.max_tokens < kReservedTokens + kMinBudgetTokens) {
    return absl::FailedPreconditionError(
        absl::StrCat("the embedding model ", info.model, " takes only ", info.max_tokens, " tokens"));
  }
  return DocumentChunker(options, info.max_tokens, embedder, context).Run(blocks);
}

}  // namespace lastro::ingest
