// The tokenizer of a Hugging Face folder: tokenizer.json, or else the SentencePiece model that lies there, with what
// tokenizer_config.json says around it. Pure functions, thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/json.h"
#include "engine/tokenizer.h"

namespace lastro::engine {

// The file in `folder` that holds the tokenizer: tokenizer.json, tokenizer.model or spiece.model. NOT_FOUND names them.
absl::StatusOr<std::string> FindHfTokenizer(const std::string& folder);

// The tokenizer of the file that FindHfTokenizer gave. For a *.model, `config` (tokenizer_config.json) gives the class
// (LlamaTokenizer, GemmaTokenizer, T5Tokenizer and their -Fast forms), whether BOS and EOS are added, and further
// tokens. UNIMPLEMENTED for a class that numbers or normalises pieces in a way of its own. Else as Tokenizer::Load.
absl::StatusOr<std::unique_ptr<Tokenizer>> LoadHfTokenizer(const std::string& path,
                                                           const std::optional<JsonValue>& config);

}  // namespace lastro::engine
