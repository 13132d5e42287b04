#include "services/answer/passages.h"

#include <algorithm>
#include <numeric>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "services/answer/words.h"

namespace lastro::services::answer {
namespace {

constexpr size_t kMaxCandidates = 1'000;  // sentences embedded for one question
constexpr double kLabelDiscount = 0.8;
constexpr size_t kMaxPromptPassages = 6;   // more do not help a decoder choose, and cost prefill
constexpr size_t kMaxPromptSentences = 4;  // of a decoder that quotes one: as many as it was trained with
constexpr double kLikelyShare = 0.5;       // of the likeliest sentence's rank, that others are shown for

double Dot(const v1::Vector& a, const v1::Vector& b) {
  return std::inner_product(a.values().begin(), a.values().end(), b.values().begin(), 0.0);
}

absl::StatusOr<v1::EmbedResponse> EmbedAll(v1::EmbedRequest request, v1::TextRole role, EmbeddingApi& embedding,
                                           const CallContext& context) {
  request.set_truncate(true);
  request.set_role(role);
  LASTRO_ASSIGN_OR_RETURN(v1::EmbedResponse response, embedding.Embed(request, context));
  if (response.vectors_size() == request.texts_size()) return response;
  return absl::InternalError(absl::StrCat("the embedding service gave ", response.vectors_size(), " vectors for ",
                                          request.texts_size(), " texts"));
}

// Cosine of the question and each candidate.
absl::StatusOr<std::vector<double>> SentenceCosines(const std::string& question, absl::Span<const Candidate> candidates,
                                                    const std::string& model, EmbeddingApi& embedding,
                                                    const CallContext& context) {
  if (candidates.empty()) return std::vector<double>();
  v1::EmbedRequest query, sentences;
  query.set_model(model);
  sentences.set_model(model);
  query.add_texts(question);
  absl::flat_hash_map<absl::string_view, int> places;  // several answers may stand in one sentence
  for (const Candidate& candidate : candidates) {
    if (places.try_emplace(candidate.text, sentences.texts_size()).second) sentences.add_texts(candidate.text);
  }
  LASTRO_ASSIGN_OR_RETURN(v1::EmbedResponse asked, EmbedAll(std::move(query), v1::QUERY, embedding, context));
  LASTRO_ASSIGN_OR_RETURN(v1::EmbedResponse found, EmbedAll(std::move(sentences), v1::DOCUMENT, embedding, context));
  std::vector<double> cosines;
  for (const Candidate& candidate : candidates) {
    cosines.push_back(Dot(asked.vectors(0), found.vectors(places.at(candidate.text))));
  }
  return cosines;
}

// A few words without an end mark are mostly a heading or a label, seldom an answer.
bool LooksLikeLabel(const std::string& text) {
  constexpr size_t kLabelWords = 8;
  bool ends = text.back() == '.' || text.back() == '!' || text.back() == '?' || text.back() == ';';
  return !ends && text.find('|') == std::string::npos && SplitWords(text).size() < kLabelWords;
}

// `usable` passages by their strongest sentence; those without one last.
std::vector<int> OrderByStrength(absl::Span<const int> usable, absl::Span<const ScoredCandidate> candidates) {
  std::vector<int> order;
  absl::flat_hash_set<int> seen;
  for (const ScoredCandidate& scored : candidates) {
    if (seen.insert(scored.candidate.passage).second) order.push_back(scored.candidate.passage);
  }
  for (int passage : usable) {
    if (!seen.contains(passage)) order.push_back(passage);
  }
  return order;
}

// What a prompt shows of a passage.
struct Shown {
  int passage = 0;
  std::string text;
};

std::vector<Shown> WholePassages(absl::Span<const v1::SearchHit> passages, absl::Span<const int> order) {
  std::vector<Shown> whole;
  for (int passage : order) whole.push_back({passage, passages[static_cast<size_t>(passage)].chunk().text()});
  return whole;
}

// Each text once; those that may be it beside the likeliest.
std::vector<Shown> LikeliestSentences(absl::Span<const ScoredCandidate> candidates) {
  std::vector<Shown> sentences;
  absl::flat_hash_set<absl::string_view> seen;
  for (const ScoredCandidate& scored : candidates) {
    const bool likely = scored.evidence.rank_score >= kLikelyShare * candidates[0].evidence.rank_score;
    if (sentences.size() == kMaxPromptSentences || !likely) break;
    if (seen.insert(scored.candidate.text).second) {
      sentences.push_back({scored.candidate.passage, scored.candidate.text});
    }
  }
  return sentences;
}

// Those of `shown`, in their order, that fit into the prompt. `counted`: their tokens.
std::vector<Shown> Fitting(std::vector<Shown> shown, const AnswerRequest& request,
                           const v1::CountTokensResponse& counted, int reserved_tokens) {
  constexpr int kTokensPerFrame = 8;  // number, separator and control token around each, at most
  int budget = counted.max_context_tokens() - reserved_tokens;
  if (request.max_prompt_tokens > 0) budget = std::min(budget, request.max_prompt_tokens);
  int used = counted.prompt_tokens();
  std::vector<Shown> fitting;
  for (size_t i = 0; i < shown.size() && fitting.size() < kMaxPromptPassages; ++i) {
    const int tokens = counted.text_tokens(static_cast<int>(i)) + kTokensPerFrame;
    if (used + tokens > budget) continue;
    used += tokens;
    fitting.push_back(std::move(shown[i]));
  }
  return fitting;
}

// Where a passage stands in the collection.
std::pair<absl::string_view, int64_t> PlaceOf(const v1::SearchHit& passage) {
  return {passage.document().uri(), passage.chunk().ordinal()};
}

}  // namespace

absl::StatusOr<std::vector<CandidateEvidence>> EvidenceOf(const std::string& question,
                                                          absl::Span<const Candidate> candidates,
                                                          absl::Span<const Candidate> sentences,
                                                          absl::Span<const v1::SearchHit> passages,
                                                          const EvidenceWeights& weights, const std::string& model,
                                                          EmbeddingApi& embedding, const CallContext& context) {
  LASTRO_ASSIGN_OR_RETURN(const std::vector<double> cosines,
                          SentenceCosines(question, candidates, model, embedding, context));
  const std::vector<double> overlap = WordOverlap(question, candidates, sentences, passages);
  std::vector<CandidateEvidence> found(candidates.size());
  for (size_t i = 0; i < candidates.size(); ++i) {
    found[i].sentence_cosine = cosines[i];
    found[i].passage_cosine = passages[static_cast<size_t>(candidates[i].passage)].dense_score();
    found[i].word_overlap = overlap[i];
    found[i].discount = LooksLikeLabel(candidates[i].text) ? kLabelDiscount : 1.0;
    CombineEvidence(weights, &found[i]);
  }
  return found;
}

absl::StatusOr<std::vector<ScoredCandidate>> ScoreCandidates(const std::string& question,
                                                             absl::Span<const v1::SearchHit> passages,
                                                             const EvidenceWeights& weights, const std::string& model,
                                                             EmbeddingApi& embedding, const CallContext& context) {
  std::vector<Candidate> candidates = FindCandidates(passages);
  if (candidates.size() > kMaxCandidates) candidates.resize(kMaxCandidates);
  LASTRO_ASSIGN_OR_RETURN(const std::vector<CandidateEvidence> evidence,
                          EvidenceOf(question, candidates, candidates, passages, weights, model, embedding, context));
  std::vector<ScoredCandidate> scored;
  for (size_t i = 0; i < candidates.size(); ++i) scored.push_back({std::move(candidates[i]), evidence[i]});
  std::stable_sort(scored.begin(), scored.end(), [](const ScoredCandidate& a, const ScoredCandidate& b) {
    return a.evidence.evidence > b.evidence.evidence;
  });
  return scored;
}

absl::StatusOr<GroundedPrompt> BuildPrompt(const AnswerRequest& request, absl::Span<const v1::SearchHit> passages,
                                           absl::Span<const int> usable, absl::Span<const ScoredCandidate> candidates,
                                           int reserved_tokens, GenerationApi& generation, const CallContext& context) {
  v1::CountTokensRequest count;
  count.mutable_prompt()->mutable_grounded()->set_question(request.question);
  std::vector<Shown> shown = WholePassages(passages, OrderByStrength(usable, candidates));
  for (const Shown& some : shown) count.add_texts(some.text);
  LASTRO_ASSIGN_OR_RETURN(v1::CountTokensResponse counted, generation.CountTokens(count, context));
  const bool sentences = request.mode == v1::ANSWER_MODE_GENERATE && counted.answers_by_quoting();
  if (sentences) {
    shown = LikeliestSentences(candidates);
    count.clear_texts();
    for (const Shown& some : shown) count.add_texts(some.text);
    LASTRO_ASSIGN_OR_RETURN(counted, generation.CountTokens(count, context));
  }
  shown = Fitting(std::move(shown), request, counted, reserved_tokens);
  if (!sentences) {
    std::sort(shown.begin(), shown.end(), [&](const Shown& a, const Shown& b) {
      return PlaceOf(passages[static_cast<size_t>(a.passage)]) < PlaceOf(passages[static_cast<size_t>(b.passage)]);
    });
  }
  GroundedPrompt prompt;
  prompt.of_sentences = sentences;
  prompt.prompt.mutable_grounded()->set_question(request.question);
  for (Shown& some : shown) {
    prompt.passages.push_back(some.passage);
    prompt.prompt.mutable_grounded()->add_passages(std::move(some.text));
  }
  return prompt;
}

}  // namespace lastro::services::answer
