#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "services/cli/commands/commands.h"
#include "services/cli/format.h"
#include "services/cli/table.h"

namespace lastro::services {
namespace {

constexpr uint64_t kMaxFileBytes = 16u << 20;

struct RerankOptions {
  std::string query;
  std::vector<std::string> texts;
  std::string file;  // one text a line; "-" is standard input
  bool truncate = false;
  int top_n = 0;
};

absl::Status AddLines(const std::string& file, Session& session, v1::RerankRequest* request) {
  absl::StatusOr<std::string> content =
      file == "-" ? session.TextOrInput("-", "the texts") : ReadFile(file, kMaxFileBytes);
  LASTRO_RETURN_IF_ERROR(content.status());
  LASTRO_RETURN_IF_ERROR(CheckUtf8(*content, file));
  for (absl::string_view line : absl::StrSplit(*content, '\n')) {
    const absl::string_view text = absl::StripSuffix(line, "\r");
    if (!text.empty()) request->add_texts(std::string(text));
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::RerankRequest> MakeRequest(const RerankOptions& options, Session& session) {
  v1::RerankRequest request;
  request.set_query(options.query);
  LASTRO_RETURN_IF_ERROR(CheckUtf8(options.query, "the query"));
  for (const std::string& text : options.texts) {
    LASTRO_RETURN_IF_ERROR(CheckUtf8(text, "a text"));
    request.add_texts(text);
  }
  if (!options.file.empty()) LASTRO_RETURN_IF_ERROR(AddLines(options.file, session, &request));
  request.set_truncate(options.truncate);
  request.set_top_n(options.top_n);
  return request;
}

void PrintTable(const v1::RerankRequest& request, const v1::RerankResponse& response, Session& session) {
  Table table({{"#", Table::Align::kRight}, {"score", Table::Align::kRight}, {"text"}});
  for (int32_t index : response.order()) {
    table.AddRow({absl::StrCat(index), FormatNumber(response.scores(index), 3), request.texts(index)});
  }
  table.Print(session.out(), session.out_terminal());
  for (int index : response.truncated()) session.err() << "text " << index << " was cut at the model's limit\n";
}

absl::StatusOr<int> RunRerank(const RerankOptions& options, Session& session) {
  LASTRO_ASSIGN_OR_RETURN(v1::RerankRequest request, MakeRequest(options, session));
  LASTRO_ASSIGN_OR_RETURN(Node * node, session.node());
  LASTRO_ASSIGN_OR_RETURN(v1::RerankResponse response, node->generation().Rerank(request, session.context()));
  if (response.scores_size() != request.texts_size()) {
    return absl::InternalError("the server did not score every text; it may be of another version");
  }
  for (int32_t index : response.order()) {
    if (index < 0 || index >= request.texts_size()) return absl::InternalError("the server ranked a text there is not");
  }
  if (session.options().json) {
    LASTRO_RETURN_IF_ERROR(session.PrintJson(response));
  } else {
    PrintTable(request, response, session);
  }
  return kExitOk;
}

}  // namespace

void AddRerankCommand(CommandSet* set) {
  auto options = std::make_shared<RerankOptions>();
  CLI::App* command =
      set->Add("rerank", "Orders texts by how well they answer a query, with a cross-encoder",
               {"lastro --reranker ./models/bge-reranker rerank \"ferry times\" \"It leaves at nine.\" \"No pets.\"",
                "lastro --reranker ./models/bge-reranker rerank \"ferry times\" --file passages.txt --top 5",
                "lastro --server localhost:7420 rerank \"ferry times\" --file - --json < passages.txt"});
  command->add_option("query", options->query, "The query")->required();
  command->add_option("text", options->texts, "Texts");
  command->add_option("--file", options->file, "A file of texts, one a line; - reads standard input")
      ->type_name("FILE");
  command->add_flag("--truncate", options->truncate, "Cut texts over the model's limit instead of failing");
  command->add_option("--top", options->top_n, "Only the best N")->type_name("N");
  set->OnRun(command, [options](Session& session) { return RunRerank(*options, session); });
}

}  // namespace lastro::services
