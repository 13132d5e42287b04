#include "engine/span_search.h"

#include <algorithm>
#include <random>

#include "gtest/gtest.h"

namespace lastro::engine {
namespace {

std::vector<float> RandomLogits(size_t count, std::mt19937* random) {
  std::uniform_int_distribution<int> value(-6, 6);  // ties occur
  std::vector<float> logits(count);
  for (float& logit : logits) logit = 0.5f * static_cast<float>(value(*random));
  return logits;
}

TEST(SpanSearchTest, AllSpansAreThoseOfAtMostTheLength) {
  const std::vector<float> start = {1, 2, 3}, end = {10, 20, 30};
  const std::vector<int> parts = {4, 4, 4};
  const std::vector<TokenSpan> spans = AllSpans(start, end, parts, 2);
  ASSERT_EQ(spans.size(), 5u);
  for (const TokenSpan& span : spans) {
    EXPECT_TRUE(span.first <= span.last && span.last <= span.first + 1);
    EXPECT_EQ(span.score, start[static_cast<size_t>(span.first)] + end[static_cast<size_t>(span.last)]);
  }
  EXPECT_EQ(AllSpans(start, end, parts, 100).size(), 6u);
  EXPECT_TRUE(AllSpans({}, {}, {}, 3).empty());
}

TEST(SpanSearchTest, SpansStayInTheirPart) {
  const std::vector<float> zeros(4);
  for (const TokenSpan& span : AllSpans(zeros, zeros, {0, 0, 2, 2}, 4)) EXPECT_EQ(span.first < 2, span.last < 2);
  EXPECT_EQ(AllSpans(zeros, zeros, {0, 0, 2, 2}, 4).size(), 6u);
}

// Against the definition: no span that overlaps none of the kept before it beats the next one kept.
TEST(SpanSearchTest, KeptSpansAreTheBestThatDoNotOverlap) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    const size_t tokens = 1 + random() % 12;
    const std::vector<TokenSpan> spans = AllSpans(RandomLogits(tokens, &random), RandomLogits(tokens, &random),
                                                  std::vector<int>(tokens), 1 + static_cast<int64_t>(random() % 5));
    const int count = 1 + static_cast<int>(random() % 4);
    const std::vector<TokenSpan> kept = BestApart(spans, count);
    ASSERT_GE(kept.size(), 1u);
    ASSERT_LE(kept.size(), static_cast<size_t>(count));
    for (size_t k = 0; k <= kept.size(); ++k) {
      float best = -1e9f;
      bool any = false;
      for (const TokenSpan& span : spans) {
        const bool apart = std::all_of(kept.begin(), kept.begin() + static_cast<ptrdiff_t>(k),
                                       [&](const TokenSpan& o) { return span.last < o.first || span.first > o.last; });
        if (apart) best = std::max(best, span.score), any = true;
      }
      if (k < kept.size()) {
        EXPECT_TRUE(any);
        EXPECT_EQ(kept[k].score, best);
      } else if (kept.size() < static_cast<size_t>(count)) {
        EXPECT_FALSE(any) << "a span was left out";
      }
    }
  }
}

}  // namespace
}  // namespace lastro::engine
