// Definitions: questions that ask what something is ("What is a badge?", "O que são vales de refeição?"), and sentences
// that say it ("A badge is a plastic card that opens the doors."). English and Portuguese. Not thread-safe.
#pragma once

#include <optional>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "base/sentence.h"
#include "services/answer/question_words.h"

namespace lastro::services::answer {

class Definition {
 public:
  // Of the term that `question` asks for.
  explicit Definition(absl::string_view question);

  // Whether it asks for one: "What is (a) <a few words that name something>?".
  bool IsAsked() const { return term_.has_value(); }

  // The bytes of `sentence` that say what the term is ("a plastic card that opens the doors"); nullopt where it does
  // not begin with the term, with one word besides at most, and a verb like "is" or "são", or says something else of
  // it.
  std::optional<TextRange> In(absl::string_view sentence);

 private:
  std::optional<QuestionWords> term_;
  absl::flat_hash_set<std::string> words_;  // of the term, in lower case without accents
};

}  // namespace lastro::services::answer
