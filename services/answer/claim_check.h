// Claim check: whether the passages say what a freely written sentence says, where they do not say it word for word: by
// what must stand in them, and by the reader. What is not found to be said is unsupported. Thread-safe functions.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/call_context.h"
#include "services/answer/candidates.h"
#include "services/api.h"

namespace lastro::services::answer {

// Whether `source` may say `claim` in other words: it has every number and name of the claim, denies where the claim
// denies, and has most of the claim's content words, of which there are three at least, in their order, inflections
// aside. Words in another order are another claim ("A pays B"). Necessary, not sufficient.
bool MaySay(const std::string& source, const std::string& claim);

// The sentence of the passages that says `claim`: it may (MaySay), and the reader holds that it answers to it; one of
// the `named` passages before others. nullopt where none does, or there is no reader.
absl::StatusOr<std::optional<Candidate>> FindParaphrased(const std::string& claim,
                                                         absl::Span<const v1::SearchHit> passages,
                                                         absl::Span<const int> named, GenerationApi& generation,
                                                         const CallContext& context);

}  // namespace lastro::services::answer
