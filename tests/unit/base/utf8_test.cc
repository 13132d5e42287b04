#include "base/utf8.h"

#include "tests/test_util.h"

namespace lastro {
namespace {

TEST(Utf8, DecodesEveryLength) {
  for (char32_t rune : {U'a', U'\x7f', U'\x80', U'é', U'\x7ff', U'\x800', U'€', U'\xd7ff', U'\xe000', U'\xffff',
                        U'\x10000', U'😀', U'\x10ffff'}) {
    std::string text;
    AppendRune(rune, &text);
    DecodedRune decoded = DecodeRune(text);
    EXPECT_TRUE(decoded.valid);
    EXPECT_EQ(decoded.rune, rune);
    EXPECT_EQ(decoded.length, text.size());
  }
}

// The maximal ill-formed prefixes of Unicode 15, table 3-8 and its neighbours.
TEST(Utf8, ReplacesMaximalIllFormedSequences) {
  EXPECT_EQ(ReplaceInvalidUtf8("a\xC0\xAF z"), "a\uFFFD\uFFFD z");              // overlong
  EXPECT_EQ(ReplaceInvalidUtf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");          // surrogate
  EXPECT_EQ(ReplaceInvalidUtf8("\xF4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");  // above U+10FFFF
  EXPECT_EQ(ReplaceInvalidUtf8("\xE2\x82"), "\uFFFD");                          // truncated: one sequence
  EXPECT_EQ(ReplaceInvalidUtf8("\xF0\x9F\x98" "b"), "\uFFFD" "b");
  EXPECT_EQ(ReplaceInvalidUtf8("olá 😀"), "olá 😀");
  EXPECT_FALSE(IsValidUtf8("\xFF"));
  EXPECT_TRUE(IsValidUtf8("ação"));
}

TEST(Utf8, CompletePrefixHoldsBackOnlyOpenSequences) {
  const std::string text = "é😀";
  EXPECT_EQ(CompleteUtf8Prefix(text), text.size());
  EXPECT_EQ(CompleteUtf8Prefix(text.substr(0, 1)), 0u);
  for (size_t cut = 3; cut < text.size(); ++cut) EXPECT_EQ(CompleteUtf8Prefix(text.substr(0, cut)), 2u) << cut;
  EXPECT_EQ(CompleteUtf8Prefix("a\xFF"), 2u);      // malformed: will never be completed
  EXPECT_EQ(CompleteUtf8Prefix("\x80\x80\x80\x80"), 4u);
}

TEST(Utf8, AnyBytesBecomeValidText) {
  std::mt19937_64 random = testing::SeededRandom(7);
  for (int round = 0; round < 2'000; ++round) {
    std::string bytes(random() % 24, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    std::string repaired = ReplaceInvalidUtf8(bytes);
    EXPECT_TRUE(IsValidUtf8(repaired));
    EXPECT_EQ(ReplaceInvalidUtf8(repaired), repaired);
    if (IsValidUtf8(bytes)) {
      EXPECT_EQ(repaired, bytes);
    }
  }
}

}  // namespace
}  // namespace lastro
