#include "engine/beam_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "kernels/kernels.h"

namespace lastro::engine {
namespace {

constexpr int kMaxWidth = 64;

absl::Status CheckOptions(const BeamOptions& options) {
  auto in_range = [](const char* field, double value, double low, double high) {
    if (value >= low && value <= high) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(field, " = ", value, " is out of range [", low, ", ", high, "]"));
  };
  LASTRO_RETURN_IF_ERROR(in_range("width", options.width, 1, kMaxWidth));
  LASTRO_RETURN_IF_ERROR(in_range("results", options.results, 1, options.width));
  LASTRO_RETURN_IF_ERROR(in_range("length_penalty", options.length_penalty, -100, 100));
  return in_range("max_new_tokens", options.max_new_tokens, 1, std::numeric_limits<int>::max());
}

// A continuation that is still open.
struct Beam {
  std::vector<int32_t> ids;  // Opening::tokens and generated
  double logprob = 0;
  std::vector<float> logits;  // behind the last id
};

// One token more for a beam.
struct Candidate {
  double logprob;
  size_t beam;
  int32_t token;
  friend bool operator<(const Candidate& a, const Candidate& b) {  // better first
    return std::tuple(-a.logprob, a.beam, a.token) < std::tuple(-b.logprob, b.beam, b.token);
  }
};

// The best continuations that have ended, at most `width`.
class Hypotheses {
 public:
  explicit Hypotheses(const BeamOptions& options) : options_(options) {}

  // `length` counts the generated tokens, the one that ends it included.
  void Add(absl::Span<const int32_t> generated, double logprob, int length, FinishReason finish) {
    BeamResult result;
    result.score = Score(logprob, length);
    if (full() && result.score <= best_.back().score) return;
    result.ids.assign(generated.begin(), generated.end());
    result.logprob = logprob;
    result.finish = finish;
    auto worse = [&](const BeamResult& other) { return other.score <= result.score; };
    best_.insert(std::find_if(best_.begin(), best_.end(), worse), std::move(result));
    if (best_.size() > static_cast<size_t>(options_.width)) best_.pop_back();
  }

  // Nothing open can matter any more; `best_open` is the log probability of the best one, of `length` tokens.
  bool Done(double best_open, int length) const {
    if (!full()) return false;
    if (options_.early_stopping == EarlyStopping::kAlways) return true;
    const bool longest = options_.early_stopping == EarlyStopping::kNever && options_.length_penalty > 0;
    return best_.back().score >= Score(best_open, longest ? options_.max_new_tokens : length);
  }

  std::vector<BeamResult> Take() { return std::move(best_); }

 private:
  bool full() const { return best_.size() == static_cast<size_t>(options_.width); }
  double Score(double logprob, int length) const { return logprob / std::pow(length, options_.length_penalty); }

  const BeamOptions& options_;
  std::vector<BeamResult> best_;  // best first
};

class Search {
 public:
  Search(const LanguageModel& model, const BeamOptions& options)
      : model_(model), options_(options), hypotheses_(options), end_ids_(options.stop_ids) {
    if (!options.ignore_eos) {
      end_ids_.insert(end_ids_.end(), model.info().eos_ids.begin(), model.info().eos_ids.end());
    }
  }

  absl::StatusOr<std::vector<BeamResult>> Run(absl::Span<const int32_t> prompt, const CallContext& context);

 private:
  // A session and what its cache holds.
  struct Cache {
    std::unique_ptr<DecoderSession> session;
    std::vector<int32_t> ids;
  };

  // A cache for each beam, which hold the opening, and the first beam.
  absl::Status OpenAll(absl::Span<const int32_t> prompt, const CallContext& context);
  // Computes the logits of every beam, each in the cache that shares most with it.
  absl::Status Compute(const CallContext& context);
  std::vector<Candidate> BestCandidates() const;
  // Goes on with the best candidates; sets `done` when the search is over.
  absl::Status Step(int length, bool* done);
  absl::Span<const int32_t> Generated(const Beam& beam) const {
    return absl::MakeConstSpan(beam.ids).subspan(opening_tokens_);
  }

  const LanguageModel& model_;
  size_t opening_tokens_ = 0;
  const BeamOptions& options_;
  Hypotheses hypotheses_;
  std::vector<int32_t> end_ids_;
  std::vector<Beam> beams_;
  std::vector<Cache> caches_;
};

absl::Status Search::OpenAll(absl::Span<const int32_t> prompt, const CallContext& context) {
  OpenOptions open = {options_.adapter};
  open.forks = options_.width - 1;
  LASTRO_ASSIGN_OR_RETURN(Opening opening, model_.Open(prompt, options_.max_new_tokens, open, context));
  opening_tokens_ = opening.tokens.size();
  // All but the last token, which gives the first logits.
  const std::vector<int32_t> shared(opening.tokens.begin(), opening.tokens.end() - 1);
  LASTRO_RETURN_IF_ERROR(opening.session->Extend(shared, LogitsOf::kNone, context, nullptr));
  for (int i = 1; i < options_.width; ++i) caches_.push_back({opening.session->Fork(), shared});
  caches_.push_back({std::move(opening.session), shared});
  beams_.push_back({std::move(opening.tokens), 0, {}});
  return absl::OkStatus();
}

absl::Status Search::Compute(const CallContext& context) {
  std::vector<bool> used(caches_.size());
  for (Beam& beam : beams_) {
    size_t best = 0, shared = 0;
    bool found = false;
    for (size_t i = 0; i < caches_.size(); ++i) {
      if (used[i]) continue;
      const std::vector<int32_t>& ids = caches_[i].ids;
      const size_t most = std::min(ids.size(), beam.ids.size() - 1);
      const size_t common = static_cast<size_t>(
          std::mismatch(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(most), beam.ids.begin()).first - ids.begin());
      if (found && common <= shared) continue;
      found = true;
      best = i;
      shared = common;
    }
    used[best] = true;
    Cache& cache = caches_[best];
    cache.session->Truncate(static_cast<int>(shared));
    cache.ids.resize(shared);
    LASTRO_RETURN_IF_ERROR(
        cache.session->Extend(absl::MakeConstSpan(beam.ids).subspan(shared), LogitsOf::kLast, context, &beam.logits));
    cache.ids = beam.ids;
  }
  return absl::OkStatus();
}

std::vector<Candidate> Search::BestCandidates() const {
  std::vector<Candidate> candidates;
  for (size_t b = 0; b < beams_.size(); ++b) {
    const std::vector<float>& logits = beams_[b].logits;
    const double total = kernels::ActiveKernels().log_sum_exp(logits.data(), static_cast<int64_t>(logits.size()));
    for (size_t id = 0; id < logits.size(); ++id) {
      const double logprob = beams_[b].logprob + logits[id] - total;
      if (std::isfinite(logprob)) candidates.push_back({logprob, b, static_cast<int32_t>(id)});
    }
  }
  // Enough that the beams can go on whatever ends.
  const size_t wanted = std::max<size_t>(2, 1 + end_ids_.size()) * static_cast<size_t>(options_.width);
  const size_t kept = std::min(candidates.size(), wanted);
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<ptrdiff_t>(kept), candidates.end());
  candidates.resize(kept);
  return candidates;
}

absl::Status Search::Step(int length, bool* done) {
  const std::vector<Candidate> candidates = BestCandidates();
  if (candidates.empty()) {
    return absl::InternalError("the model gave no finite logit; its weights or the compute type are at fault");
  }
  const size_t width = static_cast<size_t>(options_.width);
  std::vector<Beam> next;
  for (size_t rank = 0; rank < candidates.size() && next.size() < width; ++rank) {
    const Candidate& candidate = candidates[rank];
    const Beam& beam = beams_[candidate.beam];
    if (std::find(end_ids_.begin(), end_ids_.end(), candidate.token) == end_ids_.end()) {
      next.push_back({beam.ids, candidate.logprob, {}});
      next.back().ids.push_back(candidate.token);
    } else if (rank < width) {
      hypotheses_.Add(Generated(beam), candidate.logprob, length, FinishReason::kEndOfText);
    }
  }
  beams_ = std::move(next);
  *done = beams_.empty() || hypotheses_.Done(candidates[0].logprob, length);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<BeamResult>> Search::Run(absl::Span<const int32_t> prompt, const CallContext& context) {
  LASTRO_RETURN_IF_ERROR(OpenAll(prompt, context));
  bool done = false;
  for (int length = 1; length <= options_.max_new_tokens && !done; ++length) {
    LASTRO_RETURN_IF_ERROR(Compute(context));
    LASTRO_RETURN_IF_ERROR(Step(length, &done));
  }
  if (!done) {
    for (const Beam& beam : beams_) {
      hypotheses_.Add(Generated(beam), beam.logprob, options_.max_new_tokens, FinishReason::kMaxTokens);
    }
  }
  std::vector<BeamResult> results = hypotheses_.Take();
  results.resize(std::min(results.size(), static_cast<size_t>(options_.results)));
  for (BeamResult& result : results) result.text = ReplaceInvalidUtf8(model_.tokenizer().Decode(result.ids));
  return results;
}

}  // namespace

absl::StatusOr<std::vector<BeamResult>> BeamSearch(const LanguageModel& model, absl::Span<const int32_t> prompt,
                                                   const BeamOptions& options, const CallContext& context) {
  LASTRO_RETURN_IF_ERROR(CheckOptions(options));
  return Search(model, options).Run(prompt, context);
}

}  // namespace lastro::engine
