#include "services/milvus/milvus_store.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "retrieval/document_table.h"
#include "retrieval/one_model_store.h"
#include "retrieval/store_scope.h"
#include "retrieval/validation.h"
#include "services/milvus/milvus_search.h"
#include "services/proto_convert.h"

namespace lastro::services {
namespace {

using retrieval::Chunk;
using retrieval::ChunkStore;
using retrieval::Collection;
using retrieval::Document;
using retrieval::DocumentId;
using retrieval::Filter;
using retrieval::Job;

constexpr uint64_t kMaxReadBytes = 16u << 20;
constexpr int kDefaultPageSize = 100;
constexpr int kMaxPageSize = 1000;
constexpr size_t kMaxListedJobs = 1000;
constexpr size_t kDeletesPerCall = 500;
constexpr int kReadAttempts = 10;

// Of what is about to be changed, or must be there because a record says so.
MilvusReading Latest() { return {.latest = true}; }

// The parts of a store, which all its views share.
struct MilvusParts {
  MilvusParts(std::unique_ptr<MilvusClient> milvus, const MilvusOptions& options)
      : client(std::move(milvus)),
        schema(client.get(), options.prefix, options.shards),
        blocks(client.get(), schema.Blocks()),
        records(client.get(), &blocks, schema.Records()) {}

  const std::unique_ptr<MilvusClient> client;
  MilvusSchema schema;
  MilvusBlocks blocks;
  MilvusRecords records;
  absl::Mutex commit_mutex;  // held while records are read, changed and written
};

absl::Status CheckHasVectorsOf(const std::string& fingerprint, const Collection& collection) {
  if (fingerprint == collection.embedding_fingerprint) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("collection \"", collection.name, "\" has the vectors of \"",
                                                    collection.embedding_fingerprint, "\" and none of \"", fingerprint,
                                                    "\""));
}

absl::Status Unsuitable(const Document& document, const std::string& fingerprint, const Collection& collection) {
  return absl::FailedPreconditionError(absl::StrCat("document ", document.uri, ": its vectors have the fingerprint \"",
                                                    fingerprint, "\", collection \"", collection.name, "\" has \"",
                                                    collection.embedding_fingerprint, "\""));
}

// Fills in what the store knows; INVALID_ARGUMENT when the caller's hashes are not those of the bytes.
absl::StatusOr<Document> CompleteDocument(const Document& given, const std::string& original,
                                          const std::string& extracted, size_t chunks) {
  Document document = given;
  document.content_sha256 = Sha256Hex(original);
  document.source_sha256 =
      given.source_kind == retrieval::SourceKind::kExtractedText ? Sha256Hex(extracted) : document.content_sha256;
  document.size_bytes = original.size();
  document.chunk_count = static_cast<int64_t>(chunks);
  document.ingested_at = absl::FromUnixNanos(absl::ToUnixNanos(absl::Now()));
  const bool content_differs = !given.content_sha256.empty() && given.content_sha256 != document.content_sha256;
  const bool source_differs = !given.source_sha256.empty() && given.source_sha256 != document.source_sha256;
  if (!content_differs && !source_differs) return document;
  return absl::InvalidArgumentError(absl::StrCat("document ", document.uri, ": ",
                                                 content_differs ? "content_sha256" : "source_sha256",
                                                 " is not the hash of the bytes given"));
}

absl::StatusOr<std::string> UriOfToken(const std::string& token) {
  std::string uri;
  if (token.empty()) return uri;
  if (!absl::WebSafeBase64Unescape(token, &uri) || uri.empty() || uri.size() > retrieval::kMaxUriBytes ||
      !IsValidUtf8(uri)) {
    return absl::InvalidArgumentError("page_token is not one that a listing returned");
  }
  return uri;
}

absl::StatusOr<Job> ToJob(const MilvusRecord& record) {
  v1::StoredJob proto;
  absl::StatusOr<Job> job = absl::DataLossError("");
  if (proto.ParseFromString(record.body)) job = FromStoredProto(proto);
  if (job.ok()) return job;
  return absl::DataLossError(absl::StrCat("Milvus: record ", record.key, " of a job cannot be read; delete its row"));
}

class MilvusStore final : public retrieval::OneModelStore {
 public:
  MilvusStore(std::shared_ptr<MilvusParts> parts, const Scope& scope)
      : parts_(std::move(parts)), scope_(scope), records_(parts_->records), blocks_(parts_->blocks) {}

  absl::StatusOr<std::unique_ptr<ChunkStore>> WithScope(const Scope& scope) override {
    LASTRO_RETURN_IF_ERROR(ValidateScope(scope));
    return std::make_unique<MilvusStore>(parts_, scope);
  }

  // --- Collections

  absl::Status CreateCollection(const Collection& collection) override {
    CollectionRecord made;
    made.collection = collection;
    LASTRO_ASSIGN_OR_RETURN(made.collection.name, scope_.StoredName(collection.name));
    LASTRO_RETURN_IF_ERROR(ValidateCollection(collection));
    made.collection.documents = made.collection.chunks = 0;
    made.collection.created_at = absl::Now();
    absl::MutexLock lock(&parts_->commit_mutex);
    LASTRO_ASSIGN_OR_RETURN(auto there, records_.Find(CollectionKey(made.collection.name), Latest()));
    if (there.has_value()) {
      return absl::AlreadyExistsError(absl::StrCat("there is a collection ", collection.name, " already"));
    }
    made.commit = made.removed = records_.NextVersion();
    made.made = absl::StrCat(absl::Hex(static_cast<uint64_t>(made.commit), absl::kZeroPad16));
    LASTRO_RETURN_IF_ERROR(parts_->schema.MakeChunks(made.made, collection.dimension));
    return records_.Put({ToRecord(made)});
  }

  absl::StatusOr<Collection> GetCollection(const std::string& name) override {
    LASTRO_ASSIGN_OR_RETURN(CollectionRecord record, Find(name));
    return Counted(record, name);
  }

  absl::StatusOr<std::vector<Collection>> ListCollections() override {
    std::vector<Collection> collections;
    LASTRO_RETURN_IF_ERROR(records_.ForEach(OwnedBy(kCollections), [&](const MilvusRecord& record) -> absl::Status {
      LASTRO_ASSIGN_OR_RETURN(CollectionRecord found, ToCollection(record));
      std::optional<std::string> name = scope_.KnownName(found.collection.name);
      if (!name.has_value()) return absl::OkStatus();
      LASTRO_ASSIGN_OR_RETURN(Collection counted, Counted(found, *name));
      collections.push_back(std::move(counted));
      return absl::OkStatus();
    }));
    return collections;
  }

  absl::Status DeleteCollection(const std::string& name) override {
    LASTRO_RETURN_IF_ERROR(scope_.CheckSeesAll("deleting a collection"));
    absl::MutexLock lock(&parts_->commit_mutex);
    LASTRO_ASSIGN_OR_RETURN(CollectionRecord record, Find(name, Latest()));
    const std::string& stored = record.collection.name;
    LASTRO_RETURN_IF_ERROR(records_.Erase({CollectionKey(stored), CommitKey(stored), RemovalKey(stored)}));
    // From here on it is not there for anybody.
    LASTRO_RETURN_IF_ERROR(parts_->client->DropCollection(parts_->schema.Chunks(record.made)));
    LASTRO_RETURN_IF_ERROR(records_.EraseAllOf(record.made));
    return blocks_.DropAllOf(record.made);
  }

  // --- Documents

  absl::StatusOr<Document> PutDocument(const Document& document, const std::string& fingerprint,
                                       absl::Span<const Chunk> chunks, const std::string& original,
                                       const std::string& extracted) override {
    LASTRO_RETURN_IF_ERROR(scope_.CheckMayGive(document.labels));
    LASTRO_ASSIGN_OR_RETURN(CollectionRecord collection, Find(document.collection, Latest()));
    LASTRO_RETURN_IF_ERROR(ValidatePut(document, chunks, collection.collection.dimension, original, extracted));
    if (fingerprint != collection.collection.embedding_fingerprint) {
      return Unsuitable(document, fingerprint, collection.collection);
    }
    DocumentRecord put;
    LASTRO_ASSIGN_OR_RETURN(put.document, CompleteDocument(document, original, extracted, chunks.size()));
    put.document.collection = collection.collection.name;
    put.document.id = DocumentId(collection.collection.name, document.uri);
    put.made = collection.made;
    // Before much is sent; and so the version is greater than that of what is there.
    LASTRO_RETURN_IF_ERROR(Replaceable(DocumentKey(put.made, document.uri), document.uri).status());
    put.version = records_.NextVersion();
    const bool is_extracted = document.source_kind == retrieval::SourceKind::kExtractedText;
    put.source_bytes = is_extracted ? extracted.size() : original.size();
    LASTRO_ASSIGN_OR_RETURN(MilvusRecord record, ToRecord(put));
    const absl::Status sent = Send(put, collection, record.facets, chunks, original, extracted);
    LASTRO_RETURN_IF_ERROR(Commit(collection, put, std::move(record), sent));
    Document stored = put.document;
    stored.collection = document.collection;
    return stored;
  }

  absl::StatusOr<int64_t> DeleteDocuments(const std::string& collection,
                                          absl::Span<const std::string> document_ids) override {
    absl::MutexLock lock(&parts_->commit_mutex);
    LASTRO_ASSIGN_OR_RETURN(CollectionRecord record, Find(collection, Latest()));
    int64_t deleted = 0;
    for (size_t begin = 0; begin < document_ids.size(); begin += kDeletesPerCall) {
      LASTRO_ASSIGN_OR_RETURN(int64_t some, DeleteSome(record, document_ids.subspan(begin, kDeletesPerCall)));
      deleted += some;
    }
    return deleted;
  }

  absl::StatusOr<Document> GetDocument(const std::string& collection, const std::string& document_id) override {
    LASTRO_ASSIGN_OR_RETURN(Found found, FindById(collection, document_id));
    return std::move(found.document.document);
  }

  absl::StatusOr<Document> FindDocument(const std::string& collection, const std::string& uri) override {
    LASTRO_ASSIGN_OR_RETURN(CollectionRecord record, Find(collection));
    LASTRO_ASSIGN_OR_RETURN(std::optional<MilvusRecord> found, records_.Find(DocumentKey(record.made, uri)));
    if (!found.has_value()) return NoDocument(collection, absl::StrCat("with uri ", uri));
    LASTRO_ASSIGN_OR_RETURN(DocumentRecord document, ToDocument(*found));
    if (!scope_.Sees(document.document.labels)) return NoDocument(collection, absl::StrCat("with uri ", uri));
    document.document.collection = collection;
    return std::move(document.document);
  }

  absl::StatusOr<retrieval::DocumentPage> ListDocuments(const std::string& collection, const Filter& filter,
                                                        int page_size, const std::string& page_token) override {
    LASTRO_RETURN_IF_ERROR(filter.Validate());
    if (page_size < 0) return absl::InvalidArgumentError("page_size is negative");
    const int count = page_size == 0 ? kDefaultPageSize : std::min(page_size, kMaxPageSize);
    LASTRO_ASSIGN_OR_RETURN(std::string after, UriOfToken(page_token));
    LASTRO_ASSIGN_OR_RETURN(CollectionRecord record, Find(collection));
    const std::string shown = AllOf(OwnedBy(record.made), FilterExpression(Both(scope_.visible(), filter)));
    LASTRO_ASSIGN_OR_RETURN(std::vector<MilvusRecord> found,
                            records_.Page(shown, after.empty() ? "" : DocumentKey(record.made, after), count + 1));
    retrieval::DocumentPage page;
    for (const MilvusRecord& row : found) {
      LASTRO_ASSIGN_OR_RETURN(DocumentRecord document, ToDocument(row));
      document.document.collection = collection;
      page.documents.push_back(std::move(document.document));
    }
    if (page.documents.size() > static_cast<size_t>(count)) {
      page.documents.resize(static_cast<size_t>(count));
      page.next_page_token = absl::WebSafeBase64Escape(page.documents.back().uri);
    }
    return page;
  }

  absl::StatusOr<std::map<std::string, retrieval::DocumentState>> DocumentStates(
      const std::string& collection) override {
    LASTRO_ASSIGN_OR_RETURN(CollectionRecord record, Find(collection));
    std::map<std::string, retrieval::DocumentState> states;
    const std::string shown = AllOf(OwnedBy(record.made), FilterExpression(scope_.visible()));
    LASTRO_RETURN_IF_ERROR(records_.ForEach(shown, [&](const MilvusRecord& row) -> absl::Status {
      LASTRO_ASSIGN_OR_RETURN(DocumentRecord found, ToDocument(row));
      const Document& document = found.document;
      states[document.uri] = {document.id, document.content_sha256, document.pipeline, document.origin};
      return absl::OkStatus();
    }));
    return states;
  }

  absl::StatusOr<std::vector<Chunk>> GetChunks(const std::string& collection, const std::string& document_id,
                                               bool with_vectors) override {
    auto read = [&](const Found& found) -> absl::StatusOr<std::vector<Chunk>> {
      const int64_t count = found.document.document.chunk_count;
      MilvusChunks chunks = ChunksOf(found.collection);
      LASTRO_ASSIGN_OR_RETURN(std::vector<Chunk> all,
                              chunks.ReadRange(document_id, found.document.version, 0, count, with_vectors, Latest()));
      if (static_cast<int64_t>(all.size()) == count) return all;
      return Lacks(found, "chunks");
    };
    return ReadDocument(collection, document_id, read);
  }

  absl::StatusOr<std::string> ReadSource(const std::string& collection, const std::string& document_id, uint64_t begin,
                                         uint64_t end) override {
    auto read = [&](const Found& found) -> absl::StatusOr<std::string> {
      const uint64_t size = found.document.source_bytes;
      const uint64_t until = std::min(end, size);
      if (begin > until) {
        return absl::InvalidArgumentError(
            absl::StrCat("read: bytes [", begin, ", ", until, ") of a source of ", size, " bytes"));
      }
      if (until - begin > kMaxReadBytes) {
        return absl::InvalidArgumentError(
            absl::StrCat("read: ", until - begin, " bytes, more than ", kMaxReadBytes, " in one call"));
      }
      const bool is_extracted = found.document.document.source_kind == retrieval::SourceKind::kExtractedText;
      return blocks_.Read(BlocksOfDocument(found, document_id, is_extracted ? 'x' : 'o'), begin, until);
    };
    return ReadDocument(collection, document_id, read);
  }

  absl::StatusOr<std::string> ReadOriginal(const std::string& collection, const std::string& document_id) override {
    auto read = [&](const Found& found) -> absl::StatusOr<std::string> {
      const Document& document = found.document.document;
      LASTRO_ASSIGN_OR_RETURN(std::string original,
                              blocks_.Read(BlocksOfDocument(found, document_id, 'o'), 0, document.size_bytes));
      if (Sha256Hex(original) == document.content_sha256) return original;
      return Lacks(found, "bytes of the original");
    };
    return ReadDocument(collection, document_id, read);
  }

  absl::StatusOr<std::vector<std::vector<float>>> FindVectors(const std::string& collection,
                                                              const std::string& fingerprint,
                                                              absl::Span<const std::string> text_sha256) override {
    LASTRO_ASSIGN_OR_RETURN(CollectionRecord record, Find(collection));
    LASTRO_RETURN_IF_ERROR(CheckHasVectorsOf(fingerprint, record.collection));
    return ChunksOf(record).FindVectors(text_sha256, FilterExpression(scope_.visible()));
  }

  // --- Search and jobs

  absl::StatusOr<retrieval::SearchResult> Search(const retrieval::SearchQuery& query,
                                                 const CallContext& context) override {
    LASTRO_RETURN_IF_ERROR(context.Check());
    LASTRO_ASSIGN_OR_RETURN(std::string stored, scope_.StoredName(query.collection));
    LASTRO_RETURN_IF_ERROR(ValidateQuery(query));
    LASTRO_ASSIGN_OR_RETURN(CollectionRecord record, Find(query.collection, {context}));
    MilvusChunks chunks = ChunksOf(record);
    LASTRO_ASSIGN_OR_RETURN(retrieval::SearchResult result,
                            RunMilvusSearch(query, record, scope_.visible(), records_, chunks, context));
    for (retrieval::SearchHit& hit : result.hits) hit.document.collection = query.collection;
    return result;
  }

  absl::Status PutJob(const Job& job) override {
    LASTRO_RETURN_IF_ERROR(ValidateJob(job));
    LASTRO_RETURN_IF_ERROR(scope_.CheckMayGive(job.labels));
    Job stored = job;
    LASTRO_ASSIGN_OR_RETURN(stored.collection, scope_.StoredName(job.collection));
    absl::MutexLock lock(&parts_->commit_mutex);
    LASTRO_ASSIGN_OR_RETURN(std::optional<MilvusRecord> old, records_.Find(JobKey(job.id), Latest()));
    if (old.has_value()) {
      LASTRO_ASSIGN_OR_RETURN(Job known, ToJob(*old));
      if (!Show(&known)) return absl::PermissionDeniedError(absl::StrCat("job ", job.id, " is somebody else's"));
    }
    const MilvusRecord record{JobKey(job.id),         kJobs, Sha256Hex(job.id),
                              records_.NextVersion(), 0,     ToStoredProto(stored).SerializeAsString()};
    LASTRO_RETURN_IF_ERROR(records_.Put({record}));
    if (old.has_value()) (void)blocks_.DropBefore(kJobs, record.subject, record.version);
    return absl::OkStatus();
  }

  absl::StatusOr<Job> GetJob(const std::string& id) override {
    LASTRO_ASSIGN_OR_RETURN(std::optional<MilvusRecord> record, records_.Find(JobKey(id)));
    if (!record.has_value()) return absl::NotFoundError(absl::StrCat("there is no job ", id));
    LASTRO_ASSIGN_OR_RETURN(Job job, ToJob(*record));
    if (!Show(&job)) return absl::NotFoundError(absl::StrCat("there is no job ", id));
    return job;
  }

  absl::StatusOr<std::vector<Job>> ListJobs() override {
    std::vector<Job> jobs;
    LASTRO_RETURN_IF_ERROR(records_.ForEach(OwnedBy(kJobs), [&](const MilvusRecord& record) -> absl::Status {
      LASTRO_ASSIGN_OR_RETURN(Job job, ToJob(record));
      jobs.push_back(std::move(job));
      return absl::OkStatus();
    }));
    std::sort(jobs.begin(), jobs.end(), [](const Job& left, const Job& right) {
      return left.created_at != right.created_at ? left.created_at > right.created_at : left.id < right.id;
    });
    if (jobs.size() > kMaxListedJobs) jobs.resize(kMaxListedJobs);
    std::erase_if(jobs, [this](Job& job) { return !Show(&job); });
    return jobs;
  }

 private:
  struct Found {
    CollectionRecord collection;
    DocumentRecord document;
  };

  static absl::Status NoDocument(const std::string& collection, absl::string_view what) {
    return absl::NotFoundError(absl::StrCat("collection ", collection, " has no document ", what));
  }

  static BlocksOf BlocksOfDocument(const Found& found, const std::string& id, char part) {
    return {found.collection.made, id, found.document.version, part};
  }

  MilvusChunks ChunksOf(const CollectionRecord& collection) const {
    return MilvusChunks(parts_->client.get(), parts_->schema.Chunks(collection.made), collection.collection.dimension);
  }

  // The caller's collection `name`.
  absl::StatusOr<CollectionRecord> Find(const std::string& name, const MilvusReading& reading = {}) {
    LASTRO_ASSIGN_OR_RETURN(std::string stored, scope_.StoredName(name));
    absl::StatusOr<CollectionRecord> record = records_.FindCollection(stored, reading);
    if (absl::IsNotFound(record.status())) {
      return absl::NotFoundError(
          absl::StrCat("there is no collection ", name, "; it is made when documents are ingested into it"));
    }
    return record;
  }

  absl::StatusOr<Found> FindById(const std::string& collection, const std::string& id,
                                 const MilvusReading& reading = {}) {
    Found found;
    LASTRO_ASSIGN_OR_RETURN(found.collection, Find(collection, reading));
    LASTRO_ASSIGN_OR_RETURN(auto documents, records_.FindDocuments(found.collection, {id}, reading));
    auto document = documents.find(id);
    if (document == documents.end() || !scope_.Sees(document->second.document.labels)) {
      return NoDocument(collection, absl::StrCat("with id ", id));
    }
    found.document = std::move(document->second);
    found.document.document.collection = collection;
    return found;
  }

  absl::StatusOr<Collection> Counted(const CollectionRecord& record, const std::string& name) {
    Collection collection = record.collection;
    collection.name = name;
    const std::string visible = FilterExpression(scope_.visible());
    LASTRO_ASSIGN_OR_RETURN(collection.documents, records_.Count(AllOf(OwnedBy(record.made), visible)));
    LASTRO_ASSIGN_OR_RETURN(collection.chunks,
                            ChunksOf(record).Count(visible.empty() ? absl::StrCat(kId, " >= 0") : visible));
    return collection;
  }

  // What `read` gives of the version of a document that counts. One that is replaced meanwhile loses its rows: then the
  // next is read.
  template <typename Read>
  auto ReadDocument(const std::string& collection, const std::string& id, const Read& read)
      -> decltype(read(std::declval<const Found&>())) {
    LASTRO_ASSIGN_OR_RETURN(Found found, FindById(collection, id));
    for (int attempt = 0; attempt < kReadAttempts; ++attempt) {
      auto result = read(found);
      if (!absl::IsDataLoss(result.status())) return result;
      LASTRO_ASSIGN_OR_RETURN(Found now, FindById(collection, id, Latest()));
      if (now.document.version == found.document.version) return result;
      found = std::move(now);
    }
    return absl::AbortedError(absl::StrCat("document ", found.document.document.uri,
                                           " was replaced faster than it could be read; try again"));
  }

  static absl::Status Lacks(const Found& found, absl::string_view what) {
    return absl::DataLossError(absl::StrCat("Milvus: document ", found.document.document.uri, " lacks ", what,
                                            "; put it again, or copy the store from a good one"));
  }

  // PERMISSION_DENIED when there is a document that the caller does not see. Its record, if any.
  absl::StatusOr<std::optional<MilvusRecord>> Replaceable(const std::string& key, const std::string& uri) {
    LASTRO_ASSIGN_OR_RETURN(std::optional<MilvusRecord> old, records_.Find(key, Latest()));
    if (!old.has_value()) return old;
    LASTRO_ASSIGN_OR_RETURN(DocumentRecord document, ToDocument(*old));
    if (scope_.Sees(document.document.labels)) return old;
    return absl::PermissionDeniedError(
        absl::StrCat("document ", uri, ": the collection has a document of this name with other access labels"));
  }

  absl::Status Send(const DocumentRecord& put, const CollectionRecord& collection, const FacetColumns& facets,
                    absl::Span<const Chunk> chunks, const std::string& original, const std::string& extracted) {
    LASTRO_RETURN_IF_ERROR(blocks_.Put({put.made, put.document.id, put.version, 'o'}, original));
    if (put.document.source_kind == retrieval::SourceKind::kExtractedText) {
      LASTRO_RETURN_IF_ERROR(blocks_.Put({put.made, put.document.id, put.version, 'x'}, extracted));
    }
    const int dimension = collection.collection.dimension;
    std::vector<std::vector<float>> vectors;
    for (const Chunk& chunk : chunks) {
      const std::string what = absl::StrCat("document ", put.document.uri, ", chunk ", chunk.ordinal);
      LASTRO_ASSIGN_OR_RETURN(std::vector<float> vector, retrieval::UnitVector(chunk.vector, dimension, what));
      vectors.push_back(std::move(vector));
    }
    const int64_t first_id = records_.NextVersions(std::max<int64_t>(1, static_cast<int64_t>(chunks.size())));
    return ChunksOf(collection).Insert(put, facets, chunks, vectors, first_id);
  }

  enum class Turn { kFirst, kReplaces, kLate };  // kLate: a later version was put while this one was sent

  // REQUIRES: the commit mutex is held.
  absl::StatusOr<Turn> TurnOf(const CollectionRecord& collection, const DocumentRecord& put, const std::string& key) {
    LASTRO_ASSIGN_OR_RETURN(CollectionRecord latest, records_.FindCollection(collection.collection.name, Latest()));
    if (latest.made != collection.made) {
      return absl::AbortedError(
          absl::StrCat("document ", put.document.uri, ": its collection was made anew meanwhile; try again"));
    }
    LASTRO_ASSIGN_OR_RETURN(std::optional<MilvusRecord> old, Replaceable(key, put.document.uri));
    if (!old.has_value()) return Turn::kFirst;
    return old->version > put.version ? Turn::kLate : Turn::kReplaces;
  }

  // The document's rows are there, when `sent` is OK; now they count. Otherwise, and when a later version of it was put
  // meanwhile, which is as if it had been replaced at once, they go: nobody else knows of them.
  absl::Status Commit(const CollectionRecord& collection, const DocumentRecord& put, MilvusRecord record,
                      const absl::Status& sent) {
    absl::MutexLock lock(&parts_->commit_mutex);
    const absl::StatusOr<Turn> turn = sent.ok() ? TurnOf(collection, put, record.key) : absl::StatusOr<Turn>(sent);
    if (!turn.ok() || *turn == Turn::kLate) {
      (void)ChunksOf(collection).Drop(put.document.id, put.version);
      (void)blocks_.Drop(put.made, put.document.id, put.version);
      return turn.status();
    }
    LASTRO_RETURN_IF_ERROR(records_.Commit(collection, *turn == Turn::kReplaces, {std::move(record)}));
    // What stays when this fails counts for nobody; the next Put of the document drops it.
    (void)ChunksOf(collection).DropBefore(put.document.id, put.version);
    (void)blocks_.DropBefore(put.made, put.document.id, put.version);
    return absl::OkStatus();
  }

  // REQUIRES: the commit mutex is held.
  absl::StatusOr<int64_t> DeleteSome(const CollectionRecord& collection, absl::Span<const std::string> ids) {
    LASTRO_ASSIGN_OR_RETURN(auto documents, records_.FindDocuments(collection, ids, Latest()));
    std::erase_if(documents, [this](const auto& entry) { return !scope_.Sees(entry.second.document.labels); });
    if (documents.empty()) return 0;
    std::vector<MilvusRecord> gone;
    std::vector<std::string> keys;
    for (const auto& [id, document] : documents) {
      keys.push_back(DocumentKey(document.made, document.document.uri));
      gone.push_back({keys.back(), kGone, id, document.version});
    }
    LASTRO_RETURN_IF_ERROR(records_.Commit(collection, /*removes=*/true, std::move(gone)));
    // From here on they are not there for anybody.
    DropRowsOf(collection, documents);
    (void)records_.Erase(keys);
    return static_cast<int64_t>(documents.size());
  }

  // As far as Milvus lets it: what stays counts for nobody.
  void DropRowsOf(const CollectionRecord& collection, const std::map<std::string, DocumentRecord>& documents) {
    MilvusChunks chunks = ChunksOf(collection);
    for (const auto& [id, document] : documents) {
      if (!chunks.DropBefore(id, document.version + 1).ok()) return;
      if (!blocks_.DropBefore(document.made, id, document.version + 1).ok()) return;
    }
  }

  // Makes a stored job the caller's own; false when it is not for him.
  bool Show(Job* job) const {
    std::optional<std::string> name = scope_.KnownName(job->collection);
    if (!name.has_value() || !scope_.Sees(job->labels)) return false;
    job->collection = *std::move(name);
    return true;
  }

  const std::shared_ptr<MilvusParts> parts_;
  const retrieval::StoreScope scope_;
  MilvusRecords& records_;
  MilvusBlocks& blocks_;
};

absl::Status CheckOptions(const MilvusOptions& options) {
  const bool plain = !options.prefix.empty() && options.prefix.size() <= 64 &&
                     options.prefix.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos &&
                     !absl::ascii_isdigit(static_cast<unsigned char>(options.prefix[0]));
  if (!plain) {
    return absl::InvalidArgumentError(absl::StrCat("the prefix \"", options.prefix,
                                                   "\" of a store in Milvus is not 1 to "
                                                   "64 of a-z, 0-9 and '_', no digit first"));
  }
  if (options.shards < 1 || options.shards > 16) {
    return absl::InvalidArgumentError(absl::StrCat("a store in Milvus has 1 to 16 shards, not ", options.shards));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<ChunkStore>> OpenMilvusStore(const MilvusOptions& options) {
  LASTRO_RETURN_IF_ERROR(CheckOptions(options));
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<MilvusClient> client, MilvusClient::Create(options));
  auto parts = std::make_shared<MilvusParts>(std::move(client), options);
  LASTRO_RETURN_IF_ERROR(parts->schema.Prepare());
  return std::unique_ptr<ChunkStore>(std::make_unique<MilvusStore>(std::move(parts), Scope::Operator()));
}

}  // namespace lastro::services
