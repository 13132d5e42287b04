// The tokenizer of SentencePiece (Kudo and Richardson 2018, arXiv:1808.06226) over a VocabularySpec: ids, offsets and
// decodings equal to its library's.
#include <array>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "engine/tokenizers/added_tokens.h"
#include "engine/tokenizers/aligned_text.h"
#include "engine/tokenizers/piece_lattice.h"
#include "engine/tokenizers/piece_merger.h"
#include "engine/tokenizers/sentencepiece_normalizer.h"
#include "engine/tokenizers/vocabulary_spec.h"

namespace lastro::engine::tokenizers {
namespace {

using Type = VocabularySpec::Type;
constexpr size_t kBytes = 256;

Type TypeOf(const VocabularySpec& spec, size_t id) { return spec.types.empty() ? Type::kNormal : spec.types[id]; }

PieceTrie UserDefined(const VocabularySpec& spec) {
  std::vector<PieceTrie::Entry> entries;
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    if (TypeOf(spec, id) == Type::kUserDefined) entries.emplace_back(spec.tokens[id], static_cast<int32_t>(id));
  }
  return PieceTrie(std::move(entries));
}

// Control tokens, for templates that spell them.
std::vector<AddedToken> ControlTokens(const VocabularySpec& spec) {
  std::vector<AddedToken> tokens;
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    if (TypeOf(spec, id) != Type::kControl) continue;
    tokens.push_back({.id = static_cast<int32_t>(id), .content = spec.tokens[id], .special = true});
  }
  return tokens;
}

class SentencePieceTokenizer : public Tokenizer {
 public:
  SentencePieceTokenizer(VocabularySpec spec, int32_t unknown_id)
      : spec_(std::move(spec)),
        unknown_id_(unknown_id),
        user_defined_(UserDefined(spec_)),
        controls_(ControlTokens(spec_), /*normalized=*/false, nullptr) {
    byte_ids_.fill(-1);
    for (size_t id = 0; id < spec_.tokens.size(); ++id) {
      ids_.emplace(spec_.tokens[id], static_cast<int32_t>(id));
      if (TypeOf(spec_, id) == Type::kByte) byte_values_.emplace(static_cast<int32_t>(id), 0);
    }
  }

  // What may fail; to be called once.
  absl::Status Init() {
    LASTRO_ASSIGN_OR_RETURN(normalizer_, SentencePieceNormalizer::Create(spec_, &user_defined_));
    LASTRO_RETURN_IF_ERROR(ReadBytes());
    if (spec_.kind == VocabularySpec::Kind::kUnigram) {
      model_ = std::make_unique<PieceLattice>(spec_, unknown_id_);
    } else {
      model_ = std::make_unique<PieceMerger>(spec_, unknown_id_, user_defined_);
    }
    return absl::OkStatus();
  }

  std::vector<Token> EncodeWithOffsets(absl::string_view text, const EncodeOptions& options) const override {
    const AlignedText input = AlignedText::FromInput(text);
    std::vector<Token> tokens;
    if (options.add_special && spec_.add_bos) tokens.push_back({*spec_.bos, 0, 0});
    auto allowed = [&](uint32_t begin, uint32_t end) {
      return IsApart(input.SourceOf(begin, end), options.plain_ranges);
    };
    for (const Piece& piece : controls_.Find(input.text(), options.parse_special, allowed)) {
      if (piece.added_id >= 0) {
        ByteRange source = input.SourceOf(piece.begin, piece.end);
        tokens.push_back({piece.added_id, source.begin, source.end});
      } else {
        Append(input.Slice(piece.begin, piece.end), &tokens);
      }
    }
    if (options.add_special && spec_.add_eos) tokens.push_back({*spec_.eos, 0, 0});
    return tokens;
  }

  std::string Decode(absl::Span<const int32_t> ids, bool skip_special) const override {
    std::string text, bytes;
    bool at_start = true;  // the space put before the text may still come
    for (int32_t id : ids) {
      if (id < 0 || id >= vocab_size()) continue;
      if (auto byte = byte_values_.find(id); byte != byte_values_.end()) {
        bytes.push_back(static_cast<char>(byte->second));
        continue;
      }
      AppendBytes(&bytes, &text);
      at_start = at_start && text.empty();
      text += Surface(id, skip_special, &at_start);
    }
    AppendBytes(&bytes, &text);
    return text;
  }

  int vocab_size() const override { return static_cast<int>(spec_.tokens.size()); }
  std::optional<int32_t> TokenToId(absl::string_view token) const override {
    auto found = ids_.find(token);
    return found == ids_.end() ? std::nullopt : std::make_optional(found->second);
  }
  std::string IdToToken(int32_t id) const override {
    return id < 0 || id >= vocab_size() ? "" : spec_.tokens[static_cast<size_t>(id)];
  }
  bool IsSpecial(int32_t id) const override {
    return id >= 0 && id < vocab_size() && TypeOf(spec_, static_cast<size_t>(id)) == Type::kControl;
  }

 private:
  // The ids of the byte tokens <0x00> to <0xFF>.
  absl::Status ReadBytes() {
    for (unsigned byte = 0; byte < kBytes; ++byte) {
      auto found = ids_.find(absl::StrFormat("<0x%02X>", byte));
      if (found == ids_.end() || !byte_values_.contains(found->second)) continue;
      byte_ids_[byte] = found->second;
      byte_values_[found->second] = static_cast<uint8_t>(byte);
    }
    for (unsigned byte = 0; spec_.byte_fallback && byte < kBytes; ++byte) {
      if (byte_ids_[byte] >= 0) continue;
      return absl::InvalidArgumentError(
          absl::StrFormat("%s: byte fallback needs a token <0x%02X> of type byte", spec_.source, byte));
    }
    return absl::OkStatus();
  }

  void Append(const AlignedText& input, std::vector<Token>* tokens) const {
    const NormalizedText normalized = normalizer_->Normalize(input.text());
    std::vector<PathPiece> pieces;
    std::visit([&](const auto& model) { model->Segment(normalized.text, &pieces); }, model_);
    auto source = [&](uint32_t at) { return SourcePosition(input, normalized.source[at]); };
    bool after_unknown = false;
    for (const PathPiece& piece : pieces) {
      const uint32_t begin = source(piece.begin), end = source(piece.end);
      const bool unknown = piece.id == unknown_id_;
      if (unknown && spec_.byte_fallback) {
        absl::string_view text = absl::string_view(normalized.text).substr(piece.begin, piece.end - piece.begin);
        for (char byte : text) tokens->push_back({byte_ids_[static_cast<uint8_t>(byte)], begin, begin});
        tokens->back().end = end;  // the last byte stands for the character
      } else if (unknown && after_unknown) {
        tokens->back().end = end;
      } else {
        tokens->push_back({piece.id, begin, end});
      }
      after_unknown = unknown;
    }
  }

  // The caller's byte at which character boundary `at` of the text lies.
  static uint32_t SourcePosition(const AlignedText& input, uint32_t at) {
    const uint32_t size = static_cast<uint32_t>(input.text().size());
    return at < size ? input.SourceOf(at, at + 1).begin : input.SourceOf(size - 1, size).end;
  }

  // The text of a token that is no byte. Clears `at_start` when the token's leading space was the one put before the
  // text.
  std::string Surface(int32_t id, bool skip_special, bool* at_start) const {
    absl::string_view piece = spec_.tokens[static_cast<size_t>(id)];
    if (IsSpecial(id)) return skip_special ? "" : std::string(piece);
    if (id == unknown_id_) return spec_.unknown_surface;
    if (*at_start && (spec_.add_dummy_prefix || spec_.remove_extra_whitespaces)) {
      const bool consumed = absl::ConsumePrefix(&piece, kSpaceSymbol);
      // Where extra white space goes, all spaces at the start do.
      if (consumed && !spec_.remove_extra_whitespaces) *at_start = false;
    }
    return absl::StrReplaceAll(piece, {{kSpaceSymbol, " "}});
  }

  // Bytes that are no UTF-8 become one U+FFFD each.
  static void AppendBytes(std::string* bytes, std::string* text) {
    for (absl::string_view rest = *bytes; !rest.empty();) {
      DecodedRune decoded = DecodeRune(rest);
      const size_t length = decoded.valid ? decoded.length : 1;
      AppendRune(decoded.valid ? decoded.rune : kReplacementCharacter, text);
      rest.remove_prefix(length);
    }
    bytes->clear();
  }

  const VocabularySpec spec_;
  const int32_t unknown_id_;
  const PieceTrie user_defined_;
  const AddedTokenFinder controls_;
  absl::flat_hash_map<absl::string_view, int32_t> ids_;  // views of spec_
  absl::flat_hash_map<int32_t, uint8_t> byte_values_;    // byte tokens
  std::array<int32_t, kBytes> byte_ids_;                 // -1: no such token
  std::optional<SentencePieceNormalizer> normalizer_;
  std::variant<std::unique_ptr<PieceLattice>, std::unique_ptr<PieceMerger>> model_;
};

std::optional<int32_t> UnknownId(const VocabularySpec& spec) {
  if (spec.unknown.has_value()) return spec.unknown;
  for (size_t id = 0; id < spec.types.size(); ++id) {
    if (spec.types[id] == Type::kUnknown) return static_cast<int32_t>(id);
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> BuildSentencePiece(VocabularySpec spec) {
  std::optional<int32_t> unknown = UnknownId(spec);
  if (!unknown.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat(spec.source, ": no token has the type unknown"));
  }
  auto tokenizer = std::make_unique<SentencePieceTokenizer>(std::move(spec), *unknown);
  LASTRO_RETURN_IF_ERROR(tokenizer->Init());
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

}  // namespace lastro::engine::tokenizers
