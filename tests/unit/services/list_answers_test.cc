// When the answer is a list, by what a reader pointed at and what the question says.
#include "services/answer/list_answers.h"

#include "absl/strings/str_cat.h"
#include "tests/test_util.h"

namespace lastro::services::answer {
namespace {

class ListAnswersTest : public ::testing::Test {
 protected:
  explicit ListAnswersTest(const std::string& text = "") {
    hit_.mutable_document()->set_title("Plant handbook");
    hit_.mutable_chunk()->add_headings("Security team");
    hit_.mutable_chunk()->set_text(text);
  }

  // What answers where the reader pointed at `words`: the cited bytes of a list, or "the words".
  std::string Answer(const std::string& question, const std::string& words, bool few_words = true) {
    ListAnswers lists(question, few_words);
    const std::string& text = hit_.chunk().text();
    const size_t at = text.find(words);
    EXPECT_NE(at, std::string::npos) << words;
    const std::optional<PassageList> list = lists.AnswerAt(hit_, {at, at + words.size()});
    if (!list.has_value()) return "the words";
    const TextRange cited = PartOf(*list, 0).cited;
    return text.substr(cited.begin, cited.end - cited.begin);
  }
  std::string Shown(const std::string& question, bool few_words = true) {
    return ListAnswers(question, few_words).ViewOf(hit_).text;
  }
  bool IsOutdone(const std::string& question, const std::string& words) {
    ListAnswers lists(question, true);
    lists.ViewOf(hit_);
    const size_t at = hit_.chunk().text().find(words);
    return lists.IsOutdone(hit_, {at, at + words.size()});
  }

  v1::SearchHit hit_;
};

class DutiesTest : public ListAnswersTest {
 protected:
  DutiesTest() {
    hit_.mutable_chunk()->set_text("The team works at night.\n\nIt has 3 duties. " + announced_ +
                                   "\n\nIts head is Ana Prado.");
  }
  const std::string announced_ = "It does the following:\n\n- checks badges\n- answers the alarm line";
};

TEST_F(DutiesTest, AnItemThatTheQuestionDoesNotTellFromOthersStandsForItsList) {
  EXPECT_EQ(Answer("What does the security team do?", "checks badges"), announced_);
  EXPECT_EQ(Answer("What does the security team do?", "alarm"), announced_);
  EXPECT_EQ(Answer("What does the plant's security team check?", "badges"), "the words") << "it names the item";
  EXPECT_EQ(Answer("Who is the head of the security team?", "Ana Prado"), "the words");
}

TEST_F(DutiesTest, WordsThatPointStandForTheList) {
  EXPECT_EQ(Answer("What does the guard do?", "the following"), announced_);
  EXPECT_EQ(Answer("What does the guard do?", "does"), "the words") << "the question says more than the list";
  EXPECT_EQ(Answer("What does the security team do?", "does"), announced_);
  EXPECT_EQ(Answer("How many duties does the security team have?", "3"), "the words");
}

TEST_F(DutiesTest, MoreThanFewWordsAreAListWhoseItemsTheQuestionDoesNotTellApart) {
  EXPECT_EQ(Answer("How does the team help?", "badges", false), announced_);
  EXPECT_EQ(Answer("How does the team help?", "does the following", false), announced_);
  EXPECT_EQ(Answer("How does one check badges?", "badges", false), "the words");
  EXPECT_EQ(Answer("How does the team help?", "Ana Prado", false), "the words");
}

TEST_F(ListAnswersTest, StepsAreAllToBeTaken) {
  const std::string steps = "To get a badge:\n\n1. Go to the desk.\n2. Sign the form.";
  hit_.mutable_chunk()->set_text(steps);
  EXPECT_EQ(Answer("How do I get a badge at the desk?", "the desk", false), steps);
  hit_.mutable_chunk()->set_text("Nothing is said.\n\n1. Go to the desk.\n2. Sign the form.");
  EXPECT_EQ(Answer("How does the security team work?", "the desk", false), "the words") << "work is not said";
  EXPECT_EQ(Answer("How do I get to the security team?", "the desk", false), "the words");
  EXPECT_EQ(Answer("How can the security team do it?", "the desk", false), "1. Go to the desk.\n2. Sign the form.");
}

TEST_F(ListAnswersTest, AHeadingAnnouncesAsWell) {
  hit_.mutable_chunk()->set_text("It is new.\n\n- Ana Prado\n- Rui Costa");
  EXPECT_EQ(Answer("Who is on the security team?", "Ana Prado"), "- Ana Prado\n- Rui Costa");
  EXPECT_EQ(Answer("Who founded the security team?", "Ana Prado"), "the words");
}

TEST_F(ListAnswersTest, WordsOfTheTitleTellItemsApart) {
  hit_.mutable_document()->set_title("Notes of the treasurer");
  hit_.mutable_chunk()->set_text("Nothing is said.\n\n- Ana, treasurer\n- Rui, chair");
  EXPECT_EQ(Answer("Who is the treasurer?", "Ana"), "the words");
  EXPECT_EQ(Answer("Who is the treasurer?", "Rui"), "- Ana, treasurer\n- Rui, chair") << "then rather all of it";
  EXPECT_EQ(Shown("Who is the treasurer?"), hit_.chunk().text()) << "all of the document is about it";
  hit_.mutable_chunk()->add_headings("Treasurer and chair");
  hit_.mutable_chunk()->add_headings("p. 3");
  EXPECT_EQ(Answer("Who is the treasurer?", "Ana"), "- Ana, treasurer\n- Rui, chair") << "so says the heading";
}

TEST_F(ListAnswersTest, WhatAListSaysIsNotSoIsAnsweredByAllOfIt) {
  const std::string list = "Visitors must not bring:\n\n- sharp knives\n- dogs";
  hit_.mutable_chunk()->set_text(list);
  EXPECT_EQ(Answer("What sharp things may visitors bring?", "sharp knives"), list);
  EXPECT_EQ(Answer("What sharp things must visitors not bring?", "sharp knives"), "the words");
}

TEST_F(ListAnswersTest, ItemsOfManyWordsAreProse) {
  std::string longer = "- one";
  for (int i = 0; i < 40; ++i) absl::StrAppend(&longer, " w", i);
  hit_.mutable_chunk()->set_text("The security team:\n\n" + longer + "\n- Ana");
  EXPECT_EQ(Answer("Who is on the security team?", "Ana"), "the words");
  EXPECT_EQ(Shown("Who is w7 of the security team?"), hit_.chunk().text());
}

class MembersTest : public ListAnswersTest {
 protected:
  MembersTest()
      : ListAnswersTest("The board has these members:\n\n- Ana, chair\n- Rui, treasurer\n- Eva\n\nIt meets.") {}
};

TEST_F(MembersTest, ItemsThatSayLessOfTheQuestionThanAnotherAreNotShown) {
  EXPECT_EQ(Shown("Who is the treasurer of the board?"),
            "The board has these members:\n\n- Rui, treasurer\n\n\nIt meets.");
  EXPECT_EQ(Shown("Who are the members of the board?"), hit_.chunk().text()) << "said around the list";
  EXPECT_EQ(Shown("Is the chair or the treasurer called Eva?"), hit_.chunk().text()) << "each says something else";
  EXPECT_EQ(Shown("How does the treasurer pay?", false), hit_.chunk().text()) << "instructions are all of a list";
}

TEST_F(MembersTest, LinesThatSayLessThanAnItemThatIsToldApartAreDoubtful) {
  EXPECT_TRUE(IsOutdone("Who is the treasurer of the board?", "members"));
  EXPECT_TRUE(IsOutdone("Who is the treasurer of the board?", "meets"));
  EXPECT_FALSE(IsOutdone("Who is the treasurer of the board?", "Rui"));
  EXPECT_FALSE(IsOutdone("Who are the members of the board?", "meets"));
}

}  // namespace
}  // namespace lastro::services::answer
