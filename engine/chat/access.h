// Look-ups: value.name, value[key], value[a:b:c], and the methods of strings, lists and dicts. Errors carry no line.
#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/chat/arguments.h"
#include "engine/chat/budget.h"
#include "engine/chat/value.h"

namespace lastro::engine::chat {

// A for loop that runs: what the name `loop` means. Owned by the rendering.
struct Loop {
  std::vector<Value> items;
  size_t index = 0;
};

// value.name: a method, else a member. Undefined when there is neither; INVALID_ARGUMENT of an undefined value.
absl::StatusOr<Value> GetAttribute(const Value& value, absl::string_view name);

// value[key]: a member, else (for a string key) a method. Errors as GetAttribute.
absl::StatusOr<Value> GetItem(const Value& value, const Value& key);

// value[start:stop:step] of a string or list. INVALID_ARGUMENT for a step of 0.
absl::StatusOr<Value> GetSlice(const Value& value, std::optional<int64_t> start, std::optional<int64_t> stop,
                               std::optional<int64_t> step, Budget* budget);

// Calls method `name` of `receiver`, as GetAttribute found it. INVALID_ARGUMENT for wrong arguments.
absl::StatusOr<Value> CallMethod(const Value& receiver, absl::string_view name, const Arguments& arguments,
                                 Budget* budget);

}  // namespace lastro::engine::chat
