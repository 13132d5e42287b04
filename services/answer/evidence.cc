#include "services/answer/evidence.h"

#include <algorithm>
#include <cmath>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "retrieval/search_terms.h"
#include "retrieval/stop_words.h"
#include "retrieval/word_breaker.h"

namespace lastro::services::answer {
namespace {

// What a question word is worth when only the surroundings of the sentence hold it.
constexpr double kSurroundingShare = 0.5;

using TermSet = absl::flat_hash_set<std::string>;

// A text's words, each as its search terms: two words match when they share one.
using WordTerms = std::vector<std::vector<std::string>>;

struct AnalyzedText {
  WordTerms content;  // without stop words
  WordTerms all;
};

AnalyzedText Analyze(retrieval::SearchTerms& terms, const std::string& text) {
  AnalyzedText analyzed;
  retrieval::WordBreaker breaker(text);
  for (retrieval::Word word; breaker.Next(&word);) {
    const std::vector<std::string>& of_word = terms.Of(word);
    if (of_word.empty()) continue;
    analyzed.all.push_back(of_word);
    if (!retrieval::IsStopWord(of_word.front())) analyzed.content.push_back(of_word);
  }
  return analyzed;
}

TermSet TermsOf(retrieval::SearchTerms& terms, const std::string& text) {
  TermSet set;
  for (const std::vector<std::string>& word : Analyze(terms, text).all) set.insert(word.begin(), word.end());
  return set;
}

bool ContainsAny(const TermSet& terms, const std::vector<std::string>& word) {
  return std::any_of(word.begin(), word.end(), [&](const std::string& term) { return terms.contains(term); });
}

// Headings, title and the whole passage: where words count in part.
std::string Surroundings(const v1::SearchHit& passage) {
  std::string text = passage.document().title();
  for (const std::string& heading : passage.chunk().headings()) text += "\n" + heading;
  return text + "\n" + passage.chunk().text();
}

// Content words of the question; all of them when it has nothing but stop words.
WordTerms QuestionWords(retrieval::SearchTerms& terms, const std::string& question) {
  AnalyzedText analyzed = Analyze(terms, question);
  return analyzed.content.empty() ? std::move(analyzed.all) : std::move(analyzed.content);
}

}  // namespace

std::vector<double> WordOverlap(const std::string& question, absl::Span<const Candidate> candidates,
                                absl::Span<const Candidate> sentences, absl::Span<const v1::SearchHit> passages) {
  retrieval::SearchTerms terms;
  const WordTerms words = QuestionWords(terms, question);
  std::vector<TermSet> of_candidates, of_sentences, surroundings;
  for (const Candidate& candidate : candidates) of_candidates.push_back(TermsOf(terms, candidate.text));
  for (const Candidate& sentence : sentences) of_sentences.push_back(TermsOf(terms, sentence.text));
  for (const v1::SearchHit& passage : passages) surroundings.push_back(TermsOf(terms, Surroundings(passage)));

  std::vector<double> overlap(candidates.size(), 0.0);
  double total = 0;
  for (const std::vector<std::string>& word : words) {
    int64_t having = std::count_if(of_sentences.begin(), of_sentences.end(),
                                   [&](const TermSet& sentence) { return ContainsAny(sentence, word); });
    double rarity = std::log(1.0 + static_cast<double>(sentences.size() + 1) / static_cast<double>(having + 1));
    total += rarity;
    for (size_t i = 0; i < candidates.size(); ++i) {
      if (ContainsAny(of_candidates[i], word)) {
        overlap[i] += rarity;
      } else if (ContainsAny(surroundings[static_cast<size_t>(candidates[i].passage)], word)) {
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
