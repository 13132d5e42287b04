#include "retrieval/sqlite_store.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/file_system.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "retrieval/chunk_table.h"
#include "retrieval/connection_pool.h"
#include "retrieval/content_table.h"
#include "retrieval/document_table.h"
#include "retrieval/folder.h"
#include "retrieval/index_builder.h"
#include "retrieval/job_table.h"
#include "retrieval/result_cache.h"
#include "retrieval/schema.h"
#include "retrieval/searcher.h"
#include "retrieval/sqlite_reembedding.h"
#include "retrieval/store_identity.h"
#include "retrieval/store_scope.h"
#include "retrieval/store_writer.h"
#include "retrieval/validation.h"

namespace lastro::retrieval {
namespace {

constexpr int kMaxReadConnections = 16;
constexpr uint64_t kMaxReadBytes = 16u << 20;
constexpr int kDefaultPageSize = 100;
constexpr int kMaxPageSize = 1000;

// The parts of an open store, which all its views share, in the order they must be made in, and unmade in reverse.
struct StoreParts {
  StoreParts(const SqliteStoreOptions& options, int64_t number, std::unique_ptr<FolderLock> folder_lock,
             std::unique_ptr<Database> db, int64_t commit)
      : lock(std::move(folder_lock)),
        pool(DatabasePath(options.folder), kMaxReadConnections),
        results(options.result_cache_bytes),
        filters(options.filter_cache_bytes),
        catalog(options.row_device),
        builder({options.folder, number, options.index_after_chunks, options.vector_index, options.row_device}, &pool,
                &catalog),
        writer(std::move(db), commit, &catalog, &builder, options.upkeep) {}

  const std::unique_ptr<FolderLock> lock;
  ConnectionPool pool;
  ResultCache results;
  FilterCache filters;
  VectorCatalog catalog;
  IndexBuilder builder;
  StoreWriter writer;
};

class SqliteStoreImpl : public SqliteStore {
 public:
  SqliteStoreImpl(std::shared_ptr<StoreParts> parts, const Scope& scope)
      : parts_(std::move(parts)),
        scope_(scope),
        pool_(parts_->pool),
        catalog_(parts_->catalog),
        builder_(parts_->builder),
        writer_(parts_->writer),
        reembedding_(&pool_, &builder_, &writer_, &scope_) {}

  absl::StatusOr<std::unique_ptr<ChunkStore>> WithScope(const Scope& scope) override {
    LASTRO_RETURN_IF_ERROR(ValidateScope(scope));
    return std::make_unique<SqliteStoreImpl>(parts_, scope);
  }

  absl::Status LoadVectors(const std::string& folder) {
    LASTRO_ASSIGN_OR_RETURN(ReadSnapshot snapshot, pool_.Snapshot());
    LASTRO_ASSIGN_OR_RETURN(std::vector<CollectionRow> collections, AllCollections(snapshot.db()));
    for (const CollectionRow& collection : collections) {
      LASTRO_RETURN_IF_ERROR(builder_.Load(snapshot.db(), collection));
    }
    RemoveUnknownIndexes(folder, collections);
    return absl::OkStatus();
  }

  // --- Collections

  absl::Status CreateCollection(const Collection& collection) override {
    Collection stored = collection;
    LASTRO_ASSIGN_OR_RETURN(stored.name, scope_.StoredName(collection.name));
    LASTRO_RETURN_IF_ERROR(ValidateCollection(collection));
    return writer_.CreateCollection(stored);
  }

  absl::StatusOr<Collection> GetCollection(const std::string& name) override {
    LASTRO_ASSIGN_OR_RETURN(ReadSnapshot snapshot, pool_.Snapshot());
    LASTRO_ASSIGN_OR_RETURN(CollectionRow row, Find(snapshot.db(), name));
    LASTRO_RETURN_IF_ERROR(CountVisible(snapshot, &row));
    return std::move(row.collection);
  }

  absl::StatusOr<std::vector<Collection>> ListCollections() override {
    LASTRO_ASSIGN_OR_RETURN(ReadSnapshot snapshot, pool_.Snapshot());
    LASTRO_ASSIGN_OR_RETURN(std::vector<CollectionRow> rows, AllCollections(snapshot.db()));
    std::vector<Collection> collections;
    for (CollectionRow& row : rows) {
      std::optional<std::string> name = scope_.KnownName(row.collection.name);
      if (!name.has_value()) continue;
      row.collection.name = *std::move(name);
      LASTRO_RETURN_IF_ERROR(CountVisible(snapshot, &row));
      collections.push_back(std::move(row.collection));
    }
    return collections;
  }

  absl::Status DeleteCollection(const std::string& name) override {
    LASTRO_RETURN_IF_ERROR(scope_.CheckSeesAll("deleting a collection"));
    LASTRO_ASSIGN_OR_RETURN(std::string stored, scope_.StoredName(name));
    return Cleared(writer_.DeleteCollection(stored));
  }

  // --- Documents

  absl::StatusOr<Document> PutDocument(const Document& document, const std::string& fingerprint,
                                       absl::Span<const Chunk> chunks, const std::string& original,
                                       const std::string& extracted) override {
    LASTRO_RETURN_IF_ERROR(scope_.CheckMayGive(document.labels));
    LASTRO_ASSIGN_OR_RETURN(int dimension, DimensionFor(document, fingerprint));
    LASTRO_RETURN_IF_ERROR(ValidatePut(document, chunks, dimension, original, extracted));
    StoreWriter::Put put;
    put.fingerprint = fingerprint;
    put.chunks = chunks;
    for (const Chunk& chunk : chunks) {
      std::string what = absl::StrCat("document ", document.uri, ", chunk ", chunk.ordinal);
      LASTRO_ASSIGN_OR_RETURN(std::vector<float> vector, UnitVector(chunk.vector, dimension, what));
      put.vectors.push_back(std::move(vector));
    }
    LASTRO_RETURN_IF_ERROR(PackContents(document, original, extracted, &put.contents));
    LASTRO_ASSIGN_OR_RETURN(put.document, CompleteDocument(document, put.contents, chunks.size()));
    LASTRO_ASSIGN_OR_RETURN(put.document.collection, scope_.StoredName(document.collection));
    put.document.id = DocumentId(put.document.collection, document.uri);
    LASTRO_ASSIGN_OR_RETURN(Document stored, Cleared(writer_.PutDocument(std::move(put), scope_)));
    stored.collection = document.collection;
    return stored;
  }

  absl::StatusOr<int64_t> DeleteDocuments(const std::string& collection,
                                          absl::Span<const std::string> document_ids) override {
    LASTRO_ASSIGN_OR_RETURN(std::string stored, scope_.StoredName(collection));
    return Cleared(writer_.DeleteDocuments(stored, document_ids, scope_));
  }

  absl::StatusOr<Document> GetDocument(const std::string& collection, const std::string& document_id) override {
    LASTRO_ASSIGN_OR_RETURN(ReadSnapshot snapshot, pool_.Snapshot());
    LASTRO_ASSIGN_OR_RETURN(Found found, FindById(snapshot.db(), collection, document_id));
    return std::move(found.document.document);
  }

  absl::StatusOr<Document> FindDocument(const std::string& collection, const std::string& uri) override {
    LASTRO_ASSIGN_OR_RETURN(ReadSnapshot snapshot, pool_.Snapshot());
    LASTRO_ASSIGN_OR_RETURN(CollectionRow row, Find(snapshot.db(), collection));
    LASTRO_ASSIGN_OR_RETURN(DocumentRow document, FindDocumentByUri(snapshot.db(), row, uri));
    if (!scope_.Sees(document.document.labels)) return NoDocument(row, absl::StrCat("with uri ", uri));
    return std::move(document.document);
  }

  absl::StatusOr<DocumentPage> ListDocuments(const std::string& collection, const Filter& filter, int page_size,
                                             const std::string& page_token) override {
    LASTRO_RETURN_IF_ERROR(filter.Validate());
    if (page_size < 0) return absl::InvalidArgumentError("page_size is negative");
    int count = page_size == 0 ? kDefaultPageSize : std::min(page_size, kMaxPageSize);
    LASTRO_ASSIGN_OR_RETURN(std::optional<std::string> after, UriOfToken(page_token));
    LASTRO_ASSIGN_OR_RETURN(ReadSnapshot snapshot, pool_.Snapshot());
    LASTRO_ASSIGN_OR_RETURN(CollectionRow row, Find(snapshot.db(), collection));
    const Filter shown = Both(scope_.visible(), filter);
    DocumentPage page;
    LASTRO_ASSIGN_OR_RETURN(page.documents, SelectDocuments(snapshot.db(), row, shown, count + 1, after));
    if (page.documents.size() > static_cast<size_t>(count)) {
      page.documents.pop_back();
      page.next_page_token = absl::WebSafeBase64Escape(page.documents.back().uri);
    }
    return page;
  }

  absl::StatusOr<std::map<std::string, DocumentState>> DocumentStates(const std::string& collection) override {
    LASTRO_ASSIGN_OR_RETURN(ReadSnapshot snapshot, pool_.Snapshot());
    LASTRO_ASSIGN_OR_RETURN(CollectionRow row, Find(snapshot.db(), collection));
    return SelectDocumentStates(snapshot.db(), row.row, scope_.visible());
  }

  absl::StatusOr<std::vector<Chunk>> GetChunks(const std::string& collection, const std::string& document_id,
                                               bool with_vectors) override {
    LASTRO_ASSIGN_OR_RETURN(ReadSnapshot snapshot, pool_.Snapshot());
    LASTRO_ASSIGN_OR_RETURN(Found found, FindById(snapshot.db(), collection, document_id));
    return SelectChunksOf(snapshot.db(), found.collection, found.document, with_vectors);
  }

  absl::StatusOr<std::string> ReadSource(const std::string& collection, const std::string& document_id, uint64_t begin,
                                         uint64_t end) override {
    LASTRO_ASSIGN_OR_RETURN(ReadSnapshot snapshot, pool_.Snapshot());
    LASTRO_ASSIGN_OR_RETURN(Found found, FindById(snapshot.db(), collection, document_id));
    const std::string& sha256 = found.document.document.source_sha256;
    LASTRO_ASSIGN_OR_RETURN(uint64_t size, ContentSize(snapshot.db(), sha256));
    end = std::min(end, size);
    if (begin <= end && end - begin > kMaxReadBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("read: ", end - begin, " bytes, more than ", kMaxReadBytes, " in one call"));
    }
    return ReadContent(snapshot.db(), sha256, begin, end);
  }

  absl::StatusOr<std::string> ReadOriginal(const std::string& collection, const std::string& document_id) override {
    LASTRO_ASSIGN_OR_RETURN(ReadSnapshot snapshot, pool_.Snapshot());
    LASTRO_ASSIGN_OR_RETURN(Found found, FindById(snapshot.db(), collection, document_id));
    const std::string& sha256 = found.document.document.content_sha256;
    LASTRO_ASSIGN_OR_RETURN(uint64_t size, ContentSize(snapshot.db(), sha256));
    return ReadContent(snapshot.db(), sha256, 0, size);
  }

  absl::StatusOr<std::vector<std::vector<float>>> FindVectors(const std::string& collection,
                                                              const std::string& fingerprint,
                                                              absl::Span<const std::string> text_sha256) override {
    LASTRO_ASSIGN_OR_RETURN(ReadSnapshot snapshot, pool_.Snapshot());
    LASTRO_ASSIGN_OR_RETURN(CollectionRow row, Find(snapshot.db(), collection));
    const VectorSetRow* set = row.FindSet(fingerprint);
    if (set == nullptr) return NoVectorsOf(collection, fingerprint);
    return SelectVectors(snapshot.db(), row.row, *set, scope_.visible(), text_sha256);
  }

  // --- Another embedding model

  absl::StatusOr<Reembedding> GetReembedding(const std::string& collection) override {
    return reembedding_.Get(collection);
  }
  absl::StatusOr<Reembedding> BeginReembedding(const std::string& collection, const VectorSet& model) override {
    return reembedding_.Begin(collection, model);
  }
  absl::StatusOr<UnembeddedChunks> FindUnembedded(const std::string& collection, const std::string& fingerprint,
                                                  int64_t after, int count) override {
    return reembedding_.FindUnembedded(collection, fingerprint, after, count);
  }
  absl::StatusOr<int64_t> PutVectors(const std::string& collection, const std::string& fingerprint,
                                     absl::Span<const TextVector> vectors) override {
    return reembedding_.PutVectors(collection, fingerprint, vectors);
  }
  absl::Status PrepareVectors(const std::string& collection, const std::string& fingerprint) override {
    return reembedding_.Prepare(collection, fingerprint);
  }
  absl::StatusOr<Reembedding> SwitchVectors(const std::string& collection, const std::string& fingerprint) override {
    return Cleared(reembedding_.Switch(collection, fingerprint));
  }
  absl::StatusOr<Reembedding> DropVectors(const std::string& collection, const std::string& fingerprint) override {
    return Cleared(reembedding_.Drop(collection, fingerprint));
  }

  // --- Search, jobs and the rest

  absl::StatusOr<SearchResult> Search(const SearchQuery& query, const CallContext& context) override {
    SearchTarget target{"", scope_.visible()};
    LASTRO_ASSIGN_OR_RETURN(target.collection, scope_.StoredName(query.collection));
    LASTRO_RETURN_IF_ERROR(ValidateQuery(query));
    if (!query.vectors_of.empty()) LASTRO_RETURN_IF_ERROR(scope_.CheckSeesAll("choosing the vectors to search"));
    if (auto known = parts_->results.Find(query, target, writer_.commit())) return *known;
    LASTRO_ASSIGN_OR_RETURN(SearchResult result, RunSearch(query, target, context, pool_, catalog_, parts_->filters));
    for (SearchHit& hit : result.hits) hit.document.collection = query.collection;
    parts_->results.Insert(query, target, result);
    return result;
  }

  absl::Status PutJob(const Job& job) override {
    LASTRO_RETURN_IF_ERROR(ValidateJob(job));
    LASTRO_RETURN_IF_ERROR(scope_.CheckMayGive(job.labels));
    if (job.for_all_labels) LASTRO_RETURN_IF_ERROR(scope_.CheckSeesAll("such a job"));
    Job stored = job;
    LASTRO_ASSIGN_OR_RETURN(stored.collection, scope_.StoredName(job.collection));
    return writer_.PutJob(stored, scope_);
  }

  absl::StatusOr<Job> GetJob(const std::string& id) override {
    LASTRO_ASSIGN_OR_RETURN(ReadSnapshot snapshot, pool_.Snapshot());
    LASTRO_ASSIGN_OR_RETURN(Job job, FindJob(snapshot.db(), id));
    if (!Show(&job)) return absl::NotFoundError(absl::StrCat("there is no job ", id));
    return job;
  }

  absl::StatusOr<std::vector<Job>> ListJobs() override {
    LASTRO_ASSIGN_OR_RETURN(ReadSnapshot snapshot, pool_.Snapshot());
    LASTRO_ASSIGN_OR_RETURN(std::vector<Job> jobs, LatestJobs(snapshot.db()));
    std::erase_if(jobs, [this](Job& job) { return !Show(&job); });
    return jobs;
  }

  int64_t commit() const override { return writer_.commit(); }
  absl::Status Flush() override { return builder_.Flush(); }
  absl::Status FinishUpkeep() override { return writer_.FinishUpkeep(); }
  absl::Status CheckIntegrity() override { return writer_.CheckIntegrity(); }

  absl::StatusOr<PurgeReceipt> Purge() override { return Cleared(writer_.Purge()); }
  absl::StatusOr<std::vector<PurgeReceipt>> Purges() override {
    LASTRO_ASSIGN_OR_RETURN(ReadSnapshot snapshot, pool_.Snapshot());
    return ListPurges(snapshot.db());
  }

 private:
  static absl::Status PackContents(const Document& document, const std::string& original, const std::string& extracted,
                                   std::vector<PackedContent>* contents) {
    LASTRO_ASSIGN_OR_RETURN(PackedContent packed, PackContent(original));
    contents->push_back(std::move(packed));
    if (document.source_kind != SourceKind::kExtractedText) return absl::OkStatus();
    LASTRO_ASSIGN_OR_RETURN(packed, PackContent(extracted));
    contents->push_back(std::move(packed));
    return absl::OkStatus();
  }

  // Fills in what the store knows; INVALID_ARGUMENT when the caller's hashes are not those of the bytes.
  static absl::StatusOr<Document> CompleteDocument(const Document& given, const std::vector<PackedContent>& contents,
                                                   size_t chunks) {
    Document document = given;
    document.content_sha256 = contents.front().sha256;
    document.source_sha256 = contents.back().sha256;
    document.size_bytes = contents.front().size_bytes;
    document.chunk_count = static_cast<int64_t>(chunks);
    bool content_differs = !given.content_sha256.empty() && given.content_sha256 != document.content_sha256;
    bool source_differs = !given.source_sha256.empty() && given.source_sha256 != document.source_sha256;
    if (content_differs || source_differs) {
      return absl::InvalidArgumentError(absl::StrCat("document ", document.uri, ": ",
                                                     content_differs ? "content_sha256" : "source_sha256",
                                                     " is not the hash of the bytes given"));
    }
    return document;
  }

  static absl::StatusOr<std::optional<std::string>> UriOfToken(const std::string& token) {
    if (token.empty()) return std::optional<std::string>();
    std::string uri;
    if (!absl::WebSafeBase64Unescape(token, &uri) || uri.empty() || !IsValidUtf8(uri)) {
      return absl::InvalidArgumentError("page_token is not one that a listing returned");
    }
    return std::optional<std::string>(std::move(uri));
  }

  // Index folders of sets of vectors that were deleted while their removal was cut short.
  static void RemoveUnknownIndexes(const std::string& folder, const std::vector<CollectionRow>& collections) {
    namespace fs = std::filesystem;
    std::error_code error;
    std::vector<fs::path> unknown;
    for (fs::directory_iterator entry(folder + "/index", error), end; !error && entry != end; entry.increment(error)) {
      int64_t set = 0;
      bool ours = absl::SimpleAtoi(entry->path().filename().string(), &set);
      bool known = std::any_of(collections.begin(), collections.end(), [&](const CollectionRow& collection) {
        return collection.searched.id == set || (collection.other.has_value() && collection.other->id == set);
      });
      if (ours && !known) unknown.push_back(entry->path());
    }
    for (const fs::path& path : unknown) (void)RemoveTree(path.string());  // what stays is tried again
  }

  // After a commit no result and no selection is asked for again; what is deleted leaves the memory too.
  template <typename Result>
  Result Cleared(Result result) {
    parts_->results.Clear();
    parts_->filters.Clear();
    return result;
  }

  // The caller's collection `name`, under the name that the caller knows.
  absl::StatusOr<CollectionRow> Find(Database& db, const std::string& name) const {
    LASTRO_ASSIGN_OR_RETURN(std::string stored, scope_.StoredName(name));
    LASTRO_ASSIGN_OR_RETURN(CollectionRow row, FindCollection(db, stored));
    row.collection.name = name;
    return row;
  }

  struct Found {
    CollectionRow collection;
    DocumentRow document;
  };

  absl::StatusOr<Found> FindById(Database& db, const std::string& collection, const std::string& id) const {
    Found found;
    LASTRO_ASSIGN_OR_RETURN(found.collection, Find(db, collection));
    LASTRO_ASSIGN_OR_RETURN(found.document, FindDocumentById(db, found.collection, id));
    if (scope_.Sees(found.document.document.labels)) return found;
    return NoDocument(found.collection, absl::StrCat("with id ", id));
  }

  // The counts of a collection are those of what the caller sees.
  absl::Status CountVisible(const ReadSnapshot& snapshot, CollectionRow* row) const {
    if (scope_.sees_all()) return absl::OkStatus();
    LASTRO_ASSIGN_OR_RETURN(auto visible, parts_->filters.Select(snapshot, row->row, scope_.visible()));
    row->collection.documents = static_cast<int64_t>(visible->rows.size());
    row->collection.chunks = visible->chunks;
    return absl::OkStatus();
  }

  // That of the collection's vectors, which those of `fingerprint` must be.
  absl::StatusOr<int> DimensionFor(const Document& document, const std::string& fingerprint) {
    LASTRO_ASSIGN_OR_RETURN(ReadSnapshot snapshot, pool_.Snapshot());
    LASTRO_ASSIGN_OR_RETURN(CollectionRow row, Find(snapshot.db(), document.collection));
    LASTRO_RETURN_IF_ERROR(CheckFingerprint(row.collection, document.uri, fingerprint));
    return row.collection.dimension;
  }

  // Makes a stored job the caller's own; false when it is not for him.
  bool Show(Job* job) const {
    std::optional<std::string> name = scope_.KnownName(job->collection);
    if (!name.has_value() || !scope_.SeesJob(*job)) return false;
    job->collection = *std::move(name);
    return true;
  }

  const std::shared_ptr<StoreParts> parts_;
  const StoreScope scope_;
  ConnectionPool& pool_;
  VectorCatalog& catalog_;
  IndexBuilder& builder_;
  StoreWriter& writer_;
  SqliteReembedding reembedding_;
};

absl::Status CheckOptions(const SqliteStoreOptions& options) {
  if (options.folder.empty()) return absl::InvalidArgumentError("store: no data folder given");
  if (options.index_after_chunks < 0 || options.vector_index.exact_up_to_chunks < 0) {
    return absl::InvalidArgumentError("store: index_after_chunks and exact_up_to_chunks must not be negative");
  }
  const UpkeepOptions& upkeep = options.upkeep;
  if (upkeep.bytes_per_second < 1 || upkeep.log_bytes < 1 || upkeep.max_log_bytes < upkeep.log_bytes ||
      upkeep.free_bytes < 0) {
    return absl::InvalidArgumentError("store: a limit of the upkeep is out of range");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteStore>> SqliteStore::Open(const SqliteStoreOptions& options) {
  LASTRO_RETURN_IF_ERROR(CheckOptions(options));
  LASTRO_RETURN_IF_ERROR(MakeFolder(options.folder));
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<FolderLock> lock, FolderLock::Acquire(options.folder));
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<Database> db, Database::Open(DatabasePath(options.folder), false));
  LASTRO_RETURN_IF_ERROR(CheckIdentity(*db));
  LASTRO_RETURN_IF_ERROR(PrepareSchema(*db));
  LASTRO_ASSIGN_OR_RETURN(int64_t store_number, EnsureIdentity(*db));
  LASTRO_RETURN_IF_ERROR(FileSystem::Current().SyncFolder(options.folder));
  LASTRO_ASSIGN_OR_RETURN(int64_t commit, ReadCommit(*db));
  auto parts = std::make_shared<StoreParts>(options, store_number, std::move(lock), std::move(db), commit);
  auto store = std::make_unique<SqliteStoreImpl>(std::move(parts), Scope::Operator());
  LASTRO_RETURN_IF_ERROR(store->LoadVectors(options.folder));
  return std::unique_ptr<SqliteStore>(std::move(store));
}

}  // namespace lastro::retrieval
