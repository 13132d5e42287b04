#include "services/cli/job_view.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "services/cli/format.h"
#include "services/cli/progress.h"
#include "services/cli/table.h"
#include "services/cli/text_width.h"

namespace lastro::services {
namespace {

void PrintProblems(const v1::Job& job, const Terminal& terminal, int max_problems, std::ostream& out) {
  Style style(terminal.colours);
  int shown = std::min(max_problems, job.problems_size());
  if (shown == 0) return;
  out << style.Yellow(absl::StrCat("Not ingested (", FormatCount(job.files_failed()), "):")) << "\n";
  for (int i = 0; i < shown; ++i) {
    out << "  " << OneLine(job.problems(i).uri()) << ": " << OneLine(job.problems(i).reason()) << "\n";
  }
  if (shown < job.files_failed()) out << "  … and " << FormatCount(job.files_failed() - shown) << " more\n";
}

}  // namespace

std::string JobStateName(v1::Job::State state) {
  switch (state) {
    case v1::Job::QUEUED:
      return "queued";
    case v1::Job::RUNNING:
      return "running";
    case v1::Job::SUCCEEDED:
      return "succeeded";
    case v1::Job::FAILED:
      return "failed";
    case v1::Job::CANCELLED:
      return "cancelled";
    default:
      return "unknown";
  }
}

bool HasEnded(const v1::Job& job) {
  return job.state() == v1::Job::SUCCEEDED || job.state() == v1::Job::FAILED || job.state() == v1::Job::CANCELLED;
}

void PrintJobSummary(const v1::Job& job, const Terminal& terminal, int max_problems, std::ostream& out) {
  if (!job.embedding_model().empty()) {
    Table table({{"model"},
                 {"chunks", Table::Align::kRight},
                 {"embedded", Table::Align::kRight},
                 {"known", Table::Align::kRight}});
    table.AddRow({job.embedding_model(), FormatCount(job.chunks_found()), FormatCount(job.chunks_added()),
                  FormatCount(job.chunks_reused())});
    table.Print(out, terminal);
    if (!job.error().empty()) out << Style(terminal.colours).Red("Failed: ") << OneLine(job.error()) << "\n";
    return;
  }
  Table table({{"found", Table::Align::kRight},
               {"added", Table::Align::kRight},
               {"updated", Table::Align::kRight},
               {"unchanged", Table::Align::kRight},
               {"removed", Table::Align::kRight},
               {"failed", Table::Align::kRight},
               {"read", Table::Align::kRight},
               {"chunks", Table::Align::kRight},
               {"reused", Table::Align::kRight}});
  table.AddRow({FormatCount(job.files_found()), FormatCount(job.files_added()), FormatCount(job.files_updated()),
                FormatCount(job.files_unchanged()), FormatCount(job.files_removed()), FormatCount(job.files_failed()),
                FormatBytes(job.bytes_read()), FormatCount(job.chunks_added()), FormatCount(job.chunks_reused())});
  table.Print(out, terminal);
  if (!job.error().empty()) out << Style(terminal.colours).Red("Failed: ") << OneLine(job.error()) << "\n";
  PrintProblems(job, terminal, max_problems, out);
}

absl::Status AbandonJob(const std::string& job_id, const absl::Status& why, Node& node, Session& session) {
  bool stop = session.in_process() || session.interrupted();
  if (!stop) {
    return absl::Status(why.code(), absl::StrCat(why.message(), "; the job goes on: lastro jobs watch ", job_id));
  }
  CallContext context = CallContext::Until(absl::Now() + absl::Seconds(10)).WithScope(session.context().scope());
  v1::GetJobRequest request;
  request.set_job_id(job_id);
  if (node.ingest().CancelJob(request, context).ok()) {
    auto ignore = [](const v1::Job&) { return absl::OkStatus(); };
    node.ingest().WatchJob(request, context, ignore).IgnoreError();  // only to let it end
  }
  return why;
}

absl::StatusOr<v1::Job> FollowJob(const v1::Job& job, Node& node, Session& session) {
  Progress progress(session.err_terminal(), session.err());
  v1::Job latest = job;
  v1::GetJobRequest request;
  request.set_job_id(job.id());
  LASTRO_RETURN_IF_ERROR(node.ingest().WatchJob(request, session.context(), [&](const v1::Job& now) {
    latest = now;
    progress.Show(now);
    return absl::OkStatus();
  }));
  if (!HasEnded(latest)) {
    LASTRO_ASSIGN_OR_RETURN(latest, node.ingest().GetJob(request, session.context()));
  }
  return latest;
}

}  // namespace lastro::services
