// Harmony: the conversation format of gpt-oss. A message is <|start|>{header}<|message|>{content}<|end|>, its header a
// role, a recipient, a channel and a content type. Rendering keeps apart what the format writes and what messages do,
// as chat templates: see Piece and EncodeChat. Source: openai/harmony, docs/format.md and src/encoding.rs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/chat/text.h"
#include "engine/chat/value.h"
#include "engine/tokenizer.h"

namespace lastro::engine::chat {

enum class HarmonyRole { kSystem, kDeveloper, kUser, kAssistant, kTool };

struct HarmonyMessage {
  HarmonyRole role = HarmonyRole::kUser;
  std::string name;          // of a tool, such as "functions.weather"; required for kTool
  std::string recipient;     // "": all; such as "functions.weather" when the assistant calls it
  std::string channel;       // "analysis", "commentary", "final"; "": none
  std::string content_type;  // such as "json"
  bool constrained = false;  // <|constrain|> stands before the content type
  std::string content;
};

struct HarmonyTool {
  std::string name;
  std::string description;
  Value parameters;  // a JSON schema; undefined: the function takes no arguments
};

struct HarmonyPrompt {
  // The system message: what the model is told about itself. An empty field is left out.
  std::string model_identity = "You are ChatGPT, a large language model trained by OpenAI.";
  std::string knowledge_cutoff = "2024-06";
  std::string current_date;                 // such as "2025-06-28"
  std::string reasoning_effort = "medium";  // low, medium or high
  std::vector<std::string> channels = {"analysis", "commentary", "final"};
  // The developer message; absent when both are empty.
  std::string instructions;
  std::vector<HarmonyTool> tools;
  // Users, the assistant and tools, in order.
  std::vector<HarmonyMessage> messages;
};

// The prompt up to where the assistant goes on. When the assistant's last message is final, the analysis before the
// first final message is dropped. INVALID_ARGUMENT: a tool without a name, a reasoning effort there is not.
absl::StatusOr<std::vector<Piece>> RenderHarmony(const HarmonyPrompt& prompt);

// The type of a JSON schema in the TypeScript-like notation of tool descriptions. Untrusted text.
std::string SchemaToTypeScript(const Value& schema);

// The ids of the format's tokens in a vocabulary.
struct HarmonyTokens {
  int32_t start = -1, end = -1, message = -1, channel = -1, constrain = -1, done = -1, call = -1;

  // INVALID_ARGUMENT names a token the tokenizer lacks or does not hold for special.
  static absl::StatusOr<HarmonyTokens> Find(const Tokenizer& tokenizer);
  // Those that end a generation: <|return|> and <|call|>.
  std::vector<int32_t> StopIds() const { return {done, call}; }
};

// Reads what the model generates after a rendered prompt, a token at a time. Not thread-safe; one per generation.
class HarmonyParser {
 public:
  // `tokenizer` must outlive the parser.
  HarmonyParser(const Tokenizer& tokenizer, const HarmonyTokens& tokens)
      : tokenizer_(tokenizer), tokens_(tokens), decoder_(tokenizer) {}

  // INVALID_ARGUMENT: a token where the format has none. On success `delta` holds the content that `id` completed.
  absl::Status Push(int32_t id, std::string* delta);
  // At the end of the generation: closes an open message. INVALID_ARGUMENT when a header is open.
  absl::Status Finish();

  // Whole messages; one that is open is not among them.
  const std::vector<HarmonyMessage>& messages() const { return messages_; }
  // The message whose content is being read; nullptr between messages.
  const HarmonyMessage* open() const { return state_ == State::kContent ? &message_ : nullptr; }

 private:
  enum class State { kExpectStart, kHeader, kContent };
  absl::Status PushHeader(int32_t id);
  absl::Status EndHeader();
  void EndMessage();

  const Tokenizer& tokenizer_;
  const HarmonyTokens tokens_;
  StreamDecoder decoder_;
  State state_ = State::kHeader;
  bool first_ = true;            // the prompt holds the first header's role
  std::vector<int32_t> header_;  // tokens of the part of the header being read
  std::optional<std::string> role_part_, channel_part_, type_part_;
  int part_ = 0;  // 0 role, 1 channel, 2 content type
  HarmonyMessage message_;
  std::vector<HarmonyMessage> messages_;
};

}  // namespace lastro::engine::chat
