#include "retrieval/index_kind.h"

#include "absl/strings/str_cat.h"

namespace lastro::retrieval {
absl::string_view IndexKindName(IndexKind kind) {
  switch (kind) {
    case IndexKind::kExact:
      return "exact";
    case IndexKind::kHnsw:
      return "hnsw";
    case IndexKind::kIvfSq:
      return "ivf-sq";
    case IndexKind::kIvfPq:
      return "ivf-pq";
  }
  return "unknown";
}

absl::StatusOr<std::optional<IndexKind>> ParseIndexKind(absl::string_view name) {
  if (name == "auto") return std::optional<IndexKind>();
  for (IndexKind kind : kIndexKinds) {
    if (name == IndexKindName(kind)) return std::optional<IndexKind>(kind);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("vector index \"", name, "\": expected auto, exact, hnsw, ivf-sq or ivf-pq"));
}

IndexKind IndexKindRule::For(int64_t chunks) const {
  if (always.has_value()) return *always;
  if (chunks <= exact_up_to_chunks) return IndexKind::kExact;
  return chunks <= hnsw_up_to_chunks ? IndexKind::kHnsw : IndexKind::kIvfSq;
}

}  // namespace lastro::retrieval
