#include <google/protobuf/util/json_util.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "services/cli/commands/commands.h"
#include "services/cli/generation_flags.h"
#include "services/cli/line_prompt.h"

namespace lastro::services {
namespace {

constexpr uint64_t kMaxChatBytes = 4u << 20;

struct ChatOptions {
  std::string message;
  std::string system;
  std::string file;
  std::vector<std::string> variables;  // NAME=JSON
  GenerationFlags flags;
};

void AddMessage(const char* role, std::string content, v1::Chat* chat) {
  v1::ChatMessage* message = chat->add_messages();
  message->set_role(role);
  message->set_content(std::move(content));
}

absl::Status ReadChat(const std::string& path, v1::Chat* chat) {
  LASTRO_ASSIGN_OR_RETURN(std::string json, ReadFile(path, kMaxChatBytes));
  auto status = google::protobuf::util::JsonStringToMessage(json, chat);
  if (status.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(path, " is no conversation (", std::string(status.message()),
                                                 "); it must be as {\"messages\": [{\"role\": \"user\", \"content\": "
                                                 "\"...\"}]}"));
}

absl::Status AddVariables(const std::vector<std::string>& variables, v1::Chat* chat) {
  for (const std::string& variable : variables) {
    const std::vector<std::string> parts = absl::StrSplit(variable, absl::MaxSplits('=', 1));
    if (parts.size() != 2 || parts[0].empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--var ", variable, ": give NAME=JSON, such as enable_thinking=false"));
    }
    (*chat->mutable_variables())[parts[0]] = parts[1];
  }
  return absl::OkStatus();
}

// The conversation before the first message of this command.
absl::StatusOr<v1::Chat> Beginning(const ChatOptions& options) {
  v1::Chat chat;
  if (!options.file.empty()) LASTRO_RETURN_IF_ERROR(ReadChat(options.file, &chat));
  if (!options.system.empty()) {
    if (chat.messages_size() > 0)
      return absl::InvalidArgumentError("--system and --file: put the system's message into the file");
    LASTRO_RETURN_IF_ERROR(CheckUtf8(options.system, "the system's message"));
    AddMessage("system", options.system, &chat);
  }
  LASTRO_RETURN_IF_ERROR(AddVariables(options.variables, &chat));
  return chat;
}

// Shows the reply to `request`'s conversation and adds it there.
absl::Status Reply(v1::GenerateRequest* request, Session& session) {
  LASTRO_ASSIGN_OR_RETURN(v1::GenerateResponse response, GenerateAndShow(*request, session));
  *request->mutable_prompt()->mutable_chat()->add_messages() = response.message();
  return absl::OkStatus();
}

// A message a line, until the end of the input or /quit.
absl::Status Converse(v1::GenerateRequest* request, Session& session) {
  LinePrompt prompt("a message", session);
  for (;;) {
    LASTRO_ASSIGN_OR_RETURN(std::string message, prompt.Next());
    if (message.empty()) return absl::OkStatus();
    AddMessage("user", std::move(message), request->mutable_prompt()->mutable_chat());
    LASTRO_RETURN_IF_ERROR(Reply(request, session));
  }
}

absl::StatusOr<int> RunChat(const ChatOptions& options, Session& session) {
  LASTRO_ASSIGN_OR_RETURN(v1::GenerateRequest request, RequestOf(options.flags));
  LASTRO_ASSIGN_OR_RETURN(*request.mutable_prompt()->mutable_chat(), Beginning(options));
  if (options.message.empty() && options.file.empty()) {
    LASTRO_RETURN_IF_ERROR(Converse(&request, session));
    return kExitOk;
  }
  if (!options.message.empty()) {
    LASTRO_ASSIGN_OR_RETURN(std::string message, session.TextOrInput(options.message, "the message"));
    AddMessage("user", std::move(message), request.mutable_prompt()->mutable_chat());
  }
  LASTRO_RETURN_IF_ERROR(Reply(&request, session));
  return kExitOk;
}

}  // namespace

void AddChatCommand(CommandSet* set) {
  auto options = std::make_shared<ChatOptions>();
  CLI::App* command =
      set->Add("chat", "Converses with the decoder through its chat template",
               {"lastro --decoder ./models/llama-3.2-1b-instruct chat",
                "lastro --decoder qwen3.gguf chat \"Who wrote Os Lusíadas?\" --var enable_thinking=false",
                "lastro chat --system \"Answer in Portuguese.\" \"What is ballast?\" --temperature 0.7",
                "lastro chat --file conversation.json --json"});
  command->add_option("message", options->message, "One message; - reads standard input; none: a message a line");
  command->add_option("--system", options->system, "What the system says first")->type_name("TEXT");
  command->add_option("--file", options->file, "A conversation to go on with, as the API's Chat in JSON")
      ->type_name("FILE");
  command->add_option("--var", options->variables, "A variable of the template; may be given again")
      ->type_name("NAME=JSON");
  AddGenerationFlags(command, &options->flags);
  set->OnRun(command, [options](Session& session) { return RunChat(*options, session); });
}

}  // namespace lastro::services
