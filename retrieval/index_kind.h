// The kinds of vector index and when each is taken. Thread-safe.
//
// Unless a kind is asked for, a collection's index is exact up to 50,000 chunks, which are scanned in two milliseconds
// or so; a graph (hnsw) up to 4 million, at 526 bytes a chunk of 384 numbers and, at 100,000, 0.15 milliseconds of a core
// to add each; and ivf-sq above, which takes about a quarter of that time to make.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lastro::retrieval {

enum class IndexKind : uint32_t { kExact, kHnsw, kIvfSq, kIvfPq };
inline constexpr IndexKind kIndexKinds[] = {IndexKind::kExact, IndexKind::kHnsw, IndexKind::kIvfSq, IndexKind::kIvfPq};

absl::string_view IndexKindName(IndexKind kind);  // "exact", "hnsw", "ivf-sq", "ivf-pq"
// Of such a name, or nullopt of "auto": by size. INVALID_ARGUMENT with the names there are.
absl::StatusOr<std::optional<IndexKind>> ParseIndexKind(absl::string_view name);

struct IndexKindRule {
  std::optional<IndexKind> always;  // whatever the size
  int64_t exact_up_to_chunks = 50000;
  int64_t hnsw_up_to_chunks = 4000000;

  IndexKind For(int64_t chunks) const;
};

}  // namespace lastro::retrieval
