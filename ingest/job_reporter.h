// JobReporter: keeps the record of a running job, in the store and before whoever watches. Not thread-safe.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "ingest/pipeline.h"
#include "retrieval/chunk_store.h"
#include "retrieval/types.h"

namespace lastro::ingest {

class JobReporter {
 public:
  // `store` must outlive the reporter.
  JobReporter(retrieval::Job job, retrieval::ChunkStore* store, ProgressSink progress);

  // Marks the job as running and stores it.
  absl::Status Start();
  // After a change of job(): tells the watcher and stores the job, each when it is time again.
  absl::Status Update();
  // Stores the end of the job, which is that of `status`, and tells the watcher. Its own error matters only when
  // `status` is OK.
  absl::Status End(const absl::Status& status);

  // A file that was not ingested. Counts it and keeps the first 1,000.
  void AddProblem(const std::string& uri, const absl::Status& status);

  retrieval::Job& job() { return job_; }

 private:
  absl::Status Store();
  void Tell();

  retrieval::Job job_;
  retrieval::ChunkStore* const store_;
  const ProgressSink progress_;
  absl::Time stored_at_;
  absl::Time told_at_;
};

}  // namespace lastro::ingest
