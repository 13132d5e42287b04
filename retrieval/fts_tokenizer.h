// The FTS5 tokenizer "lastro": words and their search terms (see search_terms.h) as tokens, all terms of a word at the
// word's position, the same for documents and queries. One exception: a query string that is exactly one compound
// ("E-1042") yields the compound alone.
#pragma once

#include "absl/status/status.h"

struct sqlite3;

namespace lastro::retrieval {

// A change of what the tokenizer yields needs another version: the store then rebuilds its full-text indexes at open.
inline constexpr int kTokenizerVersion = 1;

absl::Status RegisterTokenizer(sqlite3* db);

}  // namespace lastro::retrieval
