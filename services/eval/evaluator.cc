#include "services/eval/evaluator.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "services/eval/answer_metrics.h"
#include "services/eval/ranking_metrics.h"

namespace lastro::services::eval {
namespace {

constexpr double kCorrectF1 = 0.5;

using Metrics = google::protobuf::Map<std::string, double>;

absl::Status About(const Question& question, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat("question ", question.id, ": ", status.message()));
}

void AddRankingMetrics(const std::string& stage, absl::Span<const std::string> ranked, const Question& question,
                       size_t depth, Metrics* metrics) {
  if (question.judgements.empty()) return;
  for (size_t k : {1, 5, 10, 20, 50, 100}) {
    if (k <= depth) (*metrics)[absl::StrCat(stage, ".recall@", k)] = RecallAt(ranked, question.judgements, k);
  }
  (*metrics)[stage + ".mrr@10"] = ReciprocalRankAt(ranked, question.judgements, 10);
  (*metrics)[stage + ".ndcg@10"] = NdcgAt(ranked, question.judgements, 10);
}

// What an answer says when it is allowed to abstain, and when it is not.
void AddAnswerMetrics(const Question& question, const v1::EvalAnswer& answer, Metrics* metrics) {
  const bool answered = answer.answerability() == v1::ANSWERED;
  if (!question.answers.empty() || !question.answerable) {
    const AnswerMatch match = MatchAnswer(answered ? answer.text() : "", question.answers, question.language);
    (*metrics)["exact_match"] = match.exact;
    (*metrics)["f1"] = match.f1;
    (*metrics)["contained"] = match.contained;
  }
  if (!question.answers.empty()) {
    const AnswerMatch forced = MatchAnswer(answer.text(), question.answers, question.language);
    (*metrics)["forced.exact_match"] = forced.exact;
    (*metrics)["forced.f1"] = forced.f1;
    (*metrics)["forced.contained"] = forced.contained;
  }
  (*metrics)["answered"] = answered ? 1 : 0;
  if (!answered || question.judgements.empty() || answer.cited_passages().empty()) return;
  const std::vector<std::string> cited(answer.cited_passages().begin(), answer.cited_passages().end());
  (*metrics)["citation_precision"] = CitationPrecision(cited, question.judgements);
  (*metrics)["citation_recall"] = CitationRecall(cited, question.judgements);
}

// Abstentions that an answer could be given in spite of.
bool IsReluctant(v1::Answerability answerability) {
  return answerability == v1::WEAK_EVIDENCE || answerability == v1::CONFLICTING || answerability == v1::OUT_OF_SCOPE;
}

bool IsCorrect(const Question& question, const std::string& text) {
  if (question.answers.empty()) return false;
  const AnswerMatch match = MatchAnswer(text, question.answers, question.language);
  return match.contained > 0 || match.f1 >= kCorrectF1;
}

}  // namespace

std::vector<Evaluator::Stage> Evaluator::Stages() const {
  std::vector<Stage> stages = {{"bm25", v1::SearchRequest::LEXICAL, false},
                               {"dense", v1::SearchRequest::DENSE, false},
                               {"hybrid", v1::SearchRequest::HYBRID, false}};
  if (settings_.rerank) stages.push_back({"reranked", v1::SearchRequest::HYBRID, true});
  return stages;
}

absl::StatusOr<v1::EvalQuestion> Evaluator::Evaluate(const Question& question, const CallContext& context) const {
  v1::EvalQuestion result;
  result.set_id(question.id);
  result.set_group(question.group);
  result.set_question(question.text);
  result.set_answerable(question.answerable);
  *result.mutable_gold_answers() = {question.answers.begin(), question.answers.end()};
  for (const Judgement& judgement : question.judgements) result.add_gold_passages(judgement.passage);
  for (const Stage& stage : Stages()) {
    absl::Status status = Rank(question, stage, context, &result);
    if (!status.ok()) return About(question, status);
  }
  if (!settings_.answer) return result;
  absl::Status status = Answer(question, context, &result);
  if (!status.ok()) return About(question, status);
  return result;
}

absl::Status Evaluator::Rank(const Question& question, const Stage& stage, const CallContext& context,
                             v1::EvalQuestion* result) const {
  v1::SearchRequest request;
  request.set_collection(settings_.collection);
  request.set_query(question.text);
  request.set_mode(stage.mode);
  request.set_limit(settings_.depth);
  request.set_max_per_document(1);
  request.set_rerank(stage.rerank);
  if (settings_.rerank_weight) request.set_rerank_weight(*settings_.rerank_weight);
  const absl::Time start = absl::Now();
  LASTRO_ASSIGN_OR_RETURN(v1::SearchResponse response, retrieval_.Search(request, context));
  v1::EvalRanking* ranking = result->add_rankings();
  ranking->set_duration_ms(absl::ToDoubleMilliseconds(absl::Now() - start));
  ranking->set_stage(stage.name);
  std::vector<std::string> ids;
  for (const v1::SearchHit& hit : response.hits()) {
    v1::EvalRankedPassage* passage = ranking->add_passages();
    passage->set_id(PassageOf(hit.document().uri()));
    passage->set_score(hit.score());
    passage->set_dense_score(hit.dense_score());
    passage->set_lexical_score(hit.lexical_score());
    ids.push_back(passage->id());
  }
  AddRankingMetrics(stage.name, ids, question, static_cast<size_t>(settings_.depth), result->mutable_metrics());
  return absl::OkStatus();
}

absl::Status Evaluator::Answer(const Question& question, const CallContext& context, v1::EvalQuestion* result) const {
  v1::AskRequest request;
  request.set_collection(settings_.collection);
  request.set_question(question.text);
  request.set_mode(settings_.mode);
  request.set_include_passages(true);
  if (settings_.given_passages) {
    LASTRO_ASSIGN_OR_RETURN(*request.mutable_filter(), OwnPassages(question));
  }
  const absl::Time start = absl::Now();
  LASTRO_ASSIGN_OR_RETURN(v1::Answer answer, ask_.Ask(request, context));
  v1::EvalAnswer* measured = result->mutable_answer();
  measured->set_duration_ms(absl::ToDoubleMilliseconds(absl::Now() - start));
  measured->set_answerability(answer.answerability());
  measured->set_evidence_threshold(answer.evidence_threshold());
  *measured->mutable_usage() = answer.usage();
  if (IsReluctant(answer.answerability())) {  // what would it have said?
    request.set_min_evidence(0);
    LASTRO_ASSIGN_OR_RETURN(answer, ask_.Ask(request, context));
  }
  measured->set_evidence(answer.evidence());
  if (answer.answerability() == v1::ANSWERED) {
    measured->set_text(answer.text());
    measured->set_correct(IsCorrect(question, answer.text()));
  }
  for (const v1::Claim& claim : answer.claims()) {
    for (const v1::Citation& citation : claim.citations()) {
      const std::string passage = PassageOf(citation.document_uri());
      const auto& known = measured->cited_passages();
      if (std::find(known.begin(), known.end(), passage) == known.end()) measured->add_cited_passages(passage);
    }
  }
  AddReadings(question, answer, measured);
  AddAnswerMetrics(question, *measured, result->mutable_metrics());
  return absl::OkStatus();
}

absl::StatusOr<v1::Filter> Evaluator::OwnPassages(const Question& question) const {
  std::vector<std::string> passages;
  for (const Judgement& judgement : question.judgements) passages.push_back(judgement.passage);
  if (passages.empty() && !question.asked_of.empty()) passages.push_back(question.asked_of);
  if (passages.empty()) return absl::InvalidArgumentError("it names no passage; leave out --given-passages");
  v1::Filter filter;
  v1::Filter::Comparison* comparison = filter.mutable_comparison();
  comparison->set_field("uri");
  comparison->set_op(v1::Filter::Comparison::IN);
  for (const std::string& passage : passages) {
    auto found = uri_of_passage_.find(passage);
    comparison->add_values()->set_string_value(found == uri_of_passage_.end() ? passage : found->second);
  }
  return filter;
}

void Evaluator::AddReadings(const Question& question, const v1::Answer& answer, v1::EvalAnswer* measured) const {
  for (const v1::Passage& passage : answer.passages()) {
    if (!passage.has_answer_range()) continue;
    v1::EvalReading* reading = measured->add_readings();
    const auto begin = static_cast<size_t>(passage.answer_range().begin());
    reading->set_passage(PassageOf(passage.document_uri()));
    reading->set_text(passage.text().substr(begin, static_cast<size_t>(passage.answer_range().end()) - begin));
    reading->set_probability(passage.answer_probability());
    *reading->mutable_evidence() = passage.answer_evidence();
    reading->set_correct(IsCorrect(question, reading->text()));
  }
}

std::string Evaluator::PassageOf(const std::string& uri) const {
  auto found = corpus_.passage_of_uri.find(uri);
  return found == corpus_.passage_of_uri.end() ? uri : found->second;
}

}  // namespace lastro::services::eval
