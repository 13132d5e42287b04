// The collections that a store has in Milvus, and their columns. Thread-safe.
//
//   <prefix>_v1_records   a row for each collection, document and job of Lastro's, by key
//   <prefix>_v1_blocks    pieces of originals, extracted texts and of records too long for a row
//   <prefix>_v1_c_<made>  the chunks of one collection, `made` being when it was made, so that one that is made anew
//                         under its old name has nothing of the former
//
// A record is what decides: its `version` is that of the rows that count. Rows of chunks and blocks are written first,
// then the record in one upsert, together with what says that the collection has a new commit; what it leaves behind is
// deleted last. Rows that no record names, of a writer that is at work or was killed, do not exist for any reader.
//
// Milvus has no way to change a row only if nobody else did. So a collection's own record is written when it is made
// and never changed, and its last commit and its last removal are rows of their own, which every commit overwrites with
// a number that no other has: processes that do not know of each other lose none, and make no collection come back.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "services/milvus/milvus_client.h"

namespace lastro::services {

// Of records and blocks.
inline constexpr char kKey[] = "key";          // of a record: see the functions below
inline constexpr char kOwner[] = "owner";      // one of the names below, or the `made` of a document's collection
inline constexpr char kSubject[] = "subject";  // the document's id, a hash of the job's, or the collection's `made`
inline constexpr char kVersion[] = "version";  // see above; of a collection: when it was made
inline constexpr char kExtra[] = "extra";      // a document's source bytes
inline constexpr char kBody[] = "body";        // base64 of a proto; "#" and its length when it is in blocks
inline constexpr char kData[] = "data";        // of a block
// Of chunks, with kVersion and kBody.
inline constexpr char kId[] = "id";
inline constexpr char kDocument[] = "document";
inline constexpr char kOrdinal[] = "ordinal";
inline constexpr char kTextHash[] = "text_hash";
inline constexpr char kTerms[] = "terms";
inline constexpr char kWords[] = "words";
inline constexpr char kVector[] = "vector";
inline constexpr char kSparse[] = "sparse";

inline constexpr char kCollections[] = "collections";
inline constexpr char kCommits[] = "commits";  // of a collection's last commit, and last removal
inline constexpr char kJobs[] = "jobs";
inline constexpr char kGone[] = "gone";  // the owner of what is deleted, until its row is

inline constexpr size_t kMaxKeyBytes = 9000;  // a uri in hexadecimal digits, and something before it

// Keys are ordered as what they stand for. `name`, `uri`: any bytes.
std::string CollectionKey(const std::string& name);
std::string CommitKey(const std::string& name);
std::string RemovalKey(const std::string& name);
std::string DocumentKey(const std::string& made, const std::string& uri);
std::string JobKey(const std::string& id);

class MilvusSchema {
 public:
  // `client` must outlive the schema.
  MilvusSchema(MilvusClient* client, const std::string& prefix, int shards)
      : client_(*client), prefix_(prefix), shards_(shards) {}

  std::string Records() const { return prefix_ + "_v1_records"; }
  std::string Blocks() const { return prefix_ + "_v1_blocks"; }
  std::string Chunks(const std::string& made) const { return prefix_ + "_v1_c_" + made; }

  // Makes what is missing of records and blocks; both can be searched then.
  absl::Status Prepare();
  // Leaves nothing behind when it fails.
  absl::Status MakeChunks(const std::string& made, int dimension);

 private:
  absl::Status PrepareChunks(const std::string& name);
  absl::Status MakeUnlessThere(const milvus_api::CollectionSchema& schema);

  MilvusClient& client_;
  const std::string prefix_;
  const int shards_;
};

// Milvus wants a vector in every collection: this one says nothing.
void AddNothing(MilvusRows* rows);

}  // namespace lastro::services
