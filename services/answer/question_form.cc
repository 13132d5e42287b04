#include "services/answer/question_form.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "retrieval/search_terms.h"
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

// What follows "como" where a name is asked for, "se" aside.
bool Names(absl::string_view word) {
  static const auto* const words = new WordSet({"chama", "chamam", "chamava", "chamavam", "chamado", "chamada"});
  return words->contains(word);
}

std::vector<std::string> FirstWords(absl::string_view question, size_t count) {
  std::vector<std::string> words;
  retrieval::WordBreaker breaker(question);
  for (retrieval::Word word; words.size() < count && breaker.Next(&word);) {
    words.push_back(retrieval::FoldAccents(retrieval::FoldCase(word.text)));
  }
  return words;
}

}  // namespace

bool AsksToExplain(absl::string_view question) {
  const std::vector<std::string> words = FirstWords(question, kFirstWords + 3);
  auto at = [&](size_t i) { return i < words.size() ? absl::string_view(words[i]) : absl::string_view(); };
  for (size_t i = 0; i < std::min(words.size(), kFirstWords); ++i) {
    if (Explains(words[i])) return true;
    if (words[i] == "how") return !Measures(at(i + 1));
    if (words[i] == "por" && at(i + 1) == "que") return true;
    if (words[i] == "como") return !Names(at(i + 1)) && !Names(at(i + 2)) && !Names(at(i + 3));
  }
  return false;
}

}  // namespace lastro::services::answer
