// One document on its way from bytes to chunks. Pure functions apart from the embedder, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/call_context.h"
#include "ingest/pipeline.h"
#include "retrieval/text_embedder.h"
#include "retrieval/types.h"

namespace lastro::ingest {

struct DocumentInput {
  std::string uri;
  std::string media_type;  // may be empty
  std::string content;
  absl::Time modified_at;
  std::string origin;
  bool any_text = false;  // read an unknown extension as plain text
};

struct PreparedDocument {
  retrieval::Document document;
  std::vector<retrieval::Chunk> chunks;  // without vectors
  std::string original;
  std::string extracted;
};

// Why a document was not prepared, and whose fault that is: a `file_error` concerns this file alone, else `status`
// would meet every other file too (the embedder is gone, the job was cancelled).
struct PrepareFailure {
  absl::Status status;
  bool file_error = true;
};

// Reads, chunks and verifies. On success `prepared` is complete but for the vectors, and the failure's status is OK.
PrepareFailure PrepareDocument(DocumentInput input, const std::string& collection, const GivenFacts& given,
                               const PipelineOptions& options, retrieval::TextEmbedder* embedder,
                               const CallContext& context, PreparedDocument* prepared);

// Names everything that decides what a document's chunks look like: the versions of readers and chunker, its settings,
// the metadata and access labels given. A stored document with another one is ingested again.
std::string PipelineFingerprint(const PipelineOptions& options, const GivenFacts& given);

}  // namespace lastro::ingest
