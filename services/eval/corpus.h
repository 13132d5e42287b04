// The passages of a dataset in a collection of the store, put there as users' documents are: every passage a document
// of plain text, its title underlined above it.
#pragma once

#include <functional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "base/call_context.h"
#include "services/api.h"
#include "services/eval/dataset.h"

namespace lastro::services::eval {

struct Corpus {
  absl::flat_hash_map<std::string, std::string> passage_of_uri;  // documents' uris -> ids of passages
  int skipped = 0;                                               // passages without readable text
};

// Called with how many of how many are done.
using EvalProgress = std::function<void(size_t done, size_t all)>;

// Uploads the passages in order. Those that are there already from an earlier run are not embedded again. Documents are
// named by number, so that no id is searched as a title; the id is in the metadata, as `passage`. Errors: those of
// Upload, except that a passage without text is counted.
absl::StatusOr<Corpus> IngestPassages(const Dataset& dataset, const std::string& collection, IngestApi& ingest,
                                      const CallContext& context, const EvalProgress& progress);

// What is uploaded for a passage.
std::string DocumentOf(const EvalPassage& passage);

}  // namespace lastro::services::eval
