// Extended grapheme clusters (UAX #29, rules GB3 to GB13 of Unicode 15): what a reader takes for one character. Pure
// function.
#pragma once

#include <cstddef>

#include "absl/strings/string_view.h"

namespace lastro::engine::tokenizers {

// The bytes of the first cluster of `text`. REQUIRES: !text.empty(), valid UTF-8.
size_t FirstGraphemeLength(absl::string_view text);

}  // namespace lastro::engine::tokenizers
