#include "services/answer/definition.h"

#include "tests/test_util.h"

namespace lastro::services::answer {
namespace {

std::string In(const std::string& question, const std::string& sentence) {
  Definition definition(question);
  if (!definition.IsAsked()) return "no definition is asked for";
  const std::optional<TextRange> range = definition.In(sentence);
  return range.has_value() ? sentence.substr(range->begin, range->end - range->begin) : "none";
}

TEST(DefinitionTest, SomeQuestionsAskWhatAThingIs) {
  for (const char* question :
       {"What is a badge?", "What are badges?", "what is NMFC", "What was Tymnet?", "O que é um vale?",
        "O que são vales de refeição?", "E o que é o funil do contribuidor?", "O que significa SPED?"}) {
    EXPECT_TRUE(Definition(question).IsAsked()) << question;
  }
  for (const char* question :
       {"What is the price?", "What is it?", "What is PayPal limited to?", "What is a badge for?", "What time is it?",
        "Who is Ana?", "What do badges open?", "What is", "What is a", "", "O que é proibido no laboratório?",
        "O que é isso?", "O que faz um vale?", "Qual é o prazo?", "Que vale é este?",
        "What is a very long list of words that go on?"}) {
    EXPECT_FALSE(Definition(question).IsAsked()) << question;
  }
}

TEST(DefinitionTest, ASentenceSaysWhatItBeginsWith) {
  EXPECT_EQ(In("What is a badge?", "A badge is a plastic card that opens the doors."),
            "a plastic card that opens the doors");
  EXPECT_EQ(In("What are badges?", "- The badge is the card of an employee."), "the card of an employee");
  EXPECT_EQ(In("What is AJAX?", "AJAX (Asynchronous JavaScript and XML) is a practice."), "a practice");
  EXPECT_EQ(In("What are badges?", "Badges are cards that open doors."), "cards that open doors");
  EXPECT_EQ(In("O que é uma entrada de custo?", "Uma entrada de custo estimada é um registo de custos."),
            "um registo de custos");
  EXPECT_EQ(In("O que são vales de refeição?", "Os vales de refeição são títulos que servem para pagar."),
            "títulos que servem para pagar");
  EXPECT_EQ(In("O que é um módulo?", "O módulo é usado para vender."), "usado para vender");
}

TEST(DefinitionTest, OtherSentencesDoNot) {
  for (const char* sentence : {"A badge costs 12 euros.", "Lost badges are replaced by the front desk on Mondays.",
                               "Every old worn badge of the plant is a risk.", "A badge is not a key.",
                               "Badges are free.", "A badge is lost.", "Where is a badge?", "A badge is", "is a badge",
                               "", "The reader of a badge is a grey box.", "A door is a badge of honour."}) {
    EXPECT_EQ(In("What is a badge?", sentence), "none") << sentence;
  }
  EXPECT_EQ(In("O que é um vale?", "Um vale não é uma nota."), "none");
  EXPECT_EQ(In("O que é um vale?", "Um vale e uma nota."), "none") << "and, not is";
}

}  // namespace
}  // namespace lastro::services::answer
