// Support: which parts of a freely generated text stand in the passages word for word. What is not found is never given
// a citation. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "lastro/v1/retrieval.pb.h"

namespace lastro::services::answer {

// Bytes [answer_begin, answer_end) of the answer stand, word for word (letter case and white space aside), in bytes
// [text_begin, text_end) of the passage's chunk text.
struct SupportedRun {
  uint64_t answer_begin = 0;
  uint64_t answer_end = 0;
  int passage = 0;
  uint64_t text_begin = 0;
  uint64_t text_end = 0;
};

struct SupportedSentence {
  uint64_t begin = 0;  // bytes of the answer
  uint64_t end = 0;
  bool supported = false;  // all its words are covered by runs
  std::vector<SupportedRun> runs;
};

struct SupportOptions {
  int min_run_words = 4;  // shorter runs are chance, unless they are the whole sentence
};

// Cuts `answer` into sentences and covers each with the longest word runs found in the passages, left to right, the
// first passage winning ties.
std::vector<SupportedSentence> FindSupport(const std::string& answer, absl::Span<const v1::SearchHit> passages,
                                           const SupportOptions& options = {});

}  // namespace lastro::services::answer
