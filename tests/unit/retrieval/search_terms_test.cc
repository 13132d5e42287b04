#include "retrieval/search_terms.h"

#include <algorithm>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "retrieval/lexical_query.h"

namespace lastro::retrieval {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::string> Words(absl::string_view text) {
  std::vector<std::string> words;
  WordBreaker breaker(text);
  Word word;
  while (breaker.Next(&word)) {
    EXPECT_EQ(text.substr(word.begin, word.end - word.begin), word.text);
    words.emplace_back(word.text);
    if (!word.compound.empty()) words.push_back("<" + std::string(word.compound) + ">");
  }
  return words;
}

std::vector<std::string> Terms(absl::string_view word) {
  SearchTerms terms;
  return terms.Of(Word{word, 0, word.size(), {}});
}

bool Match(absl::string_view a, absl::string_view b) {
  std::vector<std::string> left = Terms(a), right = Terms(b);
  return std::find_first_of(left.begin(), left.end(), right.begin(), right.end()) != left.end();
}

TEST(WordBreakerTest, SplitsAtWhatIsNoLetterOrDigit) {
  EXPECT_THAT(Words("A ação, de 2024!"), ElementsAre("A", "ação", "de", "2024"));
  EXPECT_THAT(Words(""), ElementsAre());
  EXPECT_THAT(Words(" ...?! \n"), ElementsAre());
}

TEST(WordBreakerTest, ReportsCompoundsWithTheirFirstWord) {
  EXPECT_THAT(Words("erro E-1042."), ElementsAre("erro", "E", "<E-1042>", "1042"));
  EXPECT_THAT(Words("v2.3 foo_bar ISO-8859-1"),
              ElementsAre("v2", "<v2.3>", "3", "foo", "<foo_bar>", "bar", "ISO", "<ISO-8859-1>", "8859", "1"));
  EXPECT_THAT(Words("a - b --c"), ElementsAre("a", "b", "c"));
}

TEST(WordBreakerTest, TreatsIdeographsAsWords) {
  EXPECT_THAT(Words("東京タ abc"), ElementsAre("東", "京", "タ", "abc"));
}

TEST(WordBreakerTest, KeepsMarksAndSoftHyphensInsideWords) {
  EXPECT_THAT(Words("cita\u00ADção ac\u0327a\u0303o"), ElementsAre("cita\u00ADção", "ac\u0327a\u0303o"));
}

TEST(WordBreakerTest, SignsAtTheEndBelongToTheWord) {
  auto compound = [](const std::string& text) {
    WordBreaker breaker(text);
    Word word;
    return breaker.Next(&word) ? std::string(word.compound) : std::string();
  };
  EXPECT_EQ(compound("C++, and more"), "C++");
  EXPECT_EQ(compound("F#"), "F#");
  EXPECT_EQ(compound("v1.2.3-rc1+"), "v1.2.3-rc1+");
  EXPECT_EQ(compound("snake_case"), "snake_case");
  EXPECT_EQ(compound("x+++"), "");  // goes on: no word
  EXPECT_EQ(compound("plain #tag"), "");
}

TEST(WordBreakerTest, SurvivesAnyBytes) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += std::string(3, static_cast<char>(i));
  for (const std::string& word : Words(bytes)) EXPECT_FALSE(word.empty());
  EXPECT_EQ(Words(std::string(100000, 'x')).size(), (100000 + 63) / 64u);
  EXPECT_EQ(Words("ab\xFF"
                  "cd")
                .size(),
            2u);
}

TEST(SearchTermsTest, FoldsCaseAndAccents) {
  EXPECT_EQ(FoldCase("AÇÃO ﬁm"), "ação fim");
  EXPECT_EQ(FoldAccents("ação é über"), "acao e uber");
  EXPECT_THAT(Terms("AÇÃO"), Contains("acao"));
  EXPECT_TRUE(Match("ação", "acao"));
  EXPECT_TRUE(Match("ação", "ac\u0327a\u0303o"));  // composed and decomposed
}

TEST(SearchTermsTest, MatchesPortugueseForms) {
  EXPECT_TRUE(Match("citações", "citação"));
  EXPECT_TRUE(Match("citacoes", "citação"));
  EXPECT_TRUE(Match("documentos", "documento"));
  EXPECT_TRUE(Match("pães", "pão"));
  EXPECT_TRUE(Match("animais", "animal"));
  EXPECT_TRUE(Match("papéis", "papel"));
  EXPECT_TRUE(Match("fáceis", "fácil"));
  EXPECT_TRUE(Match("trabalhadores", "trabalhador"));
  EXPECT_FALSE(Match("citação", "situação"));
  EXPECT_FALSE(Match("mais", "mal"));
}

TEST(SearchTermsTest, MatchesEnglishForms) {
  EXPECT_TRUE(Match("policies", "policy"));
  EXPECT_TRUE(Match("running", "runs"));
  EXPECT_FALSE(Match("policy", "police"));
}

TEST(SearchTermsTest, LeavesCodesAlone) { EXPECT_THAT(Terms("1042s"), ElementsAre("1042s")); }

std::string Any(const std::string& text) { return ParseLexicalQuery(text).any; }

TEST(LexicalQueryTest, QuotesWordsAndDropsStopWords) {
  EXPECT_EQ(Any("What is the refund policy?"), "\"refund\" OR \"policy\"");
  EXPECT_EQ(Any("Qual é o prazo?"), "\"prazo\"");
  EXPECT_EQ(Any("to be or not to be"), "\"to\" OR \"be\" OR \"or\" OR \"not\"");
  EXPECT_EQ(Any("policy POLICY Policy"), "\"policy\"");
}

TEST(LexicalQueryTest, KeepsPhrasesAndCompounds) {
  EXPECT_EQ(Any("\"to be or not\""), "\"to be or not\"");
  EXPECT_EQ(Any("“prazo de entrega” frete"), "\"prazo de entrega\" OR \"frete\"");
  EXPECT_EQ(Any("E-1042"), "\"E-1042\" OR \"E 1042\" OR \"1042\"");
  EXPECT_EQ(Any("12\" pizza"), "\"12\" OR \"pizza\"");
  EXPECT_EQ(Any("C++ code"), "\"C++\" OR \"C\" OR \"code\"");
}

TEST(LexicalQueryTest, AsksForEveryPhrase) {
  EXPECT_EQ(ParseLexicalQuery("\"force majeure\" port \"ten days\"").strict,
            "\"force majeure\" AND \"ten days\" AND (\"force majeure\" OR \"port\" OR \"ten days\")");
  EXPECT_EQ(ParseLexicalQuery("port fees").strict, ParseLexicalQuery("port fees").any);
}

TEST(LexicalQueryTest, AStarEndsAPrefix) {
  EXPECT_EQ(Any("refund* (policy*)"), "\"refund\"* OR \"policy\"*");
  EXPECT_EQ(Any("ABC-12* port"), "\"ABC-12\"* OR \"port\"");
  EXPECT_EQ(Any("\"data prot*\""), "\"data prot\"*");
  EXPECT_EQ(Any("23*45 **bold** *thin* x*"),  // none of them is meant so
            "\"23\" OR \"45\" OR \"bold\" OR \"thin\" OR \"x\"");
}

TEST(LexicalQueryTest, NeverLetsSyntaxThrough) {
  EXPECT_EQ(Any("body : x* OR NEAR(a b) ^c - {title} AND \\"),
            "\"body\" OR \"x\" OR \"NEAR\" OR \"b\" OR \"c\" OR \"title\"");
  EXPECT_EQ(Any("\"\"\"';--"), "");
  EXPECT_EQ(Any(std::string("a\0b\0\"c", 6)), "\"b\" OR \"c\"");
}

TEST(LexicalQueryTest, CapsTheNumberOfTerms) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "word" + std::to_string(i) + " ";
  std::string expression = Any(text);
  EXPECT_THAT(expression, AllOf(HasSubstr("\"word63\""), Not(HasSubstr("\"word64\""))));
}

}  // namespace
}  // namespace lastro::retrieval
