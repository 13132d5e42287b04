// JsonTokenizer: the tokenizer that a tokenizer.json describes: added tokens, normaliser, pre-tokeniser, model,
// post-processor and decoder, in this order. Const after construction and thread-safe.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/json.h"
#include "engine/tokenizer.h"

namespace lastro::engine::tokenizers {

// Errors as Tokenizer::Load. The sections "truncation" and "padding" are ignored: callers decide. The document may go
// away afterwards.
absl::StatusOr<std::unique_ptr<Tokenizer>> ParseTokenizer(const JsonDocument& document);

}  // namespace lastro::engine::tokenizers
