#include "engine/prompt_lookup.h"

#include <algorithm>

namespace lastro::engine {
namespace {

// What a row more costs, as a part of a step of one row: between a twentieth (a large model, whose step is the reading
// of its weights) and a quarter (one that fits in the caches).
constexpr double kRowCost = 0.2;
// Of the newest guess in a hit rate.
constexpr double kNewest = 0.25;

// The number of guesses, up to `most`, that gives the most tokens for a step's cost: each further one as long as the
// chance that it counts, per cost, is above what the step gives without it.
int WorthGuessing(double hit_rate, int most) {
  int count = 0;
  double chance = hit_rate, tokens = 1, cost = 1;
  for (; count < most && chance * cost > kRowCost * tokens; ++count) {
    tokens += chance;
    cost += kRowCost;
    chance *= hit_rate;
  }
  return count;
}

}  // namespace

NgramIndex::Ngram NgramIndex::LastTokens(int count) const {
  Ngram ngram;
  std::fill(std::copy(text_.end() - count, text_.end(), ngram.begin()), ngram.end(), -1);
  return ngram;
}

void NgramIndex::Push(int32_t token) {
  const int longest = std::min(kLongest, static_cast<int>(text_.size()));
  for (int n = kShortest; n <= longest; ++n) next_[LastTokens(n)] = static_cast<int32_t>(text_.size());
  text_.push_back(token);
}

NgramIndex::Match NgramIndex::Find() const {
  for (int n = std::min(kLongest, static_cast<int>(text_.size())); n >= kShortest; --n) {
    const auto found = next_.find(LastTokens(n));
    if (found != next_.end()) return {n, static_cast<size_t>(found->second)};
  }
  return {};
}

void PromptLookup::Push(int32_t token) {
  if (came_ < guess_.size()) {
    const bool hit = guess_[came_] == token;
    double& rate = hit_rates_[static_cast<size_t>(match_length_)];
    rate += kNewest * ((hit ? 1.0 : 0.0) - rate);
    ++came_;
    if (!hit) guess_.clear();
  }
  index_.Push(token);
}

absl::Span<const int32_t> PromptLookup::Guess(int limit) {
  guess_.clear();
  came_ = 0;
  const NgramIndex::Match match = index_.Find();
  match_length_ = match.length;
  if (match.length == 0) return {};
  const int count = WorthGuessing(hit_rates_[static_cast<size_t>(match.length)], std::min(limit, max_tokens_));
  const std::vector<int32_t>& text = index_.text();
  for (size_t i = match.next; static_cast<int>(guess_.size()) < std::max(count, 1); ++i) {
    // Beyond the end of the text the guess itself is what repeats.
    guess_.push_back(i < text.size() ? text[i] : guess_[i - text.size()]);
  }
  return absl::MakeConstSpan(guess_).first(static_cast<size_t>(count));
}

}  // namespace lastro::engine
