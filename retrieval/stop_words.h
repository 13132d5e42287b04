// Words of English and Portuguese that say nothing about what a text is about.
#pragma once

#include "absl/strings/string_view.h"
#include "retrieval/types.h"

namespace lastro::retrieval {

// `word` in lower case without accents. Thread-safe.
bool IsStopWord(absl::string_view word);                       // of either language
bool IsStopWordOf(Language language, absl::string_view word);  // of kUnknown none is

}  // namespace lastro::retrieval
