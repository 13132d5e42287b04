#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "services/cli/commands/commands.h"
#include "services/cli/format.h"
#include "services/cli/job_view.h"
#include "services/cli/reembed_view.h"
#include "services/cli/text_width.h"
#include "services/eval/input_file.h"
#include "services/eval/model_comparison.h"
#include "services/proto_convert.h"

namespace lastro::services {
namespace {

constexpr uint64_t kMaxQueryFileBytes = 16u << 20;

struct ReembedOptions {
  std::string collection;
  bool status = false;
  bool compare = false;
  bool switch_over = false;
  bool roll_back = false;
  bool finish = false;
  std::string queries;  // a file; empty: a sample
  int sample = 100;
  uint64_t seed = 1;
  std::optional<double> min_overlap;
  bool not_worse = false;
};

class ReembedRun {
 public:
  ReembedRun(const ReembedOptions& options, Node& node, Session& session)
      : options_(options), node_(node), session_(session) {}

  absl::StatusOr<int> Status() {
    LASTRO_ASSIGN_OR_RETURN(v1::Reembedding state, State());
    return Show(state);
  }

  // Fills in the other model's vectors, however far they are.
  absl::StatusOr<int> Fill() {
    v1::ReembedRequest request;
    request.set_collection(Collection());
    LASTRO_ASSIGN_OR_RETURN(*request.mutable_model(), Model());
    LASTRO_ASSIGN_OR_RETURN(v1::Job started, node_.ingest().Reembed(request, session_.context()));
    absl::StatusOr<v1::Job> ended = FollowJob(started, node_, session_);
    if (!ended.ok()) return AbandonJob(started.id(), ended.status(), node_, session_);
    if (ended->state() != v1::Job::SUCCEEDED) {
      std::string reason = ended->error().empty() ? "" : absl::StrCat(": ", OneLine(ended->error()));
      session_.err() << "lastro: re-embedding " << JobStateName(ended->state()) << reason
                     << "; what is embedded stays, run the command again to go on\n";
    }
    if (session_.options().json) {
      LASTRO_RETURN_IF_ERROR(session_.PrintJson(*ended));
    } else {
      PrintJobSummary(*ended, session_.out_terminal(), /*problems_shown=*/0, session_.out());
    }
    if (ended->state() != v1::Job::SUCCEEDED) return kExitFailure;
    if (session_.options().json) return kExitOk;
    LASTRO_ASSIGN_OR_RETURN(v1::Reembedding state, State());
    if (options_.sample > 0 && state.has_other()) {
      LASTRO_ASSIGN_OR_RETURN(v1::ModelComparison comparison, Comparison(state));
      PrintModelComparison(comparison, session_.out_terminal(), session_.out());
    }
    return Show(state);
  }

  absl::StatusOr<int> Compare() {
    LASTRO_ASSIGN_OR_RETURN(v1::Reembedding state, StateWithOther());
    LASTRO_ASSIGN_OR_RETURN(v1::ModelComparison comparison, Comparison(state));
    if (session_.options().json) {
      LASTRO_RETURN_IF_ERROR(session_.PrintJson(comparison));
    } else {
      PrintModelComparison(comparison, session_.out_terminal(), session_.out());
    }
    LASTRO_RETURN_IF_ERROR(CheckThresholds(comparison));
    return kExitOk;
  }

  // To the other model; `back`: which must be the one before.
  absl::StatusOr<int> Switch(bool back) {
    LASTRO_ASSIGN_OR_RETURN(v1::Reembedding state, StateWithOther());
    if (back && state.other().since_commit() == 0) {
      return absl::FailedPreconditionError(absl::StrCat("collection ", Collection(), " was never searched by ",
                                                        state.other().model(),
                                                        ": there is nothing to go back to; --switch goes on to it"));
    }
    if (options_.min_overlap.has_value() || options_.not_worse) {
      LASTRO_ASSIGN_OR_RETURN(v1::ModelComparison comparison, Comparison(state));
      if (!session_.options().json) PrintModelComparison(comparison, session_.out_terminal(), session_.out());
      LASTRO_RETURN_IF_ERROR(CheckThresholds(comparison));
    }
    v1::SwitchEmbeddingRequest request;
    request.set_collection(Collection());
    request.set_fingerprint(state.other().fingerprint());
    LASTRO_ASSIGN_OR_RETURN(state, node_.ingest().SwitchEmbedding(request, session_.context()));
    return Show(state);
  }

  absl::StatusOr<int> Finish() {
    LASTRO_ASSIGN_OR_RETURN(const v1::Reembedding before, StateWithOther());
    v1::FinishReembeddingRequest request;
    request.set_collection(Collection());
    request.set_fingerprint(before.other().fingerprint());
    LASTRO_ASSIGN_OR_RETURN(v1::Reembedding state, node_.ingest().FinishReembedding(request, session_.context()));
    if (!session_.options().json) {
      session_.out() << "Dropped " << FormatBytes(before.other().bytes()) << " of vectors of "
                     << OneLine(before.other().model()) << "; 'lastro store purge' makes the file smaller.\n";
    }
    return Show(state);
  }

 private:
  std::string Collection() const {
    return CollectionOrDefault(options_.collection.empty() ? session_.options().collection : options_.collection);
  }

  // The last --embedder, or the one that was begun.
  absl::StatusOr<std::string> Model() {
    const std::vector<std::string>& given = session_.options().embedders;
    if (!given.empty()) return given.back();
    LASTRO_ASSIGN_OR_RETURN(v1::Reembedding state, State());
    if (state.has_other() && state.other().since_commit() == 0) return state.other().fingerprint();
    return absl::InvalidArgumentError(
        absl::StrCat("name the new embedding model with --embedder ", session_.in_process() ? "DIR" : "NAME"));
  }

  absl::StatusOr<v1::Reembedding> State() {
    v1::GetReembeddingRequest request;
    request.set_collection(Collection());
    return node_.ingest().GetReembedding(request, session_.context());
  }

  absl::StatusOr<v1::Reembedding> StateWithOther() {
    LASTRO_ASSIGN_OR_RETURN(v1::Reembedding state, State());
    if (state.has_other()) return state;
    return absl::FailedPreconditionError(absl::StrCat("collection ", Collection(), " has the vectors of ",
                                                      state.searched().model(),
                                                      " alone; begin with: lastro reembed --embedder DIR"));
  }

  absl::StatusOr<v1::ModelComparison> Comparison(const v1::Reembedding& state) {
    std::vector<eval::ComparedQuery> queries;
    if (!options_.queries.empty()) {
      LASTRO_ASSIGN_OR_RETURN(std::string content, eval::ReadInput(options_.queries, kMaxQueryFileBytes));
      LASTRO_ASSIGN_OR_RETURN(queries, eval::ReadQueries(content, options_.queries));
    } else {
      LASTRO_ASSIGN_OR_RETURN(
          queries, eval::SampleQueries(node_.retrieval(), state.collection(), static_cast<size_t>(options_.sample),
                                       options_.seed, session_.context()));
    }
    return eval::CompareModels(node_.retrieval(), state, queries, options_.seed, session_.context());
  }

  absl::Status CheckThresholds(const v1::ModelComparison& comparison) const {
    if (options_.min_overlap.has_value() && comparison.overlap() < *options_.min_overlap) {
      return absl::FailedPreconditionError(absl::StrFormat("overlap@10 is %.3f, less than %.3f; nothing was changed",
                                                           comparison.overlap(), *options_.min_overlap));
    }
    if (!options_.not_worse) return absl::OkStatus();
    if (!comparison.has_known_items()) {
      return absl::InvalidArgumentError("--not-worse needs queries with a document; none has one");
    }
    for (const v1::EvalComparison::Metric& metric : comparison.known_items().metrics()) {
      if (metric.high() >= 0) continue;
      return absl::FailedPreconditionError(
          absl::StrFormat("%s falls from %.3f to %.3f (95%% of the difference: %.3f to %.3f); nothing was changed",
                          metric.name(), metric.a(), metric.b(), metric.low(), metric.high()));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<int> Show(const v1::Reembedding& state) {
    if (session_.options().json) {
      LASTRO_RETURN_IF_ERROR(session_.PrintJson(state));
    } else {
      PrintReembedding(state, session_.out_terminal(), session_.out());
    }
    return kExitOk;
  }

  const ReembedOptions& options_;
  Node& node_;
  Session& session_;
};

absl::StatusOr<int> RunReembed(const ReembedOptions& options, Session& session) {
  if (options.min_overlap.has_value() || options.not_worse) {
    if (!options.switch_over && !options.compare) {
      return absl::InvalidArgumentError("--min-overlap and --not-worse go with --switch or --compare");
    }
  }
  LASTRO_ASSIGN_OR_RETURN(Node * node, session.node());
  ReembedRun run(options, *node, session);
  if (options.status) return run.Status();
  if (options.compare) return run.Compare();
  if (options.switch_over) return run.Switch(/*back=*/false);
  if (options.roll_back) return run.Switch(/*back=*/true);
  return options.finish ? run.Finish() : run.Fill();
}

}  // namespace

void AddReembedCommand(CommandSet* set) {
  auto options = std::make_shared<ReembedOptions>();
  CLI::App* command =
      set->Add("reembed",
               "Moves a collection to another embedding model while it is searched: computes its "
               "vectors, compares, switches in one commit, and back",
               {"lastro reembed handbook --embedder ./models/new     # again: goes on",
                "lastro reembed handbook --embedder NAME --server localhost:7420", "lastro reembed handbook --status",
                "lastro reembed handbook --compare --queries questions.txt",
                "lastro reembed handbook --switch --min-overlap 0.5 --not-worse", "lastro reembed handbook --rollback",
                "lastro reembed handbook --finish"});
  command->add_option("collection", options->collection, "Its name (default: --collection)")->type_name("NAME");
  CLI::Option_group* actions = command->add_option_group("action");
  actions->add_flag("--status", options->status, "Show both models and how far the new one is");
  actions->add_flag("--compare", options->compare, "Compare how the two find what is looked for");
  actions->add_flag("--switch", options->switch_over, "Search by the other model from now on; the one before is kept");
  actions->add_flag("--rollback", options->roll_back, "Search by the model before again");
  actions->add_flag("--finish", options->finish, "Drop the vectors that are not searched");
  actions->require_option(0, 1);
  command
      ->add_option("--queries", options->queries,
                   "Compare by these, one a line, or {\"question\": ..., \"document\": its uri} (default: titles, "
                   "headings and sentences of the documents)")
      ->type_name("FILE");
  command->add_option("--sample", options->sample, "How many of these are drawn (default 100; 0: none are compared)")
      ->check(CLI::Range(0, 10'000))
      ->type_name("N");
  command->add_option("--seed", options->seed, "Of the draws (default 1)")->type_name("N");
  command
      ->add_option("--min-overlap", options->min_overlap,
                   "Do not switch when the models share less than this of the ten best hits")
      ->check(CLI::Range(0.0, 1.0))
      ->type_name("SHARE");
  command->add_flag("--not-worse", options->not_worse,
                    "Do not switch when the other model finds known documents worse, beyond chance");
  set->OnRun(command, [options](Session& session) { return RunReembed(*options, session); });
}

}  // namespace lastro::services
