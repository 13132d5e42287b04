// Passages: what is retrieved for a question, how well each of its sentences answers it, and which passages fit into
// the decoder's prompt. Thread-safe functions.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/call_context.h"
#include "services/answer/answer_request.h"
#include "services/answer/candidates.h"
#include "services/answer/evidence.h"
#include "services/api.h"

namespace lastro::services::answer {

struct ScoredCandidate {
  Candidate candidate;
  CandidateEvidence evidence;
};

// The evidence of each candidate, the decoder's view not yet in it; words are rare that few of `sentences` hold.
// `model` as below.
absl::StatusOr<std::vector<CandidateEvidence>> EvidenceOf(const std::string& question,
                                                          absl::Span<const Candidate> candidates,
                                                          absl::Span<const Candidate> sentences,
                                                          absl::Span<const v1::SearchHit> passages,
                                                          const EvidenceWeights& weights, const std::string& model,
                                                          EmbeddingApi& embedding, const CallContext& context);

// All sentences of `passages` with their evidence, the decoder's view not yet in it, strongest first. `model`: by whose
// vectors the passages were found (EmbedRequest.model); empty: the first one there is.
absl::StatusOr<std::vector<ScoredCandidate>> ScoreCandidates(const std::string& question,
                                                             absl::Span<const v1::SearchHit> passages,
                                                             const EvidenceWeights& weights, const std::string& model,
                                                             EmbeddingApi& embedding, const CallContext& context);

// The prompt: the passages with the strongest sentences, as many as fit, in the order of the collection: prompts of the
// same passages begin alike, and what was computed of one serves the next. In GENERATE mode a decoder that answers by
// quoting a sentence is shown the strongest sentences themselves, in their order.
struct GroundedPrompt {
  v1::Prompt prompt;
  std::vector<int> passages;  // of each text in it, the index of the passage that it is of
  bool of_sentences = false;  // for a decoder that answers by quoting one
};

// Of the `usable` of the passages, by index, which are also those of the candidates. Leaves room for `reserved_tokens`
// in the context. Without passages when not even one fits.
absl::StatusOr<GroundedPrompt> BuildPrompt(const AnswerRequest& request, absl::Span<const v1::SearchHit> passages,
                                           absl::Span<const int> usable, absl::Span<const ScoredCandidate> candidates,
                                           int reserved_tokens, GenerationApi& generation, const CallContext& context);

}  // namespace lastro::services::answer
