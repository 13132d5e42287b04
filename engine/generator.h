// Generation on top of a LanguageModel: sampling loop with stop strings, streaming of whole UTF-8, log probabilities,
// several tokens a step where the text repeats itself or its prompt (prompt_lookup.h); and scoring of given
// continuations. Functions are thread-safe (each call has its own session).
//
// Tokens are chosen on the model's device where it does that and nobody asks for more than the chosen one's
// probability or constrains the text; else from logits on the host. Both choose the same from the same logits.
//
// Drafts change when a token is computed, not which: each is kept only where the same sampler, from the same random
// numbers and under the same constraint, chooses it. On the CPU the logits of its row are, in every compute type and
// format, to the last bit those of a step of one row, since drafts keep a step within the rows that the few-row kernels
// take (kernels::kMaxGemvRows): fewer are made beside other sessions, as many as the last step had, or none. Where a
// step has more rows, of many sessions, of a prompt or because another session has just begun, results may differ in
// the last bits, and so they may on a GPU; RuntimeOptions::deterministic excludes it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/call_context.h"
#include "engine/constrained/token_constraint.h"
#include "engine/language_model.h"
#include "engine/prompt_lookup.h"
#include "engine/sampler.h"

namespace lastro::engine {

enum class FinishReason { kEndOfText, kStopString, kMaxTokens };

struct GenerateOptions {
  SamplingParams sampling;
  int max_new_tokens = 256;
  std::vector<std::string> stop;  // the text ends before the first of these
  std::vector<int32_t> stop_ids;  // beside the model's own end-of-text ids
  int top_logprobs = -1;          // -1: none; 0: of the chosen tokens only; N: also the N best alternatives
  bool ignore_eos = false;        // for benchmarks
  int draft_tokens = PromptLookup::kMaxTokens;  // guessed for one step at most; 0: none
  // What the text must be, such as JSON of a schema; fresh, not owned, used by this text only. The text ends where
  // nothing can follow, or at an end id where it may end; max_new_tokens may cut it before.
  TokenConstraint* constraint = nullptr;
  const LoraAdapter* adapter = nullptr;  // of the model; not owned
  std::optional<KvScope> scope;          // of OpenOptions
};

struct GeneratedToken {
  int32_t id = 0;
  std::string text;  // whole UTF-8 that this token completed; "" while a code point or stop is open
  float logprob = 0;
  std::vector<TokenLogprob> top;
};

struct GenerateResult {
  std::string text;
  std::vector<GeneratedToken> tokens;
  FinishReason finish = FinishReason::kMaxTokens;
  int prompt_tokens = 0;
  int reused_tokens = 0;  // of these, which were not computed again
  // tokens.size() = 1 + decoding_steps + accepted_tokens.
  int decoding_steps = 0;   // behind the prompt
  int drafted_tokens = 0;   // guessed and computed in them
  int accepted_tokens = 0;  // of these, which the text went on behind
  double prefill_ms = 0;
  double decode_ms = 0;
};

// Called after each token; a non-OK status ends the generation with that status.
using TokenSink = std::function<absl::Status(const GeneratedToken&)>;

// Generates after `prompt`. Errors: INVALID_ARGUMENT when the prompt is empty, or when prompt and max_new_tokens
// together exceed the context (both counts and the limit in the message; nothing is ever cut in silence); CANCELLED and
// DEADLINE_EXCEEDED within one step.
absl::StatusOr<GenerateResult> Generate(const LanguageModel& model, absl::Span<const int32_t> prompt,
                                        const GenerateOptions& options, const CallContext& context,
                                        const TokenSink& sink = nullptr);

struct ContinuationScore {
  double logprob = 0;  // sum over the continuation's tokens
  int tokens = 0;
};
struct ContinuationScores {
  std::vector<ContinuationScore> scores;
  int reused_tokens = 0;  // of the prompt, which were not computed again
};

// log p(continuation | prompt) of each continuation; the prompt is computed once and its cache shared. Errors as
// Generate.
absl::StatusOr<ContinuationScores> ScoreContinuations(const LanguageModel& model, absl::Span<const int32_t> prompt,
                                                      absl::Span<const std::vector<int32_t>> continuations,
                                                      const OpenOptions& options, const CallContext& context);

}  // namespace lastro::engine
