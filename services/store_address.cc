#include "services/store_address.h"

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "retrieval/folder.h"
#include "retrieval/sqlite_store.h"
#include "services/milvus/milvus_store.h"
#include "services/remote/remote_apis.h"

namespace lastro::services {
namespace {

using retrieval::ChunkStore;

absl::StatusOr<std::unique_ptr<ChunkStore>> OpenFolder(const std::string& folder, bool must_exist) {
  std::error_code ignored;
  if (must_exist && !std::filesystem::exists(retrieval::DatabasePath(folder), ignored)) {
    return absl::NotFoundError(absl::StrCat("there is no store in ", folder, "; check the folder"));
  }
  retrieval::SqliteStoreOptions options;
  options.folder = folder;
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<ChunkStore> store, retrieval::SqliteStore::Open(options));
  return store;
}

absl::StatusOr<std::unique_ptr<ChunkStore>> OpenServer(const std::string& address) {
  LASTRO_ASSIGN_OR_RETURN(auto channel, RemoteChannel::Create({.role = "the server", .address = address}));
  return MakeRemoteStore(std::move(channel))->WithScope(Scope::Operator());
}

}  // namespace

absl::StatusOr<StoreAddress> ParseStoreAddress(const std::string& text) {
  if (text.empty()) {
    return absl::InvalidArgumentError("a store is a folder, lastrod:HOST:PORT or milvus:HOST:PORT; none was named");
  }
  absl::string_view place = text;
  StoreAddress::Kind kind = StoreAddress::Kind::kFolder;
  if (absl::ConsumePrefix(&place, "lastrod:")) kind = StoreAddress::Kind::kServer;
  if (kind == StoreAddress::Kind::kFolder && absl::ConsumePrefix(&place, "milvus:")) kind = StoreAddress::Kind::kMilvus;
  if (kind != StoreAddress::Kind::kFolder) LASTRO_RETURN_IF_ERROR(CheckAddress(place));
  return StoreAddress{kind, std::string(place)};
}

absl::StatusOr<std::unique_ptr<ChunkStore>> OpenStoreAt(const StoreAddress& address, const OpenStoreOptions& options) {
  if (address.kind == StoreAddress::Kind::kServer) return OpenServer(address.place);
  if (address.kind == StoreAddress::Kind::kFolder) return OpenFolder(address.place, options.must_exist);
  MilvusOptions milvus = options.milvus;
  milvus.address = address.place;
  return OpenMilvusStore(milvus);
}

}  // namespace lastro::services
