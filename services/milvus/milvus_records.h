// The records of a store in Milvus: what decides which rows count (see milvus_schema.h). Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "retrieval/types.h"
#include "services/milvus/filter_expression.h"
#include "services/milvus/milvus_blocks.h"
#include "services/milvus/milvus_schema.h"

namespace lastro::services {

struct MilvusRecord {
  std::string key;
  std::string owner;
  std::string subject;
  int64_t version = 0;
  int64_t extra = 0;
  std::string body = "";     // a serialised proto
  FacetColumns facets = {};  // of nothing in what was read
};

struct CollectionRecord {
  retrieval::Collection collection;  // under its stored name, without counts
  std::string made;
  int64_t commit = 0;   // that of the last one
  int64_t removed = 0;  // that of the last one that removed something, or made the collection
};

struct DocumentRecord {
  retrieval::Document document;
  std::string made;  // of its collection
  int64_t version = 0;
  uint64_t source_bytes = 0;
};

class MilvusRecords {
 public:
  // Both must outlive this.
  MilvusRecords(MilvusClient* client, MilvusBlocks* blocks, const std::string& collection)
      : client_(*client), blocks_(*blocks), collection_(collection) {}

  // Greater than all before, and than those of all records that were read: microseconds since 2020, or more where
  // another process's clock is ahead, and something of this process, so that no two have the same.
  int64_t NextVersion() ABSL_LOCKS_EXCLUDED(mutex_) { return NextVersions(1); }
  // The first of `count` that follow each other by kVersionStep.
  int64_t NextVersions(int64_t count) ABSL_LOCKS_EXCLUDED(mutex_);
  static constexpr int64_t kVersionStep = 1024;

  // In one upsert. Bodies that are too long go into blocks before.
  absl::Status Put(absl::Span<const MilvusRecord> records);
  absl::Status Erase(absl::Span<const std::string> keys);
  absl::Status EraseAllOf(const std::string& owner);

  absl::StatusOr<std::optional<MilvusRecord>> Find(const std::string& key, const MilvusReading& reading = {});
  // Up to `limit` records that `expression` holds for, after `after_key`, in the order of their keys.
  absl::StatusOr<std::vector<MilvusRecord>> Page(const std::string& expression, std::string after_key, int limit);
  // All of them, page by page.
  absl::Status ForEach(const std::string& expression, const std::function<absl::Status(MilvusRecord)>& sink);
  absl::StatusOr<int64_t> Count(const std::string& expression);

  // NOT_FOUND.
  absl::StatusOr<CollectionRecord> FindCollection(const std::string& stored_name, const MilvusReading& reading = {});
  // By id; those there are.
  absl::StatusOr<std::map<std::string, DocumentRecord>> FindDocuments(const CollectionRecord& collection,
                                                                      absl::Span<const std::string> ids,
                                                                      const MilvusReading& reading = {});
  // Puts these too: the collection has a new commit, and with `removes` one by which something was removed.
  absl::Status Commit(const CollectionRecord& collection, bool removes, std::vector<MilvusRecord> records);

 private:
  struct Row {
    MilvusRecord record;
    std::string body;  // as the row has it
  };

  // What `query` asks for, in the records' own columns.
  absl::StatusOr<std::vector<Row>> ReadRows(MilvusQuery query, const MilvusReading& reading);
  absl::StatusOr<std::string> BodyOf(const Row& row);
  // With their bodies. A record that is replaced while its body is read is read again; one that then is no longer what
  // `query` asks for is left out.
  absl::StatusOr<std::optional<MilvusRecord>> Complete(Row row, const MilvusQuery& query);
  absl::StatusOr<std::vector<MilvusRecord>> Complete(std::vector<Row> rows, const MilvusQuery& query);
  absl::StatusOr<std::vector<MilvusRecord>> Read(const MilvusQuery& query, const MilvusReading& reading);
  // From now on versions are greater.
  void Saw(int64_t version) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status AddRow(const MilvusRecord& record, MilvusRows* rows);

  MilvusClient& client_;
  MilvusBlocks& blocks_;
  const std::string collection_;
  absl::Mutex mutex_;
  int64_t last_tick_ ABSL_GUARDED_BY(mutex_) = 0;
};

// `owner == "made"`.
std::string OwnedBy(const std::string& owner);

// Of a collection that is made.
MilvusRecord ToRecord(const CollectionRecord& collection);
// INVALID_ARGUMENT: its fields do not fit.
absl::StatusOr<MilvusRecord> ToRecord(const DocumentRecord& document);
absl::StatusOr<CollectionRecord> ToCollection(const MilvusRecord& record);
absl::StatusOr<DocumentRecord> ToDocument(const MilvusRecord& record);

}  // namespace lastro::services
