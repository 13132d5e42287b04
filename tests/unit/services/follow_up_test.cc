#include "services/answer/follow_up.h"

#include "tests/test_util.h"
#include "tests/unit/services/answer_fakes.h"

namespace lastro::services::answer {
namespace {

using lastro::testing::StatusIs;
using ::testing::HasSubstr;

History Conversation(const std::vector<std::string>& turns) {  // the user's, the assistant's, the user's, ...
  History history;
  for (size_t i = 0; i < turns.size(); ++i) {
    v1::Turn* turn = history.Add();
    turn->set_role(i % 2 == 0 ? v1::Turn::USER : v1::Turn::ASSISTANT);
    turn->set_text(turns[i]);
  }
  return history;
}

TEST(FollowUp, TellsWhatRefersBack) {
  for (const char* question :
       {"Who approves it?", "And on Sundays at the gate?", "Why?", "How do I contact him?", "What about Sundays?",
        "Quem o aprova?", "E ao domingo no portão?", "Onde está isso escrito?", "Qual é o prazo dele?"}) {
    EXPECT_TRUE(RefersBack(question)) << question;
  }
  for (const char* question :
       {"At what wind speed do we have to stop bunkering?", "How many days of annual leave do staff have?",
        "Qual é o prazo de pagamento das faturas dos fornecedores?", "Who approves refunds over 500 euros?",
        "Is it allowed to smoke near the fuel tanks of the ship?"}) {
    EXPECT_FALSE(RefersBack(question)) << question;
  }
}

TEST(FollowUp, TakesTheTopicFromTheLatestQuestionThatStandsAlone) {
  const History history = Conversation({"How high is the ballast tank?", "4 metres.", "What are the gate's opening hours?",
                                        "From 6 to 22.", "And on Sundays?", "From 8 to 12."});
  EXPECT_EQ(CompleteByRules("Who opens?", history), "Who opens? (gate opening hours Sundays)");
  EXPECT_EQ(CompleteByRules("How many days of annual leave do staff have?", history),
            "How many days of annual leave do staff have?");
  EXPECT_EQ(CompleteByRules("Who opens?", History()), "Who opens?");
}

TEST(FollowUp, APronounMayStandForTheAnswer) {
  const History history = Conversation({"Who approves refunds over 500 euros?", "The finance director."});
  EXPECT_EQ(CompleteByRules("How can I reach her?", history),
            "How can I reach her? (approves refunds 500 euros finance director)");
  const History portuguese = Conversation({"Quem aprova as despesas de viagem?", "A diretora financeira."});
  EXPECT_EQ(CompleteByRules("E qual é o telefone dela?", portuguese),
            "E qual é o telefone dela? (aprova despesas viagem diretora financeira)");
}

TEST(FollowUp, TheTopicIsBounded) {
  std::string words;
  for (int i = 0; i < 3000; ++i) words += " word" + std::to_string(i);
  const std::string completed = CompleteByRules("Why?", Conversation({words, words}));
  EXPECT_LT(completed.size(), 200u);
}

TEST(FollowUp, ADecoderThatConversesRewrites) {
  testing::FakeGeneration generation;
  const History history = Conversation({"What are the gate's opening hours?", "From 6 to 22."});
  generation.generated = "\"What are the gate's opening hours on Sundays?\"\nI hope this helps.";
  EXPECT_EQ(StandaloneQuestion("And on Sundays?", history, generation, CallContext()).value(),
            "What are the gate's opening hours on Sundays?");
  EXPECT_THAT(generation.last_prompt.chat().messages(0).content(), HasSubstr("User: And on Sundays?"));
  generation.generated = std::string(5000, 'x');  // no question
  EXPECT_EQ(StandaloneQuestion("And on Sundays?", history, generation, CallContext()).value(),
            "And on Sundays? (gate opening hours)");
}

TEST(FollowUp, HostileHistoriesAreRefused) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(CheckHistory(Conversation(std::vector<std::string>(33, "x"))), StatusIs(kInvalid, HasSubstr("33 turns")));
  EXPECT_THAT(CheckHistory(Conversation({""})), StatusIs(kInvalid, HasSubstr("0 bytes")));
  EXPECT_THAT(CheckHistory(Conversation({std::string(40'000, 'x')})), StatusIs(kInvalid, HasSubstr("bytes")));
  EXPECT_THAT(CheckHistory(Conversation({"\xFF"})), StatusIs(kInvalid, HasSubstr("UTF-8")));
  History history;
  history.Add()->set_text("x");
  EXPECT_THAT(CheckHistory(history), StatusIs(kInvalid, HasSubstr("role")));
}

}  // namespace
}  // namespace lastro::services::answer
