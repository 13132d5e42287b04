// Normalisers: what happens to a text before it is split. Const after construction and thread-safe.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "base/json.h"
#include "engine/tokenizers/aligned_text.h"

namespace lastro::engine::tokenizers {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual void Apply(AlignedText* text) const = 0;
};

// Reads BertNormalizer, NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Strip, Prepend, Replace, Nmt, ByteLevel,
// Precompiled or a Sequence of them. UNIMPLEMENTED names any other type.
absl::StatusOr<std::unique_ptr<Normalizer>> ParseNormalizer(const JsonValue& component);
absl::StatusOr<std::unique_ptr<Normalizer>> ParsePrecompiled(const JsonValue& component);

// The four Unicode normalisation forms, with the reference's alignment of what is composed and reordered.
void ApplyNormalizationForm(bool compatibility, bool composed, AlignedText* text);

}  // namespace lastro::engine::tokenizers
