#include "engine/chat/chat_template.h"

#include <algorithm>

#include "base/status_macros.h"
#include "engine/chat/budget.h"
#include "engine/chat/interpreter.h"
#include "engine/chat/parser.h"

namespace lastro::engine::chat {
namespace {

constexpr absl::string_view kRoles[] = {"system", "developer", "user",     "assistant",
                                        "model",  "tool",      "function", "ipython"};

// The message with a known role marked as trusted.
absl::StatusOr<Value> WithTrustedRole(const Value& message) {
  const Value* role = message.Find("role");
  if (role == nullptr || role->AsText() == nullptr) return message;
  const std::string& name = role->AsText()->bytes();
  if (std::find(std::begin(kRoles), std::end(kRoles), name) == std::end(kRoles)) return message;
  std::vector<std::pair<Text, Value>> items = message.AsDict()->items;
  for (auto& [key, value] : items) {
    if (key.bytes() == "role") value = Value(Text(name, true));
  }
  return Value::MakeDict(std::move(items));
}

}  // namespace

Value MakeMessage(absl::string_view role, absl::string_view content) {
  return *Value::MakeDict(
      {{Text("role", true), Value::Untrusted(role)}, {Text("content", true), Value::Untrusted(content)}});
}

absl::StatusOr<ChatTemplate> ChatTemplate::Parse(absl::string_view source) {
  LASTRO_ASSIGN_OR_RETURN(Body body, ParseTemplate(source));
  return ChatTemplate(std::move(body));
}

absl::StatusOr<std::vector<Piece>> ChatTemplate::Render(const ChatInput& input, const RenderLimits& limits) const {
  std::vector<Value> messages;
  for (const Value& message : input.messages) {
    LASTRO_ASSIGN_OR_RETURN(Value marked, WithTrustedRole(message));
    messages.push_back(std::move(marked));
  }
  LASTRO_ASSIGN_OR_RETURN(Value list, Value::MakeList(std::move(messages)));
  std::vector<std::pair<std::string, Value>> variables = input.variables;
  // Look-ups take the first of equal names.
  variables.emplace_back("messages", std::move(list));
  variables.emplace_back("tools", input.tools.is_undefined() ? Value::None() : input.tools);
  variables.emplace_back("documents", Value::None());
  variables.emplace_back("add_generation_prompt", Value(input.add_generation_prompt));
  variables.emplace_back("bos_token", Value(Text(input.bos_token, true)));
  variables.emplace_back("eos_token", Value(Text(input.eos_token, true)));
  Budget budget(limits.steps, limits.bytes);
  LASTRO_ASSIGN_OR_RETURN(Text text, Interpreter(input.now, &budget).Run(*body_, std::move(variables)));
  return text.Pieces();
}

std::string Concatenate(const std::vector<Piece>& pieces) {
  std::string text;
  for (const Piece& piece : pieces) text += piece.text;
  return text;
}

std::vector<int32_t> EncodeChat(const Tokenizer& tokenizer, const std::vector<Piece>& pieces) {
  EncodeOptions options;
  options.parse_special = true;
  std::string text;
  for (const Piece& piece : pieces) {
    const size_t begin = text.size();
    text += piece.text;
    if (!piece.trusted) {
      options.plain_ranges.push_back({static_cast<uint32_t>(begin), static_cast<uint32_t>(text.size())});
    }
  }
  return tokenizer.Encode(text, options);
}

}  // namespace lastro::engine::chat
