#include "engine/chat/chat_format.h"

#include <optional>

#include "base/status_macros.h"
#include "engine/chat/harmony.h"
#include "engine/chat/harmony_format.h"
#include "engine/chat/template_format.h"

namespace lastro::engine::chat {

absl::StatusOr<std::unique_ptr<ChatFormat>> ChatFormat::Load(const LanguageModel& model) {
  if (model.info().architecture == "gpt_oss") {
    absl::StatusOr<HarmonyTokens> tokens = HarmonyTokens::Find(model.tokenizer());
    if (tokens.ok()) return std::make_unique<HarmonyFormat>(model.tokenizer(), *tokens);
  }
  LASTRO_ASSIGN_OR_RETURN(std::optional<std::string> source, model.files().ChatTemplate());
  if (!source.has_value()) return std::unique_ptr<ChatFormat>();
  return TemplateFormat::Create(*source, model);
}

}  // namespace lastro::engine::chat
