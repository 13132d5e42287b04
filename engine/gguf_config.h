// The metadata of a GGUF file as the JSON files of a Hugging Face folder. Pure functions, thread-safe. Errors are
// INVALID_ARGUMENT, naming the key, what was expected and what is there, and UNIMPLEMENTED for an option that is not
// supported.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "engine/gguf.h"
#include "engine/gguf_family.h"

namespace lastro::engine {

// config.json. Besides the family's table: what the tensors say (biases, a head of its own, the vocabulary's size,
// rope_freqs.weight as factors of the rope) and the ids of special tokens.
absl::StatusOr<std::string> GgufConfigJson(const GgufContents& contents, const GgufFamily& family);

// tokenizer_config.json: the chat template, when there is one.
absl::StatusOr<std::optional<std::string>> GgufTokenizerConfigJson(const GgufMetadata& metadata);

// The sentence-transformers files of an encoder: modules.json and the pooling's config.json. Nullopt when the file
// names no pooling. Vectors are normalised unless lastro.embedding.normalize is false: no key of the format says.
struct GgufSentenceJson {
  std::string modules;
  std::string pooling;
  std::optional<std::string> sentence_bert;
};
absl::StatusOr<std::optional<GgufSentenceJson>> ReadGgufSentenceJson(const GgufMetadata& metadata,
                                                                     const GgufFamily& family);

// The head counts of config.json's members, checked to be within range.
absl::StatusOr<HeadCounts> ReadGgufHeads(const GgufMetadata& metadata, const GgufFamily& family);

// What YaRN multiplies cos and sin by when nothing else is said, for a context stretched by `factor`.
double YarnMagnitude(double factor);

// Keys of our own, for what the format has no key for.
inline constexpr char kGgufNormalizeKey[] = "lastro.embedding.normalize";
inline constexpr char kGgufMaxTextKey[] = "lastro.embedding.max_tokens";
inline constexpr char kGgufEosIdsKey[] = "lastro.eos_token_ids";  // all of them; the format has keys for three
inline constexpr char kGgufReaderKey[] = "lastro.reader";         // config.json's lastro_reader, as it is
inline constexpr char kGgufTokenizerJsonKey[] = "tokenizer.huggingface.json";  // the whole tokenizer.json

}  // namespace lastro::engine
