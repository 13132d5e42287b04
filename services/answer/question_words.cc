#include "services/answer/question_words.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "retrieval/stop_words.h"
#include "retrieval/word_breaker.h"
#include "services/answer/question_form.h"
#include "services/answer/words.h"

namespace lastro::services::answer {
namespace {

constexpr absl::string_view kPersonTitles[] = {
    "mr", "mrs", "ms",     "miss",    "dr",   "dra",    "prof",    "eng",       "sir",        "lady",
    "sr", "sra", "senhor", "senhora", "dona", "doutor", "doutora", "professor", "professora", "doctor"};

bool IsPersonTitle(absl::string_view folded) {
  return std::find(std::begin(kPersonTitles), std::end(kPersonTitles), folded) != std::end(kPersonTitles);
}

// Whether capitals tell names from other words: not where most words behind the first have one.
bool CapitalsTell(absl::string_view question) {
  size_t words = 0, capitals = 0;
  retrieval::WordBreaker breaker(question);
  retrieval::Word word;
  breaker.Next(&word);
  for (; breaker.Next(&word); ++words) capitals += HasCapital(word.text);
  return 3 * capitals <= 2 * words;
}

}  // namespace

QuestionWords::QuestionWords(absl::string_view question) {
  const bool capitals_tell = CapitalsTell(question);
  std::vector<QuestionWord> all;
  retrieval::WordBreaker breaker(question);
  std::string before;
  bool is_first = true;
  for (retrieval::Word word; breaker.Next(&word); is_first = false) {
    QuestionWord of_word{terms_.Of(word)};
    if (of_word.terms.empty()) continue;
    const std::string& folded = of_word.terms.front();
    const bool has_capital = capitals_tell && !is_first && HasCapital(word.text);
    of_word.is_name = (has_capital || HasDigit(word.text)) && !IsPersonTitle(folded);
    of_word.asks = OnlyAsks(before, folded);
    before = folded;
    if (!retrieval::IsStopWord(of_word.terms.front())) words_.push_back(of_word);
    all.push_back(std::move(of_word));
  }
  if (words_.empty()) words_ = std::move(all);
}

QuestionWords::TermSet QuestionWords::TermsOf(absl::string_view text) {
  TermSet set;
  retrieval::WordBreaker breaker(text);
  for (retrieval::Word word; breaker.Next(&word);) {
    const std::vector<std::string>& of_word = terms_.Of(word);
    set.insert(of_word.begin(), of_word.end());
  }
  return set;
}

bool QuestionWords::IsIn(const TermSet& text, size_t word) const {
  const std::vector<std::string>& terms = words_[word].terms;
  return std::any_of(terms.begin(), terms.end(), [&](const std::string& term) { return text.contains(term); });
}

std::vector<bool> QuestionWords::Said(absl::string_view text) {
  const TermSet terms = TermsOf(text);
  std::vector<bool> said(words_.size());
  for (size_t i = 0; i < words_.size(); ++i) said[i] = IsIn(terms, i);
  return said;
}

bool SaysMore(const std::vector<bool>& more, const std::vector<bool>& less) {
  bool besides = false;
  for (size_t i = 0; i < less.size(); ++i) {
    if (less[i] && !more[i]) return false;
    besides = besides || (more[i] && !less[i]);
  }
  return besides;
}

}  // namespace lastro::services::answer
