#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "services/cli/commands/commands.h"
#include "services/cli/format.h"
#include "services/cli/job_view.h"
#include "services/cli/table.h"

namespace lastro::services {
namespace {

constexpr int kMaxProblemsShown = 1000;

absl::StatusOr<int> ListJobs(Session& session) {
  LASTRO_ASSIGN_OR_RETURN(Node * node, session.node());
  LASTRO_ASSIGN_OR_RETURN(v1::ListJobsResponse response, node->ingest().ListJobs({}, session.context()));
  if (session.options().json) {
    LASTRO_RETURN_IF_ERROR(session.PrintJson(response));
    return kExitOk;
  }
  Table table({{"id", Table::Align::kRight},
               {"state"},
               {"collection"},
               {"files", Table::Align::kRight},
               {"failed", Table::Align::kRight},
               {"created", Table::Align::kRight},
               {"folder"}});
  for (const v1::Job& job : response.jobs()) {
    table.AddRow({job.id(), JobStateName(job.state()), job.collection(), FormatCount(job.files_found()),
                  FormatCount(job.files_failed()), FormatTime(job.created_at()), job.folder()});
  }
  if (table.empty()) {
    session.out() << "No jobs.\n";
  } else {
    table.Print(session.out(), session.out_terminal());
  }
  return kExitOk;
}

absl::StatusOr<int> ShowJob(const v1::Job& job, Session& session) {
  if (session.options().json) {
    LASTRO_RETURN_IF_ERROR(session.PrintJson(job));
    return kExitOk;
  }
  Properties properties;
  properties.Add("id", job.id());
  properties.Add("state", JobStateName(job.state()));
  properties.Add("collection", job.collection());
  properties.Add("folder", job.folder());
  properties.Add("sync", job.sync() ? "yes" : "no");
  properties.Add("created", FormatTime(job.created_at()));
  properties.Add("updated", FormatTime(job.updated_at()));
  properties.Print(session.out(), session.out_terminal());
  PrintJobSummary(job, session.out_terminal(), kMaxProblemsShown, session.out());
  return kExitOk;
}

absl::StatusOr<int> RunShow(const std::string& id, Session& session) {
  LASTRO_ASSIGN_OR_RETURN(Node * node, session.node());
  v1::GetJobRequest request;
  request.set_job_id(id);
  LASTRO_ASSIGN_OR_RETURN(v1::Job job, node->ingest().GetJob(request, session.context()));
  return ShowJob(job, session);
}

absl::StatusOr<int> RunCancel(const std::string& id, Session& session) {
  LASTRO_ASSIGN_OR_RETURN(Node * node, session.node());
  v1::GetJobRequest request;
  request.set_job_id(id);
  LASTRO_ASSIGN_OR_RETURN(v1::Job job, node->ingest().CancelJob(request, session.context()));
  return ShowJob(job, session);
}

absl::StatusOr<int> RunWatch(const std::string& id, Session& session) {
  LASTRO_ASSIGN_OR_RETURN(Node * node, session.node());
  v1::Job job;
  job.set_id(id);
  LASTRO_ASSIGN_OR_RETURN(job, FollowJob(job, *node, session));
  LASTRO_ASSIGN_OR_RETURN(int code, ShowJob(job, session));
  return job.state() == v1::Job::SUCCEEDED ? code : int{kExitFailure};
}

void AddOneJobCommand(CommandSet* set, CLI::App* jobs, const std::string& name, const std::string& purpose,
                      absl::StatusOr<int> (*run)(const std::string&, Session&)) {
  auto id = std::make_shared<std::string>();
  CLI::App* command =
      set->AddTo(jobs, name, purpose,
                 {absl::StrCat("lastro jobs ", name, " ID"), absl::StrCat("lastro jobs ", name, " ID --json")});
  command->add_option("id", *id, "Of the job, as 'lastro jobs list' shows it")->required();
  set->OnRun(command, [id, run](Session& session) -> absl::StatusOr<int> {
    LASTRO_RETURN_IF_ERROR(CheckUtf8(*id, "the job's id"));
    return run(*id, session);
  });
}

}  // namespace

void AddJobsCommand(CommandSet* set) {
  CLI::App* jobs = set->Add("jobs", "Lists, shows, watches and cancels ingestion jobs",
                            {"lastro jobs list", "lastro jobs watch ID --server localhost:7420"});
  jobs->require_subcommand(1);
  CLI::App* list =
      set->AddTo(jobs, "list", "Lists jobs, the newest first", {"lastro jobs list", "lastro jobs list --json"});
  set->OnRun(list, ListJobs);
  AddOneJobCommand(set, jobs, "show", "Shows one job with its problems", RunShow);
  AddOneJobCommand(set, jobs, "watch", "Follows a job until it ends", RunWatch);
  AddOneJobCommand(set, jobs, "cancel", "Asks a job to stop; what it committed stays", RunCancel);
}

}  // namespace lastro::services
