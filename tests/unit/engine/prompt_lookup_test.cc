#include "engine/prompt_lookup.h"

#include <algorithm>
#include <array>

#include "tests/test_util.h"

namespace lastro::engine {
namespace {

using Tokens = std::vector<int32_t>;

Tokens Guessed(PromptLookup& lookup, int limit) {
  const absl::Span<const int32_t> guess = lookup.Guess(limit);
  return {guess.begin(), guess.end()};
}

void PushAll(PromptLookup& lookup, const Tokens& tokens) {
  for (int32_t token : tokens) lookup.Push(token);
}

// By looking at every place.
NgramIndex::Match Searched(const Tokens& text) {
  for (size_t n = NgramIndex::kLongest; n >= NgramIndex::kShortest; --n) {
    for (size_t end = text.size(); end-- > n;) {  // of an earlier place
      if (std::equal(text.end() - static_cast<ptrdiff_t>(n), text.end(),
                     text.begin() + static_cast<ptrdiff_t>(end - n))) {
        return {static_cast<int>(n), end};
      }
    }
  }
  return {};
}

// Texts of few and of many different tokens, with copies of what stands earlier: every length of match, and none.
TEST(NgramIndexTest, FindsTheLastOfTheLongestMatches) {
  std::mt19937_64 random = testing::SeededRandom(61);
  std::array<int, NgramIndex::kLongest + 1> seen{};
  for (int round = 0; round < 60; ++round) {
    NgramIndex index;
    const uint64_t vocabulary = uint64_t{2} << (random() % 10);
    Tokens text;
    while (text.size() < 300) {
      const NgramIndex::Match found = index.Find(), want = Searched(text);
      ASSERT_EQ(found.length, want.length) << text.size();
      ASSERT_EQ(found.next, want.next) << text.size();
      ++seen[static_cast<size_t>(found.length)];
      size_t from = text.empty() ? 0 : random() % text.size();
      size_t count = text.empty() || random() % 8 > 0 ? 0 : random() % 9;
      do {
        text.push_back(count > 0 ? text[from++] : static_cast<int32_t>(random() % vocabulary));
        index.Push(text.back());
      } while (count-- > 1);
    }
    EXPECT_EQ(index.text(), text);
  }
  for (size_t length : {0u, 2u, 3u, 4u}) EXPECT_GT(seen[length], 100) << length;
  EXPECT_EQ(seen[1], 0);
}

TEST(PromptLookupTest, GuessesWhatFollowedLast) {
  PromptLookup lookup(3);
  EXPECT_TRUE(lookup.Guess(3).empty());
  PushAll(lookup, {1, 2, 3, 4, 9, 1, 2, 5, 6, 7, 9, 8, 1, 2});
  EXPECT_EQ(Guessed(lookup, 3), Tokens({5}));  // of nothing known yet: one
  lookup.Push(3);                              // {1, 2, 3} stands at the beginning only
  EXPECT_EQ(Guessed(lookup, 3), Tokens({4}));
  lookup.Push(7);
  EXPECT_TRUE(lookup.Guess(3).empty());
}

TEST(PromptLookupTest, ARepetitionGoesOnBeyondTheEndOfTheText) {
  PromptLookup lookup(3);
  PushAll(lookup, {1, 2, 1, 2, 1, 2});
  for (int i = 0; i < 6; ++i) {
    lookup.Guess(3);
    lookup.Push(1 + i % 2);
  }
  EXPECT_EQ(Guessed(lookup, 3), Tokens({1, 2, 1}));
  EXPECT_EQ(Guessed(lookup, 2), Tokens({1, 2}));
  EXPECT_EQ(Guessed(lookup, 0), Tokens());
  EXPECT_EQ(Guessed(lookup, -5), Tokens());
  lookup.Push(1);
  PromptLookup same(3);
  PushAll(same, {4, 4, 4});
  EXPECT_EQ(Guessed(same, 3), Tokens({4}));
}

// A text of blocks that are copied from before or are new: steps as a generator makes them. Returns the tokens that
// were guessed in vain and those that were right.
struct Outcome {
  int wrong = 0, right = 0;
  int last_length = 0;
};
Outcome Follow(PromptLookup& lookup, const Tokens& text) {
  Outcome outcome;
  for (size_t at = 0; at < text.size();) {
    const Tokens guess = Guessed(lookup, PromptLookup::kMaxTokens);
    outcome.last_length = static_cast<int>(guess.size());
    size_t came = 0;
    while (came < guess.size() && at + came < text.size() && guess[came] == text[at + came]) ++came;
    outcome.right += static_cast<int>(came);
    outcome.wrong += static_cast<int>(guess.size() - came);
    for (size_t i = 0; i <= came && at < text.size(); ++i) lookup.Push(text[at++]);
  }
  return outcome;
}

TEST(PromptLookupTest, NothingIsGuessedForLongWhereGuessesFail) {
  std::mt19937_64 random = testing::SeededRandom(62);
  Tokens text;  // pairs come again and again, and never say what follows
  for (int i = 0; i < 3000; ++i) {
    text.push_back(1 + static_cast<int32_t>(random() % 5));
    text.push_back(100);
    text.insert(text.end(), {1000 + 2 * i, 1001 + 2 * i});
  }
  PromptLookup lookup(3);
  const Outcome outcome = Follow(lookup, text);
  EXPECT_LT(outcome.wrong, 10);  // of 3000 places where something could be guessed
  // A passage that was seen: back to the longest guesses within a few tokens.
  const Tokens passage(text.begin() + 600, text.begin() + 700);
  const Outcome again = Follow(lookup, passage);
  EXPECT_EQ(again.last_length, 3);
  EXPECT_GT(again.right, 60);
  EXPECT_LT(again.wrong, 10);
}

TEST(PromptLookupTest, CopiesAreGuessedWhole) {
  std::mt19937_64 random = testing::SeededRandom(63);
  Tokens passage;
  for (int i = 0; i < 400; ++i) passage.push_back(static_cast<int32_t>(random() % 30'000));
  PromptLookup lookup(3);
  PushAll(lookup, passage);
  const Outcome outcome = Follow(lookup, passage);
  EXPECT_GT(outcome.right, 285);  // three of four
  EXPECT_LE(outcome.wrong, 3);
}

TEST(PromptLookupTest, NeverMoreThanAskedFor) {
  for (int most = 1; most <= 3; ++most) {
    PromptLookup lookup(most);
    PushAll(lookup, Tokens(20, 5));
    for (int i = 0; i < 20; ++i) {
      EXPECT_LE(lookup.Guess(3).size(), static_cast<size_t>(most));
      EXPECT_LE(lookup.Guess(i % 4).size(), static_cast<size_t>(i % 4));
      lookup.Push(5);
    }
    EXPECT_EQ(lookup.Guess(3).size(), static_cast<size_t>(most));
  }
}

}  // namespace
}  // namespace lastro::engine
