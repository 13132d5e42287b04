// Unigram as the reference has it: the best segmentation; a run of unknown characters becomes one unknown token, or the
// tokens of its bytes.
#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "engine/tokenizers/component.h"
#include "engine/tokenizers/model.h"
#include "engine/tokenizers/viterbi.h"

namespace lastro::engine::tokenizers {
namespace {

class Unigram : public Model {
 public:
  static absl::StatusOr<std::unique_ptr<Model>> Parse(const JsonValue& component, const Vocabulary& vocabulary,
                                                      const ModelContext& context) {
    auto model = std::make_unique<Unigram>();
    LASTRO_RETURN_IF_ERROR(model->ReadScores(component));
    LASTRO_RETURN_IF_ERROR(model->ReadUnknown(component));
    LASTRO_RETURN_IF_ERROR(model->ReadByteFallback(component, vocabulary));
    model->ReadPieces(vocabulary, context);
    return std::unique_ptr<Model>(std::move(model));
  }

  void Tokenize(absl::string_view word, ModelScratch* scratch, std::vector<WordToken>* out) const override {
    FindBestPaths<double>(
        word, trie_, [this](int32_t id, size_t) { return scores_[static_cast<size_t>(id)]; }, unknown_score_,
        unknown_.value_or(-1), std::numeric_limits<double>::infinity(), &scratch->paths);
    ReadBestPath(scratch->paths, &scratch->path);
    for (size_t i = 0; i < scratch->path.size();) {
      PathPiece piece = scratch->path[i++];
      if (piece.id != unknown_.value_or(-1)) {
        out->push_back({piece.id, piece.begin, piece.end});
        continue;
      }
      while (i < scratch->path.size() && scratch->path[i].id == piece.id) piece.end = scratch->path[i++].end;
      AddUnknown(word, piece.begin, piece.end, out);
    }
  }

 private:
  absl::Status ReadScores(const JsonValue& component) {
    LASTRO_ASSIGN_OR_RETURN(JsonValue vocabulary, component.Get("vocab"));
    LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> entries, vocabulary.AsArray());
    double lowest = std::numeric_limits<double>::infinity();
    for (const JsonValue& entry : entries) {
      double score = 0;
      if (!entry.is_array() || entry.element().at(1).get(score) != simdjson::SUCCESS) {
        return absl::InvalidArgumentError(absl::StrCat(entry.path(), " must be [\"piece\", score]"));
      }
      scores_.push_back(score);
      lowest = std::min(lowest, score);
    }
    unknown_score_ = lowest - kUnknownPenalty;
    return absl::OkStatus();
  }

  absl::Status ReadUnknown(const JsonValue& component) {
    if (!component.Has("unk_id")) return absl::OkStatus();
    LASTRO_ASSIGN_OR_RETURN(JsonValue field, component.Get("unk_id"));
    LASTRO_ASSIGN_OR_RETURN(unknown_, AsTokenId(field));
    if (static_cast<size_t>(*unknown_) < scores_.size()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat(field.path(), " is ", *unknown_, "; the vocabulary has ", scores_.size(), " pieces"));
  }

  absl::Status ReadByteFallback(const JsonValue& component, const Vocabulary& vocabulary) {
    bytes_.fill(-1);
    LASTRO_ASSIGN_OR_RETURN(bool byte_fallback, component.GetBool("byte_fallback", false));
    for (unsigned byte = 0; byte_fallback && byte < 256; ++byte) {
      bytes_[byte] = vocabulary.IdOf(absl::StrFormat("<0x%02X>", byte)).value_or(-1);
    }
    return absl::OkStatus();
  }

  void ReadPieces(const Vocabulary& vocabulary, const ModelContext& context) {
    std::vector<PieceTrie::Entry> entries;
    for (int32_t id = 0; id < vocabulary.size(); ++id) {
      absl::string_view piece = vocabulary.TokenOf(id);
      if (!context.special.contains(piece)) entries.emplace_back(piece, id);
    }
    trie_ = PieceTrie(std::move(entries));
  }

  // Without an unknown token there is nothing to say of unknown text.
  void AddUnknown(absl::string_view word, uint32_t begin, uint32_t end, std::vector<WordToken>* out) const {
    absl::string_view text = word.substr(begin, end - begin);
    // A run can spell a piece whose score is worse than that of its unknown characters.
    if (std::optional<int32_t> id = trie_.Find(text); id.has_value()) {
      out->push_back({*id, begin, end});
      return;
    }
    const bool all_bytes = std::all_of(text.begin(), text.end(), [this](char byte) { return ByteId(byte) >= 0; });
    if (!all_bytes) {
      if (unknown_.has_value()) out->push_back({*unknown_, begin, end});
      return;
    }
    for (char byte : text) out->push_back({ByteId(byte), begin, end});
  }

  int32_t ByteId(char byte) const { return bytes_[static_cast<uint8_t>(byte)]; }

  std::vector<double> scores_;  // by id
  double unknown_score_ = 0;
  std::optional<int32_t> unknown_;
  std::array<int32_t, 256> bytes_;  // the id of <0xHH>, or -1
  PieceTrie trie_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Model>> ParseUnigram(const JsonValue& component, const Vocabulary& vocabulary,
                                                    const ModelContext& context) {
  return Unigram::Parse(component, vocabulary, context);
}

}  // namespace lastro::engine::tokenizers
