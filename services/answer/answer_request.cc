#include "services/answer/answer_request.h"

#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "services/answer/follow_up.h"

namespace lastro::services::answer {
namespace {

constexpr size_t kMaxQuestionBytes = 8'192;
// By the built-in reader's calibration, whose questions are harder than most: the handbook questions of the sample.
constexpr double kDefaultMaxRisk = 0.38;

absl::StatusOr<int> InRange(absl::string_view field, int value, int otherwise, int max) {
  if (value < 0 || value > max) {
    return absl::InvalidArgumentError(absl::StrCat(field, " is ", value, "; it must be from 0 (the default) to ", max));
  }
  return value == 0 ? otherwise : value;
}

absl::Status CheckQuestion(const std::string& question) {
  if (absl::StripAsciiWhitespace(question).empty()) return absl::InvalidArgumentError("question is empty");
  if (question.size() > kMaxQuestionBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("question has ", question.size(), " bytes; the limit is ", kMaxQuestionBytes));
  }
  if (!IsValidUtf8(question)) return absl::InvalidArgumentError("question is not valid UTF-8");
  return absl::OkStatus();
}

absl::Status CheckShare(absl::string_view field, double value) {
  if (value >= 0 && value <= 1) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(field, " is ", value, "; it must be from 0 to 1"));
}

absl::Status CheckThresholds(const v1::AskRequest& request, AnswerRequest* checked) {
  LASTRO_RETURN_IF_ERROR(CheckShare("min_evidence", request.min_evidence()));
  LASTRO_RETURN_IF_ERROR(CheckShare("max_risk", request.max_risk()));
  if (request.has_min_evidence()) checked->min_evidence = request.min_evidence();
  checked->max_risk = request.has_max_risk() ? request.max_risk() : kDefaultMaxRisk;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<AnswerRequest> CheckAskRequest(const v1::AskRequest& request) {
  LASTRO_RETURN_IF_ERROR(CheckQuestion(request.question()));
  LASTRO_RETURN_IF_ERROR(CheckHistory(request.history()));
  AnswerRequest checked;
  checked.question = request.question();
  checked.collection = request.collection();
  checked.filter = request.filter();
  if (!v1::AnswerMode_IsValid(request.mode())) {
    return absl::InvalidArgumentError(absl::StrCat("mode ", static_cast<int>(request.mode()), " does not exist"));
  }
  if (request.mode() != v1::ANSWER_MODE_UNSPECIFIED) checked.mode = request.mode();
  LASTRO_ASSIGN_OR_RETURN(checked.max_passages, InRange("max_passages", request.max_passages(), 8, 50));
  LASTRO_ASSIGN_OR_RETURN(checked.max_sentences, InRange("max_sentences", request.max_sentences(), 2, 8));
  LASTRO_ASSIGN_OR_RETURN(checked.max_prompt_tokens,
                          InRange("max_prompt_tokens", request.max_prompt_tokens(), 0, 1 << 20));
  LASTRO_ASSIGN_OR_RETURN(checked.max_new_tokens, InRange("max_new_tokens", request.max_new_tokens(), 128, 1 << 16));
  LASTRO_RETURN_IF_ERROR(CheckThresholds(request, &checked));
  if (!v1::UnsupportedText_IsValid(request.unsupported())) {
    return absl::InvalidArgumentError(
        absl::StrCat("unsupported ", static_cast<int>(request.unsupported()), " does not exist"));
  }
  checked.withholds_unsupported = request.unsupported() == v1::UNSUPPORTED_TEXT_WITHHOLD;
  checked.verbatim_quotes = !request.has_verbatim_quotes() || request.verbatim_quotes();
  checked.sampling = request.sampling();
  checked.include_passages = request.include_passages();
  return checked;
}

}  // namespace lastro::services::answer
