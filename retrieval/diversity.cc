#include "retrieval/diversity.h"

#include <algorithm>

#include "base/check.h"
#include "retrieval/dot_product.h"

namespace lastro::retrieval {

std::vector<size_t> SelectDiverse(absl::Span<const double> relevance, absl::Span<const std::vector<float>> vectors,
                                  double lambda, size_t limit) {
  LASTRO_CHECK(relevance.size() == vectors.size(), "a vector for each");
  std::vector<size_t> left(relevance.size());
  for (size_t i = 0; i < left.size(); ++i) left[i] = i;
  std::vector<double> likeness(relevance.size(), 0.0);  // to the most alike of those chosen
  std::vector<size_t> chosen;
  while (chosen.size() < limit && !left.empty()) {
    auto value = [&](size_t i) { return lambda * relevance[i] - (1 - lambda) * likeness[i]; };
    auto best = std::max_element(left.begin(), left.end(), [&](size_t a, size_t b) { return value(a) < value(b); });
    const std::vector<float>& vector = vectors[*best];
    chosen.push_back(*best);
    left.erase(best);
    for (size_t i : left) {
      likeness[i] = std::max<double>(likeness[i], DotProduct(vector.data(), vectors[i].data(), vector.size()));
    }
  }
  return chosen;
}

}  // namespace lastro::retrieval
