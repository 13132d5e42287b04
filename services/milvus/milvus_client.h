// MilvusClient: the calls of Milvus's gRPC API that the store makes, with the errors of Milvus as Status. Thread-safe.
//
// Errors of every call: UNAVAILABLE (not reached, or Milvus asks to try again), DEADLINE_EXCEEDED, CANCELLED,
// UNAUTHENTICATED and PERMISSION_DENIED (the token), RESOURCE_EXHAUSTED (Milvus's quotas), NOT_FOUND (a collection of
// Milvus's), INTERNAL (Milvus refused what it should not, or its answer is malformed).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/call_context.h"
#include "milvus/milvus.grpc.pb.h"
#include "services/milvus/milvus_options.h"
#include "services/milvus/milvus_rows.h"
#include "services/remote/remote_channel.h"

namespace lastro::services {

// Milvus answers no query and no search with more rows than this.
inline constexpr int kMilvusMaxRows = 16384;

// How something is read.
struct MilvusReading {
  CallContext context = {};
  bool latest = false;  // sees every acknowledged write, whatever the options' consistency
};

struct MilvusQuery {
  std::string expression = "";            // which rows; not empty
  std::vector<std::string> columns = {};  // that come back
  int limit = kMilvusMaxRows;
  bool by_key = false;  // the rows with the least primary keys, in their order
};

struct MilvusSearch {
  std::string field = "";          // that is searched
  std::string text = "";           // for a field that BM25 made
  std::vector<float> vector = {};  // for a field of vectors; either this or `text`
  std::string expression = "";     // which rows; empty: all
  std::vector<std::string> columns = {};
  int limit = 10;  // 1 .. kMilvusMaxRows
};

struct MilvusHits {
  std::vector<int64_t> ids;
  std::vector<float> scores;  // of the same length, as Milvus gave them, best first; none is NaN
  MilvusTable columns;
};

class MilvusClient {
 public:
  // Does not connect yet. INVALID_ARGUMENT: the address, or authorities without TLS. Errors of reading their file.
  static absl::StatusOr<std::unique_ptr<MilvusClient>> Create(const MilvusOptions& options);

  absl::StatusOr<bool> HasCollection(const std::string& name);
  absl::Status CreateCollection(const milvus_api::CollectionSchema& schema, int shards);
  absl::Status DropCollection(const std::string& name);  // OK when it is not there
  absl::Status CreateIndex(const std::string& collection, const std::string& field, const std::string& index_type,
                           const std::string& metric, const std::string& params_json);
  // Returns when the collection can be searched.
  absl::Status Load(const std::string& collection);

  // All or nothing in one request; `rows` is empty afterwards. Does nothing without rows.
  absl::Status Insert(const std::string& collection, MilvusRows* rows);
  absl::Status Upsert(const std::string& collection, MilvusRows* rows);
  absl::Status Delete(const std::string& collection, const std::string& expression);
  absl::StatusOr<MilvusTable> Query(const std::string& collection, const MilvusQuery& query,
                                    const MilvusReading& reading = {});
  absl::StatusOr<int64_t> Count(const std::string& collection, const std::string& expression);
  absl::StatusOr<MilvusHits> Search(const std::string& collection, const MilvusSearch& search,
                                    const CallContext& context);

 private:
  using Stub = milvus_api::MilvusService::Stub;

  MilvusClient(const MilvusOptions& options, std::shared_ptr<RemoteChannel> channel);

  template <typename Response, typename Request>
  absl::StatusOr<Response> Call(const char* name,
                                std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> (Stub::*start)(
                                    grpc::ClientContext*, const Request&, grpc::CompletionQueue*),
                                const Request& request, const CallContext& context);
  absl::Status Check(const char* name, const milvus_api::Status& status) const;
  absl::Status Write(const char* name, const std::string& collection, MilvusRows* rows, bool upsert);
  milvus_api::CollectionRequest Named(const std::string& collection) const;
  milvus_api::ConsistencyLevel Level() const;

  const MilvusOptions options_;
  const std::shared_ptr<RemoteChannel> channel_;
  const std::unique_ptr<Stub> stub_;
};

}  // namespace lastro::services
