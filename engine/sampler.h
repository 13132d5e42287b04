// Sampling: the next token from one row of logits. Order of the steps, as in the reference implementations: repetition
// penalty, presence and frequency penalty, logit bias, temperature, top-k, top-p, min-p, draw. Temperature 0 is greedy.
// kernels/sampling.h says to the last bit what is chosen, here or on a device.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/sampling.h"

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

// What one token is chosen by, but for the logits.
struct TokenChoice {
  std::vector<kernels::LogitEdit> edits;  // of ids of the vocabulary, each once
  kernels::SamplingRule rule;
};

// The token that `choice` takes from `logits` [vocab], which are left edited. `scratch` is reused from call to call.
// INTERNAL when no logit is finite; UNIMPLEMENTED for larger vocabularies than
// kernels::kMaxSampledVocabulary, unless greedy. The reference for Backend::Sample.
absl::StatusOr<int32_t> ChooseToken(const TokenChoice& choice, absl::Span<float> logits,
                                    std::vector<std::pair<float, int32_t>>* scratch);
// Of a row without a finite logit.
absl::Status NoFiniteLogit();

struct TokenLogprob {
  int32_t id = 0;
  float logprob = 0;  // natural log, of the distribution before temperature and truncation
};

// Not thread-safe; one per generated text.
class Sampler {
 public:
  explicit Sampler(const SamplingParams& params) : params_(params) {}

  // What the token `ahead` tokens after the next is chosen by, if those are the last of `generated`. The repetition
  // penalty looks at `prompt` and `generated`, the other two at `generated`. INVALID_ARGUMENT: a logit_bias is of an id
  // that is none of `vocab`.
  absl::StatusOr<TokenChoice> Plan(absl::Span<const int32_t> prompt, absl::Span<const int32_t> generated, int64_t vocab,
                                   uint64_t ahead = 0) const;
  // A token was chosen by a plan.
  void Advance() { ++draws_; }

  // Chooses the next from `logits` [vocab]: Plan, ChooseToken and Advance. Errors as those.
  absl::StatusOr<int32_t> Sample(absl::Span<const float> logits, absl::Span<const int32_t> prompt,
                                 absl::Span<const int32_t> generated);

 private:
  SamplingParams params_;
  uint64_t draws_ = 0;                              // tokens chosen so far
  std::vector<std::pair<float, int32_t>> scratch_;  // of ChooseToken
  std::vector<float> edited_;                       // scratch
};

// log softmax of `logits` at `id`.
float LogprobOf(absl::Span<const float> logits, int32_t id);

// The `count` most likely tokens, best first, ties by lower id.
std::vector<TokenLogprob> TopLogprobs(absl::Span<const float> logits, int count);

}  // namespace lastro::engine
