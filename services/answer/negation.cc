#include "services/answer/negation.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "retrieval/search_terms.h"
#include "retrieval/word_breaker.h"
#include "services/answer/question_form.h"

namespace lastro::services::answer {
namespace {

constexpr size_t kWordsDenied = 4;  // behind the word that denies

// For each word of `text` whether it denies; "no" is "in the" where the text is Portuguese.
std::vector<bool> Denials(absl::string_view text, bool portuguese) {
  std::vector<bool> denials;
  std::string before;
  retrieval::WordBreaker breaker(text);
  for (retrieval::Word word; breaker.Next(&word);) {
    std::string folded = retrieval::FoldAccents(retrieval::FoldCase(word.text));
    denials.push_back(Denies(before, folded) && !(portuguese && folded == "no"));
    before = std::move(folded);
  }
  return denials;
}

absl::string_view LastClause(absl::string_view text) {
  const size_t end = text.find_last_of(".,;:!?()[]\n");
  return end == absl::string_view::npos ? text : text.substr(end + 1);
}

}  // namespace

bool Denies(absl::string_view before, absl::string_view word) {
  static const auto* const words = new absl::flat_hash_set<absl::string_view>(
      {"not",     "no",     "never",  "none",   "nobody", "nothing", "neither", "nor",
       "without", "cannot", "except", "unless", "nao",    "nunca",   "nenhum",  "nenhuma",
       "ninguem", "nada",   "nem",    "sem",    "jamais", "exceto",  "salvo",   "tampouco"});
  return words->contains(word) || (word == "t" && !before.empty() && before.back() == 'n');
}

bool LosesNegation(absl::string_view question, absl::string_view before) {
  const bool portuguese = IsInPortuguese(question);
  const std::vector<bool> clause = Denials(LastClause(before), portuguese), asked = Denials(question, portuguese);
  const auto near = clause.end() - static_cast<std::ptrdiff_t>(std::min(clause.size(), kWordsDenied));
  return std::find(near, clause.end(), true) != clause.end() &&
         std::find(asked.begin(), asked.end(), true) == asked.end();
}

}  // namespace lastro::services::answer
