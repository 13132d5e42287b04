// What form of answer a question asks for, English or Portuguese. Pure functions, thread-safe.
#pragma once

#include "absl/strings/string_view.h"

namespace lastro::services::answer {

// Whether `question` is Portuguese rather than English, by its stop words and accents; false when they do not tell.
bool IsInPortuguese(absl::string_view question);

// Whether `question` asks how, why, or for a description or a list, which a few words seldom answer: "how do I ...",
// "por que ...", "list the ...". "how many", "how old", "como se chama" and their like ask for a fact.
bool AsksToExplain(absl::string_view question);

// Whether no less than a sentence answers `question`: it asks yes or no ("is there ...", "posso ...?"), where a word
// out of "pets are not allowed" would say the contrary, or how to do something ("how do I ...", "como se pede ...").
bool AsksForSentence(absl::string_view question);

// Whether `question` asks for a number of things: "how many", "quantas".
bool AsksHowMany(absl::string_view question);

// Whether the word of a question, behind the word `before`, only asks: "many" behind "how", "quantos". Both in lower
// case without accents.
bool OnlyAsks(absl::string_view before, absl::string_view word);

// Whether `question` says all the words of `name`, stop words aside, singular or plural; false when there are none.
bool SaysAllOf(absl::string_view question, absl::string_view name);

// Whether the words `answer` say nothing that `question` does not say itself, and it leaves no choice between such
// ("... or ...", "entre ...").
bool OnlyRepeats(absl::string_view question, absl::string_view answer);

// Whether the words `answer` only join sentences or say how things are done ("exemplo" of "por exemplo", "gradualmente"),
// which answers no question but one for a manner or a time.
bool OnlyJoins(absl::string_view question, absl::string_view answer);

}  // namespace lastro::services::answer
