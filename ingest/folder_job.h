// FolderJob: one run over one folder. Preparing threads read, parse and chunk ahead of the job's own thread, which
// embeds and commits; a byte budget bounds what lies between them. Not thread-safe; one Run() a job.
#pragma once

#include <atomic>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "base/bounded_queue.h"
#include "base/call_context.h"
#include "ingest/byte_budget.h"
#include "ingest/collection_embedder.h"
#include "ingest/folder_walk.h"
#include "ingest/job_reporter.h"
#include "ingest/pipeline.h"
#include "ingest/prepare.h"

namespace lastro::ingest {

class FolderJob {
 public:
  // All must outlive the job. `embedder`: of the collection, which exists.
  FolderJob(const FolderRequest& request, const PipelineOptions& options, retrieval::ChunkStore* store,
            CollectionEmbedder* embedder, JobReporter* reporter, const CallContext& context);

  // OK even when single files failed; see Pipeline::IngestFolder.
  absl::Status Run();

 private:
  enum class Kind { kPrepared, kUnchanged, kProblem, kFatal };

  // What became of one file on the preparing side.
  struct Outcome {
    std::string uri;
    Kind kind = Kind::kProblem;
    absl::Status status;  // of kProblem and kFatal
    uint64_t bytes_read = 0;
    PreparedDocument prepared;  // of kPrepared
    ByteLease lease;
  };

  absl::Status Walk();
  void SelectFiles(const std::vector<FoundFile>& files);
  absl::Status PrepareAndCommit();

  // On the preparing threads.
  void PrepareFiles();
  Outcome PrepareFile(const FoundFile& file);
  // OK when a document of this name may be written by this folder.
  absl::Status CheckOwner(const retrieval::DocumentState& state, const std::string& uri) const;

  // On the job's thread.
  absl::Status Commit();
  absl::StatusOr<std::vector<Outcome>> TakeGroup(bool* done);
  absl::Status CommitGroup(std::vector<Outcome>* group);
  absl::Status EmbedAndPut(std::vector<Outcome>* group);
  // By the embedder as it is; takes what was put off the front of the group.
  absl::Status PutByOneModel(std::vector<Outcome>* group);
  absl::Status PutOne(Outcome* outcome, const std::string& fingerprint, int64_t reused);
  absl::Status RemoveVanished();

  const FolderRequest& request_;
  const PipelineOptions options_;
  const std::string pipeline_;
  retrieval::ChunkStore* const store_;
  CollectionEmbedder* const embedder_;        // of the job's thread
  retrieval::TextEmbedder* const tokenizer_;  // of the preparing threads: the embedder there was at the start
  JobReporter* const reporter_;

  std::atomic<bool> stop_{false};  // set when the job's thread has given up
  const CallContext context_;      // the caller's, cancelled by stop_ too

  // Const once Walk() is done.
  std::string root_;
  WalkResult walk_;
  std::vector<FoundFile> selected_;
  std::map<std::string, retrieval::DocumentState> states_;

  std::atomic<size_t> next_file_{0};
  std::atomic<int> preparing_threads_{0};
  ByteBudget budget_;
  BoundedQueue<Outcome> queue_;
};

}  // namespace lastro::ingest
