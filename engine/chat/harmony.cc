#include "engine/chat/harmony.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"

namespace lastro::engine::chat {
namespace {

constexpr size_t kMaxHeaderTokens = 1024;

std::string RoleName(HarmonyRole role) {
  constexpr const char* kNames[] = {"system", "developer", "user", "assistant", "tool"};
  return kNames[static_cast<size_t>(role)];
}

// What the format writes is trusted, what messages say is not.
class Writer {
 public:
  Writer& Format(absl::string_view text) { return text_.Append(text, true), *this; }
  Writer& Plain(absl::string_view text) { return text_.Append(text, false), *this; }
  Writer& Start(HarmonyRole role) { return Format("<|start|>").Format(RoleName(role)); }
  std::vector<Piece> Pieces() const { return text_.Pieces(); }

 private:
  Text text_;
};

absl::Status WriteSystem(const HarmonyPrompt& prompt, Writer* out) {
  constexpr absl::string_view kEfforts[] = {"", "low", "medium", "high"};
  if (std::find(std::begin(kEfforts), std::end(kEfforts), prompt.reasoning_effort) == std::end(kEfforts)) {
    return absl::InvalidArgumentError(
        absl::StrCat("reasoning_effort is \"", prompt.reasoning_effort, "\"; it must be low, medium or high"));
  }
  std::vector<std::string> top, sections;
  if (!prompt.model_identity.empty()) top.push_back(prompt.model_identity);
  if (!prompt.knowledge_cutoff.empty()) top.push_back(absl::StrCat("Knowledge cutoff: ", prompt.knowledge_cutoff));
  if (!prompt.current_date.empty()) top.push_back(absl::StrCat("Current date: ", prompt.current_date));
  if (!top.empty()) sections.push_back(absl::StrJoin(top, "\n"));
  if (!prompt.reasoning_effort.empty()) sections.push_back(absl::StrCat("Reasoning: ", prompt.reasoning_effort));
  if (!prompt.channels.empty()) {
    sections.push_back(absl::StrCat("# Valid channels: ", absl::StrJoin(prompt.channels, ", "),
                                    ". Channel must be included for every message."));
    if (!prompt.tools.empty()) {
      absl::StrAppend(&sections.back(), "\nCalls to these tools must go to the commentary channel: 'functions'.");
    }
  }
  out->Start(HarmonyRole::kSystem).Format("<|message|>").Plain(absl::StrJoin(sections, "\n\n")).Format("<|end|>");
  return absl::OkStatus();
}

std::string ToolsSection(const std::vector<HarmonyTool>& tools) {
  std::string out = "# Tools\n\n## functions\n\nnamespace functions {\n\n";
  for (const HarmonyTool& tool : tools) {
    for (absl::string_view line : absl::StrSplit(absl::StripSuffix(tool.description, "\n"), '\n')) {
      if (!tool.description.empty()) absl::StrAppend(&out, "// ", line, "\n");
    }
    const bool arguments = !tool.parameters.is_undefined() && !tool.parameters.is_none();
    absl::StrAppend(&out, "type ", tool.name, " = (", arguments ? "_: " : "",
                    arguments ? SchemaToTypeScript(tool.parameters) : "", ") => any;\n\n");
  }
  return out + "} // namespace functions";
}

void WriteDeveloper(const HarmonyPrompt& prompt, Writer* out) {
  std::vector<std::string> sections;
  if (!prompt.instructions.empty()) sections.push_back(absl::StrCat("# Instructions\n\n", prompt.instructions));
  if (!prompt.tools.empty()) sections.push_back(ToolsSection(prompt.tools));
  if (sections.empty()) return;
  out->Start(HarmonyRole::kDeveloper).Format("<|message|>").Plain(absl::StrJoin(sections, "\n\n")).Format("<|end|>");
}

absl::Status WriteMessage(const HarmonyMessage& message, Writer* out) {
  if (message.role == HarmonyRole::kTool) {
    if (message.name.empty()) return absl::InvalidArgumentError("a message of a tool lacks the tool's name");
    out->Format("<|start|>").Plain(message.name);
  } else {
    out->Start(message.role);
  }
  if (!message.recipient.empty()) out->Format(" to=").Plain(message.recipient);
  if (!message.channel.empty()) out->Format("<|channel|>").Plain(message.channel);
  if (!message.content_type.empty()) {
    out->Format(message.constrained ? " <|constrain|>" : " ").Plain(message.content_type);
  }
  const bool calls = message.role == HarmonyRole::kAssistant && !message.recipient.empty();
  out->Format("<|message|>").Plain(message.content).Format(calls ? "<|call|>" : "<|end|>");
  return absl::OkStatus();
}

// How many messages at the start lose their analysis.
size_t AnalysisDroppedBefore(const std::vector<HarmonyMessage>& messages) {
  auto is_final = [](const HarmonyMessage& message) { return message.channel == "final"; };
  auto last = std::find_if(messages.rbegin(), messages.rend(),
                           [](const HarmonyMessage& message) { return message.role == HarmonyRole::kAssistant; });
  if (last == messages.rend() || !is_final(*last)) return 0;
  return static_cast<size_t>(std::find_if(messages.begin(), messages.end(), is_final) - messages.begin());
}

// Fills in role, recipient and content type from the words of a header.
absl::Status ReadWords(absl::string_view text, bool has_role, HarmonyMessage* message) {
  std::vector<absl::string_view> words = absl::StrSplit(text, absl::ByAnyChar(" \t\r\n"), absl::SkipEmpty());
  if (!has_role) {
    if (words.empty()) return absl::InvalidArgumentError("a message header holds no role");
    message->role = HarmonyRole::kTool;
    for (HarmonyRole role :
         {HarmonyRole::kSystem, HarmonyRole::kDeveloper, HarmonyRole::kUser, HarmonyRole::kAssistant}) {
      if (words[0] == RoleName(role)) message->role = role;
    }
    if (message->role == HarmonyRole::kTool) message->name = std::string(words[0]);
    words.erase(words.begin());
  }
  for (absl::string_view word : words) {
    const bool recipient = absl::StartsWith(word, "to=");
    std::string* field = recipient ? &message->recipient : &message->content_type;
    if (!field->empty()) {
      return absl::InvalidArgumentError(absl::StrCat("a message header holds the unexpected word \"", word, "\""));
    }
    *field = std::string(recipient ? word.substr(3) : word);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<Piece>> RenderHarmony(const HarmonyPrompt& prompt) {
  Writer out;
  LASTRO_RETURN_IF_ERROR(WriteSystem(prompt, &out));
  WriteDeveloper(prompt, &out);
  const size_t dropped_before = AnalysisDroppedBefore(prompt.messages);
  for (size_t i = 0; i < prompt.messages.size(); ++i) {
    if (i < dropped_before && prompt.messages[i].channel == "analysis") continue;
    LASTRO_RETURN_IF_ERROR(WriteMessage(prompt.messages[i], &out));
  }
  out.Start(HarmonyRole::kAssistant);
  return out.Pieces();
}

absl::StatusOr<HarmonyTokens> HarmonyTokens::Find(const Tokenizer& tokenizer) {
  HarmonyTokens tokens;
  const std::pair<absl::string_view, int32_t*> fields[] = {
      {"<|start|>", &tokens.start},         {"<|end|>", &tokens.end},     {"<|message|>", &tokens.message},
      {"<|channel|>", &tokens.channel},     {"<|return|>", &tokens.done}, {"<|call|>", &tokens.call},
      {"<|constrain|>", &tokens.constrain},
  };
  for (const auto& [text, id] : fields) {
    std::optional<int32_t> found = tokenizer.TokenToId(text);
    if (!found || !tokenizer.IsSpecial(*found)) {
      return absl::InvalidArgumentError(absl::StrCat("the tokenizer has no special token ", text));
    }
    *id = *found;
  }
  return tokens;
}

absl::Status HarmonyParser::Push(int32_t id, std::string* delta) {
  delta->clear();
  switch (state_) {
    case State::kExpectStart:
      if (id != tokens_.start) {
        return absl::InvalidArgumentError(absl::StrCat("token ", id, " stands where a message must start"));
      }
      state_ = State::kHeader;
      break;
    case State::kHeader:
      return PushHeader(id);
    case State::kContent:
      if (id == tokens_.end || id == tokens_.done || id == tokens_.call) {
        const size_t before = message_.content.size();
        EndMessage();
        *delta = messages_.back().content.substr(before);
      } else {
        *delta = decoder_.Push(id);
        message_.content += *delta;
      }
      break;
  }
  return absl::OkStatus();
}

absl::Status HarmonyParser::PushHeader(int32_t id) {
  const int next = id == tokens_.channel ? 1 : id == tokens_.constrain ? 2 : id == tokens_.message ? 3 : 0;
  if (next == 0) {
    if (tokenizer_.IsSpecial(id) || header_.size() == kMaxHeaderTokens) {
      return absl::InvalidArgumentError(absl::StrCat("token ", id, " is not allowed in a message header"));
    }
    header_.push_back(id);
    return absl::OkStatus();
  }
  std::optional<std::string>& part = part_ == 0 ? role_part_ : part_ == 1 ? channel_part_ : type_part_;
  part = tokenizer_.Decode(header_);
  header_.clear();
  if (next == 3) return EndHeader();
  if (next == 1 ? channel_part_.has_value() || part_ != 0 : part_ == 2) {
    return absl::InvalidArgumentError("the parts of a message header are out of order");
  }
  part_ = next;
  return absl::OkStatus();
}

absl::Status HarmonyParser::EndHeader() {
  message_ = HarmonyMessage();
  message_.role = HarmonyRole::kAssistant;
  std::string words = role_part_.value_or("");
  if (channel_part_) {
    const absl::string_view part = *channel_part_;
    const size_t end = std::min(part.find_first_of(" \t\r\n"), part.size());
    if (end == 0) return absl::InvalidArgumentError("a message header has an empty channel");
    message_.channel = std::string(part.substr(0, end));
    absl::StrAppend(&words, " ", part.substr(end));
  }
  LASTRO_RETURN_IF_ERROR(ReadWords(words, first_, &message_));
  if (type_part_) {
    message_.constrained = true;
    message_.content_type = std::string(absl::StripAsciiWhitespace(*type_part_));
  }
  role_part_ = channel_part_ = type_part_ = std::nullopt;
  part_ = 0;
  first_ = false;
  state_ = State::kContent;
  return absl::OkStatus();
}

void HarmonyParser::EndMessage() {
  message_.content += decoder_.Finish();
  messages_.push_back(std::move(message_));
  state_ = State::kExpectStart;
}

absl::Status HarmonyParser::Finish() {
  if (state_ == State::kHeader) return absl::InvalidArgumentError("the text ends inside a message header");
  if (state_ == State::kContent) EndMessage();
  return absl::OkStatus();
}

}  // namespace lastro::engine::chat
