#include "services/answer/span_evidence.h"

#include <algorithm>
#include <cmath>

#include "base/status_macros.h"
#include "services/answer/candidates.h"
#include "services/answer/evidence.h"
#include "services/answer/passages.h"

namespace lastro::services::answer {
namespace {

constexpr double kSearchWeight = 4;  // without weights
constexpr double kDoubtWeight = 2.5;

// Share by which a passage's score is below the best one.
double SearchDistance(double score, double best) { return best > 0 && score < best ? (best - score) / best : 0; }

double Sigmoid(double log_odds) { return 1 / (1 + std::exp(-log_odds)); }

// With log odds less by `less`.
double Lowered(double probability, double less) {
  if (probability <= 0 || probability >= 1 || less == 0) return probability;
  return Sigmoid(std::log(probability / (1 - probability)) - less);
}

double Weighed(const v1::ReadResponse::AnswerWeights& weights, const v1::AnswerEvidence& evidence) {
  const double log_odds =
      -kDoubtWeight * evidence.doubts() + weights.bias() + weights.relevance() * evidence.relevance() +
      weights.span_score() * evidence.span_score() + weights.sentence_cosine() * evidence.sentence_cosine() +
      weights.passage_cosine() * evidence.passage_cosine() + weights.word_overlap() * evidence.word_overlap() +
      weights.search_distance() * evidence.search_distance();
  return std::isnan(log_odds) ? 0 : Sigmoid(log_odds);  // of what is beyond all numbers on both sides
}

}  // namespace

absl::Status WeighAnswers(const std::string& question, absl::Span<const v1::SearchHit> passages,
                          const v1::ReadResponse& response, const std::string& model, EmbeddingApi& embedding,
                          const CallContext& context, std::vector<SpanAnswer>* answers) {
  double best = 0;
  for (const v1::SearchHit& passage : passages) best = std::max(best, passage.score());
  const auto distance = [&](const SpanAnswer& answer) {
    return SearchDistance(passages[static_cast<size_t>(answer.passage)].score(), best);
  };
  if (!response.has_answer_weights()) {
    for (SpanAnswer& answer : *answers) {
      const double less = kSearchWeight * distance(answer) + kDoubtWeight * answer.doubts;
      answer.rank = answer.probability = Lowered(answer.probability, less);
    }
    return absl::OkStatus();
  }
  std::vector<Candidate> sentences;
  for (const SpanAnswer& answer : *answers) {
    sentences.push_back(answer.sentence);
    sentences.back().text = answer.read_as;
  }
  LASTRO_ASSIGN_OR_RETURN(const std::vector<CandidateEvidence> found,
                          EvidenceOf(question, sentences, FindCandidates(passages), passages, EvidenceWeights(), model,
                                     embedding, context));
  for (size_t i = 0; i < answers->size(); ++i) {
    SpanAnswer& answer = (*answers)[i];
    v1::AnswerEvidence& evidence = answer.evidence.emplace();
    evidence.set_relevance(answer.relevance);
    evidence.set_span_score(answer.score);
    evidence.set_sentence_cosine(found[i].sentence_cosine);
    evidence.set_passage_cosine(found[i].passage_cosine);
    evidence.set_word_overlap(found[i].word_overlap);
    evidence.set_search_distance(distance(answer));
    evidence.set_doubts(answer.doubts);
    answer.rank = Weighed(response.answer_weights(), evidence);
    answer.probability =
        response.has_probability_weights() ? Weighed(response.probability_weights(), evidence) : answer.rank;
  }
  return absl::OkStatus();
}

}  // namespace lastro::services::answer
