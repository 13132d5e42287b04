// Where a Milvus is, and how Lastro uses it. Plain data.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace lastro::services {

// What a read sees of writes that were acknowledged before it began. kStrong: all. The others are faster and may miss
// the last ones; what a read of theirs shows of a document is still one version of it.
enum class MilvusConsistency { kStrong, kBounded, kEventually };

struct MilvusOptions {
  std::string address = "";       // HOST:PORT
  std::string database = "";      // of the server; empty: its default one
  std::string prefix = "lastro";  // of the names of collections, so that several stores share a server
  std::string token = "";         // "user:password" or an API key; empty: none is sent
  bool tls = false;
  std::string tls_ca = "";  // PEM file of the authorities that are trusted; empty: the system's
  MilvusConsistency consistency = MilvusConsistency::kStrong;
  int shards = 1;  // of the collections of chunks that are made
  absl::Duration connect_timeout = absl::Seconds(5);
  absl::Duration call_timeout = absl::Seconds(120);  // of calls without a deadline
};

// "strong", "bounded" or "eventually". INVALID_ARGUMENT otherwise.
absl::StatusOr<MilvusConsistency> ParseMilvusConsistency(absl::string_view text);

}  // namespace lastro::services
