// Bytes of any length in rows of Milvus: originals, extracted texts, and records too long for a row. Each block carries
// a hash of its bytes, so that what comes back is what was put, or DATA_LOSS. Thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/milvus/milvus_client.h"

namespace lastro::services {

// Which bytes: of a version of a subject (see milvus_schema.h).
struct BlocksOf {
  std::string owner;
  std::string subject;
  int64_t version = 0;
  char part = 'o';  // 'o'riginal, e'x'tracted text, 'b'ody of a record
};

class MilvusBlocks {
 public:
  // `client` must outlive this. `collection`: of Milvus's.
  MilvusBlocks(MilvusClient* client, const std::string& collection) : client_(*client), collection_(collection) {}

  absl::Status Put(const BlocksOf& of, absl::string_view bytes);
  // Bytes [begin, end), whatever the options' consistency. REQUIRES: begin <= end <= the size of what was put.
  absl::StatusOr<std::string> Read(const BlocksOf& of, uint64_t begin, uint64_t end);
  // Those of versions before `version`, or of this one.
  absl::Status DropBefore(const std::string& owner, const std::string& subject, int64_t version);
  absl::Status Drop(const std::string& owner, const std::string& subject, int64_t version);
  absl::Status DropAllOf(const std::string& owner);

 private:
  absl::StatusOr<std::string> ReadBlocks(const BlocksOf& of, uint64_t first, uint64_t count);

  MilvusClient& client_;
  const std::string collection_;
};

}  // namespace lastro::services
