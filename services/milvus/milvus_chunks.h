// The chunks of a collection in Milvus: writing them, and reading what searches and documents need. Thread-safe.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/call_context.h"
#include "retrieval/types.h"
#include "services/milvus/milvus_client.h"
#include "services/milvus/milvus_records.h"

namespace lastro::services {

// A candidate of a search: a chunk, and the version of its document that it belongs to.
struct MilvusCandidate {
  int64_t id = 0;
  std::string document;
  int64_t version = 0;
  float score = 0;  // cosine or BM25, larger is better
};

class MilvusChunks {
 public:
  // Both must outlive this. `dimension`: of the collection's vectors.
  MilvusChunks(MilvusClient* client, std::string collection, int dimension)
      : client_(*client), collection_(std::move(collection)), dimension_(dimension) {}

  // Rows of `document.version` with ids from `first_id` in steps of MilvusRecords::kVersionStep. `vectors`: of unit
  // length, one a chunk. INVALID_ARGUMENT: a chunk, or what its document's filters look at, is more than a row holds.
  absl::Status Insert(const DocumentRecord& document, const FacetColumns& facets,
                      absl::Span<const retrieval::Chunk> chunks, const std::vector<std::vector<float>>& vectors,
                      int64_t first_id);
  // Those of versions before `version`, or of this one.
  absl::Status DropBefore(const std::string& document_id, int64_t version);
  absl::Status Drop(const std::string& document_id, int64_t version);

  // Best first. `expression`: see MilvusSearch.
  absl::StatusOr<std::vector<MilvusCandidate>> SearchVectors(const std::vector<float>& vector,
                                                             const std::string& expression, int limit,
                                                             const CallContext& context);
  absl::StatusOr<std::vector<MilvusCandidate>> SearchText(const std::string& terms, const std::string& expression,
                                                          int limit, const CallContext& context);

  // The vectors of those there are, by id.
  absl::StatusOr<std::map<int64_t, std::vector<float>>> ReadVectors(absl::Span<const int64_t> ids,
                                                                    const CallContext& context);
  // By id, those there are.
  absl::StatusOr<std::vector<retrieval::Chunk>> Read(absl::Span<const int64_t> ids, bool with_vectors,
                                                     const CallContext& context);
  // Of a version of a document, those with ordinals [begin, end), in their order.
  absl::StatusOr<std::vector<retrieval::Chunk>> ReadRange(const std::string& document_id, int64_t version,
                                                          int64_t begin, int64_t end, bool with_vectors,
                                                          const MilvusReading& reading);
  // As ChunkStore::FindVectors, of the chunks that `expression` holds for.
  absl::StatusOr<std::vector<std::vector<float>>> FindVectors(absl::Span<const std::string> text_sha256,
                                                              const std::string& expression);
  absl::StatusOr<int64_t> Count(const std::string& expression);

 private:
  absl::StatusOr<std::vector<MilvusCandidate>> Search(MilvusSearch search, const CallContext& context);
  absl::StatusOr<std::vector<retrieval::Chunk>> ReadRows(const std::string& expression, int limit, bool with_vectors,
                                                         const MilvusReading& reading);
  // How many rows one answer carries, whatever is in them.
  int RowsPerCall(bool with_bodies, bool with_vectors) const;

  MilvusClient& client_;
  const std::string collection_;
  const int dimension_;
};

}  // namespace lastro::services
