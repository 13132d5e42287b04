#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/lru_cache.h"
#include "base/status_macros.h"
#include "services/local/api_text_embedder.h"
#include "services/local/local_services.h"
#include "services/local/search_refinement.h"
#include "services/proto_convert.h"
#include "services/stages.h"

namespace lastro::services {
namespace {

constexpr uint64_t kMaxSourceBytes = 2u << 20;
constexpr int kDefaultPageSize = 100;
constexpr int kMaxPageSize = 1'000;
constexpr int kMaxDeletes = 10'000;
constexpr int kMaxModelChanges = 5;  // of a collection during one search
constexpr size_t kQueryVectorBytes = 8u << 20;

class LocalRetrieval : public RetrievalApi {
 public:
  LocalRetrieval(retrieval::ChunkStore* store, EmbeddingApi* embedding, GenerationApi* generation,
                 bool rerank_by_default)
      : store_(*store), embedding_(*embedding), generation_(*generation), rerank_by_default_(rerank_by_default) {}

  absl::StatusOr<v1::SearchResponse> Search(const v1::SearchRequest& request, const CallContext& context) override {
    LASTRO_ASSIGN_OR_RETURN(const Store store, StoreOf(context));
    LASTRO_ASSIGN_OR_RETURN(retrieval::SearchQuery query, FromProto(request));
    LASTRO_ASSIGN_OR_RETURN(const SearchRefinement refinement, RefinementOf(request, rerank_by_default_));
    const size_t limit = static_cast<size_t>(query.limit);
    query.limit = refinement.CandidatesFor(query.limit);
    query.with_vectors = refinement.mmr_lambda.has_value();
    Stages stages;
    LASTRO_ASSIGN_OR_RETURN(retrieval::SearchResult result, SearchByModel(*store, context, &stages, &query));
    v1::SearchExplanation explanation = ToProto(result.trace);
    if (refinement.rerank) {
      LASTRO_RETURN_IF_ERROR(stages.Time("rerank", [&] {
        return RerankHits(query.text, refinement.rerank_weight, generation_, context, &result.hits, &explanation);
      }));
    }
    if (refinement.mmr_lambda.has_value()) DiversifyHits(*refinement.mmr_lambda, limit, &result.hits);
    if (result.hits.size() > limit) result.hits.resize(limit);
    v1::SearchResponse response;
    for (const retrieval::SearchHit& hit : result.hits) *response.add_hits() = ToProto(hit);
    if (request.explain()) *response.mutable_explanation() = std::move(explanation);
    response.set_store_commit(result.commit);
    response.set_removed_documents(result.removed);
    response.set_embedding_fingerprint(query.fingerprint);
    for (v1::StageDuration& duration : stages.durations()) *response.add_durations() = std::move(duration);
    return response;
  }

  absl::StatusOr<v1::Document> GetDocument(const v1::GetDocumentRequest& request, const CallContext& context) override {
    LASTRO_ASSIGN_OR_RETURN(const Store store, StoreOf(context));
    const std::string collection = CollectionOrDefault(request.collection());
    if (request.document_id().empty() == request.uri().empty()) {
      return absl::InvalidArgumentError("give one of document_id and uri");
    }
    absl::StatusOr<retrieval::Document> document = request.uri().empty()
                                                       ? store->GetDocument(collection, request.document_id())
                                                       : store->FindDocument(collection, request.uri());
    LASTRO_RETURN_IF_ERROR(document.status());
    return ToProto(*document);
  }

  absl::StatusOr<v1::ListDocumentsResponse> ListDocuments(const v1::ListDocumentsRequest& request,
                                                          const CallContext& context) override {
    LASTRO_ASSIGN_OR_RETURN(const Store store, StoreOf(context));
    if (request.page_size() < 0 || request.page_size() > kMaxPageSize) {
      return absl::InvalidArgumentError(
          absl::StrCat("page_size is ", request.page_size(), "; it must be from 0 (the default) to ", kMaxPageSize));
    }
    LASTRO_ASSIGN_OR_RETURN(retrieval::Filter filter, FromProto(request.filter()));
    LASTRO_ASSIGN_OR_RETURN(
        retrieval::DocumentPage page,
        store->ListDocuments(CollectionOrDefault(request.collection()), filter,
                             request.page_size() == 0 ? kDefaultPageSize : request.page_size(), request.page_token()));
    v1::ListDocumentsResponse response;
    for (const retrieval::Document& document : page.documents) *response.add_documents() = ToProto(document);
    response.set_next_page_token(page.next_page_token);
    return response;
  }

  absl::StatusOr<v1::ListChunksResponse> ListChunks(const v1::ListChunksRequest& request,
                                                    const CallContext& context) override {
    LASTRO_ASSIGN_OR_RETURN(const Store store, StoreOf(context));
    LASTRO_ASSIGN_OR_RETURN(
        std::vector<retrieval::Chunk> chunks,
        store->GetChunks(CollectionOrDefault(request.collection()), request.document_id(), request.include_vectors()));
    v1::ListChunksResponse response;
    for (const retrieval::Chunk& chunk : chunks) *response.add_chunks() = ToProto(chunk);
    return response;
  }

  absl::StatusOr<v1::GetSourceResponse> GetSource(const v1::GetSourceRequest& request,
                                                  const CallContext& context) override {
    LASTRO_ASSIGN_OR_RETURN(const Store store, StoreOf(context));
    const std::string collection = CollectionOrDefault(request.collection());
    if (request.has_range() && (request.range().begin() < 0 || request.range().begin() > request.range().end())) {
      return absl::InvalidArgumentError(absl::StrCat("range is ", request.range().begin(), " to ",
                                                     request.range().end(), "; it must not be negative or reversed"));
    }
    LASTRO_ASSIGN_OR_RETURN(retrieval::Document document, store->GetDocument(collection, request.document_id()));
    uint64_t begin = request.has_range() ? static_cast<uint64_t>(request.range().begin()) : 0;
    uint64_t end = begin + kMaxSourceBytes;
    if (request.has_range()) end = std::min(end, static_cast<uint64_t>(request.range().end()));
    LASTRO_ASSIGN_OR_RETURN(std::string content, store->ReadSource(collection, document.id, begin, end));
    // The hash that is sent must be of the version that was read.
    LASTRO_ASSIGN_OR_RETURN(retrieval::Document after, store->GetDocument(collection, request.document_id()));
    if (after.source_sha256 != document.source_sha256) {
      return absl::AbortedError(absl::StrCat(document.uri, " was replaced while it was read; read it again"));
    }
    v1::GetSourceResponse response;
    response.mutable_range()->set_begin(static_cast<int64_t>(begin));
    response.mutable_range()->set_end(static_cast<int64_t>(begin + content.size()));
    response.set_content(std::move(content));
    response.set_source_sha256(document.source_sha256);
    LASTRO_ASSIGN_OR_RETURN(uint64_t size, SourceSize(document, *store));
    response.set_total_bytes(static_cast<int64_t>(size));
    return response;
  }

  absl::StatusOr<v1::DeleteDocumentsResponse> DeleteDocuments(const v1::DeleteDocumentsRequest& request,
                                                              const CallContext& context) override {
    LASTRO_ASSIGN_OR_RETURN(const Store store, StoreOf(context));
    if (request.document_ids_size() > kMaxDeletes) {
      return absl::InvalidArgumentError(
          absl::StrCat("document_ids has ", request.document_ids_size(), " entries; the limit is ", kMaxDeletes));
    }
    const std::vector<std::string> ids(request.document_ids().begin(), request.document_ids().end());
    LASTRO_ASSIGN_OR_RETURN(int64_t deleted, store->DeleteDocuments(CollectionOrDefault(request.collection()), ids));
    v1::DeleteDocumentsResponse response;
    response.set_deleted(deleted);
    return response;
  }

  absl::StatusOr<v1::Collection> GetCollection(const v1::GetCollectionRequest& request,
                                               const CallContext& context) override {
    LASTRO_ASSIGN_OR_RETURN(const Store store, StoreOf(context));
    LASTRO_ASSIGN_OR_RETURN(retrieval::Collection collection,
                            store->GetCollection(CollectionOrDefault(request.collection())));
    return ToProto(collection);
  }

  absl::StatusOr<v1::ListCollectionsResponse> ListCollections(const v1::ListCollectionsRequest&,
                                                              const CallContext& context) override {
    LASTRO_ASSIGN_OR_RETURN(const Store store, StoreOf(context));
    LASTRO_ASSIGN_OR_RETURN(std::vector<retrieval::Collection> collections, store->ListCollections());
    v1::ListCollectionsResponse response;
    for (const retrieval::Collection& collection : collections) *response.add_collections() = ToProto(collection);
    return response;
  }

  absl::StatusOr<v1::DeleteCollectionResponse> DeleteCollection(const v1::DeleteCollectionRequest& request,
                                                                const CallContext& context) override {
    LASTRO_ASSIGN_OR_RETURN(const Store store, StoreOf(context));
    LASTRO_RETURN_IF_ERROR(store->DeleteCollection(CollectionOrDefault(request.collection())));
    return v1::DeleteCollectionResponse();
  }

 private:
  using Store = std::unique_ptr<retrieval::ChunkStore>;

  // As the caller sees it.
  absl::StatusOr<Store> StoreOf(const CallContext& context) { return store_.WithScope(context.scope()); }

  // Embeds the query by the collection's model and searches. The collection may get another model in between: then all
  // over again.
  absl::StatusOr<retrieval::SearchResult> SearchByModel(retrieval::ChunkStore& store, const CallContext& context,
                                                        Stages* stages, retrieval::SearchQuery* query) {
    for (int attempt = 1;; ++attempt) {
      LASTRO_ASSIGN_OR_RETURN(const retrieval::Collection collection, store.GetCollection(query->collection));
      const std::string& model = query->vectors_of.empty() ? collection.embedding_fingerprint : query->vectors_of;
      if (query->mode != retrieval::SearchMode::kLexical) {
        LASTRO_RETURN_IF_ERROR(stages->Time("embed", [&] { return EmbedQuery(model, context, query); }));
      }
      absl::StatusOr<retrieval::SearchResult> result =
          stages->Time("search", [&] { return store.Search(*query, context); });
      if (!absl::IsFailedPrecondition(result.status()) || attempt == kMaxModelChanges) return result;
      absl::StatusOr<retrieval::Collection> now = store.GetCollection(query->collection);
      if (!now.ok() || now->embedded_since == collection.embedded_since) return result;
    }
  }

  // By the model of `fingerprint`, unless the same caller asked the same before.
  absl::Status EmbedQuery(const std::string& fingerprint, const CallContext& context, retrieval::SearchQuery* query) {
    const std::string key = absl::StrCat(ScopeKey(context.scope()), "\n", fingerprint, "\n", query->text);
    query->fingerprint = fingerprint;
    if (auto vector = query_vectors_.Find(key)) {
      query->vector = *vector;
      return absl::OkStatus();
    }
    ApiTextEmbedder embedder(&embedding_, v1::QUERY, fingerprint);
    LASTRO_ASSIGN_OR_RETURN(query->vector, embedder.Embed({&query->text, 1}, context));
    LASTRO_ASSIGN_OR_RETURN(retrieval::EmbedderInfo info, embedder.Info(context));
    query->fingerprint = info.fingerprint;  // which the store compares
    if (info.fingerprint != fingerprint) return absl::OkStatus();
    query_vectors_.Insert(key, std::make_shared<std::vector<float>>(query->vector),
                          query->vector.size() * sizeof(float));
    return absl::OkStatus();
  }

  // Of an original the store knows the size; of an extracted text it is found by reading on.
  static absl::StatusOr<uint64_t> SourceSize(const retrieval::Document& document, retrieval::ChunkStore& store) {
    if (document.source_kind == retrieval::SourceKind::kOriginal) return document.size_bytes;
    uint64_t size = 0;
    for (;;) {
      LASTRO_ASSIGN_OR_RETURN(std::string piece,
                              store.ReadSource(document.collection, document.id, size, size + kMaxSourceBytes));
      size += piece.size();
      if (piece.size() < kMaxSourceBytes) return size;
    }
  }

  retrieval::ChunkStore& store_;
  EmbeddingApi& embedding_;
  GenerationApi& generation_;
  const bool rerank_by_default_;
  LruCache<std::vector<float>> query_vectors_{kQueryVectorBytes};
};

}  // namespace

std::unique_ptr<RetrievalApi> MakeLocalRetrieval(retrieval::ChunkStore* store, EmbeddingApi* embedding,
                                                 GenerationApi* generation, bool rerank_by_default) {
  return std::make_unique<LocalRetrieval>(store, embedding, generation, rerank_by_default);
}

}  // namespace lastro::services
