#include <utility>
#include <vector>

#include "engine/tokenizers/pattern.h"
#include "engine/tokenizers/regex.h"
#include "tests/test_util.h"

namespace lastro::engine::tokenizers {
namespace {

using ::testing::ElementsAre;
using Ranges = std::vector<std::pair<uint32_t, uint32_t>>;

Ranges Matches(absl::string_view expression, absl::string_view text) {
  auto regex = Regex::Compile(expression, "test");
  EXPECT_TRUE(regex.ok()) << regex.status();
  Ranges ranges;
  if (regex.ok()) regex->ForEachMatch(text, [&](uint32_t begin, uint32_t end) { ranges.emplace_back(begin, end); });
  return ranges;
}

TEST(RegexTest, SpaceIsTheUnicodeProperty) {
  EXPECT_EQ(Matches("\\s+", "a \u00a0\u2003b\u180ec"), (Ranges{{1, 7}}));  // U+180E is no white space
  EXPECT_EQ(Matches("[^\\S\\n]+", " \n\t"), (Ranges{{0, 1}, {2, 3}}));
}

TEST(RegexTest, WordIncludesMarks) {
  EXPECT_EQ(Matches("\\w+", "e\u0301x y"), (Ranges{{0, 4}, {5, 6}}));
  EXPECT_EQ(Matches("\\b", "e\u0301"), (Ranges{{0, 0}, {3, 3}}));
}

TEST(RegexTest, LookAheadSeesTheEnd) {
  EXPECT_EQ(Matches("\\s+(?!\\S)|\\s+", "a   b  "), (Ranges{{1, 3}, {3, 4}, {5, 7}}));
}

TEST(RegexTest, EmptyMatchesNeverFollowAMatch) { EXPECT_EQ(Matches("x*", "axb"), (Ranges{{0, 0}, {1, 2}, {3, 3}})); }

TEST(RegexTest, AnchorsWorkOnLines) { EXPECT_EQ(Matches("^a$", "a\na"), (Ranges{{0, 1}, {2, 3}})); }

std::vector<std::string> Split(SplitBehavior behavior, bool invert, absl::string_view text) {
  std::vector<Match> matches;
  LiteralPattern("-")->FindMatches(text, &matches);
  ApplySplitBehavior(behavior, invert, &matches);
  std::vector<std::string> pieces;
  for (const Match& match : matches) pieces.emplace_back(text.substr(match.begin, match.end - match.begin));
  return pieces;
}

// The example of the reference's documentation: "the-final--countdown", split at "-".
TEST(SplitBehaviorTest, FollowsTheReference) {
  const absl::string_view text = "the-final--countdown";
  EXPECT_THAT(Split(SplitBehavior::kRemoved, false, text), ElementsAre("the", "final", "countdown"));
  EXPECT_THAT(Split(SplitBehavior::kIsolated, false, text), ElementsAre("the", "-", "final", "-", "-", "countdown"));
  EXPECT_THAT(Split(SplitBehavior::kMergedWithPrevious, false, text), ElementsAre("the-", "final-", "-", "countdown"));
  EXPECT_THAT(Split(SplitBehavior::kMergedWithNext, false, text), ElementsAre("the", "-final", "-", "-countdown"));
  EXPECT_THAT(Split(SplitBehavior::kContiguous, false, text), ElementsAre("the", "-", "final", "--", "countdown"));
  EXPECT_THAT(Split(SplitBehavior::kRemoved, true, text), ElementsAre("-", "-", "-"));
}

}  // namespace
}  // namespace lastro::engine::tokenizers
