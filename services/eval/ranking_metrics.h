// How well a ranked list finds the passages that were judged relevant. Pure functions, thread-safe.
//
// `ranked`: distinct passage ids, best first. `judgements`: distinct passages with gains above 0, at least one.
#pragma once

#include <string>

#include "absl/types/span.h"
#include "services/eval/dataset.h"

namespace lastro::services::eval {

// The share of the judged passages among the first k.
double RecallAt(absl::Span<const std::string> ranked, absl::Span<const Judgement> judgements, size_t k);

// 1 / rank of the first judged passage among the first k; 0 when there is none.
double ReciprocalRankAt(absl::Span<const std::string> ranked, absl::Span<const Judgement> judgements, size_t k);

// Normalised discounted cumulative gain (Järvelin and Kekäläinen 2002), linear in the gains as trec_eval has it.
double NdcgAt(absl::Span<const std::string> ranked, absl::Span<const Judgement> judgements, size_t k);

// Of the passages cited, those judged relevant, and of these the share that is cited. REQUIRES: neither is empty.
double CitationPrecision(absl::Span<const std::string> cited, absl::Span<const Judgement> judgements);
double CitationRecall(absl::Span<const std::string> cited, absl::Span<const Judgement> judgements);

}  // namespace lastro::services::eval
