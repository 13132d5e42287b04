#include "services/answer/definition.h"

#include <algorithm>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/list_marker.h"
#include "retrieval/search_terms.h"
#include "retrieval/stop_words.h"
#include "retrieval/word_breaker.h"

namespace lastro::services::answer {
namespace {

using WordSet = absl::flat_hash_set<absl::string_view>;

constexpr size_t kMaxTermWords = 6;
constexpr size_t kMaxWordsBesides = 1;  // of the subject of a sentence, that are not the term's
constexpr size_t kMinWordsSaid = 4;     // of what the term is, where no article begins it
constexpr size_t kMaxSubjectWords = 12;

struct Token {
  std::string folded;  // lower case without accents
  size_t begin = 0, end = 0;
};

std::vector<Token> TokensOf(absl::string_view text) {
  std::vector<Token> tokens;
  retrieval::WordBreaker breaker(text);
  for (retrieval::Word word; breaker.Next(&word);) {
    tokens.push_back({retrieval::FoldAccents(retrieval::FoldCase(word.text)), word.begin, word.end});
  }
  return tokens;
}

// Of either language, or a word that stands for one.
bool IsArticle(absl::string_view word) {
  static const auto* const words =
      new WordSet({"a", "an", "the", "any", "one", "some", "o", "os", "as", "um", "uma", "uns", "umas", "qualquer"});
  return words->contains(word);
}

bool JoinsNouns(absl::string_view word) {
  return word == "de" || word == "do" || word == "da" || word == "dos" || word == "das";
}

// As it is written, so that "e" ("and") is no "é".
bool IsCopula(absl::string_view word) {
  static const auto* const words = new WordSet(
      {"is", "are", "was", "were", "means", "é", "são", "era", "eram", "foi", "significa", "significam", "designa"});
  return words->contains(word);
}

// "issued", "emitidos": what is done with a thing, not what it is; but it is what it is used for.
bool IsDone(absl::string_view word) {
  if (absl::StartsWith(word, "used") || absl::StartsWith(word, "usad")) return false;
  for (absl::string_view ending : {"ed", "ado", "ados", "ada", "adas", "ido", "idos", "ida", "idas"}) {
    if (absl::EndsWith(word, ending)) return true;
  }
  return false;
}

// Whether the words behind a copula say what something is.
bool SaysWhatItIs(const std::vector<Token>& tokens, size_t copula) {
  const size_t first = copula + 1;
  if (first >= tokens.size()) return false;
  const std::string& word = tokens[first].folded;
  if (IsArticle(word) || absl::StartsWith(word, "used") || absl::StartsWith(word, "usad")) return true;
  const std::string& verb = tokens[copula].folded;
  const bool plural = verb == "are" || verb == "were" || verb == "sao" || verb == "eram";
  return plural && !IsDone(word) && word != "not" && tokens.size() - first >= kMinWordsSaid;
}

bool IsStopWordOf(bool portuguese, absl::string_view word) {
  return retrieval::IsStopWordOf(portuguese ? retrieval::Language::kPortuguese : retrieval::Language::kEnglish, word);
}

absl::string_view Written(absl::string_view text, const Token& token) {
  return text.substr(token.begin, token.end - token.begin);
}

// The words of the question that name what is asked for, empty where it asks for something else.
std::string TermOf(absl::string_view question) {
  const std::vector<Token> tokens = TokensOf(question);
  size_t at = 0;
  const auto take = [&](absl::string_view word) {
    const bool found = at < tokens.size() && tokens[at].folded == word;
    at += found;
    return found;
  };
  take("e") || take("and");
  const bool english = take("what");
  if (!english && !(take("o"), take("que"))) return "";
  if (at >= tokens.size() || !IsCopula(retrieval::FoldCase(Written(question, tokens[at])))) return "";
  if (++at < tokens.size() && IsArticle(tokens[at].folded)) {
    if (tokens[at].folded == "the") return "";  // one that the documents know: "What is the price?"
    ++at;
  }
  if (at == tokens.size() || tokens.size() - at > kMaxTermWords) return "";
  for (size_t i = at; i < tokens.size(); ++i) {
    const bool joins = !english && JoinsNouns(tokens[i].folded) && i > at && i + 1 < tokens.size();
    if (!joins && IsStopWordOf(!english, tokens[i].folded)) return "";
  }
  return std::string(question.substr(tokens[at].begin, tokens.back().end - tokens[at].begin));
}

// Where brackets open and close again behind `at`, the end of them.
size_t SkipBrackets(absl::string_view text, size_t at) {
  const size_t open = text.find_first_not_of(' ', at);
  if (open == text.npos || text[open] != '(') return at;
  const size_t close = text.find(')', open);
  return close == text.npos ? at : close + 1;
}

}  // namespace

Definition::Definition(absl::string_view question) {
  const std::string term = TermOf(question);
  if (term.empty()) return;
  term_.emplace(term);
  for (const Token& token : TokensOf(term)) words_.insert(token.folded);
}

std::optional<TextRange> Definition::In(absl::string_view sentence) {
  if (!term_.has_value()) return std::nullopt;
  const size_t begin = ListMarkerLength(sentence);
  const absl::string_view body = sentence.substr(begin);
  const std::vector<Token> tokens = TokensOf(body);
  size_t at = !tokens.empty() && IsArticle(tokens[0].folded) ? 1 : 0;
  std::string subject;
  size_t words = 0, copula = 0;
  for (size_t skip = 0; at < tokens.size(); ++at) {
    if (tokens[at].begin < skip) continue;  // in brackets: "(AJAX)"
    if (IsCopula(retrieval::FoldCase(Written(body, tokens[at])))) {
      copula = at;
      break;
    }
    // Of "the reader of a badge", "a badge without", "um vale não" something else is said.
    const bool of_other = retrieval::IsStopWord(tokens[at].folded) && !words_.contains(tokens[at].folded);
    if (of_other || ++words > kMaxSubjectWords) return std::nullopt;
    absl::StrAppend(&subject, Written(body, tokens[at]), " ");
    skip = SkipBrackets(body, tokens[at].end);
  }
  if (copula == 0) return std::nullopt;
  const std::vector<bool> said = term_->Said(subject);
  if (std::find(said.begin(), said.end(), false) != said.end()) return std::nullopt;
  if (QuestionWords(subject).size() > term_->size() + kMaxWordsBesides) return std::nullopt;
  if (!SaysWhatItIs(tokens, copula)) return std::nullopt;
  const size_t from = body.find_first_not_of(" \n", tokens[copula].end);
  size_t to = body.size();
  while (to > from && (body[to - 1] == '.' || body[to - 1] == ' ')) --to;
  return TextRange{begin + from, begin + to};
}

}  // namespace lastro::services::answer
