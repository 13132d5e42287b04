#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "lastro/v1/retrieval.grpc.pb.h"
#include "lastro/v1/store.grpc.pb.h"
#include "services/grpc/limits.h"
#include "services/proto_convert.h"
#include "services/remote/remote_apis.h"

namespace lastro::services {
namespace {

using retrieval::Chunk;
using retrieval::Collection;
using retrieval::Document;
using retrieval::DocumentState;
using retrieval::Job;

constexpr absl::Duration kPutTimeout = absl::Minutes(10);
constexpr absl::Duration kPrepareTimeout = absl::Hours(6);  // an index of many millions is made
constexpr size_t kVectorKeysPerCall = 2048;
constexpr size_t kDeletesPerCall = 10'000;            // as retrieval.proto allows
constexpr uint64_t kMaxSourceBytes = 16ull << 20;     // a call of ReadSource
constexpr uint64_t kSourceBytesPerCall = 2ull << 20;  // a call of GetSource

using Send = std::function<bool(const v1::PutDocumentRequest&)>;

bool SendBytes(const std::string& bytes, const Send& send,
               void (*set)(v1::PutDocumentRequest* part, std::string piece)) {
  v1::PutDocumentRequest part;
  for (size_t begin = 0; begin < bytes.size(); begin += kStreamPieceBytes) {
    set(&part, bytes.substr(begin, kStreamPieceBytes));
    if (!send(part)) return false;
  }
  return true;
}

bool SendChunks(absl::Span<const Chunk> chunks, const Send& send) {
  v1::PutDocumentRequest part;
  size_t bytes = 0;
  for (const Chunk& chunk : chunks) {
    v1::Chunk message = ToProto(chunk);
    bytes += message.ByteSizeLong();
    *part.mutable_chunks()->add_chunks() = std::move(message);
    if (bytes < kStreamPieceBytes) continue;
    if (!send(part)) return false;
    part.mutable_chunks()->clear_chunks();
    bytes = 0;
  }
  return bytes == 0 || send(part);
}

DocumentState FromProto(const v1::DocumentState& message) {
  return {message.document_id(), message.content_sha256(), message.pipeline(), message.origin()};
}

class RemoteStore final : public retrieval::ChunkStore {
 public:
  RemoteStore(std::shared_ptr<RemoteChannel> channel, const Scope& scope)
      : channel_(std::move(channel)),
        context_(CallContext().WithScope(scope)),
        retrieval_(MakeRemoteRetrieval(channel_)),
        stub_(v1::StoreService::NewStub(channel_->channel())) {}

  absl::StatusOr<std::unique_ptr<retrieval::ChunkStore>> WithScope(const Scope& scope) override {
    LASTRO_RETURN_IF_ERROR(ValidateScope(scope));
    return std::make_unique<RemoteStore>(channel_, scope);
  }

  absl::Status CreateCollection(const Collection& collection) override {
    return Unary<v1::Collection>(&v1::StoreService::Stub::AsyncCreateCollection, ToProto(collection), context_)
        .status();
  }
  absl::StatusOr<Collection> GetCollection(const std::string& name) override {
    v1::GetCollectionRequest request;
    request.set_collection(name);
    LASTRO_ASSIGN_OR_RETURN(v1::Collection response, retrieval_->GetCollection(request, context_));
    return services::FromProto(response);
  }
  absl::StatusOr<std::vector<Collection>> ListCollections() override {
    LASTRO_ASSIGN_OR_RETURN(v1::ListCollectionsResponse response, retrieval_->ListCollections({}, context_));
    return Converted<Collection>(response.collections());
  }
  absl::Status DeleteCollection(const std::string& name) override {
    v1::DeleteCollectionRequest request;
    request.set_collection(name);
    return retrieval_->DeleteCollection(request, context_).status();
  }

  absl::StatusOr<Document> PutDocument(const Document& document, const std::string& fingerprint,
                                       absl::Span<const Chunk> chunks, const std::string& original,
                                       const std::string& extracted) override {
    auto start = [&](grpc::ClientContext* client, v1::Document* response, grpc::CompletionQueue* queue, void* tag) {
      return stub_->AsyncPutDocument(client, response, queue, tag);
    };
    auto produce = [&](const Send& send) {
      v1::PutDocumentRequest header;
      *header.mutable_header()->mutable_document() = ToProto(document);
      header.mutable_header()->mutable_document()->set_chunk_count(static_cast<int64_t>(chunks.size()));
      header.mutable_header()->set_fingerprint(fingerprint);
      auto set_original = [](v1::PutDocumentRequest* part, std::string piece) { part->set_original(std::move(piece)); };
      auto set_extracted = [](v1::PutDocumentRequest* part, std::string piece) {
        part->set_extracted(std::move(piece));
      };
      (void)(send(header) && SendBytes(original, send, set_original) && SendBytes(extracted, send, set_extracted) &&
             SendChunks(chunks, send));  // the status of the call tells why the server wanted no more
    };
    LASTRO_ASSIGN_OR_RETURN(v1::Document stored, (CallClientStream<v1::PutDocumentRequest, v1::Document>(
                                                     channel_.get(), context_, start, produce, kPutTimeout)));
    return services::FromProto(stored);
  }

  absl::StatusOr<int64_t> DeleteDocuments(const std::string& collection,
                                          absl::Span<const std::string> document_ids) override {
    int64_t deleted = 0;
    for (size_t begin = 0; begin < document_ids.size(); begin += kDeletesPerCall) {
      v1::DeleteDocumentsRequest request;
      request.set_collection(collection);
      for (const std::string& id : document_ids.subspan(begin, kDeletesPerCall)) request.add_document_ids(id);
      LASTRO_ASSIGN_OR_RETURN(v1::DeleteDocumentsResponse response, retrieval_->DeleteDocuments(request, context_));
      deleted += response.deleted();
    }
    return deleted;
  }

  absl::StatusOr<Document> GetDocument(const std::string& collection, const std::string& document_id) override {
    v1::GetDocumentRequest request;
    request.set_collection(collection);
    request.set_document_id(document_id);
    return GetDocument(request);
  }
  absl::StatusOr<Document> FindDocument(const std::string& collection, const std::string& uri) override {
    v1::GetDocumentRequest request;
    request.set_collection(collection);
    request.set_uri(uri);
    return GetDocument(request);
  }

  absl::StatusOr<retrieval::DocumentPage> ListDocuments(const std::string& collection, const retrieval::Filter& filter,
                                                        int page_size, const std::string& page_token) override {
    v1::ListDocumentsRequest request;
    request.set_collection(collection);
    *request.mutable_filter() = ToProto(filter);
    request.set_page_size(page_size);
    request.set_page_token(page_token);
    LASTRO_ASSIGN_OR_RETURN(v1::ListDocumentsResponse response, retrieval_->ListDocuments(request, context_));
    LASTRO_ASSIGN_OR_RETURN(std::vector<Document> documents, Converted<Document>(response.documents()));
    return retrieval::DocumentPage{std::move(documents), response.next_page_token()};
  }

  absl::StatusOr<std::map<std::string, DocumentState>> DocumentStates(const std::string& collection) override {
    v1::GetDocumentStatesRequest request;
    request.set_collection(collection);
    std::map<std::string, DocumentState> states;
    auto start = [&](grpc::ClientContext* client, grpc::CompletionQueue* queue, void* tag) {
      return stub_->AsyncGetDocumentStates(client, request, queue, tag);
    };
    LASTRO_RETURN_IF_ERROR(
        CallServerStream<v1::DocumentState>(channel_.get(), context_, start, [&](const v1::DocumentState& state) {
          states[state.uri()] = FromProto(state);
          return absl::OkStatus();
        }));
    return states;
  }

  absl::StatusOr<std::vector<Chunk>> GetChunks(const std::string& collection, const std::string& document_id,
                                               bool with_vectors) override {
    v1::ListChunksRequest request;
    request.set_collection(collection);
    request.set_document_id(document_id);
    request.set_include_vectors(with_vectors);
    LASTRO_ASSIGN_OR_RETURN(v1::ListChunksResponse response, retrieval_->ListChunks(request, context_));
    return Converted<Chunk>(response.chunks());
  }

  absl::StatusOr<std::string> ReadSource(const std::string& collection, const std::string& document_id, uint64_t begin,
                                         uint64_t end) override {
    if (begin > end || end > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return absl::InvalidArgumentError(absl::StrCat("bytes [", begin, ", ", end, ") are no range"));
    }
    v1::GetSourceRequest request;
    request.set_collection(collection);
    request.set_document_id(document_id);
    std::string source;
    end = std::min(end, begin + kMaxSourceBytes);
    do {
      request.mutable_range()->set_begin(static_cast<int64_t>(begin + source.size()));
      request.mutable_range()->set_end(
          static_cast<int64_t>(std::min(end, begin + source.size() + kSourceBytesPerCall)));
      LASTRO_ASSIGN_OR_RETURN(v1::GetSourceResponse piece, retrieval_->GetSource(request, context_));
      if (piece.content().empty()) break;  // the end of the source
      source += piece.content();
    } while (begin + source.size() < end);
    return source;
  }

  absl::StatusOr<std::string> ReadOriginal(const std::string& collection, const std::string& document_id) override {
    v1::ReadOriginalRequest request;
    request.set_collection(collection);
    request.set_document_id(document_id);
    std::string original;
    auto start = [&](grpc::ClientContext* client, grpc::CompletionQueue* queue, void* tag) {
      return stub_->AsyncReadOriginal(client, request, queue, tag);
    };
    LASTRO_RETURN_IF_ERROR(CallServerStream<v1::ReadOriginalResponse>(channel_.get(), context_, start,
                                                                      [&](const v1::ReadOriginalResponse& piece) {
                                                                        original += piece.content();
                                                                        return absl::OkStatus();
                                                                      }));
    return original;
  }

  absl::StatusOr<std::vector<std::vector<float>>> FindVectors(const std::string& collection,
                                                              const std::string& fingerprint,
                                                              absl::Span<const std::string> text_sha256) override {
    std::vector<std::vector<float>> vectors;
    for (size_t begin = 0; begin < text_sha256.size(); begin += kVectorKeysPerCall) {
      const absl::Span<const std::string> keys = text_sha256.subspan(begin, kVectorKeysPerCall);
      v1::FindVectorsRequest request;
      request.set_collection(collection);
      request.set_fingerprint(fingerprint);
      for (const std::string& key : keys) request.add_text_sha256(key);
      LASTRO_ASSIGN_OR_RETURN(
          v1::FindVectorsResponse response,
          Unary<v1::FindVectorsResponse>(&v1::StoreService::Stub::AsyncFindVectors, request, context_));
      if (response.vectors_size() != static_cast<int>(keys.size())) {
        return absl::InternalError("the store returned another number of vectors than was asked for");
      }
      for (const auto& vector : response.vectors())
        vectors.emplace_back(vector.values().begin(), vector.values().end());
    }
    return vectors;
  }

  absl::StatusOr<retrieval::Reembedding> GetReembedding(const std::string& collection) override {
    v1::GetReembeddingRequest request;
    request.set_collection(collection);
    return ReembeddingOf(&v1::StoreService::Stub::AsyncGetStoredReembedding, request);
  }
  absl::StatusOr<retrieval::Reembedding> BeginReembedding(const std::string& collection,
                                                          const retrieval::VectorSet& model) override {
    v1::BeginReembeddingRequest request;
    request.set_collection(collection);
    *request.mutable_model() = ToProto(model);
    return ReembeddingOf(&v1::StoreService::Stub::AsyncBeginReembedding, request);
  }
  absl::StatusOr<retrieval::UnembeddedChunks> FindUnembedded(const std::string& collection,
                                                             const std::string& fingerprint, int64_t after,
                                                             int count) override {
    v1::FindUnembeddedRequest request;
    request.set_collection(collection);
    request.set_fingerprint(fingerprint);
    request.set_after_chunk(after);
    request.set_count(count);
    LASTRO_ASSIGN_OR_RETURN(
        v1::FindUnembeddedResponse response,
        Unary<v1::FindUnembeddedResponse>(&v1::StoreService::Stub::AsyncFindUnembedded, request, context_));
    LASTRO_ASSIGN_OR_RETURN(std::vector<Chunk> chunks, Converted<Chunk>(response.chunks()));
    return retrieval::UnembeddedChunks{std::move(chunks), response.last_chunk()};
  }
  absl::StatusOr<int64_t> PutVectors(const std::string& collection, const std::string& fingerprint,
                                     absl::Span<const retrieval::TextVector> vectors) override {
    v1::PutVectorsRequest request;
    request.set_collection(collection);
    request.set_fingerprint(fingerprint);
    for (const retrieval::TextVector& vector : vectors) {
      v1::PutVectorsRequest::TextVector* added = request.add_vectors();
      added->set_text_sha256(vector.text_sha256);
      added->mutable_values()->Add(vector.vector.begin(), vector.vector.end());
    }
    LASTRO_ASSIGN_OR_RETURN(v1::PutVectorsResponse response,
                            Unary<v1::PutVectorsResponse>(&v1::StoreService::Stub::AsyncPutVectors, request, context_));
    return response.chunks();
  }
  absl::Status PrepareVectors(const std::string& collection, const std::string& fingerprint) override {
    return Unary<v1::PrepareVectorsResponse>(&v1::StoreService::Stub::AsyncPrepareVectors,
                                             OtherVectors(collection, fingerprint), context_, kPrepareTimeout)
        .status();
  }
  absl::StatusOr<retrieval::Reembedding> SwitchVectors(const std::string& collection,
                                                       const std::string& fingerprint) override {
    return ReembeddingOf(&v1::StoreService::Stub::AsyncSwitchVectors, OtherVectors(collection, fingerprint));
  }
  absl::StatusOr<retrieval::Reembedding> DropVectors(const std::string& collection,
                                                     const std::string& fingerprint) override {
    return ReembeddingOf(&v1::StoreService::Stub::AsyncDropVectors, OtherVectors(collection, fingerprint));
  }

  absl::StatusOr<retrieval::SearchResult> Search(const retrieval::SearchQuery& query,
                                                 const CallContext& context) override {
    v1::SearchStoreRequest request;
    *request.mutable_query() = ToProto(query);
    request.mutable_vector()->Add(query.vector.begin(), query.vector.end());
    request.set_fingerprint(query.fingerprint);
    request.set_with_vectors(query.with_vectors);
    LASTRO_ASSIGN_OR_RETURN(v1::SearchResponse response,
                            Unary<v1::SearchResponse>(&v1::StoreService::Stub::AsyncSearchStore, request,
                                                      context.WithScope(context_.scope())));
    LASTRO_ASSIGN_OR_RETURN(auto hits, Converted<retrieval::SearchHit>(response.hits()));
    return retrieval::SearchResult{std::move(hits), response.store_commit(), response.removed_documents(),
                                   services::FromProto(response.explanation())};
  }

  absl::Status PutJob(const Job& job) override {
    return Unary<v1::PutStoredJobResponse>(&v1::StoreService::Stub::AsyncPutStoredJob, ToStoredProto(job), context_)
        .status();
  }
  absl::StatusOr<Job> GetJob(const std::string& id) override {
    v1::GetStoredJobRequest request;
    request.set_job_id(id);
    LASTRO_ASSIGN_OR_RETURN(v1::StoredJob stored,
                            Unary<v1::StoredJob>(&v1::StoreService::Stub::AsyncGetStoredJob, request, context_));
    return FromStoredProto(stored);
  }
  absl::StatusOr<std::vector<Job>> ListJobs() override {
    std::vector<Job> jobs;
    auto start = [&](grpc::ClientContext* client, grpc::CompletionQueue* queue, void* tag) {
      return stub_->AsyncListStoredJobs(client, {}, queue, tag);
    };
    LASTRO_RETURN_IF_ERROR(CallServerStream<v1::StoredJob>(channel_.get(), context_, start,
                                                           [&](const v1::StoredJob& stored) -> absl::Status {
                                                             LASTRO_ASSIGN_OR_RETURN(Job job, FromStoredProto(stored));
                                                             jobs.push_back(std::move(job));
                                                             return absl::OkStatus();
                                                           }));
    return jobs;
  }

 private:
  // `start` is the stub's asynchronous method.
  template <typename Response, typename Request>
  absl::StatusOr<Response> Unary(std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> (
                                     v1::StoreService::Stub::*start)(grpc::ClientContext*, const Request&,
                                                                     grpc::CompletionQueue*),
                                 const Request& request, const CallContext& context,
                                 absl::Duration timeout = absl::ZeroDuration()) {
    return CallUnary<Response>(
        channel_.get(), context,
        [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
          return (stub_.get()->*start)(client, request, queue);
        },
        timeout);
  }

  template <typename Request>
  absl::StatusOr<retrieval::Reembedding> ReembeddingOf(
      std::unique_ptr<grpc::ClientAsyncResponseReader<v1::Reembedding>> (v1::StoreService::Stub::*start)(
          grpc::ClientContext*, const Request&, grpc::CompletionQueue*),
      const Request& request) {
    LASTRO_ASSIGN_OR_RETURN(v1::Reembedding response, Unary<v1::Reembedding>(start, request, context_));
    return services::FromProto(response);
  }

  static v1::OtherVectorsRequest OtherVectors(const std::string& collection, const std::string& fingerprint) {
    v1::OtherVectorsRequest request;
    request.set_collection(collection);
    request.set_fingerprint(fingerprint);
    return request;
  }

  template <typename Record, typename Messages>
  static absl::StatusOr<std::vector<Record>> Converted(const Messages& messages) {
    std::vector<Record> records;
    for (const auto& message : messages) {
      LASTRO_ASSIGN_OR_RETURN(Record record, services::FromProto(message));
      records.push_back(std::move(record));
    }
    return records;
  }

  absl::StatusOr<Document> GetDocument(const v1::GetDocumentRequest& request) {
    LASTRO_ASSIGN_OR_RETURN(v1::Document document, retrieval_->GetDocument(request, context_));
    return services::FromProto(document);
  }

  const std::shared_ptr<RemoteChannel> channel_;
  const CallContext context_;  // of the calls that have none of their own, with the scope of all
  const std::unique_ptr<RetrievalApi> retrieval_;
  const std::unique_ptr<v1::StoreService::Stub> stub_;
};

}  // namespace

std::unique_ptr<retrieval::ChunkStore> MakeRemoteStore(std::shared_ptr<RemoteChannel> channel) {
  return std::make_unique<RemoteStore>(std::move(channel), Scope::Operator());
}

}  // namespace lastro::services
