#include "services/answer/question_form.h"

#include "tests/test_util.h"

namespace lastro::services::answer {
namespace {

TEST(QuestionForm, TellsExplanationsFromFacts) {
  for (const char* question :
       {"Why was it built?", "How do I report a fault?", "And how does it work?", "Explain the rule.",
        "List the documents to bring.", "Por que o navio parou?", "Como se faz o pedido?", "E como funciona?",
        "Descreva o processo.", "How are refunds paid?"}) {
    EXPECT_TRUE(AsksToExplain(question)) << question;
  }
  for (const char* question :
       {"How many days?", "How much does it cost?", "How old is the ship?", "When does it leave?", "Who pays?",
        "Como se chama o navio?", "Como é chamada a ilha?", "Quantos dias?", "Onde fica?", "Of what, and how?", ""}) {
    EXPECT_FALSE(AsksToExplain(question)) << question;
  }
}

TEST(QuestionForm, TellsWhatNoLessThanASentenceAnswers) {
  for (const char* question :
       {"Is HTTP/2 supported?", "Does it run on Windows?", "And can I bring a dog?", "do pets pay",
        "How do I set a proxy?", "how to install it", "How can we cancel?", "A piscina está aberta ao domingo?",
        "Posso subarrendar o quarto?", "Há estacionamento?", "O contrato renova-se?",
        "Como posso cancelar a inscrição?", "Como se pede um adiantamento?", "Como é que se pede um adiantamento?",
        "Como cancelo a inscrição?", "Como cancelar a inscrição?"}) {
    EXPECT_TRUE(AsksForSentence(question)) << question;
  }
  for (const char* question :
       {"Who is it?", "How is wind measured?", "How many are there?", "Can you tell me who signs?", "Widget licence",
        "", "When is the pool open?", "Quem assina o contrato?", "A piscina fecha quando?",
        "Pode dizer-me quem assina?", "Como se chama o gerente?", "Is it a cake or a biscuit?",
        "Paga-se à semana ou ao mês?", "How do you say hello in French?", "Como se diz pão?",
        "Renda mensal do contrato", "Do contrato, qual é a renda?"}) {
    EXPECT_FALSE(AsksForSentence(question)) << question;
  }
}

TEST(QuestionForm, TellsPortugueseByLittle) {
  for (const char* question : {"Posso subarrendar o apartamento?", "Liste as regras de higiene", "Licença?", "Quem é?",
                               "Há desconto para estudantes?", "Who é o gerente da loja?"}) {
    EXPECT_TRUE(IsInPortuguese(question)) << question;
  }
  for (const char* question : {"Who is the mayor of São Paulo?", "List the rules", "Do pets pay?", "Licence", ""}) {
    EXPECT_FALSE(IsInPortuguese(question)) << question;
  }
}

TEST(QuestionForm, OnlyJoins) {
  for (const char* answer : {"exemplo", "Por exemplo", "for example", "gradualmente", "No entanto", "Além disso"}) {
    EXPECT_TRUE(OnlyJoins("O que substitui o AJAX?", answer)) << answer;
  }
  for (const char* answer : {"", "2,5", "um exemplo de SVG", "semente", "documento", "for 5 euros", "Example Ltd"}) {
    EXPECT_FALSE(OnlyJoins("O que substitui o AJAX?", answer)) << answer;
  }
  EXPECT_FALSE(OnlyJoins("Como são executadas as instruções?", "repetidamente"));
  EXPECT_FALSE(OnlyJoins("Quando reúne a direção?", "mensalmente"));
  EXPECT_FALSE(OnlyJoins("Com que frequência reúne a direção?", "mensalmente"));
}

TEST(QuestionForm, OnlyRepeats) {
  for (const auto& [question, answer] :
       std::vector<std::pair<std::string, std::string>>{{"Who approves software?", "the software"},
                                                        {"Quem aprova a licença?", "a LICENCA"},
                                                        {"Que apoio dá a empresa?", "Apoios"},
                                                        {"What happened in 2014?", "2014"}}) {
    EXPECT_TRUE(OnlyRepeats(question, answer)) << answer;
  }
  for (const auto& [question, answer] :
       std::vector<std::pair<std::string, std::string>>{{"Who approves software?", "the software manager"},
                                                        {"Is it red or blue?", "blue"},
                                                        {"Qual é maior, Lisboa ou Porto?", "Lisboa"},
                                                        {"Who?", "he"},
                                                        {"Who?", ""}}) {
    EXPECT_FALSE(OnlyRepeats(question, answer)) << answer;
  }
}

}  // namespace
}  // namespace lastro::services::answer
