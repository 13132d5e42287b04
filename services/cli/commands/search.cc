#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "services/cli/commands/commands.h"
#include "services/cli/filter_parser.h"
#include "services/cli/format.h"
#include "services/cli/table.h"
#include "services/cli/text_width.h"

namespace lastro::services {
namespace {

constexpr int kShownColumns = 300;

struct SearchOptions {
  std::string query;
  std::string mode = "hybrid";
  int limit = 0;
  int max_per_document = 0;
  std::optional<double> dense_weight;
  std::string fusion = "convex";
  int rrf_k = 0;
  bool rerank = false;
  bool no_rerank = false;
  int rerank_candidates = 0;
  std::optional<double> rerank_weight;
  std::optional<double> mmr_lambda;
  int context_chunks = 0;
  bool explain = false;
  std::string filter;
};

v1::SearchRequest::Mode ModeOf(const std::string& mode) {
  if (mode == "dense") return v1::SearchRequest::DENSE;
  if (mode == "lexical") return v1::SearchRequest::LEXICAL;
  return v1::SearchRequest::HYBRID;
}

absl::StatusOr<v1::SearchRequest> MakeRequest(const SearchOptions& options, Session& session) {
  v1::SearchRequest request;
  LASTRO_ASSIGN_OR_RETURN(*request.mutable_query(), session.TextOrInput(options.query, "the query"));
  LASTRO_ASSIGN_OR_RETURN(*request.mutable_filter(), ParseFilter(options.filter));
  request.set_collection(session.options().collection);
  request.set_mode(ModeOf(options.mode));
  request.set_limit(options.limit);
  request.set_max_per_document(options.max_per_document);
  if (options.dense_weight) request.set_dense_weight(*options.dense_weight);
  if (options.fusion == "rrf") request.set_fusion(v1::SearchRequest::RRF);
  request.set_rrf_k(options.rrf_k);
  if (options.rerank || options.no_rerank) request.set_rerank(options.rerank);
  request.set_rerank_candidates(options.rerank_candidates);
  if (options.rerank_weight) request.set_rerank_weight(*options.rerank_weight);
  if (options.mmr_lambda) request.set_mmr_lambda(*options.mmr_lambda);
  request.set_context_chunks(options.context_chunks);
  request.set_explain(options.explain);
  return request;
}

std::string Rank(int rank) { return rank > 0 ? absl::StrCat("#", rank) : "-"; }

std::string ExplainHit(const v1::SearchHit& hit) {
  std::string text = absl::StrCat("meaning ", Rank(hit.dense_rank()), " cosine ", FormatNumber(hit.dense_score(), 3),
                                  ", words ", Rank(hit.lexical_rank()), " BM25 ", FormatNumber(hit.lexical_score(), 3),
                                  ", together ", Rank(hit.fused_rank()), " ", FormatNumber(hit.fused_score(), 3));
  if (hit.rerank_rank() == 0) return text;
  return absl::StrCat(text, ", reranked ", Rank(hit.rerank_rank()), " ", FormatNumber(hit.rerank_score(), 3));
}

void PrintText(const std::string& text, bool dim, Session& session) {
  int columns = session.out_terminal().is_terminal ? session.out_terminal().columns - 4 : 0;
  for (const std::string& line : WrapText(CutToWidth(OneLine(text), kShownColumns), columns)) {
    session.out() << "    " << (dim ? session.style().Dim(line) : line) << "\n";
  }
}

void PrintHit(int number, const v1::SearchHit& hit, bool explain, Session& session) {
  Style style = session.style();
  session.out() << style.Bold(absl::StrCat(number, ". ", OneLine(hit.document().uri()))) << "  "
                << OneLine(absl::StrJoin(hit.chunk().headings(), " › ")) << "  "
                << style.Dim(absl::StrCat("score ", FormatNumber(hit.score(), 3), "  chunk ", hit.chunk().id()))
                << "\n";
  if (explain) session.out() << "    " << style.Cyan(ExplainHit(hit)) << "\n";
  for (const v1::Chunk& chunk : hit.before()) PrintText(chunk.text(), true, session);
  PrintText(hit.chunk().text(), false, session);
  for (const v1::Chunk& chunk : hit.after()) PrintText(chunk.text(), true, session);
}

void PrintExplanation(const v1::SearchExplanation& explanation, Session& session) {
  session.out() << explanation.dense_candidates() << " candidates by meaning, " << explanation.lexical_candidates()
                << " by words: " << OneLine(explanation.lexical_query())
                << (explanation.phrases_optional() ? " (no chunk has all the phrases)" : "") << "\n";
  if (explanation.reranked() == 0) return;
  session.out() << explanation.reranked() << " reranked by " << OneLine(explanation.reranker()) << "\n";
}

void PrintDurations(const v1::SearchResponse& response, Session& session) {
  session.out() << "store commit " << response.store_commit();
  for (const v1::StageDuration& stage : response.durations()) {
    session.out() << ", " << OneLine(stage.stage()) << " " << FormatNumber(stage.duration_ms(), 1) << " ms";
  }
  session.out() << "\n";
}

absl::StatusOr<int> RunSearch(const SearchOptions& options, Session& session) {
  LASTRO_ASSIGN_OR_RETURN(v1::SearchRequest request, MakeRequest(options, session));
  LASTRO_ASSIGN_OR_RETURN(Node * node, session.node());
  LASTRO_ASSIGN_OR_RETURN(v1::SearchResponse response, node->retrieval().Search(request, session.context()));
  if (session.options().json) {
    LASTRO_RETURN_IF_ERROR(session.PrintJson(response));
    return kExitOk;
  }
  if (response.hits().empty()) session.out() << "Nothing found.\n";
  int number = 0;
  for (const v1::SearchHit& hit : response.hits()) PrintHit(++number, hit, options.explain, session);
  if (options.explain) {
    PrintExplanation(response.explanation(), session);
    PrintDurations(response, session);
  }
  return kExitOk;
}

}  // namespace

void AddSearchCommand(CommandSet* set) {
  auto options = std::make_shared<SearchOptions>();
  CLI::App* command = set->Add(
      "search", "Finds the passages nearest to a text, by meaning and by words",
      {"lastro search \"refund of travel costs\" --limit 5", "lastro search --mode lexical --explain \"ISO 9001\"",
       "lastro search '\"force majeure\" deliver*' --context 1", "lastro --reranker built-in search delays",
       "lastro search --filter 'not language in (\"en\", \"pt\")' delivery --json"});
  command->add_option("query", options->query, "What to look for; - reads standard input")->required();
  command->add_option("--mode", options->mode, "hybrid, dense (meaning) or lexical (words)")
      ->check(CLI::IsMember({"hybrid", "dense", "lexical"}))
      ->type_name("MODE");
  command->add_option("--limit,--top", options->limit, "Passages, at most 1000 (default 10)")->type_name("N");
  command->add_option("--max-per-document", options->max_per_document, "At most so many of one document")
      ->type_name("N");
  command->add_option("--dense-weight", options->dense_weight, "hybrid: weight of the meaning, 0 to 1 (default 0.5)")
      ->type_name("X")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--fusion", options->fusion, "hybrid: convex (of scores, the default) or rrf (of ranks)")
      ->check(CLI::IsMember({"convex", "rrf"}))
      ->type_name("FUSION");
  command->add_option("--rrf-k", options->rrf_k, "rrf: its constant (default 60)")->type_name("N");
  CLI::Option* rerank =
      command->add_flag("--rerank", options->rerank, "Reorder by the cross-encoder (default: when there is one)");
  command->add_flag("--no-rerank", options->no_rerank, "Not by it")->excludes(rerank);
  command->add_option("--rerank-candidates", options->rerank_candidates, "Passages it reads (default 30, or the limit)")
      ->type_name("N");
  command->add_option("--rerank-weight", options->rerank_weight, "Its weight in the score, 0 to 1 (default 0.3)")
      ->type_name("X")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--mmr", options->mmr_lambda, "Less of the same: weight of the score against novelty, e.g. 0.7")
      ->type_name("X")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--context", options->context_chunks, "Show so many passages before and after, at most 10")
      ->type_name("N");
  command->add_option("--filter", options->filter, "Only these documents, e.g. 'uri ^= \"rules/\"'")->type_name("EXPR");
  command->add_flag("--explain", options->explain, "Show how each stage ranked a passage, and durations");
  set->OnRun(command, [options](Session& session) { return RunSearch(*options, session); });
}

}  // namespace lastro::services
