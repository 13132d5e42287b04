// From what a user typed to an FTS5 query. User text is never read as FTS5 syntax: only words found by WordBreaker
// reach the query, quoted. Pure function, thread-safe, safe for any bytes.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace lastro::retrieval {

inline constexpr int kMaxQueryTerms = 64;            // distinct terms, in the order of the text; the rest is ignored
inline constexpr size_t kMaxQueryTextBytes = 65536;  // of the text that are looked at

// An FTS5 expression that matches what contains any of the words of `text`; "" when it has no word. English and
// Portuguese stop words are left out unless there are no other words. Text in double quotes ("..." or “...”) must occur
// as a phrase. A compound such as E-1042 counts as a whole and by its parts.
std::string BuildMatchExpression(absl::string_view text);

}  // namespace lastro::retrieval
