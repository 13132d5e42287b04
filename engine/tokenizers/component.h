// Shared by the readers of tokenizer.json's components (normalizer, pre_tokenizer, post_processor, decoder).
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/json.h"

namespace lastro::engine::tokenizers {

// The "type" of a component.
absl::StatusOr<std::string> TypeOf(const JsonValue& component);

// The members of array `key`, at most 256 of them.
absl::StatusOr<std::vector<JsonValue>> ItemsOf(const JsonValue& component, absl::string_view key);

// OK while a chain of `steps` steps may grow: chains, nested ones counted flat, have at most 256.
absl::Status CheckSteps(const JsonValue& component, size_t steps);

absl::Status UnsupportedType(const JsonValue& component, absl::string_view type);

// INVALID_ARGUMENT unless `value` is an id of the vocabulary's range [0, 4,194,304).
absl::StatusOr<int32_t> AsTokenId(const JsonValue& value);

inline constexpr size_t kMaxVocabulary = 1u << 22;
inline constexpr size_t kMaxTokenBytes = 4096;
inline constexpr size_t kMaxReplacementBytes = 1024;

// The string member `key`, at most kMaxReplacementBytes long: what text is rewritten to.
absl::StatusOr<std::string> GetReplacement(const JsonValue& component, absl::string_view key,
                                           absl::string_view otherwise);

}  // namespace lastro::engine::tokenizers
