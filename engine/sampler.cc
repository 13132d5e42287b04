#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "kernels/kernels.h"

namespace lastro::engine {
namespace {

using Candidate = std::pair<float, int32_t>;  // logit, id

constexpr float kMaxTemperature = 100.0f;
constexpr float kMaxPenalty = 100.0f;
// Candidates sorted first when only top-p limits them: nearly always enough.
constexpr size_t kFirstSorted = 256;

bool Better(const Candidate& a, const Candidate& b) {
  return a.first > b.first || (a.first == b.first && a.second < b.second);
}

absl::Status InRange(const char* field, double value, double low, double high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(field, " = ", value, " is out of range [", low, ", ", high, "]"));
}

// Unnormalised probability of a logit at `temperature`, relative to the best one. In double: a tiny temperature gives 0
// and 1, never infinity minus infinity.
double Weight(float logit, float best, float temperature) {
  return std::exp((static_cast<double>(logit) - best) / temperature);
}

// Sorts the best candidates first, as many as are needed to hold `top_p` of the weight, and drops the rest.
void KeepTopP(float top_p, float temperature, std::vector<Candidate>* candidates) {
  const float best = std::min_element(candidates->begin(), candidates->end(), Better)->first;
  double total = 0;
  for (const Candidate& c : *candidates) total += Weight(c.first, best, temperature);
  size_t sorted = 0, kept = 0;
  double before = 0;  // the weight of the candidates kept so far; one is kept while this is below top_p
  while (kept < candidates->size() && before < top_p * total) {
    if (kept == sorted) {
      sorted = std::min(candidates->size(), std::max(kFirstSorted, 8 * sorted));
      std::partial_sort(candidates->begin() + static_cast<ptrdiff_t>(kept),
                        candidates->begin() + static_cast<ptrdiff_t>(sorted), candidates->end(), Better);
    }
    before += Weight((*candidates)[kept++].first, best, temperature);
  }
  candidates->resize(std::max<size_t>(kept, 1));
}

double LogSumExp(absl::Span<const float> logits) {
  return kernels::ActiveKernels().log_sum_exp(logits.data(), static_cast<int64_t>(logits.size()));
}

}  // namespace

absl::Status SamplingParams::Validate() const {
  LASTRO_RETURN_IF_ERROR(InRange("temperature", temperature, 0, kMaxTemperature));
  LASTRO_RETURN_IF_ERROR(InRange("top_k", top_k, 0, std::numeric_limits<int>::max()));
  LASTRO_RETURN_IF_ERROR(InRange("top_p", top_p, 1e-6, 1));
  LASTRO_RETURN_IF_ERROR(InRange("min_p", min_p, 0, 1));
  LASTRO_RETURN_IF_ERROR(InRange("repetition_penalty", repetition_penalty, 1e-3, kMaxPenalty));
  LASTRO_RETURN_IF_ERROR(InRange("presence_penalty", presence_penalty, -kMaxPenalty, kMaxPenalty));
  LASTRO_RETURN_IF_ERROR(InRange("frequency_penalty", frequency_penalty, -kMaxPenalty, kMaxPenalty));
  for (const auto& [id, bias] : logit_bias) {
    if (id < 0) return absl::InvalidArgumentError(absl::StrCat("logit_bias: ", id, " is no token id"));
    LASTRO_RETURN_IF_ERROR(InRange("logit_bias", bias, -1e6, 1e6));
  }
  return absl::OkStatus();
}

Sampler::Sampler(const SamplingParams& params) : params_(params), random_(params.seed) {}

// penalised_, from logits to what is sampled from.
absl::Status Sampler::Penalise(absl::Span<const int32_t> prompt, absl::Span<const int32_t> generated) {
  auto known = [&](int32_t id) { return id >= 0 && static_cast<size_t>(id) < penalised_.size(); };
  if (params_.repetition_penalty != 1.0f) {
    absl::flat_hash_set<int32_t> seen(prompt.begin(), prompt.end());
    seen.insert(generated.begin(), generated.end());
    for (int32_t id : seen) {
      if (!known(id)) continue;
      float& logit = penalised_[static_cast<size_t>(id)];
      logit = logit > 0 ? logit / params_.repetition_penalty : logit * params_.repetition_penalty;
    }
  }
  if (params_.presence_penalty != 0.0f || params_.frequency_penalty != 0.0f) {
    absl::flat_hash_map<int32_t, int> counts;
    for (int32_t id : generated) ++counts[id];
    for (const auto& [id, count] : counts) {
      if (!known(id)) continue;
      penalised_[static_cast<size_t>(id)] -=
          params_.presence_penalty + params_.frequency_penalty * static_cast<float>(count);
    }
  }
  for (const auto& [id, bias] : params_.logit_bias) {
    if (!known(id)) {
      return absl::InvalidArgumentError(
          absl::StrCat("logit_bias: token id ", id, " is not in the vocabulary of ", penalised_.size(), " ids"));
    }
    penalised_[static_cast<size_t>(id)] += bias;
  }
  return absl::OkStatus();
}

absl::StatusOr<int32_t> Sampler::Sample(absl::Span<const float> logits, absl::Span<const int32_t> prompt,
                                        absl::Span<const int32_t> generated) {
  penalised_.assign(logits.begin(), logits.end());
  LASTRO_RETURN_IF_ERROR(Penalise(prompt, generated));
  candidates_.clear();
  for (size_t i = 0; i < penalised_.size(); ++i) {
    if (std::isfinite(penalised_[i])) candidates_.emplace_back(penalised_[i], static_cast<int32_t>(i));
  }
  if (candidates_.empty()) {
    return absl::InternalError("the model gave no finite logit; its weights or the compute type are at fault");
  }
  const float best = std::min_element(candidates_.begin(), candidates_.end(), Better)->first;
  if (params_.temperature == 0.0f) return std::min_element(candidates_.begin(), candidates_.end(), Better)->second;

  const size_t top_k = static_cast<size_t>(params_.top_k);
  if (top_k > 0 && top_k < candidates_.size()) {
    std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<ptrdiff_t>(top_k), candidates_.end(),
                      Better);
    candidates_.resize(top_k);
  }
  if (params_.top_p < 1.0f) KeepTopP(params_.top_p, params_.temperature, &candidates_);
  if (params_.min_p > 0.0f) {
    auto unlikely = [&](const Candidate& c) { return Weight(c.first, best, params_.temperature) < params_.min_p; };
    candidates_.erase(std::remove_if(candidates_.begin(), candidates_.end(), unlikely), candidates_.end());
  }
  double total = 0;
  for (const Candidate& c : candidates_) total += Weight(c.first, best, params_.temperature);
  // 53 random bits as a number in [0, 1): the standard's distributions differ between libraries, this does not.
  double left = static_cast<double>(random_() >> 11) * 0x1.0p-53 * total;
  for (const Candidate& c : candidates_) {
    left -= Weight(c.first, best, params_.temperature);
    if (left < 0) return c.second;
  }
  return candidates_.back().second;
}

float LogprobOf(absl::Span<const float> logits, int32_t id) {
  LASTRO_CHECK(id >= 0 && static_cast<size_t>(id) < logits.size());
  return static_cast<float>(logits[static_cast<size_t>(id)] - LogSumExp(logits));
}

std::vector<TokenLogprob> TopLogprobs(absl::Span<const float> logits, int count) {
  std::vector<Candidate> all;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!std::isnan(logits[i])) all.emplace_back(logits[i], static_cast<int32_t>(i));
  }
  const size_t kept = std::min(all.size(), static_cast<size_t>(std::max(count, 0)));
  std::partial_sort(all.begin(), all.begin() + static_cast<ptrdiff_t>(kept), all.end(), Better);
  const double log_sum = kept > 0 ? LogSumExp(logits) : 0;
  std::vector<TokenLogprob> top;
  for (size_t i = 0; i < kept; ++i) top.push_back({all[i].second, static_cast<float>(all[i].first - log_sum)});
  return top;
}

}  // namespace lastro::engine
