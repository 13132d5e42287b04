#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "services/cli/commands/commands.h"
#include "services/cli/commands/eval_probes.h"
#include "services/cli/eval_view.h"
#include "services/cli/format.h"
#include "services/cli/json_output.h"
#include "services/cli/temporary_collection.h"
#include "services/eval/evaluator.h"
#include "services/eval/readers.h"
#include "services/eval/report.h"
#include "services/eval/sample.h"

namespace lastro::services {
namespace {

struct EvalOptions {
  std::string data;
  std::string format = "auto";
  std::string mode = "quote";
  std::string keep;
  std::string out;
  eval::ReadOptions read;
  eval::ReportSettings report;
  size_t limit = 0;
  int depth = 100;
  std::optional<double> rerank_weight;
  bool retrieval_only = false;
  bool probes = false;
  bool given_passages = false;
};

eval::DataFormat FormatOf(const std::string& name) {
  if (name == "beir") return eval::DataFormat::kBeir;
  if (name == "squad") return eval::DataFormat::kSquad;
  return name == "jsonl" ? eval::DataFormat::kLines : eval::DataFormat::kAuto;
}

// Writes questions.jsonl, and nothing when no folder was named.
class QuestionLog {
 public:
  explicit QuestionLog(const std::string& folder) : folder_(folder) {}

  absl::Status Open() {
    if (folder_.empty()) return absl::OkStatus();
    std::error_code error;
    std::filesystem::create_directories(folder_, error);
    if (error) return absl::InvalidArgumentError(absl::StrCat("--out ", folder_, ": ", error.message()));
    file_.open(Path(), std::ios::binary | std::ios::trunc);
    return CheckWritten();
  }
  absl::Status Add(const v1::EvalQuestion& question) {
    if (folder_.empty()) return absl::OkStatus();
    LASTRO_ASSIGN_OR_RETURN(std::string json, ToJson(question, false));
    file_ << json << "\n";
    return CheckWritten();
  }
  absl::Status Close() {
    if (folder_.empty()) return absl::OkStatus();
    file_.close();
    return CheckWritten();
  }

 private:
  std::string Path() const { return folder_ + "/questions.jsonl"; }
  absl::Status CheckWritten() const {
    return file_.fail() ? absl::InternalError(absl::StrCat("cannot write ", Path(), "; is the disk full?"))
                        : absl::OkStatus();
  }

  const std::string folder_;
  std::ofstream file_;
};

// One run of the command.
class EvalRun {
 public:
  EvalRun(const EvalOptions& options, Session& session) : options_(options), session_(session) {}

  absl::StatusOr<v1::EvalReport> Run() {
    LASTRO_ASSIGN_OR_RETURN(dataset_, ReadDataset(options_.data, ReadSettings()));
    eval::TakeSample(options_.limit, options_.report.seed, &dataset_);
    LASTRO_RETURN_IF_ERROR(ChooseStore());
    LASTRO_RETURN_IF_ERROR(DescribeModels());
    LASTRO_RETURN_IF_ERROR(Ingest());
    LASTRO_RETURN_IF_ERROR(EvaluateAll());
    ClearProgress();
    return report_;
  }

 private:
  eval::ReadOptions ReadSettings() const {
    eval::ReadOptions read = options_.read;
    read.format = FormatOf(options_.format);
    return read;
  }

  // Questions without passages are asked of the user's collection; passages get a store of their own.
  absl::Status ChooseStore() {
    collection_ = dataset_.passages.empty() ? session_.options().collection : options_.keep;
    const bool own = !dataset_.passages.empty() && options_.keep.empty();
    if (own) {
      LASTRO_ASSIGN_OR_RETURN(temporary_, TemporaryCollection::Make("eval", session_));
      node_ = temporary_->node();
      collection_ = temporary_->name();
      return absl::OkStatus();
    }
    LASTRO_ASSIGN_OR_RETURN(node_, session_.node());
    return absl::OkStatus();
  }

  absl::Status DescribeModels() {
    LASTRO_ASSIGN_OR_RETURN(v1::ListModelsResponse models, node_->models().ListModels({}, session_.context()));
    for (const v1::Model& model : models.models()) {
      const std::string name = absl::StrCat(model.name(), " ", model.fingerprint().substr(0, 12));
      if (model.role() == v1::MODEL_ROLE_EMBEDDER) report_.set_embedder(name);
      if (model.role() == v1::MODEL_ROLE_DECODER) report_.set_decoder(name);
      if (model.role() == v1::MODEL_ROLE_RERANKER) report_.set_reranker(name);
      if (model.role() == v1::MODEL_ROLE_READER) report_.set_reader(name);
    }
    report_.set_version(LASTRO_VERSION);
    report_.set_depth(options_.depth);
    if (options_.rerank_weight && !report_.reranker().empty()) report_.set_rerank_weight(*options_.rerank_weight);
    return absl::OkStatus();
  }

  absl::Status Ingest() {
    report_.set_dataset(dataset_.name);
    if (dataset_.passages.empty()) return absl::OkStatus();
    LASTRO_ASSIGN_OR_RETURN(corpus_, IngestPassages(dataset_, collection_, node_->ingest(), session_.context(),
                                                    [this](size_t done, size_t all) { Show("passages", done, all); }));
    report_.set_passages(static_cast<int>(corpus_.passage_of_uri.size()));
    report_.set_skipped_passages(corpus_.skipped);
    v1::GetCollectionRequest request;
    request.set_collection(collection_);
    LASTRO_ASSIGN_OR_RETURN(v1::Collection collection, node_->retrieval().GetCollection(request, session_.context()));
    if (collection.documents() != static_cast<int64_t>(corpus_.passage_of_uri.size())) {
      return absl::FailedPreconditionError(absl::StrCat("the collection ", collection_, " has ", collection.documents(),
                                                        " documents, the dataset ", corpus_.passage_of_uri.size(),
                                                        "; give --keep a collection of its own"));
    }
    report_.set_chunks(static_cast<int>(collection.chunks()));
    return absl::OkStatus();
  }

  absl::Status EvaluateAll() {
    const eval::EvalSettings settings{
        .collection = collection_,
        .rerank = !report_.reranker().empty(),
        .rerank_weight = options_.rerank_weight,
        .answer = !options_.retrieval_only,
        .given_passages = options_.given_passages,
        .mode = options_.mode == "generate" ? v1::ANSWER_MODE_GENERATE : v1::ANSWER_MODE_QUOTE,
        .depth = options_.depth};
    const eval::Evaluator evaluator(&node_->retrieval(), &node_->ask(), &corpus_, settings);
    QuestionLog log(options_.out);
    LASTRO_RETURN_IF_ERROR(log.Open());
    eval::ReportBuilder builder;
    for (size_t i = 0; i < dataset_.questions.size(); ++i) {
      Show("questions", i, dataset_.questions.size());
      LASTRO_ASSIGN_OR_RETURN(v1::EvalQuestion question, evaluator.Evaluate(dataset_.questions[i], session_.context()));
      LASTRO_RETURN_IF_ERROR(log.Add(question));
      builder.Add(question);
    }
    LASTRO_RETURN_IF_ERROR(builder.Fill(options_.report, session_.context(), &report_));
    return log.Close();
  }

  void Show(const char* what, size_t done, size_t all) {
    if (!session_.err_terminal().is_terminal) return;
    session_.err() << "\r\x1b[K" << FormatCount(static_cast<int64_t>(done)) << "/"
                   << FormatCount(static_cast<int64_t>(all)) << " " << what << std::flush;
  }
  void ClearProgress() {
    if (session_.err_terminal().is_terminal) session_.err() << "\r\x1b[K" << std::flush;
  }

  const EvalOptions& options_;
  Session& session_;
  std::unique_ptr<TemporaryCollection> temporary_;  // null where the passages stay
  Node* node_ = nullptr;
  std::string collection_;
  eval::Dataset dataset_;
  eval::Corpus corpus_;
  v1::EvalReport report_;
};

absl::Status WriteReport(const v1::EvalReport& report, const std::string& folder) {
  if (folder.empty()) return absl::OkStatus();
  LASTRO_ASSIGN_OR_RETURN(std::string json, ToJson(report, true));
  LASTRO_RETURN_IF_ERROR(WriteFileAtomically(folder + "/report.json", json + "\n"));
  LASTRO_RETURN_IF_ERROR(WriteFileAtomically(folder + "/recall.svg", RecallPlot(report)));
  if (!report.has_abstention()) return absl::OkStatus();
  return WriteFileAtomically(folder + "/risk_coverage.svg", RiskCoveragePlot(report));
}

absl::StatusOr<int> RunEval(const EvalOptions& options, Session& session) {
  if (options.probes && options.data.empty()) return RunProbes(session);
  if (options.probes) return absl::InvalidArgumentError("--probes brings its own documents; leave the data out");
  if (options.data.empty())
    return absl::InvalidArgumentError("name a BEIR folder, a SQuAD file or a JSONL file, or give --probes");
  LASTRO_ASSIGN_OR_RETURN(v1::EvalReport report, EvalRun(options, session).Run());
  LASTRO_RETURN_IF_ERROR(WriteReport(report, options.out));
  if (session.options().json) {
    LASTRO_RETURN_IF_ERROR(session.PrintJson(report));
  } else {
    PrintEvalReport(report, session.out(), session.out_terminal());
  }
  return kExitOk;
}

}  // namespace

void AddEvalCommand(CommandSet* set) {
  auto options = std::make_shared<EvalOptions>();
  CLI::App* command =
      set->Add("eval", "Measures search and answers on questions with known answers, without a judge model",
               {"lastro eval ./scifact --retrieval-only", "lastro eval dev-v2.0.json --limit 500 --out results",
                "lastro --collection handbook eval questions.jsonl --json", "lastro eval --probes",
                "lastro eval compare a/questions.jsonl b/questions.jsonl"});
  command->add_option("data", options->data,
                      "BEIR folder, SQuAD JSON, or JSONL of {question, answers, context | document}");
  command->add_option("--format", options->format, "auto, beir, squad or jsonl")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"auto", "beir", "squad", "jsonl"}));
  command->add_option("--split", options->read.split, "Of a BEIR folder: qrels/SPLIT.tsv (default test)")
      ->type_name("SPLIT");
  command->add_option("--lang", options->read.language, "en or pt: of questions that do not say theirs (default en)")
      ->type_name("LANG")
      ->check(CLI::IsMember({"en", "pt"}));
  command->add_option("--limit", options->limit, "Ask so many questions, drawn by --seed (default: all)")
      ->type_name("N");
  command->add_option("--seed", options->report.seed, "Of every draw (default 1)")->type_name("N");
  command->add_flag("--retrieval-only", options->retrieval_only, "Only search; no answers");
  command->add_flag("--probes", options->probes,
                    "Attack with hostile documents and questions instead; exits with 3 when one succeeds");
  command->add_flag("--given-passages", options->given_passages,
                    "Ask each question of the passages that it is about alone, not of all");
  command->add_option("--mode", options->mode, "quote or generate")
      ->type_name("MODE")
      ->check(CLI::IsMember({"quote", "generate"}));
  command->add_option("--depth", options->depth, "Passages of a ranked list (default 100)")
      ->type_name("N")
      ->check(CLI::Range(10, 1000));
  command
      ->add_option("--rerank-weight", options->rerank_weight,
                   "Weight of the cross-encoder in the score of a hit, 0 to 1 (default 0.3)")
      ->type_name("X")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--precision", options->report.precision, "Choose the threshold for so much of it (default 0.8)")
      ->type_name("X")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--keep", options->keep, "Keep the passages in this collection; a later run finds them there")
      ->type_name("NAME");
  command->add_option("--out", options->out, "Write questions.jsonl, report.json and plots (SVG) here")
      ->type_name("DIR");
  set->OnRun(command, [options](Session& session) { return RunEval(*options, session); });
  AddEvalCompareCommand(set, command);
}

}  // namespace lastro::services
