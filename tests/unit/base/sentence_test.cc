#include "base/sentence.h"

#include <string>
#include <vector>

#include "tests/test_util.h"

namespace lastro {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Sentences(const std::string& text) {
  std::vector<std::string> sentences;
  for (const TextRange& range : SplitSentences(text))
    sentences.push_back(text.substr(range.begin, range.end - range.begin));
  return sentences;
}

TEST(SentenceTest, SplitsPlainSentences) {
  EXPECT_THAT(Sentences("One. Two!  Three? Four"), ElementsAre("One.", "Two!", "Three?", "Four"));
}

TEST(SentenceTest, NothingComesOfNothing) {
  EXPECT_THAT(Sentences(""), IsEmpty());
  EXPECT_THAT(Sentences(" \n\t \n"), IsEmpty());
  EXPECT_THAT(Sentences("- \n"), ElementsAre("-"));
}

TEST(SentenceTest, EnglishAbbreviations) {
  EXPECT_THAT(Sentences("Dr. Smith met Mrs. Jones, e.g. Tuesday. They left."),
              ElementsAre("Dr. Smith met Mrs. Jones, e.g. Tuesday.", "They left."));
  EXPECT_THAT(Sentences("See Fig. 3 and no. 5. He said no. Then he left."),
              ElementsAre("See Fig. 3 and no. 5.", "He said no.", "Then he left."));
  EXPECT_THAT(Sentences("J. R. Smith wrote it. Done."), ElementsAre("J. R. Smith wrote it.", "Done."));
}

TEST(SentenceTest, PortugueseAbbreviations) {
  EXPECT_THAT(Sentences("O Sr. Silva e a Dra. Costa assinaram. A Prof. Ana não."),
              ElementsAre("O Sr. Silva e a Dra. Costa assinaram.", "A Prof. Ana não."));
  EXPECT_THAT(Sentences("Nos termos do art. 5.º da Lei n.º 12/2020, aplica-se. Ver pág. 3."),
              ElementsAre("Nos termos do art. 5.º da Lei n.º 12/2020, aplica-se.", "Ver pág. 3."));
}

TEST(SentenceTest, NumbersStayWhole) {
  EXPECT_THAT(Sentences("It costs 3.50 euros, or 1.234,56 in all. Fine."),
              ElementsAre("It costs 3.50 euros, or 1.234,56 in all.", "Fine."));
}

TEST(SentenceTest, LineBreaksEndSentences) {
  EXPECT_THAT(Sentences("a line\nanother line\n\nA third. A fourth."),
              ElementsAre("a line", "another line", "A third.", "A fourth."));
}

TEST(SentenceTest, BulletsAreLeftOutAndNumbersKept) {
  EXPECT_THAT(Sentences("- first item\n* second\n3. Third item. More."),
              ElementsAre("first item", "second", "3. Third item.", "More."));
}

TEST(SentenceTest, RangesAreOrderedTrimmedAndCoverAllButSpace) {
  auto random = lastro::testing::SeededRandom(7);
  const std::vector<std::string> pieces = {"Word", " ",  ". ", "!",    "\n", "Dr.",   "é",
                                           "º",    "- ", "1.", "\xFF", "“",  "e.g. ", "A"};
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (int i = 0; i < 30; ++i) text += pieces[random() % pieces.size()];
    size_t end = 0;
    for (const TextRange& range : SplitSentences(text)) {
      ASSERT_LE(end, range.begin);
      ASSERT_LT(range.begin, range.end);
      ASSERT_LE(range.end, text.size());
      std::string between = text.substr(end, range.begin - end);
      EXPECT_EQ(between.find_first_not_of(" \n-"), std::string::npos) << between;
      EXPECT_NE(text[range.begin], ' ');
      EXPECT_NE(text[range.end - 1], ' ');
      end = range.end;
    }
  }
}

}  // namespace
}  // namespace lastro
