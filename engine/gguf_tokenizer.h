// The tokenizer of a GGUF file. Pure functions, thread-safe. Errors are INVALID_ARGUMENT, naming the key, what was
// expected and what is there, and UNIMPLEMENTED for a kind of tokenizer or a splitting rule that is not known.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "engine/gguf.h"
#include "engine/tokenizer.h"
#include "engine/tokenizers/vocabulary_spec.h"

namespace lastro::engine {

// Of tokenizer.huggingface.json, a whole tokenizer.json, where the file has it; else of the tokenizer.ggml.* keys.
absl::StatusOr<std::unique_ptr<Tokenizer>> LoadGgufTokenizer(const GgufMetadata& metadata);

// The tokenizer.ggml.* keys. What a file leaves out is what the reference implementation (llama.cpp, llama-vocab.cpp)
// takes for its kind: the special ids of the first models, and whether BOS and EOS are added.
absl::StatusOr<tokenizers::VocabularySpec> ReadGgufVocabulary(const GgufMetadata& metadata);

}  // namespace lastro::engine
