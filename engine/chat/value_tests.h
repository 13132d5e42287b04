// The tests of expressions: `value is name(arguments)`.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/chat/arguments.h"
#include "engine/chat/budget.h"

namespace lastro::engine::chat {

bool IsTest(absl::string_view name);

// REQUIRES: IsTest(name). INVALID_ARGUMENT for wrong arguments.
absl::StatusOr<bool> ApplyTest(absl::string_view name, const Value& value, const Arguments& arguments, Budget* budget);

}  // namespace lastro::engine::chat
