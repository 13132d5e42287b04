// The filters of expressions: `value|name(arguments)`, with Jinja2's meaning; `tojson` as transformers defines it.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/chat/arguments.h"
#include "engine/chat/budget.h"

namespace lastro::engine::chat {

bool IsFilter(absl::string_view name);

// REQUIRES: IsFilter(name). INVALID_ARGUMENT for a value or arguments it does not take, UNIMPLEMENTED for a filter or
// test named by an argument (`map('name')`) that there is not; without a line.
absl::StatusOr<Value> ApplyFilter(absl::string_view name, const Value& value, const Arguments& arguments,
                                  Budget* budget);

}  // namespace lastro::engine::chat
