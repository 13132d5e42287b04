// Prompt lookup (Saxena 2023, "Prompt Lookup Decoding"): guesses how a text goes on from what followed where its last
// tokens stand earlier in it or in its prompt. Answers from documents, code and lists repeat much of what they have
// seen. Who computes the guessed tokens in the step of the last one gets, as in speculative decoding (Leviathan et al.
// 2023) with a draft that costs nothing, as many tokens more as were right.
//
// Pure logic; not thread-safe: one object a text.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"

namespace lastro::engine {

// Where the last tokens of a text stand earlier in it. A token costs a few look-ups in a hash table, however long the
// text is.
class NgramIndex {
 public:
  // A single token that came before says little about the next. Longer runs than the longest are found by their end.
  static constexpr int kShortest = 2, kLongest = 4;

  struct Match {
    int length = 0;   // of the run of tokens; 0: there is none
    size_t next = 0;  // index in text() of the token that followed it
  };

  // `token` is not negative.
  void Push(int32_t token);

  // The longest run at the end of the text that stands earlier too, up to kLongest; of several such places the last.
  // The places may overlap with the end.
  Match Find() const;

  const std::vector<int32_t>& text() const { return text_; }

 private:
  using Ngram = std::array<int32_t, kLongest>;  // of shorter ones the rest is -1

  Ngram LastTokens(int count) const;

  std::vector<int32_t> text_;
  absl::flat_hash_map<Ngram, int32_t> next_;  // behind the last place of each n-gram that is followed by a token
};

// Guesses as many tokens as are worth computing. A token more in a step costs a part of the step, so it has to be right
// often enough; how often is learnt, for each length of match, from what became of the guesses before. Where nothing is
// worth it one token is still guessed for itself and compared with what came, which costs nothing: guesses that would
// have been right bring the length back.
class PromptLookup {
 public:
  // Tokens of one guess at most. With the token before them they are the rows of a step whose products take the few-row
  // kernels, in which each row has the results it would have alone, and on a CPU costs little beside the weights.
  static constexpr int kMaxTokens = 3;

  explicit PromptLookup(int max_tokens) : max_tokens_(max_tokens) { hit_rates_.fill(kFirstHitRate); }

  // The text (first of all the prompt) goes on with `token`, which is not negative.
  void Push(int32_t token);

  // The tokens that may follow, 0 to min(limit, max_tokens); valid until the next call.
  absl::Span<const int32_t> Guess(int limit);

 private:
  static constexpr double kFirstHitRate = 0.5;

  NgramIndex index_;
  const int max_tokens_;
  // By length of match: the share of guessed tokens that came, those right before them having come; of late.
  std::array<double, NgramIndex::kLongest + 1> hit_rates_;
  int match_length_ = 0;        // of the last guess
  std::vector<int32_t> guess_;  // at least one token where there was a match; empty once one has not come
  size_t came_ = 0;             // how many of guess_ have come
};

}  // namespace lastro::engine
