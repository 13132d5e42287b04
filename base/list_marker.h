// Markers of list items at the start of a line. Pure functions, thread-safe.
#pragma once

#include <cstddef>

#include "absl/strings/string_view.h"

namespace lastro {

// Length of a bullet with the blank behind it ("- ", "* ", "• ") at the start of `line`, 0 when there is none.
size_t BulletLength(absl::string_view line);

// The same of any marker: bullets, numbers of up to three digits ("3. ", "3) ") and letters ("a) ").
size_t ListMarkerLength(absl::string_view line);

}  // namespace lastro
