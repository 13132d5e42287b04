// Globs over relative paths, as in .gitignore: ? and * stay within one folder, ** crosses folders, and a pattern
// without a slash matches the file's name in any folder. Pure functions, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace lastro::ingest {

// Takes time proportional to the product of both lengths, whatever the pattern.
bool MatchesGlob(absl::string_view pattern, absl::string_view path);

bool MatchesAnyGlob(const std::vector<std::string>& patterns, absl::string_view path);

}  // namespace lastro::ingest
