// Vectors for benchmarks: around centres as texts are around subjects, of unit length, the same for the same seed. A
// hundred vectors a centre on average; a vector is its centre and as much noise.
//
// Islands: centres and noise in all directions, so that subjects share nothing and no path leads from one to another
// but through strangers. Overlapping: both in `kDirections` of them (an embedding of texts has about that many of its
// own), where subjects meet, and a little noise in all.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace lastro::bench {

enum class VectorData { kIslands, kOverlapping };

class ClusteredVectors {
 public:
  ClusteredVectors(int dimension, size_t vectors, VectorData data = VectorData::kIslands)
      : dimension_(static_cast<size_t>(dimension)),
        directions_(data == VectorData::kIslands ? dimension_ : kDirections) {
    std::mt19937_64 random(1);
    std::normal_distribution<float> normal;
    centres_.resize(std::max<size_t>(10, vectors / 100) * directions_);
    for (float& x : centres_) x = normal(random);
    if (data == VectorData::kIslands) return;
    map_.resize(directions_ * dimension_);
    for (float& x : map_) x = normal(random) / std::sqrt(static_cast<float>(directions_));
  }

  // out: [dimension]
  void Next(std::mt19937_64* random, float* out) const {
    std::normal_distribution<float> normal;
    const float* centre = &centres_[(*random)() % (centres_.size() / directions_) * directions_];
    if (map_.empty()) {
      for (size_t i = 0; i < dimension_; ++i) out[i] = centre[i] + normal(*random);
    } else {
      for (size_t i = 0; i < dimension_; ++i) out[i] = kLittle * normal(*random);
      for (size_t j = 0; j < directions_; ++j) {
        const float x = centre[j] + normal(*random), *to = &map_[j * dimension_];
        for (size_t i = 0; i < dimension_; ++i) out[i] += x * to[i];
      }
    }
    double square = 0;
    for (size_t i = 0; i < dimension_; ++i) square += static_cast<double>(out[i]) * out[i];
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
  static constexpr size_t kDirections = 24;
  static constexpr float kLittle = 0.3f;

  const size_t dimension_;
  const size_t directions_;  // of centres and noise
  std::vector<float> centres_;
  std::vector<float> map_;  // [directions, dimension]; empty: they are the vector's own
};

}  // namespace lastro::bench
