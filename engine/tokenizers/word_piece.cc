// WordPiece as BERT uses it: the longest piece first, from left to right; a word with a part that no piece covers, or
// with too many characters, becomes the unknown token as a whole.
#include <algorithm>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/tokenizers/component.h"
#include "engine/tokenizers/model.h"
#include "engine/tokenizers/unicode.h"

namespace lastro::engine::tokenizers {
namespace {

constexpr int64_t kMaxInputChars = 10'000;

// Pieces by text, and the length of the longest, which bounds the search.
class PieceSet {
 public:
  void Add(absl::string_view piece, int32_t id) {
    ids_.emplace(piece, id);
    longest_ = std::max(longest_, piece.size());
  }

  // The longest piece that `text` starts with: its length and id; length 0 when there is none.
  std::pair<size_t, int32_t> LongestPrefix(absl::string_view text) const {
    for (size_t length = std::min(text.size(), longest_); length > 0; --length) {
      if (length < text.size() && IsContinuationByte(text[length])) continue;
      auto found = ids_.find(text.substr(0, length));
      if (found != ids_.end()) return {length, found->second};
    }
    return {0, -1};
  }

 private:
  absl::flat_hash_map<std::string, int32_t> ids_;
  size_t longest_ = 0;
};

class WordPiece : public Model {
 public:
  static absl::StatusOr<std::unique_ptr<Model>> Parse(const JsonValue& component, const Vocabulary& vocabulary,
                                                      const ModelContext& context) {
    auto model = std::make_unique<WordPiece>();
    LASTRO_RETURN_IF_ERROR(model->ReadOptions(component, vocabulary));
    model->ReadPieces(vocabulary, context);
    return std::unique_ptr<Model>(std::move(model));
  }

  void Tokenize(absl::string_view word, ModelScratch* scratch, std::vector<WordToken>* out) const override {
    const size_t first = out->size();
    bool known = !TooLong(word);
    for (size_t at = 0; known && at < word.size();) {
      auto [length, id] = (at == 0 ? starts_ : continuations_).LongestPrefix(word.substr(at));
      known = length > 0;
      out->push_back({id, static_cast<uint32_t>(at), static_cast<uint32_t>(at + length)});
      at += length;
    }
    if (known) return;
    out->resize(first);
    out->push_back({unknown_, 0, static_cast<uint32_t>(word.size())});
  }

 private:
  absl::Status ReadOptions(const JsonValue& component, const Vocabulary& vocabulary) {
    LASTRO_ASSIGN_OR_RETURN(max_chars_, component.GetInt("max_input_chars_per_word", 100));
    if (max_chars_ < 0 || max_chars_ > kMaxInputChars) {
      return absl::InvalidArgumentError(
          absl::StrCat(component.path(), ".max_input_chars_per_word must lie in [0, ", kMaxInputChars, "]"));
    }
    LASTRO_ASSIGN_OR_RETURN(prefix_, component.GetString("continuing_subword_prefix", "##"));
    LASTRO_ASSIGN_OR_RETURN(std::string unknown, component.GetString("unk_token", "[UNK]"));
    if (!vocabulary.IdOf(unknown).has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat(component.path(), ".unk_token \"", unknown, "\" is not in the vocabulary"));
    }
    unknown_ = *vocabulary.IdOf(unknown);
    return absl::OkStatus();
  }

  void ReadPieces(const Vocabulary& vocabulary, const ModelContext& context) {
    for (int32_t id = 0; id < vocabulary.size(); ++id) {
      absl::string_view token = vocabulary.TokenOf(id);
      if (token.empty() || context.special.contains(token)) continue;
      starts_.Add(token, id);
      if (absl::StartsWith(token, prefix_)) continuations_.Add(token.substr(prefix_.size()), id);
    }
  }

  bool TooLong(absl::string_view word) const {
    int64_t characters = std::count_if(word.begin(), word.end(), [](char byte) { return !IsContinuationByte(byte); });
    return characters > max_chars_;
  }

  int64_t max_chars_ = 100;
  int32_t unknown_ = 0;
  std::string prefix_;
  PieceSet starts_, continuations_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Model>> ParseWordPiece(const JsonValue& component, const Vocabulary& vocabulary,
                                                      const ModelContext& context) {
  return WordPiece::Parse(component, vocabulary, context);
}

}  // namespace lastro::engine::tokenizers
