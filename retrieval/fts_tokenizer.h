// The FTS5 tokenizer "lastro": words and their search terms (see search_terms.h) as tokens, all terms of a word at the
// word's position, the same for documents and queries. Two exceptions: a query string that is exactly one compound
// ("E-1042") yields the compound alone, and a prefix query the plain form of its words.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct sqlite3;
struct fts5_api;

namespace lastro::retrieval {

// A change of what the tokenizer yields needs another version: the store then rebuilds its full-text indexes at open.
inline constexpr int kTokenizerVersion = 2;

absl::Status RegisterTokenizer(sqlite3* db);

// The interface that FTS5 is extended by. FAILED_PRECONDITION when SQLite was built without it.
absl::StatusOr<fts5_api*> FindFts5(sqlite3* db);

}  // namespace lastro::retrieval
