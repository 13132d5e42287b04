// Clustering of embedded texts by meaning: spherical k-means, with what a person needs to read the result: typical
// terms, representatives, cohesion and a silhouette. Pure functions of their arguments and deterministic: the same
// vectors, items and options give the same response, whatever the number of threads. Thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/call_context.h"
#include "base/thread_pool.h"
#include "lastro/v1/embedding.pb.h"

namespace lastro::services {

inline constexpr int kMaxClusterItems = 100'000;
inline constexpr int kMaxClusters = 1'000;
inline constexpr int kMaxRepresentatives = 100;

// What is known of one clustered item. `text` may be of any length and need not be valid UTF-8.
struct ClusterItem {
  std::string text;
  int32_t index = -1;    // into the texts given by the caller; -1 for chunks
  int64_t chunk_id = 0;  // of a chunk
  std::string document_uri;
};

struct ClusterOptions {
  int clusters = 0;  // 0: chosen by the silhouette of a sample among 2..20; 1 when the items cannot be told apart
  uint64_t seed = 0;
  int representatives = 0;  // of each cluster; 0: 3
};

// Groups `items`, of which item i has the vector vectors[i * dimension, (i + 1) * dimension). Vectors need not have
// unit length (they are normalised here); a zero vector is as far from everything as orthogonal ones are.
//
// On success every cluster has at least one member. `pool` (may be null) shares the work. Errors: INVALID_ARGUMENT (no
// items, fewer items than clusters, over kMaxClusterItems, an option out of range, a vector that is not finite),
// CANCELLED and DEADLINE_EXCEEDED, seen at least once an iteration.
absl::StatusOr<v1::ClusterResponse> ClusterVectors(absl::Span<const float> vectors, int dimension,
                                                   absl::Span<const ClusterItem> items, const ClusterOptions& options,
                                                   const CallContext& context, ThreadPool* pool = nullptr);

}  // namespace lastro::services
