#include "services/answer/question_form.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "retrieval/search_terms.h"
#include "retrieval/stop_words.h"
#include "retrieval/word_breaker.h"

namespace lastro::services::answer {
namespace {

using WordSet = absl::flat_hash_set<absl::string_view>;

constexpr size_t kFirstWords = 3;  // among which the question word is: "And how do ...", "E por que ..."

// In lower case without accents, as every word is compared here.
bool Explains(absl::string_view word) {
  static const auto* const words = new WordSet({"why", "explain", "describe", "list", "enumerate", "porque", "explique",
                                                "descreva", "liste", "enumere", "explica", "descreve"});
  return words->contains(word);
}

// What follows "how" where a measure or a fact is asked for.
bool Measures(absl::string_view word) {
  static const auto* const words = new WordSet(
      {"many", "much", "long", "old",   "far",   "often", "big",  "large", "tall",       "high",    "deep",  "fast",
       "wide", "late", "soon", "early", "heavy", "hot",   "cold", "close", "frequently", "quickly", "thick", "strong"});
  return words->contains(word);
}

// What follows "como", "how do you" where a name or a word is asked for, "se" aside.
bool Names(absl::string_view word) {
  static const auto* const words = new WordSet(
      {"chama", "chamam", "chamava", "chamavam", "chamado", "chamada", "diz", "escreve", "say", "call", "spell"});
  return words->contains(word);
}

bool IsQuestionWord(absl::string_view word) {
  static const auto* const words =
      new WordSet({"who",    "whom", "whose", "what",   "which",  "when",   "where",   "why",    "how",   "quem",
                   "que",    "qual", "quais", "quando", "quanto", "quanta", "quao",    "onde",   "aonde", "como",
                   "porque", "cujo", "cuja",  "cujos",  "cujas",  "donde",  "quantos", "quantas"});
  return words->contains(word);
}

bool IsAuxiliary(absl::string_view word) {
  static const auto* const words =
      new WordSet({"is",  "are",   "was",  "were",  "am",     "do",   "does",  "did", "can",  "could",
                   "may", "might", "must", "shall", "should", "will", "would", "has", "have", "had"});
  return words->contains(word);
}

bool IsOpener(absl::string_view word) { return word == "and" || word == "but" || word == "so"; }

// Who acts in "how do I ...", "how can one ...".
bool IsAsker(absl::string_view word) {
  return word == "i" || word == "we" || word == "you" || word == "one" || word == "someone";
}

// What follows "como" where a way of doing something is asked for: "posso", "se pede", "pedir", "cancelo a".
bool Instructs(absl::string_view word, absl::string_view next) {
  static const auto* const words = new WordSet({"posso", "podemos", "pode", "devo", "devemos", "deve", "faco",
                                                "fazemos", "consigo", "conseguimos", "peco", "pedimos"});
  static const auto* const articles = new WordSet({"o", "a", "os", "as", "um", "uma"});
  if (words->contains(word)) return true;
  if (word == "se") return !Names(next);
  if (word.size() < 4) return false;
  if (absl::EndsWith(word, "ar") || absl::EndsWith(word, "er") || absl::EndsWith(word, "ir")) return true;
  return absl::EndsWith(word, "o") && articles->contains(next);
}

std::vector<std::string> FoldedWords(absl::string_view text) {
  std::vector<std::string> words;
  retrieval::WordBreaker breaker(text);
  for (retrieval::Word word; breaker.Next(&word);) {
    words.push_back(retrieval::FoldAccents(retrieval::FoldCase(word.text)));
  }
  return words;
}

// A word of a question and those behind it.
class Words {
 public:
  explicit Words(absl::string_view question) : words_(FoldedWords(question)) {}
  absl::string_view operator[](size_t i) const {
    return i < words_.size() ? absl::string_view(words_[i]) : absl::string_view();
  }
  bool Has(absl::string_view word) const { return std::find(words_.begin(), words_.end(), word) != words_.end(); }
  bool HasQuestionWord() const { return std::any_of(words_.begin(), words_.end(), IsQuestionWord); }

 private:
  const std::vector<std::string> words_;
};

bool AsksYesOrNo(absl::string_view question, const Words& words) {
  if (words.Has("or") || words.Has("ou")) return false;  // but which of the two
  if (IsInPortuguese(question)) {
    return absl::EndsWith(absl::StripTrailingAsciiWhitespace(question), "?") && !words.HasQuestionWord();
  }
  const size_t first = IsOpener(words[0]) ? 1 : 0;
  const bool indirect = words[first + 1] == "you" && words.HasQuestionWord();  // "can you tell me who ..."
  return IsAuxiliary(words[first]) && !indirect;
}

bool AsksHowToDo(const Words& words) {
  for (size_t i = 0; i < kFirstWords; ++i) {
    if (words[i] == "how" && words[i + 1] == "to") return true;
    if (words[i] == "how") return IsAuxiliary(words[i + 1]) && IsAsker(words[i + 2]) && !Names(words[i + 3]);
    if (words[i] != "como") continue;
    const size_t verb = i + (words[i + 1] == "e" && words[i + 2] == "que" ? 3 : 1);  // "como é que se pede"
    return Instructs(words[verb], words[verb + 1]);
  }
  return false;
}

}  // namespace

bool IsInPortuguese(absl::string_view question) {
  int portuguese = 0, english = 0;
  for (const std::string& word : FoldedWords(question)) {
    portuguese += retrieval::IsStopWordOf(retrieval::Language::kPortuguese, word);
    english += retrieval::IsStopWordOf(retrieval::Language::kEnglish, word);
  }
  for (absl::string_view letter : {"ã", "õ", "ç", "Ã", "Õ", "Ç"}) portuguese += absl::StrContains(question, letter);
  return portuguese > english;
}

bool AsksToExplain(absl::string_view question) {
  const Words words(question);
  for (size_t i = 0; i < kFirstWords; ++i) {
    if (Explains(words[i])) return true;
    if (words[i] == "how") return !Measures(words[i + 1]);
    if (words[i] == "por" && words[i + 1] == "que") return true;
    if (words[i] == "como") return !Names(words[i + 1]) && !Names(words[i + 2]) && !Names(words[i + 3]);
  }
  return false;
}

bool AsksForSentence(absl::string_view question) {
  const Words words(question);
  return AsksYesOrNo(question, words) || AsksHowToDo(words);
}

bool AsksHowMany(absl::string_view question) {
  const Words words(question);
  for (size_t i = 0; i < kFirstWords; ++i) {
    if (words[i] == "how" && (words[i + 1] == "many" || words[i + 1] == "much")) return true;
    if (absl::StartsWith(words[i], "quant")) return true;
  }
  return false;
}

bool OnlyAsks(absl::string_view before, absl::string_view word) {
  return IsQuestionWord(word) || (before == "how" && Measures(word));
}

bool SaysAllOf(absl::string_view question, absl::string_view name) {
  retrieval::SearchTerms terms;
  absl::flat_hash_set<std::string> known;
  retrieval::WordBreaker of_question(question);
  for (retrieval::Word word; of_question.Next(&word);) {
    const std::vector<std::string>& of_word = terms.Of(word);
    known.insert(of_word.begin(), of_word.end());
  }
  bool says = false;
  retrieval::WordBreaker of_name(name);
  for (retrieval::Word word; of_name.Next(&word);) {
    const std::vector<std::string>& of_word = terms.Of(word);
    if (of_word.empty() || retrieval::IsStopWord(of_word.front())) continue;
    if (std::none_of(of_word.begin(), of_word.end(), [&](const auto& term) { return known.contains(term); })) {
      return false;
    }
    says = true;
  }
  return says;
}

bool OnlyRepeats(absl::string_view question, absl::string_view answer) {
  const Words asked(question);
  for (absl::string_view choice : {"or", "between", "ou", "entre"}) {
    if (asked.Has(choice)) return false;
  }
  return SaysAllOf(question, answer);
}

bool OnlyJoins(absl::string_view question, absl::string_view answer) {
  static const auto* const joining =
      new WordSet({"for",  "example", "instance", "however", "therefore", "moreover",   "also",
                   "thus", "hence",   "por",      "exemplo", "entanto",   "entretanto", "portanto",
                   "alem", "disso",   "assim",    "contudo", "todavia",   "tambem",     "no"});
  const Words asked(question);
  for (absl::string_view word : {"how", "when", "como", "quando", "frequencia", "maneira", "modo", "forma"}) {
    if (asked.Has(word)) return false;
  }
  const std::vector<std::string> words = FoldedWords(answer);
  return !words.empty() && std::all_of(words.begin(), words.end(), [](const std::string& word) {
    return joining->contains(word) || (word.size() > 8 && absl::EndsWith(word, "mente"));
  });
}

}  // namespace lastro::services::answer
