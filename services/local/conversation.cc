#include "services/local/conversation.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "engine/chat/template_format.h"

namespace lastro::services {
namespace {

constexpr int kMaxMessages = 1'000;
constexpr int kMaxTools = 128;
constexpr int kMaxCalls = 128;
constexpr int kMaxVariables = 32;
constexpr size_t kMaxChatBytes = 4u << 20;

absl::Status TooMany(const char* field, int found, int limit) {
  return absl::InvalidArgumentError(
      absl::StrCat("prompt.chat.", field, " has ", found, " entries; the limit is ", limit));
}

absl::Status CheckSizes(const v1::Chat& chat) {
  if (chat.messages_size() == 0) return absl::InvalidArgumentError("prompt.chat.messages is empty; give at least one");
  if (chat.messages_size() > kMaxMessages) return TooMany("messages", chat.messages_size(), kMaxMessages);
  if (chat.tools_size() > kMaxTools) return TooMany("tools", chat.tools_size(), kMaxTools);
  if (chat.variables_size() > kMaxVariables)
    return TooMany("variables", static_cast<int>(chat.variables_size()), kMaxVariables);
  if (chat.ByteSizeLong() > kMaxChatBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("prompt.chat has ", chat.ByteSizeLong(), " bytes; the limit is ", kMaxChatBytes));
  }
  return absl::OkStatus();
}

absl::StatusOr<engine::chat::ChatMessage> ToMessage(const v1::ChatMessage& message) {
  if (message.role().empty()) {
    return absl::InvalidArgumentError("a message of prompt.chat has no role; set system, user, assistant or tool");
  }
  if (message.tool_calls_size() > kMaxCalls)
    return TooMany("messages.tool_calls", message.tool_calls_size(), kMaxCalls);
  engine::chat::ChatMessage out;
  out.role = message.role();
  out.content = message.content();
  out.name = message.name();
  out.reasoning = message.reasoning();
  out.tool_call_id = message.tool_call_id();
  for (const v1::ToolCall& call : message.tool_calls()) {
    if (call.name().empty()) return absl::InvalidArgumentError("a tool call of prompt.chat has no name");
    out.tool_calls.push_back({call.id(), call.name(), call.arguments().empty() ? "{}" : call.arguments()});
  }
  return out;
}

}  // namespace

absl::CivilSecond LocalNow() { return absl::ToCivilSecond(absl::Now(), absl::LocalTimeZone()); }

absl::StatusOr<engine::chat::Conversation> ToConversation(const v1::Chat& chat) {
  LASTRO_RETURN_IF_ERROR(CheckSizes(chat));
  engine::chat::Conversation conversation;
  conversation.now = LocalNow();
  for (const v1::ChatMessage& message : chat.messages()) {
    LASTRO_ASSIGN_OR_RETURN(engine::chat::ChatMessage converted, ToMessage(message));
    conversation.messages.push_back(std::move(converted));
  }
  for (const v1::ChatTool& tool : chat.tools()) {
    if (tool.name().empty()) return absl::InvalidArgumentError("a tool of prompt.chat has no name");
    conversation.tools.push_back({tool.name(), tool.description(), tool.parameters()});
  }
  for (const auto& [name, json] : chat.variables()) {
    LASTRO_ASSIGN_OR_RETURN(engine::chat::Value value,
                            engine::chat::ParseJson(json, absl::StrCat("prompt.chat.variables[\"", name, "\"]")));
    conversation.variables.emplace_back(name, std::move(value));
  }
  conversation.continue_last = chat.continue_last_message();
  if (conversation.continue_last && conversation.messages.back().role != "assistant") {
    return absl::InvalidArgumentError(
        absl::StrCat("continue_last_message goes on with a message of the assistant; the last "
                     "one is of \"",
                     conversation.messages.back().role, "\""));
  }
  return conversation;
}

v1::ChatMessage ToMessage(const engine::chat::Reply& reply) {
  v1::ChatMessage message;
  message.set_role("assistant");
  message.set_content(reply.content);
  message.set_reasoning(reply.reasoning);
  for (const engine::chat::ToolCall& call : reply.tool_calls) {
    v1::ToolCall* added = message.add_tool_calls();
    added->set_id(call.id);
    added->set_name(call.name);
    added->set_arguments(call.arguments);
  }
  return message;
}

}  // namespace lastro::services
