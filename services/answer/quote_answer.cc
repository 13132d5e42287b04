#include "services/answer/quote_answer.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "base/status_macros.h"
#include "services/answer/citation.h"
#include "services/answer/words.h"

namespace lastro::services::answer {
namespace {

constexpr size_t kScoredByDecoder = 16;  // strongest candidates that the decoder is asked about
constexpr double kNearlyAsGood = 0.90;   // of the best rank score
constexpr double kSaysTheSame = 0.60;    // word overlap of two sentences from which one is redundant

double Jaccard(const std::string& a, const std::string& b) {
  absl::flat_hash_set<std::string> words_a, words_b;
  for (Word& word : SplitWords(a)) words_a.insert(std::move(word.folded));
  for (Word& word : SplitWords(b)) words_b.insert(std::move(word.folded));
  size_t both = 0;
  for (const std::string& word : words_b) both += words_a.contains(word);
  size_t either = words_a.size() + words_b.size() - both;
  return either == 0 ? 1.0 : static_cast<double>(both) / static_cast<double>(either);
}

bool ReadsBefore(const Candidate& a, const Candidate& b) {
  return a.passage != b.passage ? a.passage < b.passage : a.begin < b.begin;
}

// Only sentences of passages that are in the prompt can be scored; the strongest of them, in order.
std::vector<ScoredCandidate> ForDecoder(std::vector<ScoredCandidate> candidates, const GroundedPrompt& prompt) {
  absl::flat_hash_set<int> in_prompt(prompt.passages.begin(), prompt.passages.end());
  std::vector<ScoredCandidate> kept;
  for (ScoredCandidate& scored : candidates) {
    if (kept.size() == kScoredByDecoder) break;
    if (in_prompt.contains(scored.candidate.passage)) kept.push_back(std::move(scored));
  }
  return kept;
}

// Adds the decoder's view to `candidates` and orders them by it.
absl::Status RankByDecoder(const GroundedPrompt& prompt, const EvidenceWeights& weights, GenerationApi& generation,
                           const CallContext& context, std::vector<ScoredCandidate>* candidates, v1::Answer* answer) {
  v1::ScoreRequest request;
  *request.mutable_prompt() = prompt.prompt;
  for (const ScoredCandidate& scored : *candidates) request.add_continuations(scored.candidate.text);
  LASTRO_ASSIGN_OR_RETURN(v1::ScoreResponse response, generation.Score(request, context));
  if (response.scores_size() != request.continuations_size()) {
    return absl::InternalError("the generation service did not score every continuation");
  }
  std::vector<double> means;
  for (const v1::ScoreResponse::Score& score : response.scores()) {
    means.push_back(score.logprob() / std::max(1, score.tokens()));
  }
  std::vector<double> relative = NormalizeDecoderScores(means);
  for (size_t i = 0; i < candidates->size(); ++i) {
    (*candidates)[i].evidence.decoder = relative[i];
    CombineEvidence(weights, &(*candidates)[i].evidence);
  }
  std::stable_sort(candidates->begin(), candidates->end(), [](const ScoredCandidate& a, const ScoredCandidate& b) {
    return a.evidence.rank_score > b.evidence.rank_score;
  });
  *answer->mutable_usage() = response.usage();
  answer->mutable_receipt()->set_decoder_fingerprint(response.fingerprint());
  answer->mutable_receipt()->set_decoder_device(response.device());
  return absl::OkStatus();
}

}  // namespace

void AppendQuote(absl::string_view quote, v1::Citation citation, v1::Answer* answer, absl::string_view between) {
  std::string* text = answer->mutable_text();
  if (!text->empty()) text->append(between.data(), between.size());
  v1::ByteRange range;
  range.set_begin(static_cast<int64_t>(text->size()));
  text->append(quote.data(), quote.size());
  range.set_end(static_cast<int64_t>(text->size()));
  *citation.mutable_answer_range() = range;
  v1::Claim* claim = answer->add_claims();
  *claim->mutable_range() = range;
  claim->set_supported(true);
  claim->set_support(v1::Claim::VERBATIM);
  *claim->add_citations() = std::move(citation);
}

std::vector<size_t> ChooseSentences(absl::Span<const ScoredCandidate> candidates, int max_sentences, double threshold) {
  std::vector<size_t> chosen;
  for (size_t i = 0; i < candidates.size() && static_cast<int>(chosen.size()) < max_sentences; ++i) {
    const ScoredCandidate& scored = candidates[i];
    bool good = i == 0 || (scored.evidence.evidence >= threshold &&
                           scored.evidence.rank_score >= kNearlyAsGood * candidates[0].evidence.rank_score);
    bool new_words = std::none_of(chosen.begin(), chosen.end(), [&](size_t other) {
      return Jaccard(candidates[other].candidate.text, scored.candidate.text) >= kSaysTheSame;
    });
    if (good && new_words) chosen.push_back(i);
  }
  std::sort(chosen.begin(), chosen.end(),
            [&](size_t a, size_t b) { return ReadsBefore(candidates[a].candidate, candidates[b].candidate); });
  return chosen;
}

absl::Status AnswerByQuoting(const AnswerRequest& request, absl::Span<const v1::SearchHit> passages,
                             std::vector<ScoredCandidate> candidates, const GroundedPrompt& prompt,
                             const EvidenceWeights& weights, RetrievalApi& retrieval, GenerationApi& generation,
                             const CallContext& context, Stages* stages, v1::Answer* answer) {
  candidates = ForDecoder(std::move(candidates), prompt);
  LASTRO_RETURN_IF_ERROR(
      stages->Time("score", [&] { return RankByDecoder(prompt, weights, generation, context, &candidates, answer); }));
  answer->set_evidence(candidates[0].evidence.evidence);
  double threshold = answer->evidence_threshold();
  if (candidates[0].evidence.evidence < threshold) {
    answer->set_answerability(v1::WEAK_EVIDENCE);
    return absl::OkStatus();
  }
  for (size_t index : ChooseSentences(candidates, request.max_sentences, threshold)) {
    const Candidate& candidate = candidates[index].candidate;
    LASTRO_ASSIGN_OR_RETURN(v1::Citation citation, stages->Time("verify", [&] {
      return MakeVerifiedCitation(passages[static_cast<size_t>(candidate.passage)], candidate.begin, candidate.end,
                                  retrieval, context);
    }));
    AppendQuote(candidate.text, std::move(citation), answer);
  }
  answer->set_answerability(v1::ANSWERED);
  return absl::OkStatus();
}

}  // namespace lastro::services::answer
