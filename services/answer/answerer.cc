#include "services/answer/answerer.h"

#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "services/answer/abstention.h"
#include "services/answer/answer_request.h"
#include "services/answer/evidence.h"
#include "services/answer/follow_up.h"
#include "services/answer/generated_answer.h"
#include "services/answer/passages.h"
#include "services/answer/quote_answer.h"
#include "services/answer/receipt.h"
#include "services/answer/span_answer.h"
#include "services/answer/span_reading.h"
#include "services/stages.h"

namespace lastro::services {
namespace answer {
namespace {

constexpr int kMaxQuoteTokens = 256;  // room in the context for the longest candidate that is scored

v1::Passage ToPassage(const v1::SearchHit& hit, int number) {
  v1::Passage passage;
  passage.set_number(number);
  passage.set_document_id(hit.document().id());
  passage.set_document_uri(hit.document().uri());
  passage.set_document_title(hit.document().title());
  *passage.mutable_headings() = hit.chunk().headings();
  passage.set_chunk_id(hit.chunk().id());
  passage.set_text(hit.chunk().text());
  passage.set_score(hit.score());
  return passage;
}

// Shows in the passages that the caller asked for what was found in them.
void NoteAnswers(const SpanReadings& readings, google::protobuf::RepeatedPtrField<v1::Passage>* passages) {
  if (passages->empty()) return;
  for (const SpanAnswer& found : readings.answers) {
    v1::Passage& passage = *passages->Mutable(found.passage);
    if (passage.has_answer_range()) continue;  // by a likelier one
    passage.mutable_answer_range()->set_begin(static_cast<int64_t>(found.begin));
    passage.mutable_answer_range()->set_end(static_cast<int64_t>(found.end));
    passage.set_answer_probability(found.probability);
    if (found.evidence.has_value()) *passage.mutable_answer_evidence() = *found.evidence;
  }
}

// The passages that a prompt may have: with a reader those that were read.
std::vector<int> Usable(size_t passages, const SpanReadings* readings) {
  std::vector<int> usable;
  for (size_t i = 0; i < passages; ++i) {
    if (readings == nullptr || readings->passages[i].read) usable.push_back(static_cast<int>(i));
  }
  return usable;
}

// Notes which of the passages the prompt shows something of.
void NoteShown(const GroundedPrompt& prompt, absl::Span<const v1::SearchHit> passages, v1::Receipt* receipt) {
  absl::flat_hash_set<int> noted;
  for (int passage : prompt.passages) {
    if (!noted.insert(passage).second) continue;
    receipt->add_chunk_sha256(passages[static_cast<size_t>(passage)].chunk().text_sha256());
    receipt->mutable_passages(passage)->set_used(true);
  }
}

class Answerer : public AskApi {
 public:
  Answerer(RetrievalApi* retrieval, EmbeddingApi* embedding, GenerationApi* generation)
      : retrieval_(*retrieval), embedding_(*embedding), generation_(*generation) {}

  absl::StatusOr<v1::Answer> Ask(const v1::AskRequest& request, const CallContext& context,
                                 const Sink<v1::AskStreamResponse>& sink) override {
    LASTRO_ASSIGN_OR_RETURN(AnswerRequest checked, CheckAskRequest(request));
    LASTRO_ASSIGN_OR_RETURN(checked.question,
                            StandaloneQuestion(request.question(), request.history(), generation_, context));
    absl::StatusOr<v1::Answer> answer = AskOnce(checked, context, sink);
    // A cited document was replaced between search and citation: the second search sees the new one.
    if (absl::IsAborted(answer.status())) answer = AskOnce(checked, context, nullptr);
    if (!answer.ok()) return answer;
    if (request.history_size() > 0) answer->set_standalone_question(checked.question);
    *answer->mutable_receipt()->mutable_request() = request;
    return answer;
  }

 private:
  absl::StatusOr<v1::Answer> AskOnce(const AnswerRequest& request, const CallContext& context,
                                     const Sink<v1::AskStreamResponse>& sink) {
    v1::Answer answer;
    Stages stages;
    answer.set_mode(request.mode);
    answer.set_evidence_threshold(request.min_evidence.value_or(weights_.threshold));
    LASTRO_RETURN_IF_ERROR(Fill(request, context, sink, &stages, &answer));
    if (answer.answerability() != v1::ANSWERED && answer.answerability() != v1::CONFLICTING) {
      answer.set_text(AbstentionText(answer.answerability(), request.question));
      answer.clear_claims();
    }
    const bool shown = request.mode == v1::ANSWER_MODE_GENERATE && !request.withholds_unsupported;
    if (sink && !shown) LASTRO_RETURN_IF_ERROR(SendText(answer.text(), sink));
    for (v1::StageDuration& duration : stages.durations()) *answer.add_durations() = std::move(duration);
    answer.mutable_receipt()->set_version(LASTRO_VERSION);
    answer.mutable_receipt()->set_seed(request.sampling.seed());
    answer.mutable_receipt()->set_answer_sha256(AnswerSha256(answer));
    return answer;
  }

  absl::Status Fill(const AnswerRequest& request, const CallContext& context, const Sink<v1::AskStreamResponse>& sink,
                    Stages* stages, v1::Answer* answer) {
    LASTRO_ASSIGN_OR_RETURN(const v1::SearchResponse found,
                            stages->Time("search", [&] { return Retrieve(request, context, answer); }));
    const std::vector<v1::SearchHit> passages(found.hits().begin(), found.hits().end());
    LASTRO_RETURN_IF_ERROR(SendSources(request, passages, sink, answer));
    v1::ReuseScope reuse;
    reuse.set_name(absl::StrCat("collection ", request.collection));
    reuse.set_version(found.removed_documents());
    LASTRO_ASSIGN_OR_RETURN(const std::optional<SpanReadings> readings, stages->Time("read", [&] {
      return ReadPassages(request, passages, found.embedding_fingerprint(), generation_, embedding_, context);
    }));
    if (readings.has_value()) {
      return FillFromReadings(request, passages, *readings, reuse, context, sink, stages, answer);
    }
    LASTRO_ASSIGN_OR_RETURN(std::vector<ScoredCandidate> candidates, stages->Time("evidence", [&] {
      return ScoreCandidates(request.question, passages, weights_, found.embedding_fingerprint(), embedding_, context);
    }));
    if (candidates.empty()) {
      answer->set_answerability(v1::NO_HIT);
      return absl::OkStatus();
    }
    answer->set_evidence(candidates[0].evidence.evidence);
    if (answer->evidence() < answer->evidence_threshold()) {
      answer->set_answerability(v1::WEAK_EVIDENCE);
      return absl::OkStatus();
    }
    return AnswerFrom(request, passages, std::move(candidates), nullptr, reuse, context, sink, stages, answer);
  }

  absl::Status FillFromReadings(const AnswerRequest& request, absl::Span<const v1::SearchHit> passages,
                                const SpanReadings& readings, const v1::ReuseScope& reuse, const CallContext& context,
                                const Sink<v1::AskStreamResponse>& sink, Stages* stages, v1::Answer* answer) {
    NoteReadings(readings, answer->mutable_receipt());
    NoteAnswers(readings, answer->mutable_passages());
    answer->set_evidence_threshold(ThresholdOf(readings.calibration, request));
    if (readings.answers.empty()) {
      answer->set_answerability(v1::NO_HIT);
      return absl::OkStatus();
    }
    answer->set_evidence(readings.answers[0].probability);
    if (answer->evidence() < answer->evidence_threshold()) {
      answer->set_answerability(IsOutOfScope(readings, passages) ? v1::OUT_OF_SCOPE : v1::WEAK_EVIDENCE);
      return absl::OkStatus();
    }
    if (request.mode == v1::ANSWER_MODE_QUOTE) {
      for (size_t i = 0; i < passages.size(); ++i) {
        if (!readings.passages[i].read) continue;
        answer->mutable_receipt()->add_chunk_sha256(passages[i].chunk().text_sha256());
      }
      return AnswerBySpans(request, passages, readings, retrieval_, context, stages, answer);
    }
    return AnswerFrom(request, passages, SentencesOf(readings), &readings, reuse, context, sink, stages, answer);
  }

  // `readings`: null without a reader.
  absl::Status AnswerFrom(const AnswerRequest& request, absl::Span<const v1::SearchHit> passages,
                          std::vector<ScoredCandidate> candidates, const SpanReadings* readings,
                          const v1::ReuseScope& reuse, const CallContext& context,
                          const Sink<v1::AskStreamResponse>& sink, Stages* stages, v1::Answer* answer) {
    const bool quote = request.mode == v1::ANSWER_MODE_QUOTE;
    int reserved = quote ? kMaxQuoteTokens : request.max_new_tokens;
    LASTRO_ASSIGN_OR_RETURN(GroundedPrompt prompt, stages->Time("prompt", [&] {
      return BuildPrompt(request, passages, Usable(passages.size(), readings), candidates, reserved, generation_,
                         context);
    }));
    if (prompt.passages.empty()) {
      answer->set_answerability(v1::OVER_BUDGET);
      return absl::OkStatus();
    }
    *prompt.prompt.mutable_reuse() = reuse;
    NoteShown(prompt, passages, answer->mutable_receipt());
    if (quote) {
      return AnswerByQuoting(request, passages, std::move(candidates), prompt, weights_, retrieval_, generation_,
                             context, stages, answer);
    }
    if (prompt.of_sentences && readings != nullptr && !readings->answers[0].list.empty()) {  // no sentence is a list
      LASTRO_RETURN_IF_ERROR(AnswerBySpans(request, passages, *readings, retrieval_, context, stages, answer));
      return sink && !request.withholds_unsupported ? SendText(answer->text(), sink) : absl::OkStatus();
    }
    return AnswerByGenerating(request, passages, prompt, readings != nullptr, retrieval_, generation_, context, sink,
                              stages, answer);
  }

  absl::StatusOr<v1::SearchResponse> Retrieve(const AnswerRequest& request, const CallContext& context,
                                              v1::Answer* answer) {
    v1::SearchRequest search;
    search.set_collection(request.collection);
    search.set_query(request.question);
    search.set_limit(request.max_passages);
    *search.mutable_filter() = request.filter;
    search.set_explain(true);  // for the receipt
    LASTRO_ASSIGN_OR_RETURN(v1::SearchResponse response, retrieval_.Search(search, context));
    NoteSearch(response, answer->mutable_receipt());
    return response;
  }

  absl::Status SendSources(const AnswerRequest& request, absl::Span<const v1::SearchHit> passages,
                           const Sink<v1::AskStreamResponse>& sink, v1::Answer* answer) {
    v1::AskStreamResponse event;
    for (size_t i = 0; i < passages.size(); ++i) {
      *event.mutable_sources()->add_passages() = ToPassage(passages[i], static_cast<int>(i) + 1);
    }
    if (request.include_passages) *answer->mutable_passages() = event.sources().passages();
    event.mutable_sources();
    return sink ? sink(event) : absl::OkStatus();
  }

  absl::Status SendText(const std::string& text, const Sink<v1::AskStreamResponse>& sink) {
    v1::AskStreamResponse event;
    event.set_text_delta(text);
    return sink(event);
  }

  RetrievalApi& retrieval_;
  EmbeddingApi& embedding_;
  GenerationApi& generation_;
  const EvidenceWeights weights_;
};

}  // namespace
}  // namespace answer

std::unique_ptr<AskApi> MakeAnswerer(RetrievalApi* retrieval, EmbeddingApi* embedding, GenerationApi* generation) {
  return std::make_unique<answer::Answerer>(retrieval, embedding, generation);
}

}  // namespace lastro::services
