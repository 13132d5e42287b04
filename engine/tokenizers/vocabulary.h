// Vocabulary: tokens by id and ids by token. Const once filled; thread-safe for reads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/json.h"

namespace lastro::engine::tokenizers {

class Vocabulary {
 public:
  // The object {"token": id, ...}. INVALID_ARGUMENT: a token twice, an id twice, negative or too large, a token of more
  // than 4,096 bytes; RESOURCE_EXHAUSTED: more than 4,194,304 tokens.
  static absl::StatusOr<Vocabulary> Parse(const JsonValue& object);
  // The array [["token", ...], ...]: an id is an index. The same errors.
  static absl::StatusOr<Vocabulary> ParseArray(const JsonValue& array);

  // Adds a token; INVALID_ARGUMENT when it or its id is there already, unless both belong together.
  absl::Status Add(absl::string_view token, int32_t id, absl::string_view where);

  // INVALID_ARGUMENT when an id below the largest has no token.
  absl::Status CheckDense(absl::string_view where) const;

  std::optional<int32_t> IdOf(absl::string_view token) const;
  absl::string_view TokenOf(int32_t id) const;                           // "" when out of range
  int32_t size() const { return static_cast<int32_t>(tokens_.size()); }  // one past the largest id

 private:
  absl::flat_hash_map<std::string, int32_t> ids_;
  std::vector<std::string> tokens_;
  std::vector<bool> present_;
};

}  // namespace lastro::engine::tokenizers
