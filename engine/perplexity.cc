#include "engine/perplexity.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/kernels.h"

namespace lastro::engine {
namespace {

// Tokens whose logits are held at a time.
constexpr size_t kPieceTokens = 32;

struct Sums {
  double log_probability = 0;
  double baseline_log_probability = 0;
  double divergence = 0;
  int64_t same_best = 0;
  int64_t tokens = 0;
};

// Logits of one position as log-probabilities.
class Distribution {
 public:
  Distribution(const float* logits, int64_t vocab)
      : logits_(logits), vocab_(vocab), log_sum_(kernels::ActiveKernels().log_sum_exp(logits, vocab)) {}
  double LogProbability(int64_t id) const { return logits_[id] - log_sum_; }
  int64_t Best() const { return std::max_element(logits_, logits_ + vocab_) - logits_; }
  double DivergenceOf(const Distribution& other) const {
    double sum = 0;
    for (int64_t i = 0; i < vocab_; ++i) {
      const double log_p = LogProbability(i);
      sum += std::exp(log_p) * (log_p - other.LogProbability(i));
    }
    return sum;
  }

 private:
  const float* logits_;
  const int64_t vocab_;
  const double log_sum_;
};

// One model's side of a measurement.
struct Side {
  const DecoderModel* model = nullptr;
  std::unique_ptr<DecoderSession> session;
  std::vector<float> logits;

  absl::Status Start(int capacity) {
    LASTRO_ASSIGN_OR_RETURN(session, model->NewSession(capacity));
    return absl::OkStatus();
  }
  Distribution At(size_t row) const {
    const int64_t vocab = model->info().vocab_size;
    return {logits.data() + static_cast<int64_t>(row) * vocab, vocab};
  }
};

void Score(const Side& model, const Side* baseline, size_t row, int32_t next, Sums* sums) {
  const Distribution q = model.At(row);
  sums->log_probability += q.LogProbability(next);
  ++sums->tokens;
  if (baseline == nullptr) return;
  const Distribution p = baseline->At(row);
  sums->baseline_log_probability += p.LogProbability(next);
  sums->divergence += p.DivergenceOf(q);
  sums->same_best += p.Best() == q.Best();
}

// Scores the tokens [first_scored, window.size()) of one window.
absl::Status ScoreWindow(absl::Span<const int32_t> window, size_t first_scored, Side* model, Side* baseline,
                         const CallContext& context, Sums* sums) {
  std::vector<Side*> sides = {model};
  if (baseline != nullptr) sides.push_back(baseline);
  for (Side* side : sides) side->session->Truncate(0);
  for (size_t begin = 0; begin + 1 < window.size(); begin += kPieceTokens) {
    const size_t count = std::min(kPieceTokens, window.size() - begin);
    const bool scored = begin + count >= first_scored;
    for (Side* side : sides) {
      LASTRO_RETURN_IF_ERROR(side->session->Extend(window.subspan(begin, count),
                                                   scored ? LogitsOf::kAll : LogitsOf::kNone, context, &side->logits));
    }
    for (size_t row = 0; scored && row < count; ++row) {
      const size_t next = begin + row + 1;
      if (next >= first_scored && next < window.size()) Score(*model, baseline, row, window[next], sums);
    }
  }
  return absl::OkStatus();
}

absl::Status CheckOptions(const DecoderModel& model, const DecoderModel* baseline, const PerplexityOptions& options) {
  int longest = model.info().max_tokens;
  if (baseline != nullptr) {
    longest = std::min(longest, baseline->info().max_tokens);
    if (baseline->info().vocab_size != model.info().vocab_size) {
      return absl::InvalidArgumentError(absl::StrCat("the baseline has a vocabulary of ", baseline->info().vocab_size,
                                                     " ids, the model one of ", model.info().vocab_size));
    }
  }
  if (options.window < 2 || options.window > longest) {
    return absl::InvalidArgumentError(
        absl::StrCat("a window of ", options.window, " tokens is out of range [2, ", longest, "]"));
  }
  if (options.stride < 1 || options.stride >= options.window) {
    return absl::InvalidArgumentError(
        absl::StrCat("a stride of ", options.stride, " tokens is out of range [1, ", options.window - 1, "]"));
  }
  return absl::OkStatus();
}

absl::StatusOr<PerplexityResult> ResultOf(const Sums& sums, bool compared) {
  if (!std::isfinite(sums.log_probability) || !std::isfinite(sums.divergence)) {
    return absl::InternalError("a probability is not a number; the model's weights or the compute type are at fault");
  }
  const double tokens = static_cast<double>(sums.tokens);
  PerplexityResult result;
  result.tokens = sums.tokens;
  result.mean_log_probability = sums.log_probability / tokens;
  result.perplexity = std::exp(-result.mean_log_probability);
  if (compared) {
    result.comparison = {std::exp(-sums.baseline_log_probability / tokens), sums.divergence / tokens,
                         static_cast<double>(sums.same_best) / tokens};
  }
  return result;
}

}  // namespace

absl::StatusOr<PerplexityResult> MeasurePerplexity(const DecoderModel& model, const DecoderModel* baseline,
                                                   absl::string_view text, const PerplexityOptions& options,
                                                   const CallContext& context) {
  LASTRO_RETURN_IF_ERROR(CheckOptions(model, baseline, options));
  EncodeOptions encode;
  encode.add_special = true;
  const std::vector<int32_t> ids = model.tokenizer().Encode(text, encode);
  if (ids.size() < 2) return absl::InvalidArgumentError("a text of at least two tokens is needed");
  Side side, other;
  side.model = &model;
  other.model = baseline;
  LASTRO_RETURN_IF_ERROR(side.Start(options.window));
  if (baseline != nullptr) LASTRO_RETURN_IF_ERROR(other.Start(options.window));
  const size_t window = static_cast<size_t>(options.window), stride = static_cast<size_t>(options.stride);
  Sums sums;
  size_t scored_to = 1;  // the first token has nothing before it
  for (size_t begin = 0; scored_to < ids.size(); begin += stride) {
    const size_t count = std::min(window, ids.size() - begin);
    LASTRO_RETURN_IF_ERROR(ScoreWindow(absl::MakeConstSpan(ids).subspan(begin, count), scored_to - begin, &side,
                                       baseline != nullptr ? &other : nullptr, context, &sums));
    scored_to = begin + count;
    if (options.max_tokens > 0 && sums.tokens >= options.max_tokens) break;
  }
  return ResultOf(sums, baseline != nullptr);
}

}  // namespace lastro::engine
