// Sampling: the next token from one row of logits. Order of the steps, as in the reference implementations: repetition
// penalty, presence and frequency penalty, logit bias, temperature, top-k, top-p, min-p, draw. Temperature 0 is greedy.
#pragma once

#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace lastro::engine {

struct SamplingParams {
  float temperature = 0.0f;         // 0: greedy
  int top_k = 0;                    // 0: off
  float top_p = 1.0f;               // 1: off
  float min_p = 0.0f;               // 0: off
  float repetition_penalty = 1.0f;  // 1: off; divides positive and multiplies negative logits of tokens seen
  // Subtracted from the logits of generated tokens: once for each that came, and once for each time it came.
  float presence_penalty = 0.0f;
  float frequency_penalty = 0.0f;
  uint64_t seed = 0;  // same seed, same draws
  std::vector<std::pair<int32_t, float>> logit_bias;

  // INVALID_ARGUMENT names the field that is out of range (NaN included).
  absl::Status Validate() const;
};

struct TokenLogprob {
  int32_t id = 0;
  float logprob = 0;  // natural log, of the distribution before temperature and truncation
};

// Not thread-safe; one per generated text.
class Sampler {
 public:
  explicit Sampler(const SamplingParams& params);

  // Chooses from `logits` [vocab]. The repetition penalty looks at `prompt` and `generated`, the other two at
  // `generated`. Fails with INTERNAL when no logit is finite.
  absl::StatusOr<int32_t> Sample(absl::Span<const float> logits, absl::Span<const int32_t> prompt,
                                 absl::Span<const int32_t> generated);

 private:
  absl::Status Penalise(absl::Span<const int32_t> prompt, absl::Span<const int32_t> generated);

  SamplingParams params_;
  std::mt19937_64 random_;
  std::vector<std::pair<float, int32_t>> candidates_;  // scratch
  std::vector<float> penalised_;                       // scratch
};

// log softmax of `logits` at `id`.
float LogprobOf(absl::Span<const float> logits, int32_t id);

// The `count` most likely tokens, best first, ties by lower id.
std::vector<TokenLogprob> TopLogprobs(absl::Span<const float> logits, int count);

}  // namespace lastro::engine
