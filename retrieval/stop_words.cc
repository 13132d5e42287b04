#include "retrieval/stop_words.h"

#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_split.h"

namespace lastro::retrieval {
namespace {

constexpr absl::string_view kEnglish =
    "a about above after again all also am an and any are as at be because been before being between both but by can "
    "could did do does doing don down during each for from further had has have having he her here hers him his how i "
    "if in into is it its itself just me more most my no nor not now of off on once only or other our out over own s "
    "same she should so some such t than that the their them then there these they this those through to too under "
    "until up us very was we were what when where which while who whom whose why will with would you your yours";

constexpr absl::string_view kPortuguese =
    "a ao aos aquela aquelas aquele aqueles aquilo as ate com como da das de dela dele deles depois do dos e ela elas "
    "ele eles em entre era eram essa essas esse esses esta estao estas estava este estes estou eu foi foram ha isso "
    "isto ja la lhe lhes mais mas me mesmo meu meus minha minhas muito muita muitos na nao nas nem no nos nossa nosso "
    "num numa o onde os ou para pela pelas pelo pelos por porque qual quais quando quanto quantos quantas que "
    "quem sao se sem ser seu seus so sobre sua suas tambem te tem tenho ter teu teus tinha tu tua tuas um uma umas "
    "uns vos";

using WordSet = absl::flat_hash_set<std::string>;

}  // namespace

bool IsStopWord(absl::string_view word) {
  return IsStopWordOf(Language::kEnglish, word) || IsStopWordOf(Language::kPortuguese, word);
}

bool IsStopWordOf(Language language, absl::string_view word) {
  static const WordSet* const english = new WordSet(absl::StrSplit(kEnglish, ' '));
  static const WordSet* const portuguese = new WordSet(absl::StrSplit(kPortuguese, ' '));
  if (language == Language::kEnglish) return english->contains(word);
  return language == Language::kPortuguese && portuguese->contains(word);
}

}  // namespace lastro::retrieval
