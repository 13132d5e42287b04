// Span evidence: how likely an answer that the reader points at is right. The reader sees one passage at a time and is
// easily taken in by one that is about something else; search and sentence know better what the question is about. All
// of them are weighed as the reader's folder says (ReadResponse.AnswerWeights, fitted on held-out questions); where it
// says nothing, the log odds of the reader's probability fall with the distance from the best hit. Thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/call_context.h"
#include "services/answer/span_reading.h"
#include "services/api.h"

namespace lastro::services::answer {

// Fills in the probability of each answer. `model` as in passages.h. Errors of the embedder, which is asked where the
// reader's folder has weights.
absl::Status WeighAnswers(const std::string& question, absl::Span<const v1::SearchHit> passages,
                          const v1::ReadResponse& response, const std::string& model, EmbeddingApi& embedding,
                          const CallContext& context, std::vector<SpanAnswer>* answers);

}  // namespace lastro::services::answer
