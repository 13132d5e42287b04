#include "services/local/reading.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/hash.h"
#include "base/scope.h"
#include "base/status_macros.h"
#include "services/local/find_or_compute.h"

namespace lastro::services {
namespace {

constexpr int kMaxPassages = 256;
constexpr size_t kMaxPassageBytes = 65'536;  // spans looked at grow with it
constexpr size_t kMaxBytes = 4u << 20;
constexpr int kMaxSpans = 16;

absl::Status CheckRequest(const v1::ReadRequest& request) {
  if (request.question().empty()) return absl::InvalidArgumentError("question is empty");
  if (request.passages().empty()) return absl::InvalidArgumentError("passages is empty");
  if (request.passages_size() > kMaxPassages) {
    return absl::InvalidArgumentError(
        absl::StrCat("passages has ", request.passages_size(), " entries; the limit is ", kMaxPassages));
  }
  for (int i = 0; i < request.passages_size(); ++i) {
    if (request.passages(i).size() <= kMaxPassageBytes) continue;
    return absl::InvalidArgumentError(absl::StrCat("passage ", i, " has ", request.passages(i).size(),
                                                   " bytes; the limit is ", kMaxPassageBytes, ": split it"));
  }
  if (!request.contexts().empty() && request.contexts_size() != request.passages_size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("contexts has ", request.contexts_size(), " entries; passages ", request.passages_size()));
  }
  for (int i = 0; i < request.contexts_size(); ++i) {
    if (request.contexts(i).size() <= kMaxPassageBytes) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("context ", i, " has ", request.contexts(i).size(), " bytes; the limit is ", kMaxPassageBytes));
  }
  if (request.ByteSizeLong() > kMaxBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("question and passages have ", request.ByteSizeLong(), " bytes; the limit is ", kMaxBytes));
  }
  if (request.max_spans() < 0 || request.max_spans() > kMaxSpans) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_spans is ", request.max_spans(), "; it must be from 0 (1) to ", kMaxSpans));
  }
  return absl::OkStatus();
}

v1::ReadResponse::Reading ToProto(const engine::Reading& reading) {
  v1::ReadResponse::Reading out;
  out.set_relevance(reading.relevance);
  for (const engine::ReadSpan& span : reading.spans) {
    v1::ReadResponse::Span* to = out.add_spans();
    to->mutable_range()->set_begin(span.begin);
    to->mutable_range()->set_end(span.end);
    to->set_score(span.score);
    to->set_probability(span.probability);
  }
  return out;
}

v1::ReadResponse::AnswerWeights ToProto(const engine::AnswerWeights& weights) {
  v1::ReadResponse::AnswerWeights out;
  out.set_bias(weights.bias);
  out.set_relevance(weights.relevance);
  out.set_span_score(weights.span_score);
  out.set_sentence_cosine(weights.sentence_cosine);
  out.set_passage_cosine(weights.passage_cosine);
  out.set_word_overlap(weights.word_overlap);
  out.set_search_distance(weights.search_distance);
  return out;
}

using SharedReading = std::shared_ptr<const v1::ReadResponse::Reading>;

engine::ReadPair PairOf(const v1::ReadRequest& request, int i) {
  engine::ReadPair pair = {request.question(), request.passages(i)};
  if (!request.contexts().empty()) pair.context = request.contexts(i);
  return pair;
}

std::string KeyOf(const engine::ReadPair& pair, int max_spans, const std::string& reader, const CallContext& context) {
  const std::string caller = ScopeKey(context.scope()), spans = absl::StrCat(max_spans);
  Sha256 hash;
  for (absl::string_view part : {absl::string_view(caller), absl::string_view(reader), absl::string_view(spans),
                                 pair.question, pair.passage, pair.context}) {
    hash.Update(absl::StrCat(part.size(), "\n"));
    hash.Update(part);
  }
  return hash.FinishHex();
}

// One of each passage, in their order.
absl::StatusOr<std::vector<SharedReading>> ReadingsOf(const engine::Reader& reader, const v1::ReadRequest& request,
                                                      const CallContext& context, ReadingCache* known) {
  LASTRO_RETURN_IF_ERROR(context.Check());
  const int max_spans = std::max(1, request.max_spans());
  std::vector<engine::ReadPair> pairs;
  std::vector<std::string> keys;
  for (int i = 0; i < request.passages_size(); ++i) {
    pairs.push_back(PairOf(request, i));
    keys.push_back(KeyOf(pairs.back(), max_spans, reader.info().fingerprint, context));
  }
  auto read = [&](absl::Span<const size_t> places) -> absl::StatusOr<std::vector<v1::ReadResponse::Reading>> {
    std::vector<engine::ReadPair> some;
    for (size_t place : places) some.push_back(pairs[place]);
    LASTRO_ASSIGN_OR_RETURN(const std::vector<engine::Reading> readings, reader.Read(some, max_spans, context));
    std::vector<v1::ReadResponse::Reading> protos;
    for (const engine::Reading& reading : readings) protos.push_back(ToProto(reading));
    return protos;
  };
  return FindOrCompute<v1::ReadResponse::Reading>(
      *known, keys, read, [](const v1::ReadResponse::Reading& reading) { return reading.SpaceUsedLong(); });
}

}  // namespace

absl::StatusOr<v1::ReadResponse> ReadPassages(const engine::Reader& reader, const v1::ReadRequest& request,
                                              const CallContext& context, ReadingCache* known) {
  LASTRO_RETURN_IF_ERROR(CheckRequest(request));
  LASTRO_ASSIGN_OR_RETURN(const std::vector<SharedReading> readings, ReadingsOf(reader, request, context, known));
  v1::ReadResponse response;
  for (const SharedReading& reading : readings) *response.add_readings() = *reading;
  for (const engine::OperatingPoint& point : reader.info().calibration) {
    v1::ReadResponse::OperatingPoint* to = response.add_calibration();
    to->set_threshold(point.threshold);
    to->set_risk(point.risk);
    to->set_coverage(point.coverage);
  }
  const engine::ReaderInfo& info = reader.info();
  if (info.answer_weights.has_value()) *response.mutable_answer_weights() = ToProto(*info.answer_weights);
  if (info.probability_weights.has_value()) {
    *response.mutable_probability_weights() = ToProto(*info.probability_weights);
  }
  response.set_model(reader.info().name);
  response.set_fingerprint(reader.info().fingerprint);
  return response;
}

}  // namespace lastro::services
