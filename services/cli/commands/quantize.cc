#include "engine/quantize.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "services/cli/commands/commands.h"
#include "services/cli/format.h"
#include "services/cli/table.h"

namespace lastro::services {
namespace {

struct QuantizeArguments {
  std::string in;
  std::string out;
  std::string type = "q4_k_m";
};

std::string TypesText(const engine::QuantizeSummary& summary) {
  return absl::StrJoin(summary.parameters_of_type, ", ", [](std::string* out, const auto& entry) {
    absl::StrAppend(out, entry.first, " ", FormatCount(entry.second));
  });
}

std::string SummaryJson(const engine::QuantizeSummary& summary) {
  const std::string types = absl::StrJoin(summary.parameters_of_type, ",", [](std::string* out, const auto& entry) {
    absl::StrAppend(out, "\"", entry.first, "\":", entry.second);
  });
  return absl::StrCat("{\"tensors\":", summary.tensors, ",\"parameters\":", summary.parameters,
                      ",\"bytes_before\":", summary.bytes_before, ",\"bytes_after\":", summary.bytes_after,
                      ",\"parameters_of_type\":{", types, "}}");
}

absl::StatusOr<int> RunQuantize(const QuantizeArguments& arguments, Session& session) {
  if (!absl::EndsWith(arguments.out, ".gguf")) {
    return absl::InvalidArgumentError(
        absl::StrCat(arguments.out, ": the file to write must end in .gguf, so that it can be opened again"));
  }
  engine::QuantizeOptions options;
  options.type = arguments.type;
  options.threads = session.options().compute.threads;
  LASTRO_ASSIGN_OR_RETURN(engine::QuantizeSummary summary,
                          engine::QuantizeModel(arguments.in, arguments.out, options, session.context()));
  if (session.options().json) {
    session.out() << SummaryJson(summary) << "\n";
    return kExitOk;
  }
  Properties properties;
  properties.Add("file", arguments.out);
  properties.Add("parameters", FormatCount(summary.parameters));
  properties.Add("of type", TypesText(summary));
  properties.Add(
      "bits each",
      FormatNumber(8.0 * static_cast<double>(summary.bytes_after) / static_cast<double>(summary.parameters), 2));
  properties.Add("size", absl::StrCat(FormatBytes(summary.bytes_before), " -> ", FormatBytes(summary.bytes_after)));
  properties.Print(session.out(), session.out_terminal());
  return kExitOk;
}

}  // namespace

void AddQuantizeCommand(CommandSet* set) {
  auto arguments = std::make_shared<QuantizeArguments>();
  CLI::App* command = set->Add(
      "quantize", "Writes a model as one GGUF file with smaller weights",
      {"lastro quantize ./models/llama llama-q4.gguf", "lastro quantize ./models/llama llama-q8.gguf --type q8_0",
       "lastro quantize --json llama-f16.gguf llama-q6.gguf --type q6_k"});
  command->add_option("in", arguments->in, "Folder of a model, or a .gguf file")->type_name("MODEL")->required();
  command->add_option("out", arguments->out, "File to write, ending in .gguf")->type_name("FILE")->required();
  command
      ->add_option("--type", arguments->type,
                   absl::StrCat("One of ", absl::StrJoin(engine::QuantizeTypes(), ", "), " (default q4_k_m)"))
      ->type_name("TYPE");
  set->OnRun(command, [arguments](Session& session) { return RunQuantize(*arguments, session); });
}

}  // namespace lastro::services
