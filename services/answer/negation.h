// Words that deny, English and Portuguese. Pure functions, thread-safe.
#pragma once

#include "absl/strings/string_view.h"

namespace lastro::services::answer {

// Whether `word`, behind `before`, denies what is said: "not", "without", "sem", the "t" of "isn't". Both in lower case
// without accents, as retrieval/word_breaker.h parts them; `before` is empty of the first word. "no" counts as the
// English word.
bool Denies(absl::string_view before, absl::string_view word);

// Whether words behind `before`, the sentence up to them, would say the contrary without it, as an answer to
// `question`: "uppercase letters" out of "names may not contain uppercase letters". So they do within a few words of a
// denial in the same clause, unless the question denies too.
bool LosesNegation(absl::string_view question, absl::string_view before);

}  // namespace lastro::services::answer
