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

TEST(RegexTest, ClassesWithinClassesAdd) {
  EXPECT_EQ(Matches("[^(a|[bc])]+", "xay)zb"), (Ranges{{0, 1}, {2, 3}, {4, 5}}));
}

// The expressions of known tokenizers never give up, however long a run is: every byte is in a match.
TEST(RegexTest, LongRunsAreMatchedWhole) {
  const std::string llama3 =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+)"
      R"(|\s+(?!\S)|\s+)";
  const std::string o200k =
      R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t)?)"
      R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t)?)"
      R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  for (const std::string& expression : {llama3, o200k}) {
    for (const char* unit : {"a", "A", " ", "\n", ".", "ー", "\u0301"}) {
      std::string text;
      while (text.size() < 2'000'000) text += unit;
      text += "x";
      uint32_t covered = 0;
      for (const auto& [begin, end] : Matches(expression, text)) {
        ASSERT_EQ(begin, covered) << expression << " on " << unit;
        covered = end;
      }
      EXPECT_EQ(covered, text.size()) << expression << " on " << unit;
    }
  }
}

// Where an attempt exceeds the limit the search goes on behind it.
TEST(RegexTest, GivingUpDoesNotEndTheSearch) {
  const std::string text = std::string(40, 'a') + " ok";
  const Ranges matches = Matches("(?:a|a)*b|(?:(?:a+)+)+c|ok", text);
  EXPECT_EQ(matches, (Ranges{{41, 43}}));
}

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
