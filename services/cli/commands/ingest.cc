#include <filesystem>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "ingest/folder_walk.h"
#include "services/cli/commands/commands.h"
#include "services/cli/filter_parser.h"
#include "services/cli/format.h"
#include "services/cli/job_view.h"
#include "services/cli/progress.h"
#include "services/cli/text_width.h"
#include "services/cli/uploads.h"

namespace lastro::services {
namespace {

constexpr int kMaxProblems = 1000;
constexpr int kProblemsShown = 20;

struct IngestOptions {
  std::vector<std::string> targets;
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  std::vector<std::string> metadata;
  std::vector<std::string> labels;
  bool sync = false;
  bool on_server = false;
  bool strict = false;
};

absl::StatusOr<std::map<std::string, v1::MetadataValue>> ParseMetadata(const std::vector<std::string>& pairs) {
  std::map<std::string, v1::MetadataValue> metadata;
  for (const std::string& pair : pairs) {
    LASTRO_RETURN_IF_ERROR(CheckUtf8(pair, "--meta"));
    size_t equals = pair.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("--meta '", pair, "' is not of the form name=value; e.g. year=2024"));
    }
    LASTRO_ASSIGN_OR_RETURN(metadata[pair.substr(0, equals)], ParseMetadataValue(pair.substr(equals + 1)));
  }
  return metadata;
}

// Adds the counters of a job that has ended to `total`.
void AddJob(const v1::Job& job, v1::Job* total) {
  v1::Job sum = job;
  sum.set_files_found(total->files_found() + job.files_found());
  sum.set_files_added(total->files_added() + job.files_added());
  sum.set_files_updated(total->files_updated() + job.files_updated());
  sum.set_files_unchanged(total->files_unchanged() + job.files_unchanged());
  sum.set_files_removed(total->files_removed() + job.files_removed());
  sum.set_files_failed(total->files_failed() + job.files_failed());
  sum.set_bytes_read(total->bytes_read() + job.bytes_read());
  sum.set_chunks_added(total->chunks_added() + job.chunks_added());
  sum.set_chunks_reused(total->chunks_reused() + job.chunks_reused());
  for (const v1::Job::Problem& problem : total->problems()) {
    if (sum.problems_size() < kMaxProblems) *sum.add_problems() = problem;
  }
  *total = std::move(sum);
}

// One run of the command: its targets one after the other, counted together.
class IngestRun {
 public:
  IngestRun(const IngestOptions& options, UploadSettings settings, Node& node, Session& session)
      : options_(options), settings_(std::move(settings)), node_(node), session_(session) {}

  absl::StatusOr<v1::Job> Run() {
    total_.set_collection(settings_.collection);
    total_.set_sync(options_.sync);
    total_.set_state(v1::Job::SUCCEEDED);
    for (const std::string& target : options_.targets) {
      LASTRO_RETURN_IF_ERROR(RunTarget(target));
      if (total_.state() != v1::Job::SUCCEEDED) break;
    }
    return total_;
  }

 private:
  absl::Status RunTarget(const std::string& target) {
    if (options_.on_server) return RunFolder(target);
    std::error_code error;
    bool folder = std::filesystem::is_directory(target, error);
    if (!folder && !std::filesystem::exists(target, error)) {
      return absl::NotFoundError(absl::StrCat("no such file or folder: ", target, "; check the path"));
    }
    if (folder && session_.in_process()) {
      LASTRO_ASSIGN_OR_RETURN(std::string root, ingest::CanonicalFolder(target));
      return RunFolder(root);
    }
    if (options_.sync) {
      return absl::InvalidArgumentError(
          absl::StrCat("--sync needs a folder that the ingesting process reads itself: ", target,
                       " would be uploaded; leave --sync out, or use --on-server"));
    }
    return Upload(target, folder);
  }

  absl::Status RunFolder(const std::string& folder) {
    v1::IngestFolderRequest request;
    request.set_collection(settings_.collection);
    request.set_folder(folder);
    LASTRO_RETURN_IF_ERROR(CheckUtf8(folder, "the folder's path"));
    request.mutable_include()->Add(settings_.include.begin(), settings_.include.end());
    request.mutable_exclude()->Add(settings_.exclude.begin(), settings_.exclude.end());
    request.mutable_metadata()->insert(settings_.metadata.begin(), settings_.metadata.end());
    *request.mutable_labels() = {settings_.labels.begin(), settings_.labels.end()};
    LASTRO_ASSIGN_OR_RETURN(v1::Job started, node_.ingest().IngestFolder(request, options_.sync, session_.context()));
    absl::StatusOr<v1::Job> ended = FollowJob(started, node_, session_);
    if (!ended.ok()) return AbandonJob(started.id(), ended.status(), node_, session_);
    AddJob(*ended, &total_);
    return absl::OkStatus();
  }

  absl::Status Upload(const std::string& target, bool folder) {
    Progress progress(session_.err_terminal(), session_.err());
    Uploader uploader(settings_, node_, session_.context(), &total_, [&](const v1::Job& job) { progress.Show(job); });
    return folder ? uploader.UploadFolder(target) : uploader.UploadFile(target);
  }

  const IngestOptions& options_;
  const UploadSettings settings_;
  Node& node_;
  Session& session_;
  v1::Job total_;
};

// Also tells standard error of a job that did not succeed.
int ExitCodeOfJob(const v1::Job& job, bool strict, Session& session) {
  if (job.state() != v1::Job::SUCCEEDED) {
    std::string reason = job.error().empty() ? "" : absl::StrCat(": ", OneLine(job.error()));
    session.err() << "lastro: ingestion " << JobStateName(job.state()) << reason
                  << "; what was committed stays, run the command again to go on\n";
    return kExitFailure;
  }
  return strict && job.files_failed() > 0 ? kExitProblems : kExitOk;
}

absl::StatusOr<int> RunIngest(const IngestOptions& options, Session& session) {
  if (options.on_server && session.in_process()) {
    return absl::InvalidArgumentError("--on-server needs a server; give --server HOST:PORT");
  }
  UploadSettings settings;
  settings.collection = session.options().collection;
  settings.include = options.include;
  settings.exclude = options.exclude;
  LASTRO_ASSIGN_OR_RETURN(settings.metadata, ParseMetadata(options.metadata));
  LASTRO_ASSIGN_OR_RETURN(settings.labels, SortedLabels(options.labels));
  for (const std::string& glob : options.include) LASTRO_RETURN_IF_ERROR(CheckUtf8(glob, "--include"));
  for (const std::string& glob : options.exclude) LASTRO_RETURN_IF_ERROR(CheckUtf8(glob, "--exclude"));
  LASTRO_ASSIGN_OR_RETURN(Node * node, session.node());
  absl::Time start = absl::Now();
  LASTRO_ASSIGN_OR_RETURN(v1::Job job, IngestRun(options, settings, *node, session).Run());
  if (session.options().json) {
    LASTRO_RETURN_IF_ERROR(session.PrintJson(job));
  } else {
    PrintJobSummary(job, session.out_terminal(), session.options().verbose ? kMaxProblems : kProblemsShown,
                    session.out());
    session.out() << "Took " << ShortDuration(absl::Now() - start) << ".\n";
  }
  return ExitCodeOfJob(job, options.strict, session);
}

}  // namespace

void AddIngestCommand(CommandSet* set) {
  auto options = std::make_shared<IngestOptions>();
  CLI::App* command =
      set->Add("ingest", "Makes folders and files searchable",
               {"lastro ingest ~/Documents/handbook", "lastro ingest --sync --exclude 'drafts/**' ./rules --strict",
                "lastro ingest --collection reports --meta department=ops --meta year=2024 report.pdf",
                "lastro ingest --server localhost:7420 --on-server /srv/documents"});
  command->add_option("target", options->targets, "Folders and files. On a server, they are uploaded")
      ->required()
      ->type_name("DIR|FILE");
  command->add_flag("--sync", options->sync, "Also remove documents whose files have vanished from the folder");
  command->add_flag("--on-server", options->on_server, "The folders are the server's own");
  command->add_option("--include", options->include, "Only files like this; ** crosses folders")
      ->type_name("GLOB")
      ->expected(1)
      ->take_all();
  command->add_option("--exclude", options->exclude, "No files like this")->type_name("GLOB")->expected(1)->take_all();
  command
      ->add_option("--meta", options->metadata,
                   "Metadata of every document: text, number, date, true or false, [list]; year=\"2024\" is text")
      ->type_name("NAME=VALUE")
      ->expected(1)
      ->take_all();
  command
      ->add_option("--label", options->labels, "Access label of every document: who has none of them sees none of it")
      ->type_name("LABEL")
      ->expected(1)
      ->take_all();
  command->add_flag("--strict", options->strict, "Exit with 3 when a file was not ingested");
  set->OnRun(command, [options](Session& session) { return RunIngest(*options, session); });
}

}  // namespace lastro::services
