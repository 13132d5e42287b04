#include "engine/perplexity.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "services/cli/commands/commands.h"
#include "services/cli/format.h"
#include "services/cli/table.h"
#include "services/compute_options.h"

namespace lastro::services {
namespace {

constexpr uint64_t kMaxTextBytes = 256u << 20;

struct PerplexityArguments {
  std::string model;
  std::string text;
  std::string baseline;
  engine::PerplexityOptions options;
};

absl::StatusOr<std::string> ReadText(const std::string& path, Session& session) {
  if (path == "-") return session.TextOrInput(path, "the text");
  LASTRO_ASSIGN_OR_RETURN(std::string text, ReadFile(path, kMaxTextBytes));
  if (!IsValidUtf8(text)) return absl::InvalidArgumentError(absl::StrCat(path, " is no UTF-8 text"));
  return text;
}

absl::StatusOr<engine::PerplexityResult> Measure(const PerplexityArguments& arguments, Session& session) {
  LASTRO_ASSIGN_OR_RETURN(std::string text, ReadText(arguments.text, session));
  LASTRO_ASSIGN_OR_RETURN(engine::RuntimeOptions runtime_options, MakeRuntimeOptions(session.options().compute));
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<engine::Runtime> runtime, engine::Runtime::Create(runtime_options));
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<engine::DecoderModel> model,
                          engine::DecoderModel::Load(arguments.model, *runtime));
  std::unique_ptr<engine::DecoderModel> baseline;
  if (!arguments.baseline.empty()) {
    LASTRO_ASSIGN_OR_RETURN(baseline, engine::DecoderModel::Load(arguments.baseline, *runtime));
  }
  return engine::MeasurePerplexity(*model, baseline.get(), text, arguments.options, session.context());
}

std::string ResultJson(const engine::PerplexityResult& result) {
  std::string json = absl::StrFormat("{\"perplexity\":%.9g,\"mean_log_probability\":%.9g,\"tokens\":%d",
                                     result.perplexity, result.mean_log_probability, result.tokens);
  if (result.comparison.has_value()) {
    absl::StrAppendFormat(&json, ",\"baseline_perplexity\":%.9g,\"mean_divergence\":%.9g,\"same_best\":%.9g",
                          result.comparison->baseline_perplexity, result.comparison->mean_divergence,
                          result.comparison->same_best);
  }
  return json + "}";
}

absl::StatusOr<int> RunPerplexity(const PerplexityArguments& arguments, Session& session) {
  LASTRO_ASSIGN_OR_RETURN(engine::PerplexityResult result, Measure(arguments, session));
  if (session.options().json) {
    session.out() << ResultJson(result) << "\n";
    return kExitOk;
  }
  Properties properties;
  properties.Add("perplexity", FormatNumber(result.perplexity, 4));
  properties.Add("tokens", FormatCount(result.tokens));
  if (result.comparison.has_value()) {
    const double growth = result.perplexity / result.comparison->baseline_perplexity - 1;
    properties.Add("baseline", absl::StrFormat("%.4f (%+.2f%%)", result.comparison->baseline_perplexity, 100 * growth));
    properties.Add("divergence", absl::StrFormat("%.6f nats a token", result.comparison->mean_divergence));
    properties.Add("same best token", absl::StrFormat("%.2f%%", 100 * result.comparison->same_best));
  }
  properties.Print(session.out(), session.out_terminal());
  return kExitOk;
}

}  // namespace

void AddPerplexityCommand(CommandSet* set) {
  auto arguments = std::make_shared<PerplexityArguments>();
  CLI::App* command = set->Add("perplexity", "Measures how well a decoder predicts a text, in process",
                               {"lastro perplexity ./models/llama book.txt",
                                "lastro perplexity llama-q4.gguf book.txt --baseline ./models/llama",
                                "lastro perplexity --json llama-q4.gguf - --window 1024 --stride 512 < book.txt"});
  command->add_option("model", arguments->model, "Folder of a decoder, or a .gguf file")
      ->type_name("MODEL")
      ->required();
  command->add_option("text", arguments->text, "UTF-8 text file; - reads standard input")
      ->type_name("FILE")
      ->required();
  command->add_option("--baseline", arguments->baseline, "Model to compare with: probabilities, and the best token")
      ->type_name("MODEL");
  command->add_option("--window", arguments->options.window, "Tokens of a window (default 512)")->type_name("N");
  command->add_option("--stride", arguments->options.stride, "Tokens between windows (default 256)")->type_name("N");
  command->add_option("--max-tokens", arguments->options.max_tokens, "Stop after about so many tokens (default: all)")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber);
  set->OnRun(command, [arguments](Session& session) { return RunPerplexity(*arguments, session); });
}

}  // namespace lastro::services
