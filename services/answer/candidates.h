// Candidates: every span of the retrieved passages that a QUOTE answer may be made of. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "lastro/v1/retrieval.pb.h"

namespace lastro::services::answer {

// A sentence of a passage: bytes [begin, end) of the passage's chunk text.
struct Candidate {
  int passage = 0;  // index into the passages
  uint64_t begin = 0;
  uint64_t end = 0;
  std::string text;
};

struct CandidateLimits {
  int min_words = 3;                   // shorter spans say too little to stand alone
  uint64_t max_bytes = 1'000;          // longer ones are no quotes (unbroken tables, code)
  uint64_t max_announced_bytes = 480;  // of a sentence ending with a colon and what it announces
};

// The sentences of `passages` in order, each text once (its first occurrence), those whose bytes have no source left
// out. A sentence that ends with a colon includes the paragraph, or the list, that follows it.
std::vector<Candidate> FindCandidates(absl::Span<const v1::SearchHit> passages, const CandidateLimits& limits = {});

// The sentences of `chunk` that bytes [begin, end) of its text lie in, joined, and what they announce; the bytes alone
// where that is longer than limits.max_bytes or has no source. REQUIRES: the bytes have one.
Candidate SentenceAround(int passage, const v1::Chunk& chunk, uint64_t begin, uint64_t end,
                         const CandidateLimits& limits = {});

}  // namespace lastro::services::answer
