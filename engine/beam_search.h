// Beam search: the most likely continuations of a prompt, several being followed at once, as transformers'
// generate(num_beams) finds them. Thread-safe (each call has its own sessions).
//
// Source: Graves (2012), arXiv:1211.3711; the length penalty and the stopping rules of transformers 4.46.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/call_context.h"
#include "engine/generator.h"
#include "engine/language_model.h"

namespace lastro::engine {

// When to stop once `width` continuations have ended.
enum class EarlyStopping {
  kHeuristic,  // when the best open one, at its present length, is no better than the worst of them
  kAlways,     // at once
  kNever,      // when no open one can become better at any length
};

struct BeamOptions {
  int width = 4;                // 1 to 64
  float length_penalty = 1.0f;  // scores are divided by length ^ this: above 0 favours long texts, below short ones
  EarlyStopping early_stopping = EarlyStopping::kHeuristic;
  int max_new_tokens = 256;
  int results = 1;                // 1 to width
  std::vector<int32_t> stop_ids;  // beside the model's own end-of-text ids
  bool ignore_eos = false;
  const LoraAdapter* adapter = nullptr;  // of the model; not owned
};

struct BeamResult {
  std::vector<int32_t> ids;  // generated, without the token that ended it
  std::string text;
  double logprob = 0;  // summed over the tokens, the one that ended it included
  double score = 0;    // logprob / length ^ length_penalty
  FinishReason finish = FinishReason::kMaxTokens;
};

// The best continuations found, best first. The prompt is computed once and its cache shared. Errors as Generate.
absl::StatusOr<std::vector<BeamResult>> BeamSearch(const LanguageModel& model, absl::Span<const int32_t> prompt,
                                                   const BeamOptions& options, const CallContext& context);

}  // namespace lastro::engine
