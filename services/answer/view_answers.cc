#include "services/answer/view_answers.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "services/answer/question_form.h"
#include "services/answer/question_words.h"
#include "services/answer/words.h"

namespace lastro::services::answer {
namespace {

constexpr size_t kMaxCellWords = 8;  // of a cell that is an answer as a whole

using Said = std::vector<bool>;  // of each word of the question whether a text says it

TextRange RangeOf(const v1::NamedCell& cell) {
  return {static_cast<size_t>(cell.begin()), static_cast<size_t>(cell.end())};
}

absl::string_view TextOf(const v1::Chunk& chunk, TextRange range) {
  return absl::string_view(chunk.text()).substr(range.begin, range.end - range.begin);
}

std::optional<TextRange> InChunk(const PassageView& view, const v1::ReadResponse::Span& span) {
  return view.InChunk({static_cast<size_t>(span.range().begin()), static_cast<size_t>(span.range().end())});
}

// The cell of the view that has the bytes; null where none has all of them.
const v1::NamedCell* CellOf(const v1::Chunk& chunk, const PassageView& view, TextRange range) {
  for (int index : view.cells) {
    const TextRange cell = RangeOf(chunk.cells(index));
    if (cell.begin <= range.begin && range.end <= cell.end) return &chunk.cells(index);
  }
  return nullptr;
}

void AddOnce(const FoundSpan& span, std::vector<FoundSpan>* spans) {
  const bool known = std::any_of(spans->begin(), spans->end(), [&](const FoundSpan& other) {
    return other.range.begin == span.range.begin && other.range.end == span.range.end;
  });
  if (!known) spans->push_back(span);
}

class Finder {
 public:
  Finder(const std::string& question, size_t max_spans)
      : question_(question), max_spans_(max_spans), words_(question) {}

  Said SaidBy(absl::string_view text) { return words_.Said(text); }

  std::vector<FoundSpan> InProse(const PassageView& view, const v1::ReadResponse::Reading& reading) const {
    std::vector<FoundSpan> found;
    for (const v1::ReadResponse::Span& span : reading.spans()) {
      if (found.size() == max_spans_) break;
      const std::optional<TextRange> range = InChunk(view, span);
      if (range.has_value()) found.push_back({*range, span.score(), span.probability()});
    }
    return found;
  }

  std::vector<FoundSpan> InCells(const v1::Chunk& chunk, const PassageView& view,
                                 const v1::ReadResponse::Reading& reading) {
    const v1::ReadResponse::Span& best = reading.spans(0);
    std::vector<FoundSpan> asked, others;
    for (const v1::ReadResponse::Span& span : reading.spans()) {
      std::optional<TextRange> range = InChunk(view, span);
      if (!range.has_value()) continue;
      const v1::NamedCell* cell = CellOf(chunk, view, *range);
      if (cell != nullptr && SplitWords(TextOf(chunk, RangeOf(*cell))).size() <= kMaxCellWords) range = RangeOf(*cell);
      if (cell != nullptr && IsAsked(chunk, *cell)) {
        AddOnce({*range, best.score(), best.probability()}, &asked);
      } else {
        AddOnce({*range, span.score(), span.probability()}, &others);
      }
    }
    std::vector<FoundSpan>& found = asked.empty() ? others : asked;
    if (found.size() > max_spans_) found.resize(max_spans_);
    return std::move(found);
  }

  // Of a view of a passage with a table, of prose or of rows. `around`: by what stands around the table.
  int DoubtsOf(const v1::Chunk& chunk, const PassageView& view, const Said& around) {
    std::string names, cells;
    for (int index : view.cells) absl::StrAppend(&names, chunk.cells(index).column(), "\n");
    for (const PassageView::Piece& piece : view.pieces) {
      absl::StrAppend(&cells, TextOf(chunk, {piece.begin, piece.begin + piece.length}), "\n");
    }
    const Said by_view = SaidBy(view.text), by_names = SaidBy(names), by_cells = SaidBy(cells);
    int doubts = 0;
    bool tells_rows = false, says_it = false;  // words that are not of all rows
    for (size_t i = 0; i < words_.size(); ++i) {
      doubts += words_.IsName(i) && !by_view[i] && !around[i];
      const bool of_all_rows = around[i] || by_names[i];
      tells_rows = tells_rows || !(of_all_rows || words_.Asks(i));
      says_it = says_it || (by_cells[i] && !of_all_rows);
    }
    return doubts == 0 && !view.cells.empty() && tells_rows && !says_it ? 1 : doubts;
  }

 private:
  bool IsAsked(const v1::Chunk& chunk, const v1::NamedCell& cell) {
    auto [named, is_new] = named_.try_emplace(cell.column(), false);
    if (is_new) named->second = SaysAllOf(question_, cell.column());
    return named->second && !SaysAllOf(question_, TextOf(chunk, RangeOf(cell)));
  }

  const std::string& question_;
  const size_t max_spans_;
  QuestionWords words_;
  absl::flat_hash_map<std::string, bool> named_;  // by column, whether the question names it
};

// Adds what stands around the tables of a document: its title, headings and prose.
void AddAround(const v1::SearchHit& hit, const PassageView& view, std::string* around) {
  absl::StrAppend(around, hit.document().title(), "\n");
  for (const std::string& heading : hit.chunk().headings()) absl::StrAppend(around, heading, "\n");
  if (view.cells.empty()) absl::StrAppend(around, view.text, "\n");
}

}  // namespace

void DropOutdoneRows(const std::string& question, absl::Span<const v1::SearchHit> passages,
                     std::vector<ReadView>* views) {
  QuestionWords words(question);
  std::vector<std::pair<const ReadView*, Said>> rows;
  for (const ReadView& read : *views) {
    if (read.view.row.has_value()) rows.emplace_back(&read, words.Said(read.view.text));
  }
  const auto document = [&](const ReadView* read) -> const std::string& {
    return passages[static_cast<size_t>(read->passage)].document().id();
  };
  absl::flat_hash_set<const ReadView*> outdone;
  for (const auto& [row, said] : rows) {
    const bool is_outdone = std::any_of(rows.begin(), rows.end(), [&, row = row, &said = said](const auto& other) {
      return SaysMore(other.second, said) && document(other.first) == document(row);
    });
    if (is_outdone) outdone.insert(row);
  }
  std::vector<ReadView> kept;
  for (ReadView& read : *views) {
    if (!outdone.contains(&read)) kept.push_back(std::move(read));
  }
  *views = std::move(kept);
}

void FindAnswers(const std::string& question, absl::Span<const v1::SearchHit> passages,
                 absl::Span<const v1::ReadResponse::Reading* const> readings, size_t max_spans,
                 std::vector<ReadView>* views) {
  Finder finder(question, max_spans);
  const auto hit_of = [&](const ReadView& read) -> const v1::SearchHit& {
    return passages[static_cast<size_t>(read.passage)];
  };
  absl::flat_hash_map<std::string, std::string> texts_around;  // by document
  for (const ReadView& read : *views) {
    AddAround(hit_of(read), read.view, &texts_around[hit_of(read).document().id()]);
  }
  absl::flat_hash_map<std::string, Said> said_around;
  for (size_t i = 0; i < views->size(); ++i) {
    ReadView& read = (*views)[i];
    const v1::Chunk& chunk = hit_of(read).chunk();
    read.relevance = readings[i]->relevance();
    read.found = read.view.cells.empty() ? finder.InProse(read.view, *readings[i])
                                         : finder.InCells(chunk, read.view, *readings[i]);
    if (chunk.cells().empty()) continue;
    auto [around, is_new] = said_around.try_emplace(hit_of(read).document().id());
    if (is_new) around->second = finder.SaidBy(texts_around[around->first]);
    read.doubts = finder.DoubtsOf(chunk, read.view, around->second);
  }
}

}  // namespace lastro::services::answer
