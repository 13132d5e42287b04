#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "services/cli/commands/commands.h"
#include "services/cli/filter_parser.h"
#include "services/cli/format.h"
#include "services/cli/table.h"
#include "services/cli/text_width.h"

namespace lastro::services {
namespace {

constexpr uint64_t kMaxTextsBytes = 64 << 20;

struct ClusterCommandOptions {
  std::string texts_file;
  int clusters = 0;
  uint64_t seed = 0;
  int representatives = 0;
  std::string filter;
};

// The lines of the file, or of standard input, that are not blank.
absl::Status ReadTexts(const std::string& path, Session& session, v1::EmbeddingInput::Texts* texts) {
  std::string content;
  if (path == "-") {
    LASTRO_ASSIGN_OR_RETURN(content, session.TextOrInput("-", "standard input"));
  } else {
    LASTRO_ASSIGN_OR_RETURN(content, ReadFile(path, kMaxTextsBytes));
  }
  LASTRO_RETURN_IF_ERROR(CheckUtf8(content, path));
  for (absl::string_view line : absl::StrSplit(content, '\n', absl::SkipWhitespace())) {
    line = absl::StripSuffix(line, "\r");
    texts->add_texts(line.data(), line.size());
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::ClusterRequest> MakeRequest(const ClusterCommandOptions& options, Session& session) {
  v1::ClusterRequest request;
  request.set_clusters(options.clusters);
  request.set_seed(options.seed);
  request.set_representatives(options.representatives);
  if (!options.texts_file.empty()) {
    LASTRO_RETURN_IF_ERROR(ReadTexts(options.texts_file, session, request.mutable_input()->mutable_texts()));
    return request;
  }
  v1::EmbeddingInput::Chunks* chunks = request.mutable_input()->mutable_chunks();
  chunks->set_collection(session.options().collection);
  LASTRO_ASSIGN_OR_RETURN(*chunks->mutable_filter(), ParseFilter(options.filter));
  return request;
}

void PrintCluster(int number, const v1::ClusterResponse::Cluster& cluster, Session& session) {
  Style style = session.style();
  session.out() << style.Bold(absl::StrCat("Cluster ", number)) << "  " << FormatCount(cluster.size()) << " items  "
                << style.Dim("cohesion " + FormatNumber(cluster.cohesion(), 2)) << "\n  "
                << style.Cyan(OneLine(absl::StrJoin(cluster.terms(), ", "))) << "\n";
  int columns = session.out_terminal().is_terminal ? session.out_terminal().columns - 4 : 200;
  for (const v1::EmbeddingItem& item : cluster.representatives()) {
    std::string place = item.document_uri().empty() ? "" : item.document_uri() + ": ";
    session.out() << "  - " << CutToWidth(OneLine(place + item.text()), columns) << "\n";
  }
}

absl::StatusOr<int> RunCluster(const ClusterCommandOptions& options, Session& session) {
  LASTRO_ASSIGN_OR_RETURN(v1::ClusterRequest request, MakeRequest(options, session));
  LASTRO_ASSIGN_OR_RETURN(Node * node, session.node());
  LASTRO_ASSIGN_OR_RETURN(v1::ClusterResponse response, node->embedding().Cluster(request, session.context()));
  if (session.options().json) {
    LASTRO_RETURN_IF_ERROR(session.PrintJson(response));
    return kExitOk;
  }
  session.out() << FormatCount(response.assignments_size()) << " items in " << response.clusters_size()
                << " clusters, silhouette " << FormatNumber(response.silhouette(), 2) << "\n";
  int number = 0;
  for (const v1::ClusterResponse::Cluster& cluster : response.clusters()) PrintCluster(++number, cluster, session);
  return kExitOk;
}

}  // namespace

void AddClusterCommand(CommandSet* set) {
  auto options = std::make_shared<ClusterCommandOptions>();
  CLI::App* command =
      set->Add("cluster", "Groups texts, or the passages of a collection, by meaning",
               {"lastro cluster --collection handbook", "lastro cluster --texts tickets.txt -k 8 --json",
                "lastro cluster --filter 'year >= 2020' --representatives 5"});
  command->add_option("--texts", options->texts_file, "One text a line; - reads standard input. Else the collection")
      ->type_name("FILE");
  command->add_option("-k,--clusters", options->clusters, "How many clusters (default: chosen from the data)")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--representatives", options->representatives, "Members shown of each (default 3)")
      ->type_name("N");
  command->add_option("--seed", options->seed, "Of the starting centres")->type_name("N");
  command->add_option("--filter", options->filter, "Only passages of these documents")->type_name("EXPR");
  set->OnRun(command, [options](Session& session) { return RunCluster(*options, session); });
}

}  // namespace lastro::services
