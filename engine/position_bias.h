// PositionBias: what attention adds to the scores by the distance of query and key: ALiBi (Press et al. 2021) and T5's
// relative bias (Raffel et al. 2019). Pure functions; kernels::AttentionArgs says how a table is read.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "engine/architecture.h"

namespace lastro::engine {

// [heads, stride]; entry `zero` of a row belongs to distance 0, or with `absolute` to token 0.
struct PositionBias {
  std::vector<float> values;
  int64_t stride = 0;
  int64_t zero = 0;
  bool absolute = false;
};

// Slopes of `heads` heads, 2^(-8 i / n) where heads = n is a power of two. Otherwise two conventions exist: BLOOM and
// Falcon take those of the next lower power of two and then every other one of twice as many; MPT takes every other one
// of the next higher power of two, those of odd index first, with `max_bias` in place of 8.
std::vector<float> BloomAlibiSlopes(int64_t heads);
std::vector<float> MptAlibiSlopes(int64_t heads, double max_bias);

// REQUIRES: alibi_slopes of a causal architecture.
PositionBias AlibiTable(const Architecture& architecture);

// `weights` is [buckets, heads]. Distances up to max_tokens, both ways unless the architecture is causal.
PositionBias RelativeBiasTable(const Architecture& architecture, absl::Span<const float> weights);

}  // namespace lastro::engine
