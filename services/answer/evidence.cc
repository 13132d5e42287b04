#include "services/answer/evidence.h"

#include <algorithm>
#include <cmath>

#include "services/answer/question_words.h"

namespace lastro::services::answer {
namespace {

// What a question word is worth when only the surroundings of the sentence hold it.
constexpr double kSurroundingShare = 0.5;

// Headings, title and the whole passage: where words count in part.
std::string Surroundings(const v1::SearchHit& passage) {
  std::string text = passage.document().title();
  for (const std::string& heading : passage.chunk().headings()) text += "\n" + heading;
  return text + "\n" + passage.chunk().text();
}

}  // namespace

std::vector<double> WordOverlap(const std::string& question, absl::Span<const Candidate> candidates,
                                absl::Span<const Candidate> sentences, absl::Span<const v1::SearchHit> passages) {
  QuestionWords words(question);
  std::vector<QuestionWords::TermSet> of_candidates, of_sentences, surroundings;
  for (const Candidate& candidate : candidates) of_candidates.push_back(words.TermsOf(candidate.text));
  for (const Candidate& sentence : sentences) of_sentences.push_back(words.TermsOf(sentence.text));
  for (const v1::SearchHit& passage : passages) surroundings.push_back(words.TermsOf(Surroundings(passage)));

  std::vector<double> overlap(candidates.size(), 0.0);
  double total = 0;
  for (size_t word = 0; word < words.size(); ++word) {
    int64_t having = std::count_if(of_sentences.begin(), of_sentences.end(),
                                   [&](const auto& sentence) { return words.IsIn(sentence, word); });
    double rarity = std::log(1.0 + static_cast<double>(sentences.size() + 1) / static_cast<double>(having + 1));
    total += rarity;
    for (size_t i = 0; i < candidates.size(); ++i) {
      if (words.IsIn(of_candidates[i], word)) {
        overlap[i] += rarity;
      } else if (words.IsIn(surroundings[static_cast<size_t>(candidates[i].passage)], word)) {
        overlap[i] += kSurroundingShare * rarity;
      }
    }
  }
  for (double& value : overlap) value = total > 0 ? value / total : 0;
  return overlap;
}

void CombineEvidence(const EvidenceWeights& weights, CandidateEvidence* evidence) {
  double sum = weights.sentence_cosine + weights.passage_cosine + weights.word_overlap;
  double combined = weights.sentence_cosine * std::max(0.0, evidence->sentence_cosine) +
                    weights.passage_cosine * std::max(0.0, evidence->passage_cosine) +
                    weights.word_overlap * evidence->word_overlap;
  evidence->evidence = evidence->discount * std::clamp(combined / sum, 0.0, 1.0);
  evidence->rank_score = evidence->evidence + weights.decoder * evidence->decoder;
}

std::vector<double> NormalizeDecoderScores(absl::Span<const double> mean_logprobs) {
  std::vector<double> scores(mean_logprobs.size(), 0.5);
  if (mean_logprobs.empty()) return scores;
  auto [low, high] = std::minmax_element(mean_logprobs.begin(), mean_logprobs.end());
  if (*high - *low < 1e-9) return scores;
  for (size_t i = 0; i < scores.size(); ++i) scores[i] = (mean_logprobs[i] - *low) / (*high - *low);
  return scores;
}

}  // namespace lastro::services::answer
