#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/model_files.h"
#include "engine/reader_head.h"
#include "engine/self_test.h"
#include "services/cli/commands/commands.h"
#include "services/cli/format.h"
#include "services/cli/table.h"
#include "services/composed_node.h"
#include "services/compute_options.h"

namespace lastro::services {
namespace {

struct VerifyOptions {
  std::vector<std::string> models;
  std::string write_source;  // not empty: store what the models give now
};

// What a self-test asks about: short and long, both languages, digits, accents and line breaks.
const std::vector<std::string>& StoredTexts() {
  static const auto* const texts = new std::vector<std::string>{
      "The café opens at 8:30.", "A configuração não mudou em 1984.",
      "Who signs for goods that arrive after six in the evening, and where are they kept until the next morning?",
      "Line one.\nLine two, with 1,234.5 units.\n\n\tA third."};
  return *texts;
}

absl::StatusOr<std::vector<std::string>> ModelsToVerify(const VerifyOptions& options, const Session& session) {
  if (!options.models.empty()) return options.models;
  const GlobalOptions& global = session.options();
  std::string built_in;
  if (global.decoder.empty() || global.embedders.empty()) {
    LASTRO_ASSIGN_OR_RETURN(built_in, FindBuiltInModels());
  }
  std::vector<std::string> models = global.embedders;
  if (models.empty()) models.push_back(built_in + "/embedder");
  models.push_back(global.decoder.empty() ? built_in + "/decoder" : global.decoder);
  LASTRO_ASSIGN_OR_RETURN(std::string reader, FindReader(global.reader));
  if (!reader.empty()) models.push_back(std::move(reader));
  return models;
}

absl::Status WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  if (!(file << text).flush()) return absl::PermissionDeniedError(absl::StrCat(path, " cannot be written"));
  return absl::OkStatus();
}

// Writes the self-test of `model` when asked to, then runs what is stored.
template <class Model>
absl::StatusOr<engine::SelfTestReport> Verify(const Model& model, const std::string& folder,
                                              const VerifyOptions& options, const CallContext& context) {
  const std::string path = engine::SelfTestPath(folder);
  if (!options.write_source.empty()) {
    LASTRO_ASSIGN_OR_RETURN(std::string text,
                            engine::MakeSelfTest(model, StoredTexts(), options.write_source, context));
    LASTRO_RETURN_IF_ERROR(WriteFile(path, text));
  }
  LASTRO_ASSIGN_OR_RETURN(std::optional<engine::SelfTestReport> report, engine::RunSelfTest(model, path, context));
  if (report.has_value()) return *report;
  return absl::NotFoundError(absl::StrCat("no self-test is stored beside ", folder,
                                          "; where the model is known to be right, --write SOURCE stores one"));
}

absl::StatusOr<engine::SelfTestReport> LoadAndVerify(const std::string& folder, const engine::Runtime& runtime,
                                                     const VerifyOptions& options, const CallContext& context) {
  std::error_code error;
  if (std::filesystem::exists(folder + "/modules.json", error)) {
    LASTRO_ASSIGN_OR_RETURN(auto model, engine::EmbeddingModel::Load(folder, runtime));
    return Verify(*model, folder, options, context);
  }
  LASTRO_ASSIGN_OR_RETURN(auto files, engine::OpenModel(folder));
  if (engine::HasReaderHead(*files)) {
    LASTRO_ASSIGN_OR_RETURN(auto model, engine::Reader::Load(folder, runtime));
    return Verify(*model, folder, options, context);
  }
  LASTRO_ASSIGN_OR_RETURN(auto model, engine::DecoderModel::Load(folder, runtime));
  return Verify(*model, folder, options, context);
}

absl::StatusOr<int> RunVerify(const VerifyOptions& options, Session& session) {
  LASTRO_ASSIGN_OR_RETURN(engine::RuntimeOptions runtime_options, MakeRuntimeOptions(session.options().compute));
  LASTRO_ASSIGN_OR_RETURN(auto runtime, engine::Runtime::Create(runtime_options));
  LASTRO_ASSIGN_OR_RETURN(std::vector<std::string> models, ModelsToVerify(options, session));
  Table table({{"model"},
               {"cases", Table::Align::kRight},
               {"worst", Table::Align::kRight},
               {"limit", Table::Align::kRight},
               {"computed by"}});
  for (const std::string& model : models) {
    LASTRO_ASSIGN_OR_RETURN(engine::SelfTestReport report, LoadAndVerify(model, *runtime, options, session.context()));
    table.AddRow({model, absl::StrCat(report.cases), FormatNumber(report.worst, 5), FormatNumber(report.limit, 3),
                  report.source});
  }
  table.Print(session.out(), session.out_terminal());
  return kExitOk;
}

}  // namespace

void AddModelsVerifyCommand(CommandSet* set, CLI::App* models) {
  auto options = std::make_shared<VerifyOptions>();
  CLI::App* command = set->AddTo(
      models, "verify", "Compares models with results of the reference stored beside them (lastro_selftest.json)",
      {"lastro models verify", "lastro models verify ./models/llama", "lastro models verify ./m --write \"reviewed\""});
  command->add_option("models", options->models, "Model folders or files (default: the models in use)")
      ->type_name("MODEL");
  command
      ->add_option("--write", options->write_source,
                   "First store what the models give now; the text says who vouches for it")
      ->type_name("SOURCE");
  set->OnRun(command, [options](Session& session) { return RunVerify(*options, session); });
}

}  // namespace lastro::services
