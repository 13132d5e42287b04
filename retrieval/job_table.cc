#include "retrieval/job_table.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "retrieval/record_codec.h"
#include "retrieval/timestamps.h"

namespace lastro::retrieval {

absl::Status StoreJob(Database& db, const Job& job) {
  std::string data = EncodeJob(job);
  LASTRO_ASSIGN_OR_RETURN(Statement insert, db.Prepare("INSERT INTO jobs(id, created_ns, data) VALUES(?1,?2,?3) "
                                                       "ON CONFLICT DO UPDATE SET created_ns=?2, data=?3"));
  return insert.BindText(1, job.id).Bind(2, ToStoredTime(job.created_at)).BindBlob(3, data).Run();
}

absl::StatusOr<Job> FindJob(Database& db, const std::string& id) {
  LASTRO_ASSIGN_OR_RETURN(Statement query, db.Prepare("SELECT data FROM jobs WHERE id=?1"));
  LASTRO_ASSIGN_OR_RETURN(bool found, query.BindText(1, id).Step());
  if (!found) return absl::NotFoundError(absl::StrCat("there is no job ", id));
  return DecodeJob(query.Bytes(0));
}

absl::StatusOr<std::vector<Job>> LatestJobs(Database& db) {
  LASTRO_ASSIGN_OR_RETURN(Statement query, db.Prepare("SELECT data FROM jobs ORDER BY created_ns DESC, id LIMIT 1000"));
  std::vector<Job> jobs;
  while (true) {
    LASTRO_ASSIGN_OR_RETURN(bool more, query.Step());
    if (!more) return jobs;
    LASTRO_ASSIGN_OR_RETURN(Job job, DecodeJob(query.Bytes(0)));
    jobs.push_back(std::move(job));
  }
}

}  // namespace lastro::retrieval
