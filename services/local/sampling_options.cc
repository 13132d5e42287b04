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
  params.seed = sampling.seed();
  LASTRO_RETURN_IF_ERROR(params.Validate());
  return params;
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

absl::StatusOr<engine::GenerateOptions> ToGenerateOptions(const v1::GenerateRequest& request) {
  engine::GenerateOptions options;
  LASTRO_ASSIGN_OR_RETURN(options.sampling, ToParams(request.sampling()));
  if (request.max_new_tokens() < 0 || request.max_new_tokens() > kMaxNewTokens) {
    return absl::InvalidArgumentError(absl::StrCat("max_new_tokens is ", request.max_new_tokens(),
                                                   "; it must be from 0 (the default) to ", kMaxNewTokens));
  }
  options.max_new_tokens = request.max_new_tokens() == 0 ? kDefaultNewTokens : request.max_new_tokens();
  LASTRO_RETURN_IF_ERROR(CheckStops(request));
  options.stop = {request.stop().begin(), request.stop().end()};
  if (request.has_top_logprobs()) {
    if (request.top_logprobs() < 0 || request.top_logprobs() > kMaxTopLogprobs) {
      return absl::InvalidArgumentError(
          absl::StrCat("top_logprobs is ", request.top_logprobs(), "; it must be from 0 to ", kMaxTopLogprobs));
    }
    options.top_logprobs = request.top_logprobs();
  }
  return options;
}

}  // namespace lastro::services
