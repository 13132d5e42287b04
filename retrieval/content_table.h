// Contents: originals and extracted texts, stored once per SHA-256 however many documents have them, in blocks that are
// compressed one by one, so that a range is read without the rest. Functions run in the caller's transaction.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "retrieval/sqlite.h"

namespace lastro::retrieval {

// A content ready to be stored; made outside of the transaction, because hashing and compressing take time.
struct PackedContent {
  std::string sha256;
  uint64_t size_bytes = 0;
  std::vector<std::string> blocks;  // zstd frames
};

absl::StatusOr<PackedContent> PackContent(absl::string_view bytes);

absl::Status StoreContent(Database& db, const PackedContent& content);  // does nothing when it is there already

// Bytes [begin, end), `end` clipped to the size; INVALID_ARGUMENT when begin > end or beyond the size; DATA_LOSS when
// the content is missing or damaged.
absl::StatusOr<std::string> ReadContent(Database& db, const std::string& sha256, uint64_t begin, uint64_t end);
absl::StatusOr<uint64_t> ContentSize(Database& db, const std::string& sha256);

// Removes those of `sha256` that no document refers to.
absl::Status DropUnreferencedContents(Database& db, absl::Span<const std::string> sha256);
absl::Status DropAllUnreferencedContents(Database& db);

}  // namespace lastro::retrieval
