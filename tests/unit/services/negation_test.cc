#include "services/answer/negation.h"

#include "tests/test_util.h"

namespace lastro::services::answer {
namespace {

TEST(NegationTest, TellsWordsThatLoseIt) {
  for (const auto& [question, before] : std::vector<std::pair<const char*, const char*>>{
           {"Which letters may a name have?", "Names may not contain "},
           {"Which letters may a name have?", "Digits are fine; it mustn't have "},
           {"Which letters may a name have?", "It can\u2019t have "},
           {"When is the pool open?", "On Mondays, when it is never "},
           {"Who pays?", "Without "},
           {"Quem paga?", "A renda não é paga pelo "},
           {"Em que mês abre a piscina?", "Nunca abre em "},
           {"When is the pool open?", "It is open every day except "}}) {
    EXPECT_TRUE(LosesNegation(question, before)) << before;
  }
  for (const auto& [question, before] : std::vector<std::pair<const char*, const char*>>{
           {"Which letters may a name not have?", "Names may not contain "},
           {"Which letters can't a name have?", "Names may not contain "},
           {"Who owns it?", "The user does not own the bucket; it is owned by the "},
           {"Who owns it?", "If it is not sold, the owner is "},
           {"When did they last meet?", "They have not met in the World Series since "},
           {"Quem não paga?", "A renda não é paga pelo "},
           {"Onde fica a sede?", "A sede fica no "},
           {"Who?", ""}}) {
    EXPECT_FALSE(LosesNegation(question, before)) << before;
  }
}

}  // namespace
}  // namespace lastro::services::answer
