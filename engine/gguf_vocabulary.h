// The vocabulary of a byte-level BPE tokenizer.json as other programs read it from GGUF files (tokenizer.ggml.*). Pure
// function, thread-safe.
#pragma once

#include <optional>
#include <string>

#include "engine/architecture.h"
#include "engine/tokenizers/vocabulary_spec.h"

namespace lastro::engine {

// Nothing where GGUF has no words for the tokenizer: another kind, a splitting rule without a name, a step more; or
// where what the words say splits a sample of texts otherwise than the file. Ids up to the model's vocabulary that the
// file does not have become unused tokens. INVALID_ARGUMENT for a file that is malformed.
absl::StatusOr<std::optional<tokenizers::VocabularySpec>> ToGgufVocabulary(const std::string& tokenizer_json,
                                                                           const std::string& name,
                                                                           const Architecture& architecture);

}  // namespace lastro::engine
