// The QUOTE mode: the answer is the sentence, or the few sentences, of the passages that answer best, verbatim.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/call_context.h"
#include "services/answer/answer_request.h"
#include "services/answer/passages.h"
#include "services/api.h"
#include "services/stages.h"

namespace lastro::services::answer {

// Fills text, claims, usage, answerability and evidence of `answer`. `candidates` are ordered by evidence, strongest
// first, and not empty.
absl::Status AnswerByQuoting(const AnswerRequest& request, absl::Span<const v1::SearchHit> passages,
                             std::vector<ScoredCandidate> candidates, const GroundedPrompt& prompt,
                             const EvidenceWeights& weights, RetrievalApi& retrieval, GenerationApi& generation,
                             const CallContext& context, Stages* stages, v1::Answer* answer);

// Adds `text`, which stands in the citation's bytes, to the answer's as a claim of its own, `between` before it where
// there is one already.
void AppendQuote(absl::string_view text, v1::Citation citation, v1::Answer* answer, absl::string_view between = " ");

// The sentences of a QUOTE answer among `candidates`, which are ordered by rank_score: the best, and up to
// max_sentences - 1 others that are nearly as good and say something else. Indexes in reading order.
std::vector<size_t> ChooseSentences(absl::Span<const ScoredCandidate> candidates, int max_sentences, double threshold);

}  // namespace lastro::services::answer
