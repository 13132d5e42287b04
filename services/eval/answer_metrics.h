// How near an answer is to the gold answers, by the rules of SQuAD (evaluate-v2.0.py, Rajpurkar et al. 2018): lower
// case, punctuation and articles removed, white space folded. For Portuguese the articles are o, a, os, as, um, uma,
// uns and umas, and punctuation is that of Unicode, as MLQA (Lewis et al. 2020) has it for the languages that SQuAD
// lacks. Pure functions, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lastro::services::eval {

struct AnswerMatch {
  double exact = 0;      // 0 or 1
  double f1 = 0;         // of words
  double contained = 0;  // 0 or 1: the gold answer's words stand in the answer, one behind the other
};

// The words of `text` that count. `language`: "pt", or anything else for English.
std::vector<std::string> NormalizedWords(absl::string_view text, absl::string_view language);

// The best of each measure over the gold answers; gold answers without a word count only where there is no other. With
// no gold answer the question is unanswerable: an empty answer is right and any other wrong.
AnswerMatch MatchAnswer(absl::string_view answer, absl::Span<const std::string> gold, absl::string_view language);

}  // namespace lastro::services::eval
