// Span search: the best answers in the logits of where an answer starts and ends. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace lastro::engine {

// Tokens first .. last, both inclusive.
struct TokenSpan {
  int64_t first = 0;
  int64_t last = 0;
  float score = 0;
};

// Every span of at most `longest` tokens that lies in one part; score = start[first] + end[last]. parts[i] is the part
// of token i and never falls. REQUIRES: all three are of one size.
std::vector<TokenSpan> AllSpans(absl::Span<const float> start, absl::Span<const float> end, absl::Span<const int> parts,
                                int64_t longest);

// The `count` best that do not overlap, best first: each next one is the best of those that overlap none before it.
// Ties go to the earlier in `spans`.
std::vector<TokenSpan> BestApart(absl::Span<const TokenSpan> spans, int count);

}  // namespace lastro::engine
