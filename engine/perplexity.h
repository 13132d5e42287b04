// Perplexity: how well a decoder predicts a text, and how far a quantised model strays from the original one.
// Stateless, thread-safe.
//
// The text is cut into windows of `window` tokens that begin `stride` tokens apart. Each token is scored once, with at
// least window - stride tokens before it (the first window: all that there are):
//   perplexity = exp(-mean of ln p(token | those before it in its window)).
// Source: transformers, "Perplexity of fixed-length models". Kullback-Leibler divergence, where there is a baseline:
// mean over the same positions of sum p_b (ln p_b - ln p), p_b being the baseline's probabilities.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/call_context.h"
#include "engine/decoder_model.h"

namespace lastro::engine {

struct PerplexityOptions {
  int window = 512;        // tokens; at most the model's context
  int stride = 256;        // in [1, window)
  int64_t max_tokens = 0;  // stops after the window in which so many are scored; 0: the whole text
};

struct PerplexityResult {
  double perplexity = 0;
  double mean_log_probability = 0;  // natural logarithm, a token
  int64_t tokens = 0;               // scored
  // With a baseline.
  struct Comparison {
    double baseline_perplexity = 0;
    double mean_divergence = 0;  // nats a token
    double same_best = 0;        // share of the positions whose most probable token is the baseline's
  };
  std::optional<Comparison> comparison;
};

// `baseline` may be null; else it must have the model's vocabulary. INVALID_ARGUMENT: a window, stride or baseline that
// does not fit, a text of fewer than two tokens; INTERNAL: a probability that is not a number; CANCELLED and
// DEADLINE_EXCEEDED.
absl::StatusOr<PerplexityResult> MeasurePerplexity(const DecoderModel& model, const DecoderModel* baseline,
                                                   absl::string_view text, const PerplexityOptions& options,
                                                   const CallContext& context);

}  // namespace lastro::engine
