#include "engine/tokenizers/sentencepiece_model.h"

#include <bit>
#include <cstdint>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/tokenizers/component.h"
#include "engine/tokenizers/protobuf_wire.h"

namespace lastro::engine::tokenizers {
namespace {

using Field = WireReader::Field;

// Field numbers of sentencepiece_model.proto.
constexpr uint32_t kPieces = 1, kTrainerSpec = 2, kNormalizerSpec = 3, kDenormalizerSpec = 5;
constexpr uint32_t kPieceText = 1, kPieceScore = 2, kPieceType = 3;
constexpr uint32_t kModelType = 3, kWhitespaceAsSuffix = 24, kByteFallback = 35, kBosId = 41, kEosId = 42,
                   kUnknownSurface = 44;
constexpr uint32_t kCharsmap = 2, kAddDummyPrefix = 3, kRemoveExtraWhitespaces = 4, kEscapeWhitespaces = 5;
constexpr uint64_t kUnigramType = 1, kBpeType = 2;

// Calls `take(field)`, which returns a Status, for every field.
template <typename Take>
absl::Status ForEachField(absl::string_view message, absl::string_view where, const Take& take) {
  WireReader reader(message, where);
  while (!reader.AtEnd()) {
    LASTRO_ASSIGN_OR_RETURN(Field field, reader.Next());
    LASTRO_RETURN_IF_ERROR(take(field));
  }
  return absl::OkStatus();
}

absl::Status TakePiece(absl::string_view message, VocabularySpec* spec) {
  if (spec->tokens.size() >= kMaxVocabulary) {
    return absl::ResourceExhaustedError(absl::StrCat(spec->source, ": more than ", kMaxVocabulary, " pieces"));
  }
  std::string text;
  float score = 0;
  uint64_t type = 1;
  LASTRO_RETURN_IF_ERROR(ForEachField(message, spec->source, [&](const Field& field) {
    if (field.tag == kPieceText) text = std::string(field.bytes);
    if (field.tag == kPieceScore) score = std::bit_cast<float>(static_cast<uint32_t>(field.number));
    if (field.tag == kPieceType) type = field.number;
    return absl::OkStatus();
  }));
  spec->tokens.push_back(std::move(text));
  spec->scores.push_back(score);
  spec->types.push_back(static_cast<VocabularySpec::Type>(type < 256 ? type : 0));  // BuildTokenizer checks it
  return absl::OkStatus();
}

// An id out of range, -1 above all, means that there is no such token.
std::optional<int32_t> AsId(uint64_t number) {
  if (number >= kMaxVocabulary) return std::nullopt;
  return static_cast<int32_t>(number);
}

absl::Status TakeTrainerSpec(absl::string_view message, VocabularySpec* spec) {
  return ForEachField(message, spec->source, [spec](const Field& field) {
    if (field.tag == kModelType) {
      if (field.number != kUnigramType && field.number != kBpeType) {
        return absl::UnimplementedError(absl::StrCat(spec->source, ": trainer_spec.model_type is ", field.number,
                                                     "; supported are 1 (UNIGRAM) and 2 (BPE)"));
      }
      spec->kind = field.number == kBpeType ? VocabularySpec::Kind::kMergedPieces : VocabularySpec::Kind::kUnigram;
    }
    if (field.tag == kWhitespaceAsSuffix) spec->whitespace_as_suffix = field.number != 0;
    if (field.tag == kByteFallback) spec->byte_fallback = field.number != 0;
    if (field.tag == kBosId) spec->bos = AsId(field.number);
    if (field.tag == kEosId) spec->eos = AsId(field.number);
    if (field.tag == kUnknownSurface) spec->unknown_surface = std::string(field.bytes);
    return absl::OkStatus();
  });
}

absl::Status TakeNormalizerSpec(absl::string_view message, VocabularySpec* spec) {
  return ForEachField(message, spec->source, [spec](const Field& field) {
    if (field.tag == kCharsmap) spec->charsmap = std::string(field.bytes);
    if (field.tag == kAddDummyPrefix) spec->add_dummy_prefix = field.number != 0;
    if (field.tag == kRemoveExtraWhitespaces) spec->remove_extra_whitespaces = field.number != 0;
    if (field.tag == kEscapeWhitespaces) spec->escape_whitespaces = field.number != 0;
    return absl::OkStatus();
  });
}

absl::Status TakeDenormalizerSpec(absl::string_view message, VocabularySpec* spec) {
  return ForEachField(message, spec->source, [spec](const Field& field) {
    if (field.tag != kCharsmap || field.bytes.empty()) return absl::OkStatus();
    return absl::UnimplementedError(absl::StrCat(spec->source, ": denormalizer_spec is not supported"));
  });
}

// The ids have defaults that a model without such tokens may not mean.
void DropUnlessControl(const VocabularySpec& spec, std::optional<int32_t>* id) {
  if (!id->has_value()) return;
  const size_t index = static_cast<size_t>(**id);
  if (index >= spec.types.size() || spec.types[index] != VocabularySpec::Type::kControl) id->reset();
}

absl::Status CheckUnique(const VocabularySpec& spec) {
  absl::flat_hash_set<absl::string_view> seen;
  for (const std::string& token : spec.tokens) {
    if (token.empty()) return absl::InvalidArgumentError(absl::StrCat(spec.source, ": a piece is empty"));
    if (seen.insert(token).second) continue;
    return absl::InvalidArgumentError(absl::StrCat(spec.source, ": piece \"", token, "\" occurs twice"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<VocabularySpec> ParseSentencePieceModel(absl::string_view content, const std::string& name) {
  VocabularySpec spec;
  spec.source = name;
  // The defaults of the format.
  spec.kind = VocabularySpec::Kind::kUnigram;
  spec.remove_extra_whitespaces = true;
  spec.bos = 1;
  spec.eos = 2;
  LASTRO_RETURN_IF_ERROR(ForEachField(content, name, [&spec](const Field& field) {
    if (field.tag == kPieces) return TakePiece(field.bytes, &spec);
    if (field.tag == kTrainerSpec) return TakeTrainerSpec(field.bytes, &spec);
    if (field.tag == kNormalizerSpec) return TakeNormalizerSpec(field.bytes, &spec);
    if (field.tag == kDenormalizerSpec) return TakeDenormalizerSpec(field.bytes, &spec);
    return absl::OkStatus();
  }));
  LASTRO_RETURN_IF_ERROR(CheckUnique(spec));
  DropUnlessControl(spec, &spec.bos);
  DropUnlessControl(spec, &spec.eos);
  return spec;
}

}  // namespace lastro::engine::tokenizers
