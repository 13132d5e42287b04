// Vectors for benchmarks: around centres as texts are around subjects, of unit length, the same for the same seed.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace lastro::bench {

class ClusteredVectors {
 public:
  // A hundred vectors a centre on average; a vector is its centre and as much noise.
  ClusteredVectors(int dimension, size_t vectors) : dimension_(static_cast<size_t>(dimension)) {
    std::mt19937_64 random(1);
    centres_.resize(std::max<size_t>(10, vectors / 100) * dimension_);
    std::normal_distribution<float> normal;
    for (float& x : centres_) x = normal(random);
  }

  // out: [dimension]
  void Next(std::mt19937_64* random, float* out) const {
    std::normal_distribution<float> normal;
    const float* centre = &centres_[(*random)() % (centres_.size() / dimension_) * dimension_];
    double square = 0;
    for (size_t i = 0; i < dimension_; ++i) {
      out[i] = centre[i] + normal(*random);
      square += static_cast<double>(out[i]) * out[i];
    }
    const float factor = static_cast<float>(1 / std::sqrt(square));
    for (size_t i = 0; i < dimension_; ++i) out[i] *= factor;
  }
  std::vector<float> Take(size_t count, uint64_t seed) const {
    std::mt19937_64 random(seed);
    std::vector<float> vectors(count * dimension_);
    for (size_t i = 0; i < count; ++i) Next(&random, &vectors[i * dimension_]);
    return vectors;
  }

 private:
  const size_t dimension_;
  std::vector<float> centres_;
};

}  // namespace lastro::bench
