// Words of English and Portuguese that say nothing about what a text is about.
#pragma once

#include "absl/strings/string_view.h"

namespace lastro::retrieval {

// `word` in lower case without accents. Thread-safe.
bool IsStopWord(absl::string_view word);

}  // namespace lastro::retrieval
