// `lastro ask --chat` on fake components: questions from a pipe, what each is asked with, and what is shown.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/json.h"
#include "tests/test_util.h"
#include "tests/unit/services/cli_fake_node.h"

namespace lastro::services {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class AskChatTest : public ::testing::Test, public testing::CliRunner {
 protected:
  void SetUp() override {
    state.answer.set_text("25 days.");
    state.answer.set_answerability(v1::ANSWERED);
  }
  // "USER Q", "ASSISTANT A", ... of the last request.
  std::vector<std::string> History() const {
    std::vector<std::string> turns;
    for (const v1::Turn& turn : state.ask_request.history()) {
      turns.push_back(absl::StrCat(v1::Turn::Role_Name(turn.role()), " ", turn.text()));
    }
    return turns;
  }
};

TEST_F(AskChatTest, EachQuestionKnowsWhatWasSaid) {
  input = "How many days of leave?\n\n  And for managers? \nWho says so?";  // the last line is not ended
  EXPECT_EQ(Lastro({"--collection", "hr", "ask", "--chat", "--mode", "generate", "--top", "3"}), kExitOk) << err;
  EXPECT_EQ(state.ask_request.question(), "Who says so?");
  EXPECT_THAT(History(), ElementsAre("USER How many days of leave?", "ASSISTANT 25 days.", "USER And for managers?",
                                     "ASSISTANT 25 days."));
  EXPECT_EQ(state.ask_request.collection(), "hr");
  EXPECT_EQ(state.ask_request.mode(), v1::ANSWER_MODE_GENERATE);
  EXPECT_EQ(state.ask_request.max_passages(), 3);
  EXPECT_EQ(err, "");
}

TEST_F(AskChatTest, TheFirstQuestionMayBeGiven) {
  input = "And then?\n";
  EXPECT_EQ(Lastro({"ask", "--chat", "First?"}), kExitOk);
  EXPECT_EQ(state.ask_request.question(), "And then?");
  EXPECT_THAT(History(), ElementsAre("USER First?", "ASSISTANT 25 days."));
}

TEST_F(AskChatTest, EndsAtTheEndOfTheInputAndAtQuit) {
  input = "One?\n/quit\nTwo?\n";
  EXPECT_EQ(Lastro({"ask", "--chat"}), kExitOk);
  EXPECT_EQ(state.ask_request.question(), "One?");
  state.ask_request.Clear();
  input = "";
  EXPECT_EQ(Lastro({"ask", "--chat"}), kExitOk);
  EXPECT_EQ(state.ask_request.question(), "");
  EXPECT_EQ(out, "");
}

TEST_F(AskChatTest, ShowsTheQuestionThatWasAnsweredWhereItIsAnother) {
  state.answer.set_standalone_question("And for managers? (days leave)");
  input = "And for managers?\n";
  Lastro({"ask", "--chat"});
  EXPECT_THAT(out, HasSubstr("25 days."));
  EXPECT_THAT(out, HasSubstr("Understood as: And for managers? (days leave)\n"));
  state.answer.set_standalone_question("And for managers?");
  Lastro({"ask", "--chat"});
  EXPECT_THAT(out, Not(HasSubstr("Understood as")));
}

TEST_F(AskChatTest, JsonIsOneObjectALine) {
  state.answer.set_standalone_question("One? (leave)");
  input = "One?\nTwo?\n";
  EXPECT_EQ(Lastro({"ask", "--chat", "--json"}), kExitOk);
  std::vector<std::string> lines = absl::StrSplit(out, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 2u);
  for (const std::string& line : lines) {
    ASSERT_OK_AND_ASSIGN(JsonDocument answer, JsonDocument::Parse(line, "line"));
    ASSERT_OK_AND_ASSIGN(std::string question, answer.root().GetString("standalone_question", ""));
    EXPECT_EQ(question, "One? (leave)");
  }
}

TEST_F(AskChatTest, WhatWasNotAnsweredIsNoTurnOfTheAssistant) {
  state.answer.set_answerability(v1::NO_HIT);
  input = "One?\nTwo?\n";
  EXPECT_EQ(Lastro({"ask", "--chat"}), kExitOk);
  EXPECT_THAT(History(), ElementsAre("USER One?"));
}

TEST_F(AskChatTest, TheOldestTurnsOfALongConversationGo) {
  for (int i = 0; i < 40; ++i) absl::StrAppend(&input, "Question ", i, "?\n");
  EXPECT_EQ(Lastro({"ask", "--chat"}), kExitOk);
  EXPECT_EQ(state.ask_request.history_size(), 32);
  EXPECT_EQ(History().front(), "USER Question 23?");
  EXPECT_EQ(History().back(), "ASSISTANT 25 days.");
}

TEST_F(AskChatTest, AQuestionThatCannotBeAskedEndsItButOnATerminal) {
  input = "One?\nTwo?\n";
  state.ask_status = absl::InvalidArgumentError("question is too long");
  EXPECT_EQ(Lastro({"ask", "--chat"}), kExitUsage);
  EXPECT_EQ(state.ask_request.question(), "One?");
  in_is_terminal = true;
  EXPECT_EQ(Lastro({"ask", "--chat"}), kExitOk);
  EXPECT_EQ(state.ask_request.question(), "Two?");
  EXPECT_THAT(History(), IsEmpty());
  EXPECT_THAT(err, HasSubstr("question is too long"));
  state.ask_status = absl::UnavailableError("gone");
  EXPECT_EQ(Lastro({"ask", "--chat"}), kExitUnavailable);
}

TEST_F(AskChatTest, WhatIsNoTextIsRefused) {
  for (const std::string& line : {std::string("\xff\xfe\n"), std::string(5u << 20, 'x')}) {
    input = "First?\n" + line + "\nLast?\n";
    EXPECT_EQ(Lastro({"ask", "--chat"}), kExitUsage);
    EXPECT_EQ(state.ask_request.question(), "First?");
    EXPECT_THAT(err, HasSubstr(line.size() < 10 ? "UTF-8" : "a line is over 1048576 bytes"));
  }
}

TEST_F(AskChatTest, WrongUsage) {
  EXPECT_EQ(Lastro({"ask"}), kExitUsage);
  EXPECT_EQ(Lastro({"ask", "-", "--chat"}), kExitUsage);
  input = "caf\xe9\n";
  EXPECT_EQ(Lastro({"ask", "--chat"}), kExitUsage);
}

}  // namespace
}  // namespace lastro::services
