#include "engine/chat/template_format.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "base/status_macros.h"

namespace lastro::engine::chat {
namespace {

using Items = std::vector<std::pair<Text, Value>>;

Text Key(absl::string_view name) { return Text(name, true); }

void AddText(absl::string_view key, const std::string& text, Items* items) {
  if (!text.empty()) items->emplace_back(Key(key), Value::Untrusted(text));
}

absl::StatusOr<Value> FunctionOf(Items function) {
  LASTRO_ASSIGN_OR_RETURN(Value inner, Value::MakeDict(std::move(function)));
  return Value::MakeDict({{Key("type"), Value(Text("function", true))}, {Key("function"), std::move(inner)}});
}

absl::StatusOr<Value> CallsOf(const std::vector<ToolCall>& calls) {
  std::vector<Value> list;
  for (const ToolCall& call : calls) {
    LASTRO_ASSIGN_OR_RETURN(Value arguments, ParseJson(call.arguments, "the arguments of a tool call"));
    LASTRO_ASSIGN_OR_RETURN(Value value, FunctionOf({{Key("name"), Value::Untrusted(call.name)},
                                                     {Key("arguments"), std::move(arguments)}}));
    Items items = value.AsDict()->items;
    AddText("id", call.id, &items);
    LASTRO_ASSIGN_OR_RETURN(value, Value::MakeDict(std::move(items)));
    list.push_back(std::move(value));
  }
  return Value::MakeList(std::move(list));
}

absl::StatusOr<Value> MessageOf(const ChatMessage& message) {
  Items items = {{Key("role"), Value::Untrusted(message.role)}, {Key("content"), Value::Untrusted(message.content)}};
  AddText("name", message.name, &items);
  AddText("reasoning_content", message.reasoning, &items);
  AddText("tool_call_id", message.tool_call_id, &items);
  if (!message.tool_calls.empty()) {
    LASTRO_ASSIGN_OR_RETURN(Value calls, CallsOf(message.tool_calls));
    items.emplace_back(Key("tool_calls"), std::move(calls));
  }
  return Value::MakeDict(std::move(items));
}

absl::StatusOr<Value> ToolsOf(const std::vector<ChatTool>& tools) {
  if (tools.empty()) return Value();
  std::vector<Value> list;
  for (const ChatTool& tool : tools) {
    Items items = {{Key("name"), Value::Untrusted(tool.name)},
                   {Key("description"), Value::Untrusted(tool.description)}};
    if (!tool.parameters.empty()) {
      LASTRO_ASSIGN_OR_RETURN(Value parameters, ParseJson(tool.parameters, "the parameters of a tool"));
      items.emplace_back(Key("parameters"), std::move(parameters));
    }
    LASTRO_ASSIGN_OR_RETURN(Value value, FunctionOf(std::move(items)));
    list.push_back(std::move(value));
  }
  return Value::MakeList(std::move(list));
}

// The rendering up to the end of the last message's content: what the template writes behind it is left out.
absl::StatusOr<std::vector<Piece>> CutBehind(const std::string& content, const std::vector<Piece>& pieces) {
  const absl::string_view wanted = absl::StripAsciiWhitespace(content);
  const std::string text = Concatenate(pieces);
  const size_t found = text.rfind(wanted.data(), std::string::npos, wanted.size());
  if (found == std::string::npos) {
    return absl::InvalidArgumentError(
        "the chat template does not write the last message as it is; it cannot be gone on");
  }
  size_t left = found + wanted.size();
  std::vector<Piece> kept;
  for (const Piece& piece : pieces) {
    if (left == 0) break;
    kept.push_back({piece.text.substr(0, left), piece.trusted});
    left -= kept.back().text.size();
  }
  return kept;
}

// The text of a reply is its content.
class PlainReader : public ReplyReader {
 public:
  absl::StatusOr<Reply> Push(int32_t, absl::string_view text) override { return Reply{std::string(text), "", {}}; }
  Reply Finish() override { return {}; }
};

}  // namespace

absl::StatusOr<Value> ParseJson(const std::string& json, const std::string& what) {
  LASTRO_ASSIGN_OR_RETURN(JsonDocument document, JsonDocument::Parse(json, what));
  return Value::FromJson(document.root());
}

absl::StatusOr<std::unique_ptr<ChatFormat>> TemplateFormat::Create(const std::string& source,
                                                                   const LanguageModel& model) {
  LASTRO_ASSIGN_OR_RETURN(ChatTemplate parsed, ChatTemplate::Parse(source));
  std::unique_ptr<TemplateFormat> format(new TemplateFormat(std::move(parsed), model.tokenizer()));
  const DecoderInfo& info = model.info();
  LASTRO_ASSIGN_OR_RETURN(format->bos_token_, model.files().SpecialToken("bos_token"));
  LASTRO_ASSIGN_OR_RETURN(format->eos_token_, model.files().SpecialToken("eos_token"));
  if (format->bos_token_.empty() && info.bos_id >= 0) format->bos_token_ = model.tokenizer().IdToToken(info.bos_id);
  if (format->eos_token_.empty() && !info.eos_ids.empty()) {
    format->eos_token_ = model.tokenizer().IdToToken(info.eos_ids.front());
  }
  return std::unique_ptr<ChatFormat>(std::move(format));
}

absl::StatusOr<std::vector<int32_t>> TemplateFormat::Render(const Conversation& conversation, bool) const {
  ChatInput input;
  for (const ChatMessage& message : conversation.messages) {
    LASTRO_ASSIGN_OR_RETURN(Value value, MessageOf(message));
    input.messages.push_back(std::move(value));
  }
  LASTRO_ASSIGN_OR_RETURN(input.tools, ToolsOf(conversation.tools));
  input.add_generation_prompt = !conversation.continue_last;
  input.bos_token = bos_token_;
  input.eos_token = eos_token_;
  input.now = conversation.now;
  input.variables = conversation.variables;
  LASTRO_ASSIGN_OR_RETURN(std::vector<Piece> pieces, template_.Render(input));
  if (conversation.continue_last) {
    LASTRO_ASSIGN_OR_RETURN(pieces, CutBehind(conversation.messages.back().content, pieces));
  }
  return EncodeChat(tokenizer_, pieces);
}

std::unique_ptr<ReplyReader> TemplateFormat::NewReader(bool) const { return std::make_unique<PlainReader>(); }

}  // namespace lastro::engine::chat
