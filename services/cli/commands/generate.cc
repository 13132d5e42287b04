#include "base/status_macros.h"
#include "services/cli/commands/commands.h"
#include "services/cli/generation_flags.h"

namespace lastro::services {
namespace {

struct GenerateOptions {
  std::string text;
  GenerationFlags flags;
};

absl::StatusOr<int> RunGenerate(const GenerateOptions& options, Session& session) {
  LASTRO_ASSIGN_OR_RETURN(v1::GenerateRequest request, RequestOf(options.flags));
  LASTRO_ASSIGN_OR_RETURN(*request.mutable_prompt()->mutable_text(), session.TextOrInput(options.text, "the text"));
  LASTRO_RETURN_IF_ERROR(GenerateAndShow(request, session).status());
  return kExitOk;
}

}  // namespace

void AddGenerateCommand(CommandSet* set) {
  auto options = std::make_shared<GenerateOptions>();
  CLI::App* command =
      set->Add("generate", "Goes on with a text; a model of encoder and decoder answers it",
               {"lastro generate \"The lighthouse was\" --max-new-tokens 40",
                "lastro generate --temperature 0.8 --top-p 0.95 --seed 7 - < beginning.txt",
                "lastro --decoder ./models/flan-t5 generate \"Translate to German: Good morning\" --beams 4",
                "lastro --decoder model.gguf generate \"A person as JSON:\" --schema person.schema.json",
                "lastro --decoder model.gguf --lora legal=./adapters/legal generate \"Whereas\" --adapter legal"});
  command->add_option("text", options->text, "The text; - reads standard input")->required();
  AddGenerationFlags(command, &options->flags);
  set->OnRun(command, [options](Session& session) { return RunGenerate(*options, session); });
}

}  // namespace lastro::services
