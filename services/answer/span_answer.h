// The QUOTE mode with a reader: the answer is the few words that the reader points at, cited by the sentence they stand
// in; or the sentences themselves, where the words are many or an explanation is asked for. Thread-safe functions.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/call_context.h"
#include "services/answer/answer_request.h"
#include "services/answer/span_reading.h"
#include "services/api.h"
#include "services/stages.h"

namespace lastro::services::answer {

// Fills text, claims and answerability of `answer`. REQUIRES: readings has answers, the likeliest of which is above the
// answer's threshold. Errors of MakeVerifiedCitation.
absl::Status AnswerBySpans(const AnswerRequest& request, absl::Span<const v1::SearchHit> passages,
                           const SpanReadings& readings, RetrievalApi& retrieval, const CallContext& context,
                           Stages* stages, v1::Answer* answer);

// Whether what was found is about something else than the question: nothing near it in meaning, and hardly an answer.
bool IsOutOfScope(const SpanReadings& readings, absl::Span<const v1::SearchHit> passages);

// The index of the answer that contradicts the likeliest: of another document, nearly as likely and above `threshold`.
// Both are short, of one kind (with digits, or names, by capitals that are not just their sentence's), and have no word
// in common. nullopt where none does.
// REQUIRES: readings has answers.
std::optional<size_t> FindConflict(const SpanReadings& readings, absl::Span<const v1::SearchHit> passages,
                                   double threshold);

}  // namespace lastro::services::answer
