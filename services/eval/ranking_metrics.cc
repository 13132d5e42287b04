#include "services/eval/ranking_metrics.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace lastro::services::eval {
namespace {

using Gains = absl::flat_hash_map<absl::string_view, double>;

Gains GainsOf(absl::Span<const Judgement> judgements) {
  Gains gains;
  for (const Judgement& judgement : judgements) gains[judgement.passage] = judgement.gain;
  return gains;
}

size_t CountJudged(absl::Span<const std::string> ids, const Gains& gains) {
  return static_cast<size_t>(
      std::count_if(ids.begin(), ids.end(), [&](const std::string& id) { return gains.contains(id); }));
}

double Share(size_t part, size_t whole) { return static_cast<double>(part) / static_cast<double>(whole); }

double Discounted(double gain, size_t index) { return gain / std::log2(static_cast<double>(index) + 2); }

}  // namespace

double RecallAt(absl::Span<const std::string> ranked, absl::Span<const Judgement> judgements, size_t k) {
  return Share(CountJudged(ranked.subspan(0, k), GainsOf(judgements)), judgements.size());
}

double ReciprocalRankAt(absl::Span<const std::string> ranked, absl::Span<const Judgement> judgements, size_t k) {
  const Gains gains = GainsOf(judgements);
  for (size_t i = 0; i < std::min(k, ranked.size()); ++i) {
    if (gains.contains(ranked[i])) return 1 / static_cast<double>(i + 1);
  }
  return 0;
}

double NdcgAt(absl::Span<const std::string> ranked, absl::Span<const Judgement> judgements, size_t k) {
  const Gains gains = GainsOf(judgements);
  double found = 0;
  for (size_t i = 0; i < std::min(k, ranked.size()); ++i) {
    if (auto gain = gains.find(ranked[i]); gain != gains.end()) found += Discounted(gain->second, i);
  }
  std::vector<double> ideal;
  for (const Judgement& judgement : judgements) ideal.push_back(judgement.gain);
  std::sort(ideal.begin(), ideal.end(), std::greater<>());
  double best = 0;
  for (size_t i = 0; i < std::min(k, ideal.size()); ++i) best += Discounted(ideal[i], i);
  return found / best;
}

double CitationPrecision(absl::Span<const std::string> cited, absl::Span<const Judgement> judgements) {
  return Share(CountJudged(cited, GainsOf(judgements)), cited.size());
}

double CitationRecall(absl::Span<const std::string> cited, absl::Span<const Judgement> judgements) {
  return Share(CountJudged(cited, GainsOf(judgements)), judgements.size());
}

}  // namespace lastro::services::eval
