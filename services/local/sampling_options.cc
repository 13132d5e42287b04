#include "services/local/sampling_options.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace lastro::services {
namespace {

constexpr int kDefaultNewTokens = 128;
constexpr int kMaxNewTokens = 1 << 16;
constexpr int kMaxStops = 16;
constexpr size_t kMaxStopBytes = 256;
constexpr int kMaxTopLogprobs = 20;
constexpr int kMaxBiases = 1'024;
constexpr double kMaxBias = 100;
constexpr double kMaxPenalty = 2;
constexpr int kDefaultBeams = 4;
constexpr size_t kMaxScopeName = 1'024;

absl::StatusOr<float> Within(const char* field, double value, double limit) {
  if (value >= -limit && value <= limit) return static_cast<float>(value);
  return absl::InvalidArgumentError(
      absl::StrCat("sampling.", field, " is ", value, "; it must be from ", -limit, " to ", limit));
}

absl::StatusOr<std::vector<std::pair<int32_t, float>>> ToBiases(const v1::Sampling& sampling) {
  if (sampling.logit_bias_size() > kMaxBiases) {
    return absl::InvalidArgumentError(
        absl::StrCat("sampling.logit_bias has ", sampling.logit_bias_size(), " entries; the limit is ", kMaxBiases));
  }
  std::vector<std::pair<int32_t, float>> biases;
  for (const auto& [id, bias] : sampling.logit_bias()) {
    LASTRO_ASSIGN_OR_RETURN(float checked, Within("logit_bias", bias, kMaxBias));
    biases.emplace_back(id, checked);
  }
  return biases;
}

absl::StatusOr<engine::SamplingParams> ToParams(const v1::Sampling& sampling) {
  engine::SamplingParams params;
  if (sampling.temperature() > 10) {
    return absl::InvalidArgumentError(
        absl::StrCat("sampling.temperature is ", sampling.temperature(), "; it must be from 0 to 10"));
  }
  params.temperature = static_cast<float>(sampling.temperature());
  params.top_k = sampling.top_k();
  params.top_p = sampling.top_p() == 0 ? 1.0f : static_cast<float>(sampling.top_p());
  params.min_p = static_cast<float>(sampling.min_p());
  params.repetition_penalty =
      sampling.repetition_penalty() == 0 ? 1.0f : static_cast<float>(sampling.repetition_penalty());
  LASTRO_ASSIGN_OR_RETURN(params.presence_penalty,
                          Within("presence_penalty", sampling.presence_penalty(), kMaxPenalty));
  LASTRO_ASSIGN_OR_RETURN(params.frequency_penalty,
                          Within("frequency_penalty", sampling.frequency_penalty(), kMaxPenalty));
  LASTRO_ASSIGN_OR_RETURN(params.logit_bias, ToBiases(sampling));
  params.seed = sampling.seed();
  LASTRO_RETURN_IF_ERROR(params.Validate());
  return params;
}

absl::StatusOr<int> NewTokens(const v1::GenerateRequest& request) {
  if (request.max_new_tokens() < 0 || request.max_new_tokens() > kMaxNewTokens) {
    return absl::InvalidArgumentError(absl::StrCat("max_new_tokens is ", request.max_new_tokens(),
                                                   "; it must be from 0 (the default) to ", kMaxNewTokens));
  }
  return request.max_new_tokens() == 0 ? kDefaultNewTokens : request.max_new_tokens();
}

absl::StatusOr<int> DraftTokens(const v1::GenerateRequest& request) {
  constexpr int kMost = engine::PromptLookup::kMaxTokens;
  if (!request.has_draft_tokens()) return kMost;
  if (request.draft_tokens() >= 0 && request.draft_tokens() <= kMost) return request.draft_tokens();
  return absl::InvalidArgumentError(
      absl::StrCat("draft_tokens is ", request.draft_tokens(), "; it must be from 0 (none) to ", kMost));
}

// What a request with beams asks for that beam search does not do; "" when nothing.
std::string NotWithBeams(const v1::GenerateRequest& request) {
  const v1::Sampling& sampling = request.sampling();
  if (sampling.temperature() != 0) return "sampling.temperature";
  if ((sampling.repetition_penalty() != 0 && sampling.repetition_penalty() != 1) || sampling.presence_penalty() != 0 ||
      sampling.frequency_penalty() != 0) {
    return "penalties";
  }
  if (sampling.logit_bias_size() > 0) return "sampling.logit_bias";
  if (request.stop_size() > 0) return "stop";
  if (request.has_top_logprobs()) return "top_logprobs";
  if (request.draft_tokens() != 0) return "draft_tokens";
  if (request.response_format().format_case() != v1::ResponseFormat::FORMAT_NOT_SET) return "response_format";
  return "";
}

absl::Status CheckStops(const v1::GenerateRequest& request) {
  if (request.stop_size() > kMaxStops) {
    return absl::InvalidArgumentError(
        absl::StrCat("stop has ", request.stop_size(), " entries; the limit is ", kMaxStops));
  }
  for (const std::string& stop : request.stop()) {
    if (stop.empty() || stop.size() > kMaxStopBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("a stop string has ", stop.size(), " bytes; it must have 1 to ", kMaxStopBytes));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<engine::GenerateOptions> ToGenerateOptions(const v1::GenerateRequest& request, const Scope& caller) {
  engine::GenerateOptions options;
  LASTRO_ASSIGN_OR_RETURN(options.sampling, ToParams(request.sampling()));
  LASTRO_ASSIGN_OR_RETURN(options.max_new_tokens, NewTokens(request));
  LASTRO_ASSIGN_OR_RETURN(options.draft_tokens, DraftTokens(request));
  LASTRO_RETURN_IF_ERROR(CheckStops(request));
  options.stop = {request.stop().begin(), request.stop().end()};
  if (request.has_top_logprobs()) {
    if (request.top_logprobs() < 0 || request.top_logprobs() > kMaxTopLogprobs) {
      return absl::InvalidArgumentError(
          absl::StrCat("top_logprobs is ", request.top_logprobs(), "; it must be from 0 to ", kMaxTopLogprobs));
    }
    options.top_logprobs = request.top_logprobs();
  }
  LASTRO_ASSIGN_OR_RETURN(options.scope, ToKvScope(request.prompt(), caller));
  return options;
}

absl::StatusOr<std::optional<engine::KvScope>> ToKvScope(const v1::Prompt& prompt, const Scope& caller) {
  if (!prompt.has_reuse()) return std::nullopt;
  const std::string& name = prompt.reuse().name();
  if (name.empty() || name.size() > kMaxScopeName) {
    return absl::InvalidArgumentError(
        absl::StrCat("reuse.name has ", name.size(), " bytes; 1 to ", kMaxScopeName, " are allowed"));
  }
  return engine::KvScope{absl::StrCat(ScopeKey(caller), "\n", name), prompt.reuse().version()};
}

absl::StatusOr<engine::BeamOptions> ToBeamOptions(const v1::GenerateRequest& request) {
  const v1::BeamSearch& beams = request.beams();
  if (const std::string other = NotWithBeams(request); !other.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(other, " cannot be combined with beams; leave one of them out"));
  }
  if (!v1::BeamSearch::EarlyStopping_IsValid(beams.early_stopping())) {
    return absl::InvalidArgumentError(
        absl::StrCat("beams.early_stopping ", static_cast<int>(beams.early_stopping()), " does not exist"));
  }
  engine::BeamOptions options;
  LASTRO_ASSIGN_OR_RETURN(options.max_new_tokens, NewTokens(request));
  options.width = beams.width() == 0 ? kDefaultBeams : beams.width();
  options.results = beams.results() == 0 ? 1 : beams.results();
  if (beams.has_length_penalty()) options.length_penalty = static_cast<float>(beams.length_penalty());
  options.early_stopping = beams.early_stopping() == v1::BeamSearch::ALWAYS  ? engine::EarlyStopping::kAlways
                           : beams.early_stopping() == v1::BeamSearch::NEVER ? engine::EarlyStopping::kNever
                                                                             : engine::EarlyStopping::kHeuristic;
  return options;
}

}  // namespace lastro::services
