#include "services/answer/reader_call.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"

namespace lastro::services::answer {
namespace {

bool IsShare(double value) { return value >= 0 && value <= 1; }  // and is a number

absl::Status CheckSpan(const v1::ReadResponse::Span& span, const std::string& passage) {
  const int64_t begin = span.range().begin(), end = span.range().end();
  if (begin < 0 || begin >= end || end > static_cast<int64_t>(passage.size())) {
    return absl::InternalError("the reader gave a span outside its passage");
  }
  if (!IsRuneBoundary(passage, static_cast<size_t>(begin)) || !IsRuneBoundary(passage, static_cast<size_t>(end))) {
    return absl::InternalError("the reader gave a span that cuts a character");
  }
  if (IsShare(span.probability()) && std::isfinite(span.score())) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("the reader gave a span the probability ", span.probability(), " and the score ", span.score()));
}

absl::Status CheckReading(const v1::ReadResponse::Reading& reading, int max_spans, const std::string& passage) {
  if (reading.spans().empty()) return absl::InternalError("the reader gave a reading without a span");
  if (reading.spans_size() > max_spans) {
    return absl::InternalError(
        absl::StrCat("the reader gave ", reading.spans_size(), " spans where ", max_spans, " were asked for"));
  }
  if (!std::isfinite(reading.relevance())) return absl::InternalError("the reader gave a relevance that is no number");
  for (const v1::ReadResponse::Span& span : reading.spans()) LASTRO_RETURN_IF_ERROR(CheckSpan(span, passage));
  return absl::OkStatus();
}

absl::Status CheckWeights(const v1::ReadResponse::AnswerWeights& weights) {
  for (double weight : {weights.bias(), weights.relevance(), weights.span_score(), weights.sentence_cosine(),
                        weights.passage_cosine(), weights.word_overlap(), weights.search_distance()}) {
    if (!std::isfinite(weight)) return absl::InternalError("the reader gave a weight that is no number");
  }
  return absl::OkStatus();
}

absl::Status CheckResponse(const v1::ReadRequest& request, const v1::ReadResponse& response) {
  if (response.readings_size() != request.passages_size()) {
    return absl::InternalError(absl::StrCat("the reader gave ", response.readings_size(), " readings of ",
                                            request.passages_size(), " passages"));
  }
  const int max_spans = std::max(1, request.max_spans());
  for (int i = 0; i < response.readings_size(); ++i) {
    LASTRO_RETURN_IF_ERROR(CheckReading(response.readings(i), max_spans, request.passages(i)));
  }
  LASTRO_RETURN_IF_ERROR(CheckWeights(response.answer_weights()));
  LASTRO_RETURN_IF_ERROR(CheckWeights(response.probability_weights()));
  for (const v1::ReadResponse::OperatingPoint& point : response.calibration()) {
    if (!IsShare(point.threshold()) || !IsShare(point.risk())) {
      return absl::InternalError(absl::StrCat("the reader's calibration has the threshold ", point.threshold(),
                                              " and the risk ", point.risk(), "; both are shares"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::optional<v1::ReadResponse>> AskReader(const v1::ReadRequest& request, GenerationApi& generation,
                                                          const CallContext& context) {
  absl::StatusOr<v1::ReadResponse> response = generation.Read(request, context);
  if (absl::IsUnimplemented(response.status())) return std::nullopt;
  LASTRO_RETURN_IF_ERROR(response.status());
  LASTRO_RETURN_IF_ERROR(CheckResponse(request, *response));
  return std::move(*response);
}

}  // namespace lastro::services::answer
