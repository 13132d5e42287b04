// AnswerRequest: an AskRequest with its limits checked and its defaults filled in. Plain data.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "lastro/v1/ask.pb.h"

namespace lastro::services::answer {

struct AnswerRequest {
  std::string question;
  std::string collection;
  v1::Filter filter;
  v1::AnswerMode mode = v1::ANSWER_MODE_QUOTE;
  int max_passages = 0;
  int max_sentences = 0;
  int max_prompt_tokens = 0;  // 0: what the model allows
  int max_new_tokens = 0;
  v1::Sampling sampling;
  std::optional<double> min_evidence;
  double max_risk = 0;
  bool withholds_unsupported = false;
  bool verbatim_quotes = true;
  bool include_passages = false;
};

// INVALID_ARGUMENT names the field, its value and the limit.
absl::StatusOr<AnswerRequest> CheckAskRequest(const v1::AskRequest& request);

}  // namespace lastro::services::answer
