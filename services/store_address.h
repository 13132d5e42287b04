// Stores as people name them on a command line.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "retrieval/chunk_store.h"
#include "services/milvus/milvus_options.h"

namespace lastro::services {

struct StoreAddress {
  enum class Kind { kFolder, kServer, kMilvus };
  Kind kind = Kind::kFolder;
  std::string place;  // the folder, or HOST:PORT
};

// "DIR", "lastrod:HOST:PORT" or "milvus:HOST:PORT". INVALID_ARGUMENT: nothing given, or no address.
absl::StatusOr<StoreAddress> ParseStoreAddress(const std::string& text);

struct OpenStoreOptions {
  bool must_exist = true;     // of a folder: NOT_FOUND when there is no store in it; otherwise one is made
  MilvusOptions milvus = {};  // but for its address
};

// The store, with the widest scope there is. Errors of its opening; a lastrod is not asked before the first call.
absl::StatusOr<std::unique_ptr<retrieval::ChunkStore>> OpenStoreAt(const StoreAddress& address,
                                                                   const OpenStoreOptions& options);

}  // namespace lastro::services
