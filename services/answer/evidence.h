// Evidence: how well a candidate answers the question, as one number in [0, 1] made of three views: the embedder's
// (cosine of question and sentence), the words' (rare words of the question found in the sentence or above it), and the
// decoder's (how likely it is to answer with this sentence, among all candidates). Pure functions, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "lastro/v1/retrieval.pb.h"
#include "services/answer/candidates.h"

namespace lastro::services::answer {

// The decoder's view orders candidates and does not count as evidence: it is relative to the other candidates. The
// first built-in decoder ranks little better than chance (see its card), so it only decides between near equals.
struct EvidenceWeights {
  double sentence_cosine = 0.35;
  double passage_cosine = 0.15;
  double word_overlap = 0.50;
  double decoder = 0.02;
  double threshold = 0.40;
};

struct CandidateEvidence {
  double sentence_cosine = 0;  // [-1, 1]
  double passage_cosine = 0;   // [-1, 1]
  double word_overlap = 0;     // [0, 1]
  double discount = 1;         // [0, 1], for spans whose form says that they are no answer
  double decoder = 0;          // [0, 1], 0 until scored: relative among the candidates
  double evidence = 0;         // [0, 1], of the first three: comparable between questions
  double rank_score = 0;       // evidence with the decoder's view: what candidates are ordered by
};

// For each candidate the share of the question's rarity-weighted words that it covers; words found only in the
// passage's headings, title or neighbouring sentences count in part. Rarity is measured among `sentences`.
std::vector<double> WordOverlap(const std::string& question, absl::Span<const Candidate> candidates,
                                absl::Span<const Candidate> sentences, absl::Span<const v1::SearchHit> passages);

// Fills `evidence` and `rank_score` from the other fields.
void CombineEvidence(const EvidenceWeights& weights, CandidateEvidence* evidence);

// The decoder's relative view in [0, 1] from length-normalised log probabilities: best 1, worst 0; all 0.5 when equal.
std::vector<double> NormalizeDecoderScores(absl::Span<const double> mean_logprobs);

}  // namespace lastro::services::answer
