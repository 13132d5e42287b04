#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "lastro/v1/store.grpc.pb.h"
#include "services/grpc/grpc_services.h"
#include "services/grpc/limits.h"
#include "services/proto_convert.h"

namespace lastro::services {
namespace {

constexpr int kMaxVectorKeys = 16'384;  // their vectors fit into one response

// A document on its way into the store, joined from its pieces.
struct IncomingDocument {
  retrieval::Document document;
  std::string fingerprint;
  std::string original;
  std::string extracted;
  std::vector<retrieval::Chunk> chunks;
  size_t bytes = 0;
};

absl::Status AddPart(const v1::PutDocumentRequest& part, IncomingDocument* incoming) {
  incoming->bytes += part.ByteSizeLong();
  if (incoming->bytes > kMaxStoredDocumentBytes) {
    return absl::ResourceExhaustedError(absl::StrCat("the document '", incoming->document.uri, "' exceeds ",
                                                     kMaxStoredDocumentBytes, " bytes with its chunks"));
  }
  switch (part.part_case()) {
    case v1::PutDocumentRequest::kOriginal:
      incoming->original.append(part.original());
      return absl::OkStatus();
    case v1::PutDocumentRequest::kExtracted:
      incoming->extracted.append(part.extracted());
      return absl::OkStatus();
    case v1::PutDocumentRequest::kChunks:
      for (const v1::Chunk& chunk : part.chunks().chunks()) {
        LASTRO_ASSIGN_OR_RETURN(retrieval::Chunk converted, FromProto(chunk));
        incoming->chunks.push_back(std::move(converted));
      }
      return absl::OkStatus();
    default:
      return absl::InvalidArgumentError("after its header a document has messages with bytes or chunks only");
  }
}

// A stream that broke off is no whole document: the header's chunk_count must be that of the chunks that came.
absl::Status ReadDocument(Call& call, grpc::ServerReader<v1::PutDocumentRequest>* reader, IncomingDocument* incoming) {
  v1::PutDocumentRequest part;
  if (!call.Read(reader, &part) || !part.has_header()) {
    LASTRO_RETURN_IF_ERROR(call.context().Check());
    return absl::InvalidArgumentError("the first message of a document must be its header");
  }
  LASTRO_ASSIGN_OR_RETURN(incoming->document, FromProto(part.header().document()));
  incoming->fingerprint = part.header().fingerprint();
  const int64_t chunk_count = part.header().document().chunk_count();
  while (call.Read(reader, &part)) LASTRO_RETURN_IF_ERROR(AddPart(part, incoming));
  LASTRO_RETURN_IF_ERROR(call.context().Check());
  if (chunk_count == static_cast<int64_t>(incoming->chunks.size())) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("the document announces ", chunk_count, " chunks, but ",
                                                 incoming->chunks.size(), " came; send it again"));
}

v1::DocumentState ToProto(const std::string& uri, const retrieval::DocumentState& state) {
  v1::DocumentState message;
  message.set_uri(uri);
  message.set_document_id(state.document_id);
  message.set_content_sha256(state.content_sha256);
  message.set_pipeline(state.pipeline);
  message.set_origin(state.origin);
  return message;
}

class StoreGrpcService final : public v1::StoreService::Service {
 public:
  StoreGrpcService(retrieval::ChunkStore* store, CallRunner* calls) : store_(store), calls_(*calls) {}

  grpc::Status CreateCollection(grpc::ServerContext* server, const v1::Collection* request,
                                v1::Collection* response) override {
    return Run(server, "StoreService/CreateCollection", [&](Call&, retrieval::ChunkStore& store) -> absl::Status {
      LASTRO_ASSIGN_OR_RETURN(retrieval::Collection collection, FromProto(*request));
      LASTRO_RETURN_IF_ERROR(store.CreateCollection(collection));
      LASTRO_ASSIGN_OR_RETURN(collection, store.GetCollection(collection.name));
      *response = services::ToProto(collection);
      return absl::OkStatus();
    });
  }

  grpc::Status PutDocument(grpc::ServerContext* server, grpc::ServerReader<v1::PutDocumentRequest>* reader,
                           v1::Document* response) override {
    return Run(server, "StoreService/PutDocument", [&](Call& call, retrieval::ChunkStore& store) -> absl::Status {
      IncomingDocument incoming;
      LASTRO_RETURN_IF_ERROR(ReadDocument(call, reader, &incoming));
      LASTRO_ASSIGN_OR_RETURN(retrieval::Document stored,
                              store.PutDocument(incoming.document, incoming.fingerprint, incoming.chunks,
                                                incoming.original, incoming.extracted));
      *response = services::ToProto(stored);
      return absl::OkStatus();
    });
  }

  grpc::Status GetDocumentStates(grpc::ServerContext* server, const v1::GetDocumentStatesRequest* request,
                                 grpc::ServerWriter<v1::DocumentState>* writer) override {
    return Run(server, "StoreService/GetDocumentStates", [&](Call& call, retrieval::ChunkStore& store) -> absl::Status {
      LASTRO_ASSIGN_OR_RETURN(auto states, store.DocumentStates(CollectionOrDefault(request->collection())));
      for (const auto& [uri, state] : states) LASTRO_RETURN_IF_ERROR(call.Write(writer, ToProto(uri, state)));
      return absl::OkStatus();
    });
  }

  grpc::Status FindVectors(grpc::ServerContext* server, const v1::FindVectorsRequest* request,
                           v1::FindVectorsResponse* response) override {
    return Run(server, "StoreService/FindVectors", [&](Call&, retrieval::ChunkStore& store) -> absl::Status {
      if (request->text_sha256_size() > kMaxVectorKeys) {
        return absl::InvalidArgumentError(
            absl::StrCat(request->text_sha256_size(), " keys; at most ", kMaxVectorKeys, " a call"));
      }
      const std::vector<std::string> keys(request->text_sha256().begin(), request->text_sha256().end());
      LASTRO_ASSIGN_OR_RETURN(
          auto vectors, store.FindVectors(CollectionOrDefault(request->collection()), request->fingerprint(), keys));
      for (const std::vector<float>& vector : vectors) {
        response->add_vectors()->mutable_values()->Add(vector.begin(), vector.end());
      }
      return absl::OkStatus();
    });
  }

  grpc::Status SearchStore(grpc::ServerContext* server, const v1::SearchStoreRequest* request,
                           v1::SearchResponse* response) override {
    return Run(server, "StoreService/SearchStore", [&](Call& call, retrieval::ChunkStore& store) -> absl::Status {
      LASTRO_ASSIGN_OR_RETURN(retrieval::SearchQuery query, FromProto(request->query()));
      query.vector.assign(request->vector().begin(), request->vector().end());
      query.fingerprint = request->fingerprint();
      query.with_vectors = request->with_vectors();
      LASTRO_ASSIGN_OR_RETURN(retrieval::SearchResult result, store.Search(query, call.context()));
      for (const retrieval::SearchHit& hit : result.hits) *response->add_hits() = services::ToProto(hit);
      response->set_store_commit(result.commit);
      response->set_removed_documents(result.removed);
      *response->mutable_explanation() = services::ToProto(result.trace);
      return absl::OkStatus();
    });
  }

  grpc::Status ReadOriginal(grpc::ServerContext* server, const v1::ReadOriginalRequest* request,
                            grpc::ServerWriter<v1::ReadOriginalResponse>* writer) override {
    return Run(server, "StoreService/ReadOriginal", [&](Call& call, retrieval::ChunkStore& store) -> absl::Status {
      LASTRO_ASSIGN_OR_RETURN(std::string original,
                              store.ReadOriginal(CollectionOrDefault(request->collection()), request->document_id()));
      for (size_t begin = 0; begin < original.size(); begin += kStreamPieceBytes) {
        v1::ReadOriginalResponse piece;
        piece.set_content(original.substr(begin, kStreamPieceBytes));
        LASTRO_RETURN_IF_ERROR(call.Write(writer, piece));
      }
      return absl::OkStatus();
    });
  }

  grpc::Status GetStoredReembedding(grpc::ServerContext* server, const v1::GetReembeddingRequest* request,
                                    v1::Reembedding* response) override {
    return Run(server, "StoreService/GetStoredReembedding", [&](Call&, retrieval::ChunkStore& store) {
      return Fill(store.GetReembedding(CollectionOrDefault(request->collection())), response);
    });
  }

  grpc::Status BeginReembedding(grpc::ServerContext* server, const v1::BeginReembeddingRequest* request,
                                v1::Reembedding* response) override {
    return Run(server, "StoreService/BeginReembedding", [&](Call&, retrieval::ChunkStore& store) {
      return Fill(store.BeginReembedding(CollectionOrDefault(request->collection()), FromProto(request->model())),
                  response);
    });
  }

  grpc::Status FindUnembedded(grpc::ServerContext* server, const v1::FindUnembeddedRequest* request,
                              v1::FindUnembeddedResponse* response) override {
    return Run(server, "StoreService/FindUnembedded", [&](Call&, retrieval::ChunkStore& store) -> absl::Status {
      LASTRO_ASSIGN_OR_RETURN(retrieval::UnembeddedChunks found,
                              store.FindUnembedded(CollectionOrDefault(request->collection()), request->fingerprint(),
                                                   request->after_chunk(), std::min(request->count(), kMaxVectorKeys)));
      for (const retrieval::Chunk& chunk : found.chunks) *response->add_chunks() = services::ToProto(chunk);
      response->set_last_chunk(found.last);
      return absl::OkStatus();
    });
  }

  grpc::Status PutVectors(grpc::ServerContext* server, const v1::PutVectorsRequest* request,
                          v1::PutVectorsResponse* response) override {
    return Run(server, "StoreService/PutVectors", [&](Call&, retrieval::ChunkStore& store) -> absl::Status {
      if (request->vectors_size() > kMaxVectorKeys) {
        return absl::InvalidArgumentError(
            absl::StrCat(request->vectors_size(), " vectors; at most ", kMaxVectorKeys, " a call"));
      }
      std::vector<retrieval::TextVector> vectors;
      for (const v1::PutVectorsRequest::TextVector& vector : request->vectors()) {
        vectors.push_back({vector.text_sha256(), {vector.values().begin(), vector.values().end()}});
      }
      LASTRO_ASSIGN_OR_RETURN(int64_t chunks, store.PutVectors(CollectionOrDefault(request->collection()),
                                                               request->fingerprint(), vectors));
      response->set_chunks(chunks);
      return absl::OkStatus();
    });
  }

  grpc::Status PrepareVectors(grpc::ServerContext* server, const v1::OtherVectorsRequest* request,
                              v1::PrepareVectorsResponse*) override {
    return Run(server, "StoreService/PrepareVectors", [&](Call&, retrieval::ChunkStore& store) {
      return store.PrepareVectors(CollectionOrDefault(request->collection()), request->fingerprint());
    });
  }

  grpc::Status SwitchVectors(grpc::ServerContext* server, const v1::OtherVectorsRequest* request,
                             v1::Reembedding* response) override {
    return Run(server, "StoreService/SwitchVectors", [&](Call&, retrieval::ChunkStore& store) {
      return Fill(store.SwitchVectors(CollectionOrDefault(request->collection()), request->fingerprint()), response);
    });
  }

  grpc::Status DropVectors(grpc::ServerContext* server, const v1::OtherVectorsRequest* request,
                           v1::Reembedding* response) override {
    return Run(server, "StoreService/DropVectors", [&](Call&, retrieval::ChunkStore& store) {
      return Fill(store.DropVectors(CollectionOrDefault(request->collection()), request->fingerprint()), response);
    });
  }

  grpc::Status PutStoredJob(grpc::ServerContext* server, const v1::StoredJob* request,
                            v1::PutStoredJobResponse*) override {
    return Run(server, "StoreService/PutStoredJob", [&](Call&, retrieval::ChunkStore& store) -> absl::Status {
      LASTRO_ASSIGN_OR_RETURN(retrieval::Job job, FromStoredProto(*request));
      return store.PutJob(job);
    });
  }

  grpc::Status GetStoredJob(grpc::ServerContext* server, const v1::GetStoredJobRequest* request,
                            v1::StoredJob* response) override {
    return Run(server, "StoreService/GetStoredJob", [&](Call&, retrieval::ChunkStore& store) -> absl::Status {
      LASTRO_ASSIGN_OR_RETURN(retrieval::Job job, store.GetJob(request->job_id()));
      *response = ToStoredProto(job);
      return absl::OkStatus();
    });
  }

  grpc::Status ListStoredJobs(grpc::ServerContext* server, const v1::ListStoredJobsRequest*,
                              grpc::ServerWriter<v1::StoredJob>* writer) override {
    return Run(server, "StoreService/ListStoredJobs", [&](Call& call, retrieval::ChunkStore& store) -> absl::Status {
      LASTRO_ASSIGN_OR_RETURN(std::vector<retrieval::Job> jobs, store.ListJobs());
      for (const retrieval::Job& job : jobs) LASTRO_RETURN_IF_ERROR(call.Write(writer, ToStoredProto(job)));
      return absl::OkStatus();
    });
  }

 private:
  static absl::Status Fill(const absl::StatusOr<retrieval::Reembedding>& state, v1::Reembedding* response) {
    if (state.ok()) *response = services::ToProto(*state);
    return state.status();
  }

  template <typename Body>
  grpc::Status Run(grpc::ServerContext* server, const char* method, const Body& body) {
    return calls_.Run(*server, {.method = method, .gate = &calls_.gates().store}, [&](Call& call) -> absl::Status {
      if (store_ == nullptr) {
        return absl::UnimplementedError("this server does not host the store; ask one with the retrieval role");
      }
      LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<retrieval::ChunkStore> store, store_->WithScope(call.context().scope()));
      return body(call, *store);
    });
  }

  retrieval::ChunkStore* const store_;
  CallRunner& calls_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeStoreService(retrieval::ChunkStore* store, CallRunner* calls) {
  return std::make_unique<StoreGrpcService>(store, calls);
}

}  // namespace lastro::services
