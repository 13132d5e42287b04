#include "engine/prompt_share.h"

#include <algorithm>

namespace lastro::engine {

void PromptShare::Add(size_t prompt_tokens, absl::Duration took) {
  if (prompt_tokens == 0) {
    alone_ = alone_ == absl::ZeroDuration() ? took : (3 * alone_ + took) / 4;
    since_alone_ = 0;
    return;
  }
  ++since_alone_;
  if (alone_ == absl::ZeroDuration()) return;
  // As many tokens as cost what decoding costs; half way there, since single steps vary.
  const absl::Duration of_prompts = took - alone_;
  const double wanted = of_prompts > absl::ZeroDuration()
                            ? static_cast<double>(prompt_tokens) * absl::FDivDuration(alone_, of_prompts)
                            : static_cast<double>(kMost);
  const double next = (static_cast<double>(tokens_) + std::min(wanted, static_cast<double>(kMost))) / 2;
  tokens_ = std::clamp(static_cast<size_t>(next), kLeast, kMost);
}

}  // namespace lastro::engine
