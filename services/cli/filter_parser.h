// Filters as people write them:
//
//   department = "ops" and year >= 2020 and not lang in ("en", "pt")
//
//   filter     := any
//   any        := all ("or" all)*
//   all        := factor ("and" factor)*
//   factor     := "not" factor | "(" any ")" | comparison
//   comparison := field operator value | field ["not"] "in" "(" value ("," value)* ")"
//   operator   := "=" | "==" | "!=" | "<" | "<=" | ">" | ">=" | "^="          (^= : the string begins with)
//   field      := letter or "_", then letters, digits, "_", ".", "-"; or `anything but a backquote`
//   value      := "text" or 'text' (escapes \" \' \\ \n \t) | number | time | true | false
//   time       := 2026-11-28 | 2026-11-28T09:30:00Z | 2026-11-28T09:30:00+01:00                   (a day begins in UTC)
//
// Keywords are case-insensitive. `not` binds tighter than `and`, `and` tighter than `or`.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lastro/v1/common.pb.h"

namespace lastro::services {

// Text of white space only gives the empty filter, which matches everything. INVALID_ARGUMENT gives the column (in
// characters, from 1), what was expected and what is there; also for more than 16 levels, 256 nodes or 64 KiB.
absl::StatusOr<v1::Filter> ParseFilter(absl::string_view text);

// A value as in the grammar above, or a list [value, ...]; a bare word that is no number, time, true or false is taken
// as a string. For --meta k=v.
// INVALID_ARGUMENT for malformed UTF-8, a broken string literal, or a number that is not finite.
absl::StatusOr<v1::MetadataValue> ParseMetadataValue(absl::string_view text);

}  // namespace lastro::services
