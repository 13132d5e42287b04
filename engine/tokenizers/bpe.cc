// Byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909): a word starts as characters (or bytes), and the adjacent
// pair with the lowest merge rank, leftmost first, is merged until no pair is left. A queue of candidates over a linked
// list makes it O(n log n) in the length of the word.
#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "engine/tokenizers/byte_level.h"
#include "engine/tokenizers/component.h"
#include "engine/tokenizers/model.h"

namespace lastro::engine::tokenizers {
namespace {

constexpr size_t kMaxMerges = 1u << 23;

struct Merge {
  uint32_t rank;
  int32_t merged_id;
};

uint64_t PairKey(int32_t left, int32_t right) {
  return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
}

using Symbol = ModelScratch::Symbol;
using Candidate = MergeQueue::Candidate;

class Bpe : public Model {
 public:
  static absl::StatusOr<std::unique_ptr<Model>> Parse(const JsonValue& component, const Vocabulary& vocabulary,
                                                      const ModelContext& context) {
    auto bpe = std::make_unique<Bpe>();
    LASTRO_RETURN_IF_ERROR(bpe->ReadOptions(component, vocabulary, context));
    bpe->ReadPieces(vocabulary, context);
    LASTRO_RETURN_IF_ERROR(bpe->ReadMerges(component, vocabulary, context));
    return std::unique_ptr<Model>(std::move(bpe));
  }

  void Tokenize(absl::string_view word, ModelScratch* scratch, std::vector<WordToken>* out) const override {
    if (ignore_merges_) {
      auto whole = pieces_.find(word);
      if (whole != pieces_.end()) {
        out->push_back({whole->second, 0, static_cast<uint32_t>(word.size())});
        return;
      }
    }
    scratch->symbols.clear();
    if (byte_level_) {
      AddBytes(word, scratch);
    } else {
      AddRunes(word, scratch);
    }
    MergeAll(scratch);
    for (const Symbol& symbol : scratch->symbols) {
      if (symbol.begin < symbol.end) out->push_back({symbol.id, symbol.begin, symbol.end});
    }
  }

 private:
  absl::Status ReadOptions(const JsonValue& component, const Vocabulary& vocabulary, const ModelContext& context) {
    if (component.Has("dropout")) {
      LASTRO_ASSIGN_OR_RETURN(double dropout, component.GetDouble("dropout", 0));
      if (dropout != 0) {
        return absl::UnimplementedError(
            absl::StrCat(component.path(), ".dropout must be null: encoding is deterministic"));
      }
    }
    byte_level_ = context.byte_level;
    LASTRO_ASSIGN_OR_RETURN(ignore_merges_, component.GetBool("ignore_merges", false));
    LASTRO_ASSIGN_OR_RETURN(byte_fallback_, component.GetBool("byte_fallback", false));
    LASTRO_ASSIGN_OR_RETURN(fuse_unknown_, component.GetBool("fuse_unk", false));
    LASTRO_ASSIGN_OR_RETURN(prefix_, component.GetString("continuing_subword_prefix", ""));
    LASTRO_ASSIGN_OR_RETURN(suffix_, component.GetString("end_of_word_suffix", ""));
    return ReadUnknown(component, vocabulary);
  }

  absl::Status ReadUnknown(const JsonValue& component, const Vocabulary& vocabulary) {
    LASTRO_ASSIGN_OR_RETURN(std::string unknown, component.GetString("unk_token", ""));
    if (unknown.empty()) return absl::OkStatus();
    unknown_ = vocabulary.IdOf(unknown);
    if (unknown_.has_value()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat(component.path(), ".unk_token \"", unknown, "\" is not in the vocabulary"));
  }

  // The words and symbols that text may start from: everything but special tokens.
  void ReadPieces(const Vocabulary& vocabulary, const ModelContext& context) {
    bytes_.fill(-1);
    fallback_.fill(-1);
    for (int32_t id = 0; id < vocabulary.size(); ++id) {
      std::string token(vocabulary.TokenOf(id));
      if (token.empty() || context.special.contains(token)) continue;
      std::optional<std::string> piece = byte_level_ ? BytesOf(token) : std::optional<std::string>(token);
      if (!piece.has_value()) continue;
      if (byte_level_ && piece->size() == 1) bytes_[static_cast<uint8_t>((*piece)[0])] = id;
      if (!byte_level_ || ignore_merges_) pieces_.emplace(*std::move(piece), id);
    }
    if (!byte_fallback_) return;
    for (unsigned byte = 0; byte < 256; ++byte) {
      fallback_[byte] = vocabulary.IdOf(absl::StrFormat("<0x%02X>", byte)).value_or(-1);
    }
  }

  absl::Status ReadMerges(const JsonValue& component, const Vocabulary& vocabulary, const ModelContext& context) {
    LASTRO_ASSIGN_OR_RETURN(JsonValue field, component.Get("merges"));
    simdjson::dom::array items;
    if (field.element().get(items) != simdjson::SUCCESS) {
      return absl::InvalidArgumentError(absl::StrCat(field.path(), " must be an array"));
    }
    uint32_t rank = 0;
    for (simdjson::dom::element item : items) {
      if (rank >= kMaxMerges) {
        return absl::ResourceExhaustedError(absl::StrCat(field.path(), ": more than ", kMaxMerges, " merges"));
      }
      std::optional<std::pair<absl::string_view, absl::string_view>> pair = SplitMerge(item);
      if (!pair.has_value() || !AddMerge(pair->first, pair->second, rank, vocabulary, context)) {
        return absl::InvalidArgumentError(absl::StrCat(
            field.path(), "[", rank, "] must be \"a b\" or [\"a\", \"b\"] with a, b and ab in the vocabulary"));
      }
      ++rank;
    }
    return absl::OkStatus();
  }

  static std::optional<std::pair<absl::string_view, absl::string_view>> SplitMerge(simdjson::dom::element item) {
    std::string_view joined, left, right;
    if (item.get(joined) == simdjson::SUCCESS) {
      size_t space = joined.find(' ');
      if (space == std::string_view::npos || joined.find(' ', space + 1) != std::string_view::npos) return std::nullopt;
      left = joined.substr(0, space);
      right = joined.substr(space + 1);
    } else {
      simdjson::dom::array pair;
      if (item.get(pair) != simdjson::SUCCESS || pair.size() != 2) return std::nullopt;
      if (pair.at(0).get(left) != simdjson::SUCCESS || pair.at(1).get(right) != simdjson::SUCCESS) return std::nullopt;
    }
    return std::make_pair(absl::string_view(left.data(), left.size()), absl::string_view(right.data(), right.size()));
  }

  // False when a part or the result is not in the vocabulary. A merge into a special token is left out: see
  // ModelContext.
  bool AddMerge(absl::string_view left, absl::string_view right, uint32_t rank, const Vocabulary& vocabulary,
                const ModelContext& context) {
    if (right.size() < prefix_.size()) return false;
    std::string merged = absl::StrCat(left, right.substr(prefix_.size()));
    std::optional<int32_t> left_id = vocabulary.IdOf(left), right_id = vocabulary.IdOf(right);
    std::optional<int32_t> merged_id = vocabulary.IdOf(merged);
    if (!left_id.has_value() || !right_id.has_value() || !merged_id.has_value()) return false;
    if (!context.special.contains(merged)) merges_[PairKey(*left_id, *right_id)] = {rank, *merged_id};
    return true;
  }

  static void AddSymbol(int32_t id, uint32_t begin, uint32_t end, ModelScratch* scratch) {
    int32_t index = static_cast<int32_t>(scratch->symbols.size());
    if (index > 0) scratch->symbols.back().next = index;
    scratch->symbols.push_back({id, index - 1, -1, begin, end});
  }

  void AddBytes(absl::string_view word, ModelScratch* scratch) const {
    Unknown unknown;
    for (uint32_t i = 0; i < word.size(); ++i) {
      uint8_t byte = static_cast<uint8_t>(word[i]);
      if (bytes_[byte] >= 0) {
        FlushUnknown(&unknown, scratch);
        AddSymbol(bytes_[byte], i, i + 1, scratch);
        continue;
      }
      std::string spelled;
      AppendRune(ByteToRune(byte), &spelled);
      AddUnknown(spelled, i, i + 1, &unknown, scratch);
    }
    FlushUnknown(&unknown, scratch);
  }

  void AddRunes(absl::string_view word, ModelScratch* scratch) const {
    Unknown unknown;
    std::string affixed;
    for (uint32_t begin = 0; begin < word.size();) {
      uint32_t end = begin + static_cast<uint32_t>(DecodeRune(word.substr(begin)).length);
      absl::string_view symbol = word.substr(begin, end - begin);
      bool prefixed = begin > 0 && !prefix_.empty(), suffixed = end == word.size() && !suffix_.empty();
      if (prefixed || suffixed) {
        affixed = absl::StrCat(prefixed ? prefix_ : "", symbol, suffixed ? suffix_ : "");
        symbol = affixed;
      }
      auto found = pieces_.find(symbol);
      if (found != pieces_.end()) {
        FlushUnknown(&unknown, scratch);
        AddSymbol(found->second, begin, end, scratch);
      } else {
        AddUnknown(symbol, begin, end, &unknown, scratch);
      }
      begin = end;
    }
    FlushUnknown(&unknown, scratch);
  }

  // A stretch that becomes the unknown token once it is known where it ends.
  struct Unknown {
    bool open = false;
    uint32_t begin = 0, end = 0;
  };

  void FlushUnknown(Unknown* unknown, ModelScratch* scratch) const {
    if (unknown->open) AddSymbol(*unknown_, unknown->begin, unknown->end, scratch);
    unknown->open = false;
  }

  // `symbol`, bytes [begin, end) of the word, is not in the vocabulary: byte tokens, else unknown, else nothing.
  void AddUnknown(absl::string_view symbol, uint32_t begin, uint32_t end, Unknown* unknown,
                  ModelScratch* scratch) const {
    bool all_bytes = byte_fallback_ && std::all_of(symbol.begin(), symbol.end(), [this](char byte) {
                       return fallback_[static_cast<uint8_t>(byte)] >= 0;
                     });
    if (all_bytes) {
      for (uint32_t i = 0; i < symbol.size(); ++i) {
        uint32_t at = std::min(begin + i, end - 1);
        AddSymbol(fallback_[static_cast<uint8_t>(symbol[i])], at, at + 1, scratch);
      }
    } else if (unknown_.has_value()) {
      if (unknown->open && fuse_unknown_) {
        unknown->end = end;
        return;
      }
      FlushUnknown(unknown, scratch);
      *unknown = {true, begin, end};
    }
  }

  // Queues the merge of symbol `left` with its right neighbour, if there is one.
  void Offer(int32_t left, ModelScratch* scratch) const {
    if (left < 0) return;
    const Symbol& symbol = scratch->symbols[static_cast<size_t>(left)];
    if (symbol.next < 0) return;
    auto found = merges_.find(PairKey(symbol.id, scratch->symbols[static_cast<size_t>(symbol.next)].id));
    if (found == merges_.end()) return;
    scratch->queue.Push({found->second.rank, left, found->second.merged_id});
  }

  // Whether `candidate` still describes the pair it was made for: neighbours may have been merged since.
  bool StillHolds(const Candidate& candidate, const ModelScratch& scratch) const {
    const Symbol& left = scratch.symbols[static_cast<size_t>(candidate.left)];
    if (left.begin == left.end || left.next < 0) return false;
    auto found = merges_.find(PairKey(left.id, scratch.symbols[static_cast<size_t>(left.next)].id));
    return found != merges_.end() && found->second.merged_id == candidate.merged_id;
  }

  void MergeAll(ModelScratch* scratch) const {
    std::vector<Symbol>& symbols = scratch->symbols;
    scratch->queue.Reset(symbols.size());
    for (int32_t i = 0; i + 1 < static_cast<int32_t>(symbols.size()); ++i) Offer(i, scratch);
    for (Candidate top; scratch->queue.Pop(&top);) {
      if (!StillHolds(top, *scratch)) continue;
      Symbol& left = symbols[static_cast<size_t>(top.left)];
      Symbol& right = symbols[static_cast<size_t>(left.next)];
      left.id = top.merged_id;
      left.end = right.end;
      left.next = right.next;
      right.end = right.begin;
      if (left.next >= 0) symbols[static_cast<size_t>(left.next)].previous = top.left;
      Offer(left.previous, scratch);
      Offer(top.left, scratch);
    }
  }

  bool byte_level_ = false;
  bool ignore_merges_ = false;
  bool byte_fallback_ = false;
  bool fuse_unknown_ = false;
  std::string prefix_, suffix_;
  std::optional<int32_t> unknown_;
  std::array<int32_t, 256> bytes_;     // byte-level: the id of each single byte, or -1
  std::array<int32_t, 256> fallback_;  // the id of <0xHH>, or -1
  absl::flat_hash_map<std::string, int32_t> pieces_;
  absl::flat_hash_map<uint64_t, Merge> merges_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Model>> ParseBpe(const JsonValue& component, const Vocabulary& vocabulary,
                                                const ModelContext& context) {
  return Bpe::Parse(component, vocabulary, context);
}

}  // namespace lastro::engine::tokenizers
