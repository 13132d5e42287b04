// The operators of expressions, with Python's meaning. Errors (INVALID_ARGUMENT for operands they do not take, or an
// integer beyond 64 bits) carry no line: the caller knows it.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/chat/budget.h"
#include "engine/chat/value.h"

namespace lastro::engine::chat {

// + - * / // % ** ~
absl::StatusOr<Value> ApplyBinary(absl::string_view op, const Value& a, const Value& b, Budget* budget);

// == != < <= > >= in, not in
absl::StatusOr<bool> ApplyComparison(absl::string_view op, const Value& a, const Value& b, Budget* budget);

absl::StatusOr<Value> Negate(const Value& value);

// The items a loop goes over: of a list, the keys of a dict, the characters of a string; none of an undefined value.
absl::StatusOr<std::vector<Value>> ItemsOf(const Value& value, Budget* budget);

// "template" % arguments. Conversions s, r, d, i and f, with width and precision.
absl::StatusOr<Text> FormatPercent(const Text& format, const Value& arguments, Budget* budget);

// `text` that holds ToText(value), paid for.
absl::StatusOr<Text> PrintedText(const Value& value, Budget* budget);

}  // namespace lastro::engine::chat
