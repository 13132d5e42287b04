// Pipeline: folders and uploads -> documents and chunks with vectors in a ChunkStore. Stages: walk and hash -> read ->
// normalise -> chunk -> embed -> one commit a document. Bounded queues between stages. A file that cannot be read is a
// FileProblem of the job; it never stops the others.
//
// Thread-safe: several jobs may run at once.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/call_context.h"
#include "retrieval/chunk_store.h"
#include "retrieval/text_embedder.h"
#include "retrieval/types.h"

namespace lastro::ingest {

class CollectionEmbedder;
struct PreparedDocument;

struct PipelineOptions {
  int chunk_tokens = 200;                     // target size of a chunk, capped by the embedding model's limit
  uint64_t max_file_bytes = 64u << 20;        // larger files are reported and skipped
  uint64_t max_text_bytes = 32u << 20;        // of readable text a file may yield
  int64_t max_files = 1'000'000;              // of one folder
  int max_depth = 64;                         // of folders
  double parser_timeout_s = 60;               // of an isolated parser (pdftotext)
  uint64_t parser_memory_bytes = 1ull << 30;  // address space of an isolated parser
};

// What whoever ingests says of the documents.
struct GivenFacts {
  retrieval::Metadata metadata;
  std::vector<std::string> labels;  // access labels, see base/scope.h
};

struct FolderRequest {
  std::string collection;            // created with the embedder's fingerprint when it does not exist
  std::string folder;                // absolute or relative to the working folder of the process
  bool sync = false;                 // also removes documents of this folder whose files have vanished
  std::vector<std::string> include;  // globs on relative paths; empty: every supported format
  std::vector<std::string> exclude;
  GivenFacts given;  // to every document
};

struct UploadRequest {
  std::string collection;
  std::string uri;         // the document's name; its extension tells the format unless media_type is set
  std::string media_type;  // may be empty
  std::string content;
  GivenFacts given;
};

// Called from the job's thread with the job as it stands, at most about ten times a second and once at the end.
using ProgressSink = std::function<void(const retrieval::Job&)>;

class Pipeline {
 public:
  // `embedder`: of the model that new collections get; another collection's is asked of it (TextEmbedder::OfModel).
  // `store` and `embedder` must outlive the pipeline.
  Pipeline(retrieval::ChunkStore* store, retrieval::TextEmbedder* embedder, PipelineOptions options);

  // Runs a folder job to its end and returns it: kSucceeded even when single files failed (see problems). `job` carries
  // id, request and creation time; the counters are filled here. The job is put into the store at the start, now and
  // then, and at the end. Errors that stop a whole job: NOT_FOUND (folder), FAILED_PRECONDITION (the collection has
  // another embedding model), CANCELLED, DEADLINE_EXCEEDED, and store or embedder failures; the job is then stored as
  // kFailed or kCancelled, and everything committed so far stays: running it again goes on from there.
  absl::StatusOr<retrieval::Job> IngestFolder(const FolderRequest& request, retrieval::Job job,
                                              const CallContext& context, const ProgressSink& progress = nullptr);

  // Ingests one document given as bytes. INVALID_ARGUMENT when it cannot be read, with the reason.
  absl::StatusOr<retrieval::Document> IngestUpload(const UploadRequest& request, const CallContext& context);

 private:
  // By the collection's model, whichever it is when the document is put.
  absl::StatusOr<retrieval::Document> EmbedAndPut(const std::string& collection, PreparedDocument* prepared,
                                                  CollectionEmbedder* embedder, const CallContext& context);

  retrieval::ChunkStore* const store_;
  retrieval::TextEmbedder* const embedder_;
  const PipelineOptions options_;
};

}  // namespace lastro::ingest
