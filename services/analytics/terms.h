// Words that tell clusters apart: class-based TF-IDF (Grootendorst, 2022): tf(term, cluster) * log(1 + A / f(term)),
// where f counts the term in all clusters and A is the mean number of words of a cluster. English and Portuguese stop
// words, numbers and words of one or two letters are left out. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lastro::services {

// The lower-case words of `text` (runs of Unicode letters, marks and digits, with inner hyphens and apostrophes as
// breaks), stop words left out. Malformed UTF-8 breaks words. At most the first 16 KiB are read.
std::vector<std::string> ContentWords(absl::string_view text);

bool IsStopWord(absl::string_view lower_case_word);

// For each of `clusters`, up to `count` terms, best first, ties in alphabetical order. texts[i] belongs to cluster
// assignments[i].
std::vector<std::vector<std::string>> TopTerms(absl::Span<const absl::string_view> texts,
                                               absl::Span<const int32_t> assignments, int clusters, int count);

}  // namespace lastro::services
