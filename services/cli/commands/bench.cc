#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "services/cli/commands/commands.h"
#include "services/cli/engine_bench.h"
#include "services/cli/format.h"
#include "services/cli/table.h"
#include "services/compute_options.h"

namespace lastro::services {
namespace {

absl::StatusOr<std::string> ModelFolder(const std::string& given, const Session& session) {
  if (!given.empty()) return given;
  if (!session.options().decoder.empty()) return session.options().decoder;
  LASTRO_ASSIGN_OR_RETURN(std::string models, FindBuiltInModels());
  return models + "/decoder";
}

absl::StatusOr<int> RunBench(const std::string& model, BenchOptions options, Session& session) {
  LASTRO_ASSIGN_OR_RETURN(options.model_folder, ModelFolder(model, session));
  LASTRO_ASSIGN_OR_RETURN(engine::RuntimeOptions runtime_options, MakeRuntimeOptions(session.options().compute));
  LASTRO_ASSIGN_OR_RETURN(BenchResult result, BenchModel(options, runtime_options, session.context()));
  if (session.options().json) {
    session.out() << BenchJson(result) << "\n";
    return kExitOk;
  }
  Properties properties;
  properties.Add("model", result.model);
  properties.Add("device", result.device);
  for (const auto& [name, value] : result.rates) properties.Add(name, FormatNumber(value, 1));
  properties.Add("peak memory", FormatBytes(result.peak_rss_bytes));
  properties.Add("repeats", absl::StrCat(result.repeats, " (medians)"));
  properties.Print(session.out(), session.out_terminal());
  return kExitOk;
}

}  // namespace

void AddBenchCommand(CommandSet* set) {
  auto options = std::make_shared<BenchOptions>();
  auto model = std::make_shared<std::string>();
  CLI::App* command = set->Add(
      "bench", "Measures a model on this machine, in process: tokens or texts a second, and memory",
      {"lastro bench --prompt-tokens 512 --gen-tokens 64", "lastro bench --model ./models/llama --threads 2 --json",
       "lastro bench --sessions 8", "lastro bench --model ./models/embedder --repeat 10"});
  command->add_option("--model", *model, "Folder of a decoder or an embedding model (default: the decoder)")
      ->type_name("DIR");
  command->add_option("--prompt-tokens", options->prompt_tokens, "Prompt; of an embedder: of each text (default 128)")
      ->type_name("N")
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--gen-tokens", options->gen_tokens, "Generated tokens (default 32)")
      ->type_name("N")
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--sessions", options->sessions, "Texts generated at the same time (default 1)")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  command->add_option("--texts", options->texts, "Embedder: texts of one call (default 64)")
      ->type_name("N")
      ->check(CLI::Range(1, 100'000));
  command->add_option("--repeat", options->repeats, "Runs, after one that is not counted (default 3)")
      ->type_name("N")
      ->check(CLI::Range(1, 10'000));
  command->add_flag("--rates-only", options->rates_only, "Not what reused prompts and drafts save");
  set->OnRun(command, [options, model](Session& session) { return RunBench(*model, *options, session); });
}

}  // namespace lastro::services
