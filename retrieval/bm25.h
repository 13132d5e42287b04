// The ranking function "lastro_bm25" of full-text search: BM25F (Robertson and Zaragoza, "The Probabilistic Relevance
// Framework: BM25 and Beyond", 2009) over the columns title, headings and body.
//
//   score(chunk) = sum over the query's phrases q of  idf(q) (k1 + 1) tf(q) / (k1 + tf(q))
//   tf(q)        = sum over columns c of  w[c] tf(q, c) / (1 - b[c] + b[c] length(c) / mean length(c))
//   idf(q)       = ln(1 + (N - n(q) + 0.5) / (n(q) + 0.5)),  n(q) of N chunks contain q
//
// with w = 3, 2, 1, b = 0, 0, 0.75 (titles and headings are short, and often missing) and k1 = 1.2.
//
// Unlike FTS5's own bm25 it tells the columns' lengths apart, and a word that most chunks contain counts little rather
// than nothing. SQL: `rank MATCH 'lastro_bm25()'`; as with FTS5's own, smaller is better: the score's negative.
#pragma once

#include "absl/status/status.h"

struct sqlite3;

namespace lastro::retrieval {

absl::Status RegisterBm25(sqlite3* db);

}  // namespace lastro::retrieval
