#include "services/eval/sample.h"

#include <random>
#include <utility>

namespace lastro::services::eval {

// Selection sampling (Knuth, TAOCP 3.4.2, Algorithm S): each question is taken with the chance wanted / left.
void TakeSample(size_t limit, uint64_t seed, Dataset* dataset) {
  std::vector<Question>& all = dataset->questions;
  if (limit == 0 || limit >= all.size()) return;
  std::mt19937_64 random(seed);
  std::vector<Question> taken;
  for (size_t i = 0; i < all.size() && taken.size() < limit; ++i) {
    const uint64_t left = all.size() - i;
    const uint64_t drawn = ((random() >> 32) * left) >> 32;  // from 0 to left - 1
    if (drawn < limit - taken.size()) taken.push_back(std::move(all[i]));
  }
  all = std::move(taken);
}

}  // namespace lastro::services::eval
