// HarmonyFormat: conversations of gpt-oss. The analysis channel is the reply's reasoning, the final one its content,
// messages to functions are its tool calls.
#pragma once

#include <memory>
#include <vector>

#include "engine/chat/chat_format.h"
#include "engine/chat/harmony.h"

namespace lastro::engine::chat {

class HarmonyFormat : public ChatFormat {
 public:
  // `tokenizer` must outlive the format.
  HarmonyFormat(const Tokenizer& tokenizer, const HarmonyTokens& tokens) : tokenizer_(tokenizer), tokens_(tokens) {}

  // System and developer messages become the instructions; the variable reasoning_effort is "low", "medium" or "high".
  absl::StatusOr<std::vector<int32_t>> Render(const Conversation& conversation, bool content_only) const override;
  std::vector<int32_t> StopIds() const override { return tokens_.StopIds(); }
  bool reply_is_text() const override { return false; }
  std::unique_ptr<ReplyReader> NewReader(bool content_only) const override;

 private:
  // <|channel|>final<|message|>
  std::vector<int32_t> FinalHeader() const;

  const Tokenizer& tokenizer_;
  const HarmonyTokens tokens_;
};

}  // namespace lastro::engine::chat
