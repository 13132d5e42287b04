#include "engine/span_search.h"

#include <algorithm>

#include "base/check.h"

namespace lastro::engine {
namespace {

bool Overlap(const TokenSpan& a, const TokenSpan& b) { return a.first <= b.last && b.first <= a.last; }

}  // namespace

std::vector<TokenSpan> AllSpans(absl::Span<const float> start, absl::Span<const float> end, absl::Span<const int> parts,
                                int64_t longest) {
  LASTRO_CHECK(start.size() == end.size() && start.size() == parts.size());
  const int64_t tokens = static_cast<int64_t>(start.size());
  std::vector<TokenSpan> spans;
  spans.reserve(static_cast<size_t>(tokens * std::min(longest, tokens)));
  for (int64_t first = 0; first < tokens; ++first) {
    for (int64_t last = first; last < std::min(tokens, first + longest); ++last) {
      if (parts[static_cast<size_t>(last)] != parts[static_cast<size_t>(first)]) break;
      spans.push_back({first, last, start[static_cast<size_t>(first)] + end[static_cast<size_t>(last)]});
    }
  }
  return spans;
}

std::vector<TokenSpan> BestApart(absl::Span<const TokenSpan> spans, int count) {
  std::vector<TokenSpan> kept;
  while (static_cast<int>(kept.size()) < count) {
    const TokenSpan* best = nullptr;
    for (const TokenSpan& span : spans) {
      if (best != nullptr && span.score <= best->score) continue;
      if (std::none_of(kept.begin(), kept.end(), [&](const TokenSpan& other) { return Overlap(span, other); })) {
        best = &span;
      }
    }
    if (best == nullptr) break;
    kept.push_back(*best);
  }
  return kept;
}

}  // namespace lastro::engine
