// How a collection is searched by the vectors of two embedding models, over the same queries: how much of the ten best
// hits they share, and how well each finds the documents that the queries belong to. Thread-safe as the API is.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/call_context.h"
#include "lastro/v1/eval.pb.h"
#include "services/api.h"

namespace lastro::services::eval {

struct ComparedQuery {
  std::string text;
  std::string uri;  // of the document it belongs to; empty: none is known
};

// A query a line: a JSON object with "question" (or "query") and, where one is known, "document", its uri; any other
// line is the query itself. INVALID_ARGUMENT with the line.
absl::StatusOr<std::vector<ComparedQuery>> ReadQueries(absl::string_view content, const std::string& path);

// At most `count` queries from documents of the collection drawn by `seed`: a title, a heading or a sentence of each.
absl::StatusOr<std::vector<ComparedQuery>> SampleQueries(RetrievalApi& retrieval, const std::string& collection,
                                                         size_t count, uint64_t seed, const CallContext& context);

// Model `a` is the one that the collection is searched by, `b` the other; both complete. INVALID_ARGUMENT when there is
// no query; errors of the searches.
absl::StatusOr<v1::ModelComparison> CompareModels(RetrievalApi& retrieval, const v1::Reembedding& models,
                                                  const std::vector<ComparedQuery>& queries, uint64_t seed,
                                                  const CallContext& context);

}  // namespace lastro::services::eval
