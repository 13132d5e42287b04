#include "services/answer/question_words.h"

#include "tests/test_util.h"

namespace lastro::services::answer {
namespace {

using ::testing::ElementsAre;

std::vector<bool> NamesOf(const std::string& question) {
  const QuestionWords words(question);
  std::vector<bool> names;
  for (size_t i = 0; i < words.size(); ++i) names.push_back(words.IsName(i));
  return names;
}

TEST(QuestionWordsTest, SaysWhichWordsATextSaysInAnyForm) {
  QuestionWords words("Who manages the offices in Évora?");
  ASSERT_EQ(words.size(), 3u) << "manages, offices, Évora";
  EXPECT_THAT(words.Said("The manager's office"), ElementsAre(true, true, false));
  EXPECT_THAT(words.Said("EVORA"), ElementsAre(false, false, true));
  EXPECT_THAT(words.Said(""), ElementsAre(false, false, false));
  QuestionWords stop("Who is it?");
  EXPECT_EQ(stop.size(), 3u) << "of stop words alone all count";
}

TEST(QuestionWordsTest, NamesHaveCapitalsOrDigits) {
  EXPECT_THAT(NamesOf("Where does Rui Melo work in 2019?"), ElementsAre(true, true, false, true));
  EXPECT_THAT(NamesOf("Managers of Porto?"), ElementsAre(false, true)) << "a sentence begins with a capital";
  EXPECT_THAT(NamesOf("2019 sales of B12?"), ElementsAre(true, false, true));
  EXPECT_THAT(NamesOf("onde fica évora, e Évora"), ElementsAre(false, false, true));
}

TEST(QuestionWordsTest, TitlesOfPersonsAndOfWorksTellNothing) {
  EXPECT_THAT(NamesOf("what is the phone of Mrs Lima"), ElementsAre(false, false, true));
  EXPECT_THAT(NamesOf("qual a extensão da Doutora Lima"), ElementsAre(false, false, true));
  EXPECT_THAT(NamesOf("Phone Number of Porto Office"), ElementsAre(false, false, false, false));
  EXPECT_THAT(NamesOf("Who is Rui Melo?"), ElementsAre(true, true));
}

TEST(QuestionWordsTest, SomeWordsOnlyAsk) {
  const QuestionWords english("How many days are there for many people?");
  ASSERT_EQ(english.size(), 4u) << "many, days, many, people";
  EXPECT_TRUE(english.Asks(0));
  EXPECT_FALSE(english.Asks(1));
  EXPECT_FALSE(english.Asks(2));
  const QuestionWords portuguese("Quantos dias?");
  EXPECT_EQ(portuguese.Asks(0), portuguese.size() == 2) << "where it is no stop word";
  EXPECT_FALSE(portuguese.Asks(portuguese.size() - 1));
}

}  // namespace
}  // namespace lastro::services::answer
