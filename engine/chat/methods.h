// The methods of strings, lists and dicts that templates may call: those of Python that change nothing. Errors
// (INVALID_ARGUMENT for wrong arguments) carry no line.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/chat/arguments.h"
#include "engine/chat/budget.h"
#include "engine/chat/value.h"

namespace lastro::engine::chat {

bool HasMethod(const Value& value, absl::string_view name);

// REQUIRES of each: HasMethod(value, name).
absl::StatusOr<Value> CallTextMethod(const Text& text, absl::string_view name, const Arguments& arguments,
                                     Budget* budget);
absl::StatusOr<Value> CallListMethod(const Value& list, absl::string_view name, const Arguments& arguments,
                                     Budget* budget);
absl::StatusOr<Value> CallDictMethod(const Value& dict, absl::string_view name, const Arguments& arguments);

// A list of strings.
absl::StatusOr<Value> ListOfTexts(std::vector<Text> texts, Budget* budget);

// `separator`.join(items); items that are no strings are an error, or with `print` printed.
absl::StatusOr<Value> Join(const Text& separator, const std::vector<Value>& items, bool print, Budget* budget);

}  // namespace lastro::engine::chat
