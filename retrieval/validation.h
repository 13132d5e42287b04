// Checks of everything that enters the store. INVALID_ARGUMENT says what, where and which limit; nothing here touches
// the database. Pure functions, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "retrieval/chunk_store.h"

namespace lastro::retrieval {

inline constexpr int kMaxDimension = 8192;
inline constexpr size_t kMaxUriBytes = 4096;
inline constexpr size_t kMaxFieldBytes = 65536;  // title, origin, pipeline, each metadata value, ...
inline constexpr size_t kMaxMetadataKeys = 256;
inline constexpr size_t kMaxMetadataKeyBytes = 256;
inline constexpr size_t kMaxMetadataListValues = 256;
inline constexpr size_t kMaxContentBytes = 512u << 20;  // an original, an extracted text
inline constexpr size_t kMaxChunkTextBytes = 1u << 20;
inline constexpr size_t kMaxChunksPerDocument = 1u << 20;
inline constexpr size_t kMaxHeadings = 64;
inline constexpr size_t kMaxJobBytes = 64u << 20;
inline constexpr int kMaxSearchLimit = 1000;
inline constexpr int kMaxContextChunks = 10;

absl::Status ValidateCollectionName(const std::string& name);
absl::Status ValidateCollection(const Collection& collection);  // but for its name

// The document, its chunks (of `dimension`) and its bytes, as given to PutDocument. Verbatim segments are compared with
// the source byte by byte.
absl::Status ValidatePut(const Document& document, absl::Span<const Chunk> chunks, int dimension,
                         absl::string_view original, absl::string_view extracted);

// `vector` with unit length. INVALID_ARGUMENT, opening with `what`, when it has another dimension, a NaN, an infinity
// or no length. A vector whose length is 1 to within 1e-5 comes back bit by bit.
absl::StatusOr<std::vector<float>> UnitVector(const std::vector<float>& vector, int dimension, const std::string& what);

absl::Status ValidateQuery(const SearchQuery& query);  // but for its collection
absl::Status ValidateJob(const Job& job);

}  // namespace lastro::retrieval
