// The words of a question, and which of them a text says: as search does, in any form of the word, with or without
// accents. Not thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "retrieval/search_terms.h"

namespace lastro::services::answer {

class QuestionWords {
 public:
  using TermSet = absl::flat_hash_set<std::string>;

  // The words that say something; all of them where there are none but stop words.
  explicit QuestionWords(absl::string_view question);

  size_t size() const { return words_.size(); }
  // Whether the word is of a name or a number: it has a digit, or a capital that is not its sentence's, as no more than
  // two thirds of the question's words have. Titles of persons ("Mrs", "Dr.", "Doutora") are no part of names.
  bool IsName(size_t word) const { return words_[word].is_name; }
  // The word in lower case without accents.
  const std::string& Folded(size_t word) const { return words_[word].terms.front(); }
  // Whether the word only asks: "many" of "how many".
  bool Asks(size_t word) const { return words_[word].asks; }
  // The search terms of a text's words, for IsIn.
  TermSet TermsOf(absl::string_view text);
  // Whether a text of these terms says the word.
  bool IsIn(const TermSet& text, size_t word) const;
  // Of each word whether `text` says it.
  std::vector<bool> Said(absl::string_view text);

 private:
  struct QuestionWord {
    std::vector<std::string> terms;  // two words match when they share one
    bool is_name = false;
    bool asks = false;
  };

  retrieval::SearchTerms terms_;
  std::vector<QuestionWord> words_;
};

// Whether a text that says `more` of a question's words says all that one does which says `less`, and something
// besides.
bool SaysMore(const std::vector<bool>& more, const std::vector<bool>& less);

}  // namespace lastro::services::answer
