#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "services/cli/commands/commands.h"
#include "services/cli/format.h"
#include "services/cli/npy.h"
#include "services/cli/table.h"

namespace lastro::services {
namespace {

constexpr size_t kBatchTexts = 256;
constexpr int kShownValues = 5;

struct EmbedOptions {
  std::vector<std::string> texts;
  bool truncate = false;
  std::string role;
  std::string npy;
};

// The texts of the command line, "-" replaced by the lines of standard input.
absl::StatusOr<std::vector<std::string>> Texts(const EmbedOptions& options, Session& session) {
  std::vector<std::string> texts;
  for (const std::string& text : options.texts) {
    LASTRO_ASSIGN_OR_RETURN(std::string content, session.TextOrInput(text, "the text"));
    if (text != "-") {
      texts.push_back(std::move(content));
      continue;
    }
    for (absl::string_view line : absl::StrSplit(content, '\n')) texts.emplace_back(absl::StripSuffix(line, "\r"));
    if (!texts.empty() && texts.back().empty()) texts.pop_back();  // after the last line break
  }
  if (texts.empty()) return absl::InvalidArgumentError("no text to embed; give texts, or lines on standard input");
  return texts;
}

// Adds a batch's response to `all`, whose texts so far are `offset`.
void Append(v1::EmbedResponse batch, int offset, v1::EmbedResponse* all) {
  for (v1::Vector& vector : *batch.mutable_vectors()) *all->add_vectors() = std::move(vector);
  for (int index : batch.truncated()) all->add_truncated(offset + index);
  all->set_model(batch.model());
  all->set_fingerprint(batch.fingerprint());
  all->set_dimension(batch.dimension());
  all->mutable_usage()->set_prompt_tokens(all->usage().prompt_tokens() + batch.usage().prompt_tokens());
}

v1::TextRole RoleOf(const EmbedOptions& options) {
  return options.role == "query" ? v1::QUERY : options.role == "document" ? v1::DOCUMENT : v1::TEXT_ROLE_UNSPECIFIED;
}

absl::StatusOr<v1::EmbedResponse> EmbedAll(const std::vector<std::string>& texts, const EmbedOptions& options,
                                           Session& session) {
  LASTRO_ASSIGN_OR_RETURN(Node * node, session.node());
  v1::EmbedResponse all;
  for (size_t start = 0; start < texts.size(); start += kBatchTexts) {
    size_t end = std::min(texts.size(), start + kBatchTexts);
    v1::EmbedRequest request;
    request.set_truncate(options.truncate);
    request.set_role(RoleOf(options));
    for (size_t i = start; i < end; ++i) request.add_texts(texts[i]);
    LASTRO_ASSIGN_OR_RETURN(v1::EmbedResponse batch, node->embedding().Embed(request, session.context()));
    if (batch.vectors_size() != request.texts_size()) {
      return absl::InternalError(absl::StrCat("expected ", request.texts_size(), " vectors, got ", batch.vectors_size(),
                                              "; the server may be of another version"));
    }
    Append(std::move(batch), static_cast<int>(start), &all);
  }
  return all;
}

absl::Status WriteVectors(const v1::EmbedResponse& response, const std::string& path) {
  std::string values;
  for (const v1::Vector& vector : response.vectors()) {
    values.append(reinterpret_cast<const char*>(vector.values().data()), vector.values_size() * sizeof(float));
  }
  return WriteNpy(path, response.vectors_size(), response.dimension(), values);
}

void PrintTable(const std::vector<std::string>& texts, const v1::EmbedResponse& response, Session& session) {
  Table table({{"#", Table::Align::kRight}, {"text"}, {"dims", Table::Align::kRight}, {"first values"}});
  for (int i = 0; i < response.vectors_size(); ++i) {
    const v1::Vector& vector = response.vectors(i);
    std::string values;
    for (int j = 0; j < std::min(kShownValues, vector.values_size()); ++j) {
      absl::StrAppend(&values, vector.values(j) < 0 ? "" : " ", FormatNumber(vector.values(j), 4), " ");
    }
    table.AddRow({absl::StrCat(i), texts[i], absl::StrCat(vector.values_size()), values + "…"});
  }
  table.Print(session.out(), session.out_terminal());
  for (int index : response.truncated()) session.err() << "text " << index << " was cut at the model's limit\n";
}

absl::StatusOr<int> RunEmbed(const EmbedOptions& options, Session& session) {
  LASTRO_ASSIGN_OR_RETURN(std::vector<std::string> texts, Texts(options, session));
  LASTRO_ASSIGN_OR_RETURN(v1::EmbedResponse response, EmbedAll(texts, options, session));
  if (!options.npy.empty()) LASTRO_RETURN_IF_ERROR(WriteVectors(response, options.npy));
  if (session.options().json) {
    LASTRO_RETURN_IF_ERROR(session.PrintJson(response));
  } else if (options.npy.empty()) {
    PrintTable(texts, response, session);
  } else {
    session.out() << "Wrote " << response.vectors_size() << " vectors of " << response.dimension() << " numbers to "
                  << options.npy << "\n";
  }
  return kExitOk;
}

}  // namespace

void AddEmbedCommand(CommandSet* set) {
  auto options = std::make_shared<EmbedOptions>();
  CLI::App* command = set->Add(
      "embed", "Turns texts into vectors",
      {"lastro embed \"a text\" \"another one\"", "lastro embed --json \"a text\"",
       "lastro embed --as query \"when does the ferry leave\"", "lastro embed --npy vectors.npy - < lines.txt"});
  command->add_option("text", options->texts, "Texts; - reads one text a line from standard input")->required();
  command->add_flag("--truncate", options->truncate, "Cut texts over the model's limit instead of failing");
  command->add_option("--as", options->role, "query or document, for models that tell them apart")
      ->type_name("ROLE")
      ->check(CLI::IsMember({"query", "document"}));
  command->add_option("--npy", options->npy, "Write the vectors into this NumPy file (float32)")->type_name("FILE");
  set->OnRun(command, [options](Session& session) { return RunEmbed(*options, session); });
}

}  // namespace lastro::services
