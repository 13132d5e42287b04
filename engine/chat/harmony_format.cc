#include "engine/chat/harmony_format.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/civil_time.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "engine/chat/chat_template.h"
#include "engine/chat/template_format.h"

namespace lastro::engine::chat {
namespace {

constexpr char kFunctions[] = "functions.";
constexpr char kFinal[] = "final";
constexpr char kAnalysis[] = "analysis";
constexpr char kCommentary[] = "commentary";

HarmonyMessage MessageOn(const char* channel, std::string content) {
  HarmonyMessage message;
  message.role = HarmonyRole::kAssistant;
  message.channel = channel;
  message.content = std::move(content);
  return message;
}

void AddAssistant(const ChatMessage& message, std::vector<HarmonyMessage>* out) {
  if (!message.reasoning.empty()) out->push_back(MessageOn(kAnalysis, message.reasoning));
  if (!message.content.empty() || message.tool_calls.empty()) {
    // What is said beside a call is no final answer.
    out->push_back(MessageOn(message.tool_calls.empty() ? kFinal : kCommentary, message.content));
  }
  for (const ToolCall& call : message.tool_calls) {
    HarmonyMessage sent = MessageOn(kCommentary, call.arguments);
    sent.recipient = kFunctions + call.name;
    sent.content_type = "json";
    sent.constrained = true;
    out->push_back(std::move(sent));
  }
}

// The name of the function that a tool's message answers: its own, or that of the call.
std::string FunctionName(const ChatMessage& message, const std::vector<ChatMessage>& all) {
  if (!message.name.empty()) return message.name;
  for (const ChatMessage& earlier : all) {
    for (const ToolCall& call : earlier.tool_calls) {
      if (!call.id.empty() && call.id == message.tool_call_id) return call.name;
    }
  }
  return "";
}

absl::Status AddMessage(const ChatMessage& message, const std::vector<ChatMessage>& all, HarmonyPrompt* prompt) {
  if (message.role == "system" || message.role == "developer") {
    absl::StrAppend(&prompt->instructions, prompt->instructions.empty() ? "" : "\n\n", message.content);
  } else if (message.role == "user") {
    prompt->messages.emplace_back().content = message.content;
  } else if (message.role == "assistant") {
    AddAssistant(message, &prompt->messages);
  } else if (message.role == "tool") {
    const std::string name = FunctionName(message, all);
    if (name.empty()) {
      return absl::InvalidArgumentError(
          "a message of a tool has neither a name nor a tool_call_id of an earlier call; set one of them");
    }
    HarmonyMessage& result = prompt->messages.emplace_back(MessageOn(kCommentary, message.content));
    result.role = HarmonyRole::kTool;
    result.name = kFunctions + name;
    result.recipient = "assistant";
  } else {
    return absl::InvalidArgumentError(absl::StrCat("the role \"", message.role,
                                                   "\" is not one of this model's: system, developer, user, "
                                                   "assistant, tool"));
  }
  return absl::OkStatus();
}

absl::StatusOr<HarmonyPrompt> PromptOf(const Conversation& conversation) {
  if (conversation.continue_last) {
    return absl::InvalidArgumentError("this model's format cannot go on with a message of the assistant");
  }
  HarmonyPrompt prompt;
  prompt.current_date = absl::FormatCivilTime(absl::CivilDay(conversation.now));
  for (const auto& [name, value] : conversation.variables) {
    if (name == "reasoning_effort" && value.AsText() != nullptr) prompt.reasoning_effort = value.AsText()->bytes();
  }
  for (const ChatTool& tool : conversation.tools) {
    HarmonyTool& added = prompt.tools.emplace_back();
    added.name = tool.name;
    added.description = tool.description;
    if (tool.parameters.empty()) continue;
    LASTRO_ASSIGN_OR_RETURN(added.parameters, ParseJson(tool.parameters, "the parameters of a tool"));
  }
  for (const ChatMessage& message : conversation.messages) {
    LASTRO_RETURN_IF_ERROR(AddMessage(message, conversation.messages, &prompt));
  }
  return prompt;
}

class HarmonyReader : public ReplyReader {
 public:
  HarmonyReader(const Tokenizer& tokenizer, const HarmonyTokens& tokens, const std::vector<int32_t>& begun)
      : parser_(tokenizer, tokens) {
    std::string none;
    for (int32_t id : begun) LASTRO_CHECK(parser_.Push(id, &none).ok());
  }

  absl::StatusOr<Reply> Push(int32_t id, absl::string_view) override {
    const bool reasons = Reasons(parser_.open());
    const bool shown = Shown(parser_.open());
    std::string delta;
    if (absl::Status status = parser_.Push(id, &delta); !status.ok()) {
      return absl::InternalError(
          absl::StrCat("the model broke its own format (", status.message(), "); try another seed or temperature"));
    }
    return Reply{shown ? delta : "", reasons ? delta : "", NewCalls()};
  }

  Reply Finish() override {
    Reply reply;
    const HarmonyMessage* open = parser_.open();
    const bool reasons = Reasons(open), shown = Shown(open);
    const size_t read = open != nullptr ? open->content.size() : 0;
    if (!parser_.Finish().ok() || open == nullptr) return reply;  // the text ends in a header or behind a message
    std::string rest = parser_.messages().back().content.substr(read);
    if (reasons) reply.reasoning = std::move(rest);
    if (shown) reply.content = std::move(rest);
    return reply;  // a call that was cut is none
  }

 private:
  static bool Reasons(const HarmonyMessage* message) {
    return message != nullptr && message->channel == kAnalysis && message->recipient.empty();
  }
  // A message to people: the final one, or a preamble beside calls.
  static bool Shown(const HarmonyMessage* message) {
    return message != nullptr && message->channel != kAnalysis && message->recipient.empty();
  }

  std::vector<ToolCall> NewCalls() {
    std::vector<ToolCall> calls;
    for (; seen_ < parser_.messages().size(); ++seen_) {
      const HarmonyMessage& message = parser_.messages()[seen_];
      if (message.recipient.empty()) continue;
      calls.push_back({absl::StrCat("call_", ++calls_), std::string(absl::StripPrefix(message.recipient, kFunctions)),
                       message.content});
    }
    return calls;
  }

  HarmonyParser parser_;
  size_t seen_ = 0;  // messages already looked at for calls
  int calls_ = 0;    // found so far
};

}  // namespace

std::vector<int32_t> HarmonyFormat::FinalHeader() const {
  std::vector<int32_t> ids = {tokens_.channel};
  for (int32_t id : tokenizer_.Encode(kFinal)) ids.push_back(id);
  ids.push_back(tokens_.message);
  return ids;
}

absl::StatusOr<std::vector<int32_t>> HarmonyFormat::Render(const Conversation& conversation, bool content_only) const {
  LASTRO_ASSIGN_OR_RETURN(HarmonyPrompt prompt, PromptOf(conversation));
  LASTRO_ASSIGN_OR_RETURN(std::vector<Piece> pieces, RenderHarmony(prompt));
  std::vector<int32_t> ids = EncodeChat(tokenizer_, pieces);
  if (content_only) {
    for (int32_t id : FinalHeader()) ids.push_back(id);
  }
  return ids;
}

std::unique_ptr<ReplyReader> HarmonyFormat::NewReader(bool content_only) const {
  return std::make_unique<HarmonyReader>(tokenizer_, tokens_, content_only ? FinalHeader() : std::vector<int32_t>());
}

}  // namespace lastro::engine::chat
