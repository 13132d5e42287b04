#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/container/flat_hash_map.h"
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

// As kernels/sampling.h says.
uint64_t WeightOf(float logit, float best, float temperature) {
  const double share = std::exp((static_cast<double>(logit) - static_cast<double>(best)) / temperature);
  return static_cast<uint64_t>(share * static_cast<double>(kernels::kSamplingOne) + 0.5);
}

// Sorts the best candidates first, as many as are needed to hold `top_p` of the weight; the last of these.
Candidate LastOfTopP(float top_p, float temperature, float best, std::vector<Candidate>* candidates) {
  uint64_t total = 0;
  for (const Candidate& c : *candidates) total += WeightOf(c.first, best, temperature);
  const uint64_t needed = static_cast<uint64_t>(std::ceil(static_cast<double>(top_p) * static_cast<double>(total)));
  size_t sorted = 0, kept = 0;
  uint64_t before = 0;  // the weight of the candidates kept so far; one is kept while this is below what is needed
  while (kept < candidates->size() && before < needed) {
    if (kept == sorted) {
      sorted = std::min(candidates->size(), std::max(kFirstSorted, 8 * sorted));
      std::partial_sort(candidates->begin() + static_cast<ptrdiff_t>(kept),
                        candidates->begin() + static_cast<ptrdiff_t>(sorted), candidates->end(), Better);
    }
    before += WeightOf((*candidates)[kept++].first, best, temperature);
  }
  return (*candidates)[std::max<size_t>(kept, 1) - 1];
}

// The worst of the finite logits that `rule` keeps by their order; `candidates` is scratch.
Candidate LastKept(const kernels::SamplingRule& rule, absl::Span<const float> logits, float best,
                   std::vector<Candidate>* candidates) {
  Candidate last = {-std::numeric_limits<float>::infinity(), 0};
  if (rule.top_k == 0 && rule.top_p == 1.0f) return last;
  candidates->clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isfinite(logits[i])) candidates->emplace_back(logits[i], static_cast<int32_t>(i));
  }
  const size_t top_k = static_cast<size_t>(rule.top_k);
  if (top_k > 0 && top_k < candidates->size()) {
    std::nth_element(candidates->begin(), candidates->begin() + static_cast<ptrdiff_t>(top_k - 1), candidates->end(),
                     Better);
    candidates->resize(top_k);
    last = candidates->back();
  }
  if (rule.top_p < 1.0f) last = LastOfTopP(rule.top_p, rule.temperature, best, candidates);
  return last;
}

int32_t DrawToken(const kernels::SamplingRule& rule, absl::Span<const float> logits, float best,
                  std::vector<Candidate>* scratch) {
  const Candidate last = LastKept(rule, logits, best, scratch);
  auto weight_of = [&](size_t id) -> uint64_t {
    if (!std::isfinite(logits[id]) || Better(last, {logits[id], static_cast<int32_t>(id)})) return 0;
    const uint64_t weight = WeightOf(logits[id], best, rule.temperature);
    return weight < rule.least_weight ? 0 : weight;
  };
  uint64_t total = 0;
  for (size_t id = 0; id < logits.size(); ++id) total += weight_of(id);
  uint64_t left = static_cast<uint64_t>(static_cast<unsigned __int128>(rule.draw) * total >> kernels::kDrawBits);
  for (size_t id = 0;; ++id) {
    const uint64_t weight = weight_of(id);
    if (left < weight) return static_cast<int32_t>(id);
    left -= weight;
  }
}

void Edit(absl::Span<const kernels::LogitEdit> edits, absl::Span<float> logits) {
  for (const kernels::LogitEdit& edit : edits) {
    float& logit = logits[static_cast<size_t>(edit.id)];
    if (edit.repetition != 1.0f) logit = logit > 0 ? logit / edit.repetition : logit * edit.repetition;
    logit -= edit.penalty;
    logit += edit.bias;
  }
}

// The draw of a text's token number `index`: any order of asking gives the same ones. (SplitMix64, Steele et al. 2014,
// its state set by seed and number.)
uint64_t DrawOf(uint64_t seed, uint64_t index) {
  auto mixed = [](uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
  };
  constexpr uint64_t kStep = 0x9e3779b97f4a7c15u;
  return mixed(mixed(seed + kStep) + (index + 1) * kStep) >> (64 - kernels::kDrawBits);
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

absl::Status NoFiniteLogit() {
  return absl::InternalError("the model gave no finite logit; its weights or the compute type are at fault");
}

absl::StatusOr<int32_t> ChooseToken(const TokenChoice& choice, absl::Span<float> logits,
                                    std::vector<Candidate>* scratch) {
  Edit(choice.edits, logits);
  Candidate best = {-std::numeric_limits<float>::infinity(), -1};
  for (size_t i = 0; i < logits.size(); ++i) {
    const Candidate candidate = {logits[i], static_cast<int32_t>(i)};
    if (std::isfinite(logits[i]) && Better(candidate, best)) best = candidate;
  }
  if (best.second < 0) return NoFiniteLogit();
  if (choice.rule.temperature == 0.0f) return best.second;
  if (static_cast<int64_t>(logits.size()) > kernels::kMaxSampledVocabulary) {
    return absl::UnimplementedError(absl::StrCat("a vocabulary of ", logits.size(), " ids is more than the ",
                                                 kernels::kMaxSampledVocabulary,
                                                 " that are drawn from; set temperature to 0"));
  }
  return DrawToken(choice.rule, logits, best.first, scratch);
}

absl::StatusOr<TokenChoice> Sampler::Plan(absl::Span<const int32_t> prompt, absl::Span<const int32_t> generated,
                                          int64_t vocab, uint64_t ahead) const {
  absl::flat_hash_map<int32_t, kernels::LogitEdit> edits;
  auto edit_of = [&](int32_t id) -> kernels::LogitEdit* {
    if (id < 0 || id >= vocab) return nullptr;
    kernels::LogitEdit& edit = edits[id];
    edit.id = id;
    return &edit;
  };
  if (params_.repetition_penalty != 1.0f) {
    for (absl::Span<const int32_t> seen : {prompt, generated}) {
      for (int32_t id : seen) {
        if (auto* edit = edit_of(id); edit != nullptr) edit->repetition = params_.repetition_penalty;
      }
    }
  }
  if (params_.presence_penalty != 0.0f || params_.frequency_penalty != 0.0f) {
    absl::flat_hash_map<int32_t, int> counts;
    for (int32_t id : generated) ++counts[id];
    for (const auto& [id, count] : counts) {
      if (auto* edit = edit_of(id); edit != nullptr) {
        edit->penalty = params_.presence_penalty + params_.frequency_penalty * static_cast<float>(count);
      }
    }
  }
  for (const auto& [id, bias] : params_.logit_bias) {
    auto* edit = edit_of(id);
    if (edit == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("logit_bias: token id ", id, " is not in the vocabulary of ", vocab, " ids"));
    }
    edit->bias += bias;
  }
  TokenChoice choice;
  for (const auto& [id, edit] : edits) choice.edits.push_back(edit);
  choice.rule.temperature = params_.temperature;
  choice.rule.top_k = params_.top_k;
  choice.rule.top_p = params_.top_p;
  choice.rule.least_weight =
      static_cast<uint64_t>(std::ceil(static_cast<double>(params_.min_p) * static_cast<double>(kernels::kSamplingOne)));
  choice.rule.draw = DrawOf(params_.seed, draws_ + ahead);
  return choice;
}

absl::StatusOr<int32_t> Sampler::Sample(absl::Span<const float> logits, absl::Span<const int32_t> prompt,
                                        absl::Span<const int32_t> generated) {
  LASTRO_ASSIGN_OR_RETURN(const TokenChoice choice, Plan(prompt, generated, static_cast<int64_t>(logits.size())));
  edited_.assign(logits.begin(), logits.end());
  LASTRO_ASSIGN_OR_RETURN(const int32_t id, ChooseToken(choice, absl::MakeSpan(edited_), &scratch_));
  Advance();
  return id;
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
