// Two evaluations of the same questions side by side. Pure functions, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/call_context.h"
#include "lastro/v1/eval.pb.h"

namespace lastro::services::eval {

// The lines of a questions.jsonl. INVALID_ARGUMENT with the line: no EvalQuestion, an id that was there already, a
// metric that is not from 0 to 1.
absl::StatusOr<std::vector<v1::EvalQuestion>> ReadQuestionLines(absl::string_view content, const std::string& path);

// Every metric that both have, over the questions that have it in both, with a paired bootstrap.
// INVALID_ARGUMENT when no question is in both; CANCELLED or DEADLINE_EXCEEDED.
absl::StatusOr<v1::EvalComparison> Compare(absl::Span<const v1::EvalQuestion> a, absl::Span<const v1::EvalQuestion> b,
                                           uint64_t seed, const CallContext& context);

}  // namespace lastro::services::eval
