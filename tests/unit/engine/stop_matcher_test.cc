#include "engine/stop_matcher.h"

#include "tests/test_util.h"

namespace lastro::engine {
namespace {

// All that a matcher shows for `pieces`, and whether a stop was found.
std::pair<std::string, bool> Shown(const std::vector<std::string>& stops, const std::vector<std::string>& pieces) {
  StopMatcher matcher(stops);
  std::string shown;
  for (const std::string& piece : pieces) shown += matcher.Push(piece);
  return {shown + matcher.Finish(), matcher.found()};
}

TEST(StopMatcherTest, WithoutStopsEverythingPassesAtOnce) {
  StopMatcher matcher({});
  EXPECT_EQ(matcher.Push("abc"), "abc");
  EXPECT_EQ(matcher.Finish(), "");
}

TEST(StopMatcherTest, HoldsBackWhatMayBeginAStop) {
  StopMatcher matcher({"\n\nUser:"});
  EXPECT_EQ(matcher.Push("Hello\n"), "Hello");
  EXPECT_EQ(matcher.Push("\nUs"), "");
  EXPECT_EQ(matcher.Push("ing"), "\n\nUsing");
  EXPECT_EQ(matcher.Push("\n\nUse"), "");
  EXPECT_EQ(matcher.Push("r: x"), "");
  EXPECT_TRUE(matcher.found());
  EXPECT_EQ(matcher.Push("more"), "");
  EXPECT_EQ(matcher.Finish(), "");
}

TEST(StopMatcherTest, TheFirstOfSeveralStopsEndsTheText) {
  EXPECT_EQ(Shown({"def", "bc"}, {"abcdef"}), std::pair(std::string("a"), true));
  EXPECT_EQ(Shown({"aab"}, {"aaa", "ab", "c"}), std::pair(std::string("aa"), true));
  EXPECT_EQ(Shown({"xyz"}, {"wx", "y"}), std::pair(std::string("wxy"), false));
}

// Against the plain search, over every way to cut a text in two or three pieces.
TEST(StopMatcherTest, AgreesWithFindForEveryCut) {
  const std::vector<std::string> stops = {"aba", "bb", "c"};
  auto random = testing::SeededRandom(5);
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (int i = 0; i < 8; ++i) text += "abdc"[random() % (round % 4 == 0 ? 4 : 3)];
    size_t first = std::string::npos;
    for (const std::string& stop : stops) first = std::min(first, text.find(stop));
    const std::string want = text.substr(0, first);
    for (size_t a = 0; a <= text.size(); ++a) {
      for (size_t b = a; b <= text.size(); ++b) {
        const auto [shown, found] = Shown(stops, {text.substr(0, a), text.substr(a, b - a), text.substr(b)});
        ASSERT_EQ(shown, want) << text << " cut at " << a << ", " << b;
        ASSERT_EQ(found, first != std::string::npos);
      }
    }
  }
}

}  // namespace
}  // namespace lastro::engine
