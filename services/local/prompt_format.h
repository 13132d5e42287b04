// PromptFormat: how a decoder wants its prompts written, and nothing a user or a document wrote can become a control token.
// A model folder with lastro_prompt.json names its control tokens (format "lastro-qa-v1"); any other gets plain
// instructions in words. Const after Load, thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/decoder_model.h"
#include "engine/tokenizer.h"
#include "lastro/v1/generation.pb.h"

namespace lastro::services {

class PromptFormat {
 public:
  // `tokenizer` must outlive the format. INVALID_ARGUMENT when lastro_prompt.json names a token the tokenizer lacks.
  static absl::StatusOr<std::unique_ptr<PromptFormat>> Load(const std::string& folder,
                                                            const engine::Tokenizer& tokenizer,
                                                            const engine::DecoderInfo& info);
  virtual ~PromptFormat() = default;

  // The token ids of `prompt`. INVALID_ARGUMENT: nothing set, too many passages, or an id out of range.
  absl::StatusOr<std::vector<int32_t>> Render(const v1::Prompt& prompt) const;

  // The tokens of `text` as the model would write it after the prompt.
  virtual std::vector<int32_t> Continuation(const v1::Prompt& prompt, const std::string& text) const = 0;

  // The token by which the model declines to answer a grounded prompt; nullopt when it has none.
  virtual std::optional<int32_t> NoneToken() const { return std::nullopt; }
  // Tokens that end an answer beside the model's own.
  virtual std::vector<int32_t> StopIds() const { return {}; }

 protected:
  PromptFormat(const engine::Tokenizer& tokenizer, const engine::DecoderInfo& info)
      : tokenizer_(tokenizer), bos_id_(info.bos_id), vocab_size_(info.vocab_size) {}
  virtual std::vector<int32_t> RenderGrounded(const v1::Prompt::Grounded& grounded) const = 0;
  void AppendText(const std::string& text, std::vector<int32_t>* ids) const;
  void AppendBegin(std::vector<int32_t>* ids) const;

  const engine::Tokenizer& tokenizer_;

 private:
  const int32_t bos_id_;
  const int vocab_size_;
};

}  // namespace lastro::services
