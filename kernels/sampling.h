// Sampling: what a token is chosen from a row of logits by, as plain data that the host's sampler (engine/sampler.h)
// and a device's kernel (kernels/cuda/sampling.h) read alike, so that both choose the same token from the same logits.
//
// Weights of tokens are whole numbers: exp((logit - best) / temperature), of the best token kSamplingOne. Their sums do
// not depend on the order they are taken in. Of a vocabulary of up to 2^19 ids they fit into 64 bits; a token less
// likely than 2^-45 of the best has the weight 0 and is never drawn.
//
// The order of tokens: by logit, of equal ones the lower id first. Only finite logits take part. Kept are, in turn, the
// best top_k, of these those before which less than top_p of their weight lies, of these those of at least min_p of the
// best one's weight. One of them is drawn: in the order of ids, the first at which the sum of weights exceeds
// draw / 2^53 of their whole weight.
#pragma once

#include <cstdint>

namespace lastro::kernels {

inline constexpr int kSamplingBits = 44;
inline constexpr uint64_t kSamplingOne = uint64_t{1} << kSamplingBits;
inline constexpr int64_t kMaxSampledVocabulary = int64_t{1} << 19;
inline constexpr int kDrawBits = 53;

// In this order: a positive logit divided by `repetition`, another multiplied; less `penalty`; plus `bias`.
struct LogitEdit {
  int32_t id = 0;
  float repetition = 1;
  float penalty = 0;
  float bias = 0;
};

struct SamplingRule {
  float temperature = 0;      // 0: the best token
  int32_t top_k = 0;          // 0: off
  float top_p = 1;            // 1: off
  uint64_t least_weight = 0;  // min_p of kSamplingOne; 0: off
  uint64_t draw = 0;          // kDrawBits random bits
};

// The token, and of the distribution before edits and temperature its logit and the log of the sum of all exponents.
struct SampledToken {
  int32_t id = -1;  // -1: no logit is finite
  float logit = 0;
  float log_sum = 0;
};

}  // namespace lastro::kernels
