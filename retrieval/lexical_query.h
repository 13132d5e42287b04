// From what a user typed to an FTS5 query. User text is never read as FTS5 syntax: only words found by WordBreaker
// reach the query, quoted. Pure function, thread-safe, safe for any bytes.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace lastro::retrieval {

inline constexpr int kMaxQueryTerms = 64;            // distinct terms, in the order of the text; the rest is ignored
inline constexpr size_t kMaxQueryTextBytes = 65536;  // of the text that are looked at

// FTS5 expressions. Both are "" when the text has no word.
struct LexicalQuery {
  std::string any;     // matches what contains any of the words and phrases
  std::string strict;  // of these, what contains every quoted phrase; `any` when nothing is quoted
};

// English and Portuguese stop words are left out unless there are no other words. Text in double quotes ("..." or “...”)
// is a phrase. A word of two letters or more with a star at its end (refund*, also at the end of a phrase) stands for all
// words that begin so. A compound such as E-1042 counts as a whole and by its parts.
LexicalQuery ParseLexicalQuery(absl::string_view text);

}  // namespace lastro::retrieval
