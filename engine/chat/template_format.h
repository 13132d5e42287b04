// TemplateFormat: conversations through a chat template. A reply is plain text: tool calls that a model writes into it
// stay there, since families write them in ways of their own.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/chat/chat_format.h"
#include "engine/chat/chat_template.h"

namespace lastro::engine::chat {

class TemplateFormat : public ChatFormat {
 public:
  // `source` is Jinja. `model` must outlive the format.
  static absl::StatusOr<std::unique_ptr<ChatFormat>> Create(const std::string& source, const LanguageModel& model);

  absl::StatusOr<std::vector<int32_t>> Render(const Conversation& conversation, bool content_only) const override;
  std::vector<int32_t> StopIds() const override { return {}; }
  bool reply_is_text() const override { return true; }
  std::unique_ptr<ReplyReader> NewReader(bool content_only) const override;

 private:
  TemplateFormat(ChatTemplate parsed, const Tokenizer& tokenizer)
      : template_(std::move(parsed)), tokenizer_(tokenizer) {}

  const ChatTemplate template_;
  const Tokenizer& tokenizer_;
  std::string bos_token_;
  std::string eos_token_;
};

// `json` as a value of untrusted strings; `what` opens error messages.
absl::StatusOr<Value> ParseJson(const std::string& json, const std::string& what);

}  // namespace lastro::engine::chat
