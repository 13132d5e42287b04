// ChatFormat: how a model reads and writes conversations: through its chat template, or in Harmony where it is a
// gpt-oss. Const after Load and thread-safe; a ReplyReader is of one reply.
//
// What messages say is encoded as plain text whatever it spells (see EncodeChat).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"
#include "engine/chat/value.h"
#include "engine/language_model.h"

namespace lastro::engine::chat {

struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;  // a JSON object
};

struct ChatMessage {
  std::string role;  // "system", "user", "assistant", "tool"; templates may know others
  std::string content;
  std::string name;                  // of the speaker, or of the tool
  std::string reasoning;             // of the assistant, before its content
  std::vector<ToolCall> tool_calls;  // of the assistant
  std::string tool_call_id;          // which call a tool answers
};

struct ChatTool {
  std::string name;
  std::string description;
  std::string parameters;  // a JSON schema; "": no arguments
};

struct Conversation {
  std::vector<ChatMessage> messages;
  std::vector<ChatTool> tools;
  bool continue_last = false;  // the model goes on with the last message, which is the assistant's
  std::vector<std::pair<std::string, Value>> variables;  // of the template, such as enable_thinking
  absl::CivilSecond now;
};

// A reply, or a piece of one.
struct Reply {
  std::string content;
  std::string reasoning;
  std::vector<ToolCall> tool_calls;
};

class ReplyReader {
 public:
  virtual ~ReplyReader() = default;
  // What token `id` adds; `text` is what it shows in plain generation. INTERNAL: the model wrote a token where its
  // format has none.
  virtual absl::StatusOr<Reply> Push(int32_t id, absl::string_view text) = 0;
  // What is left at the end of the reply.
  virtual Reply Finish() = 0;
};

class ChatFormat {
 public:
  // Null when the model has no way to write conversations. INVALID_ARGUMENT or UNIMPLEMENTED: its template is malformed
  // or needs what this version does not have; the message says where.
  static absl::StatusOr<std::unique_ptr<ChatFormat>> Load(const LanguageModel& model);
  virtual ~ChatFormat() = default;

  // The ids up to where the reply begins. With `content_only` the reply's content comes at once, without reasoning or a
  // choice of channel before it. INVALID_ARGUMENT when the format refuses the messages (its reason is in the message).
  virtual absl::StatusOr<std::vector<int32_t>> Render(const Conversation& conversation, bool content_only) const = 0;

  // Tokens that end a reply beside the model's own.
  virtual std::vector<int32_t> StopIds() const = 0;

  // True when a reply's content is the generated text as it is.
  virtual bool reply_is_text() const = 0;

  // Of a reply after a rendering with the same `content_only`. The format must outlive it.
  virtual std::unique_ptr<ReplyReader> NewReader(bool content_only) const = 0;
};

}  // namespace lastro::engine::chat
