// JSON text of values as Python's json.dumps writes it, which is what transformers' `tojson` filter does. The marks of
// strings stay; what the writer adds is trusted.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "engine/chat/budget.h"
#include "engine/chat/value.h"

namespace lastro::engine::chat {

struct JsonStyle {
  int indent = -1;  // spaces a level; -1: all on one line
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::string item_separator = ", ";  // with indent, what stands before the line end: ","
  std::string key_separator = ": ";
};

// INVALID_ARGUMENT for what has no JSON form, such as an undefined value.
absl::StatusOr<Text> ToJson(const Value& value, const JsonStyle& style, Budget* budget);

}  // namespace lastro::engine::chat
