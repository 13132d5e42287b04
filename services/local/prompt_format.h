// PromptFormat: how a model wants its prompts written, and nothing a user or a document wrote can become a control
// token. Grounded prompts: a model folder with lastro_prompt.json names its control tokens (format "lastro-qa-v1"); a
// model that converses is instructed in a message; any other gets plain instructions in words. Const after Load,
// thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/chat/chat_format.h"
#include "engine/language_model.h"
#include "engine/tokenizer.h"
#include "lastro/v1/generation.pb.h"

namespace lastro::services {

class PromptFormat {
 public:
  using ChatFormatPtr = std::unique_ptr<engine::chat::ChatFormat>;

  // `tokenizer` must outlive the format; `chat` is null where the model does not converse, or says why it cannot: then
  // only chats fail. INVALID_ARGUMENT when lastro_prompt.json names a token the tokenizer lacks.
  static absl::StatusOr<std::unique_ptr<PromptFormat>> Load(const std::string& folder,
                                                            const engine::Tokenizer& tokenizer,
                                                            const engine::DecoderInfo& info,
                                                            absl::StatusOr<ChatFormatPtr> chat);
  virtual ~PromptFormat() = default;

  // The token ids of `prompt`. With `content_only` a reply's content comes at once (ChatFormat::Render).
  // INVALID_ARGUMENT: nothing set, too many passages or messages, an id out of range, messages the chat template
  // refuses; FAILED_PRECONDITION: a chat for a model that does not converse.
  absl::StatusOr<std::vector<int32_t>> Render(const v1::Prompt& prompt, bool content_only = false) const;

  // The tokens of `text` as the model would write it after the prompt.
  std::vector<int32_t> Continuation(const v1::Prompt& prompt, const std::string& text) const;

  // Tokens that end the text after `prompt`, beside the model's own.
  std::vector<int32_t> StopIds(const v1::Prompt& prompt) const;

  // Reads what the model replies, rendered with the same `content_only`; null where the generated text is all there is.
  std::unique_ptr<engine::chat::ReplyReader> NewReader(const v1::Prompt& prompt, bool content_only) const;

  // Whether the model was made to answer a grounded prompt with one sentence of its passages, word for word.
  virtual bool AnswersByQuoting() const { return false; }

  // The token by which the model declines to answer a grounded prompt; nullopt when it has none.
  virtual std::optional<int32_t> NoneToken() const { return std::nullopt; }

 protected:
  PromptFormat(const engine::Tokenizer& tokenizer, const engine::DecoderInfo& info, absl::StatusOr<ChatFormatPtr> chat);

  virtual absl::StatusOr<std::vector<int32_t>> RenderGrounded(const v1::Prompt::Grounded& grounded) const = 0;
  // What stands between a grounded prompt and the answer's text.
  virtual const char* AnswerPrefix() const { return " "; }
  virtual std::vector<int32_t> GroundedStopIds() const { return {}; }
  // True where grounded prompts are conversations.
  virtual bool GroundedIsChat() const { return false; }

  // The ids of a text that stands alone: after the begin token, or as an encoder reads it.
  std::vector<int32_t> TextIds(const std::string& text) const;
  void AppendText(const std::string& text, std::vector<int32_t>* ids) const;
  const engine::chat::ChatFormat* chat() const { return chat_.get(); }

  const engine::Tokenizer& tokenizer_;

 private:
  bool IsChat(const v1::Prompt& prompt) const {
    return prompt.has_chat() || (prompt.has_grounded() && GroundedIsChat());
  }
  absl::StatusOr<std::vector<int32_t>> CheckedIds(const v1::TokenIds& tokens) const;

  const engine::DecoderInfo info_;
  ChatFormatPtr chat_;  // null: no_chat_ says why
  absl::Status no_chat_;
};

}  // namespace lastro::services
