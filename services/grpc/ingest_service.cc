#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "lastro/v1/ingest.grpc.pb.h"
#include "services/grpc/grpc_services.h"

namespace lastro::services {
namespace {

class IngestGrpcService final : public v1::IngestService::Service {
 public:
  IngestGrpcService(IngestApi* ingest, uint64_t max_upload_bytes, CallRunner* calls)
      : ingest_(*ingest), max_upload_bytes_(max_upload_bytes), calls_(*calls) {}

  grpc::Status IngestFolder(grpc::ServerContext* server, const v1::IngestFolderRequest* request,
                            v1::Job* response) override {
    return calls_.Unary(server, {.method = "IngestService/IngestFolder"}, response,
                        [&](const CallContext& context) { return ingest_.IngestFolder(*request, false, context); });
  }
  grpc::Status SyncFolder(grpc::ServerContext* server, const v1::IngestFolderRequest* request,
                          v1::Job* response) override {
    return calls_.Unary(server, {.method = "IngestService/SyncFolder"}, response,
                        [&](const CallContext& context) { return ingest_.IngestFolder(*request, true, context); });
  }

  grpc::Status Upload(grpc::ServerContext* server, grpc::ServerReader<v1::UploadRequest>* reader,
                      v1::UploadResponse* response) override {
    const CallSpec spec{.method = "IngestService/Upload", .gate = &calls_.gates().upload};
    return calls_.Run(*server, spec, [&](Call& call) -> absl::Status {
      v1::UploadRequest::Header header;
      std::string content;
      LASTRO_RETURN_IF_ERROR(ReadUpload(call, reader, &header, &content));
      LASTRO_ASSIGN_OR_RETURN(*response, ingest_.Upload(header, content, call.context()));
      return absl::OkStatus();
    });
  }

  grpc::Status Reembed(grpc::ServerContext* server, const v1::ReembedRequest* request, v1::Job* response) override {
    return calls_.Unary(server, {.method = "IngestService/Reembed"}, response,
                        [&](const CallContext& context) { return ingest_.Reembed(*request, context); });
  }
  grpc::Status GetReembedding(grpc::ServerContext* server, const v1::GetReembeddingRequest* request,
                              v1::Reembedding* response) override {
    return calls_.Unary(server, {.method = "IngestService/GetReembedding"}, response,
                        [&](const CallContext& context) { return ingest_.GetReembedding(*request, context); });
  }
  grpc::Status SwitchEmbedding(grpc::ServerContext* server, const v1::SwitchEmbeddingRequest* request,
                               v1::Reembedding* response) override {
    const CallSpec spec{.method = "IngestService/SwitchEmbedding", .gate = &calls_.gates().upload};
    return calls_.Unary(server, spec, response,
                        [&](const CallContext& context) { return ingest_.SwitchEmbedding(*request, context); });
  }
  grpc::Status FinishReembedding(grpc::ServerContext* server, const v1::FinishReembeddingRequest* request,
                                 v1::Reembedding* response) override {
    return calls_.Unary(server, {.method = "IngestService/FinishReembedding"}, response,
                        [&](const CallContext& context) { return ingest_.FinishReembedding(*request, context); });
  }

  grpc::Status GetJob(grpc::ServerContext* server, const v1::GetJobRequest* request, v1::Job* response) override {
    return calls_.Unary(server, {.method = "IngestService/GetJob"}, response,
                        [&](const CallContext& context) { return ingest_.GetJob(*request, context); });
  }
  grpc::Status ListJobs(grpc::ServerContext* server, const v1::ListJobsRequest* request,
                        v1::ListJobsResponse* response) override {
    return calls_.Unary(server, {.method = "IngestService/ListJobs"}, response,
                        [&](const CallContext& context) { return ingest_.ListJobs(*request, context); });
  }
  grpc::Status WatchJob(grpc::ServerContext* server, const v1::GetJobRequest* request,
                        grpc::ServerWriter<v1::Job>* writer) override {
    const CallSpec spec{.method = "IngestService/WatchJob", .gate = &calls_.gates().watch, .ends_at_drain = true};
    return calls_.Run(*server, spec, [&](Call& call) {
      return ingest_.WatchJob(*request, call.context(), [&](const v1::Job& job) { return call.Write(writer, job); });
    });
  }
  grpc::Status CancelJob(grpc::ServerContext* server, const v1::GetJobRequest* request, v1::Job* response) override {
    return calls_.Unary(server, {.method = "IngestService/CancelJob"}, response,
                        [&](const CallContext& context) { return ingest_.CancelJob(*request, context); });
  }

 private:
  // Joins the pieces of an upload. A stream that breaks off is CANCELLED, so that no half of a document is ingested.
  absl::Status ReadUpload(Call& call, grpc::ServerReader<v1::UploadRequest>* reader, v1::UploadRequest::Header* header,
                          std::string* content) const {
    v1::UploadRequest part;
    if (!call.Read(reader, &part) || !part.has_header()) {
      LASTRO_RETURN_IF_ERROR(call.context().Check());
      return absl::InvalidArgumentError("the first message of an upload must be its header");
    }
    *header = std::move(*part.mutable_header());
    while (call.Read(reader, &part)) {
      if (part.part_case() != v1::UploadRequest::kContent) {
        return absl::InvalidArgumentError("after its header an upload has messages with content only");
      }
      if (content->size() + part.content().size() > max_upload_bytes_) {
        return absl::ResourceExhaustedError(
            absl::StrCat("the upload exceeds ", max_upload_bytes_, " bytes; split the document"));
      }
      content->append(part.content());
    }
    return call.context().Check();
  }

  IngestApi& ingest_;
  const uint64_t max_upload_bytes_;
  CallRunner& calls_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeIngestService(IngestApi* ingest, uint64_t max_upload_bytes, CallRunner* calls) {
  return std::make_unique<IngestGrpcService>(ingest, max_upload_bytes, calls);
}

}  // namespace lastro::services
