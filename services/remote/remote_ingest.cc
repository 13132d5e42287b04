#include "base/status_macros.h"
#include "lastro/v1/ingest.grpc.pb.h"
#include "services/grpc/limits.h"
#include "services/remote/remote_apis.h"

namespace lastro::services {
namespace {

// Uploads are read, embedded and committed before they return.
constexpr absl::Duration kUploadTimeout = absl::Minutes(10);
// Chunks may have to be embedded and indexed first, and many rows dropped.
constexpr absl::Duration kSwitchTimeout = absl::Minutes(30);
// A watched job may run for hours; its stream is ended by its context.
constexpr absl::Duration kWatchTimeout = absl::Hours(24 * 365);

class RemoteIngest final : public IngestApi {
 public:
  explicit RemoteIngest(std::shared_ptr<RemoteChannel> channel)
      : channel_(std::move(channel)), stub_(v1::IngestService::NewStub(channel_->channel())) {}

  absl::StatusOr<v1::Job> IngestFolder(const v1::IngestFolderRequest& request, bool sync,
                                       const CallContext& context) override {
    return CallUnary<v1::Job>(channel_.get(), context, [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
      return sync ? stub_->AsyncSyncFolder(client, request, queue) : stub_->AsyncIngestFolder(client, request, queue);
    });
  }

  absl::StatusOr<v1::UploadResponse> Upload(const v1::UploadRequest::Header& header, const std::string& content,
                                            const CallContext& context) override {
    auto start = [&](grpc::ClientContext* client, v1::UploadResponse* response, grpc::CompletionQueue* queue,
                     void* tag) { return stub_->AsyncUpload(client, response, queue, tag); };
    auto produce = [&](const std::function<bool(const v1::UploadRequest&)>& send) {
      v1::UploadRequest part;
      *part.mutable_header() = header;
      bool wanted = send(part);
      for (size_t begin = 0; wanted && begin < content.size(); begin += kStreamPieceBytes) {
        part.set_content(content.substr(begin, kStreamPieceBytes));
        wanted = send(part);
      }
    };
    return CallClientStream<v1::UploadRequest, v1::UploadResponse>(channel_.get(), context, start, produce,
                                                                   kUploadTimeout);
  }

  absl::StatusOr<v1::Job> Reembed(const v1::ReembedRequest& request, const CallContext& context) override {
    return CallUnary<v1::Job>(channel_.get(), context, [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
      return stub_->AsyncReembed(client, request, queue);
    });
  }
  absl::StatusOr<v1::Reembedding> GetReembedding(const v1::GetReembeddingRequest& request,
                                                 const CallContext& context) override {
    return CallUnary<v1::Reembedding>(channel_.get(), context,
                                      [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
                                        return stub_->AsyncGetReembedding(client, request, queue);
                                      });
  }
  absl::StatusOr<v1::Reembedding> SwitchEmbedding(const v1::SwitchEmbeddingRequest& request,
                                                  const CallContext& context) override {
    return CallUnary<v1::Reembedding>(
        channel_.get(), context,
        [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
          return stub_->AsyncSwitchEmbedding(client, request, queue);
        },
        kSwitchTimeout);
  }
  absl::StatusOr<v1::Reembedding> FinishReembedding(const v1::FinishReembeddingRequest& request,
                                                    const CallContext& context) override {
    return CallUnary<v1::Reembedding>(
        channel_.get(), context,
        [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
          return stub_->AsyncFinishReembedding(client, request, queue);
        },
        kSwitchTimeout);
  }

  absl::StatusOr<v1::Job> GetJob(const v1::GetJobRequest& request, const CallContext& context) override {
    return CallUnary<v1::Job>(channel_.get(), context, [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
      return stub_->AsyncGetJob(client, request, queue);
    });
  }
  absl::StatusOr<v1::ListJobsResponse> ListJobs(const v1::ListJobsRequest& request,
                                                const CallContext& context) override {
    return CallUnary<v1::ListJobsResponse>(channel_.get(), context,
                                           [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
                                             return stub_->AsyncListJobs(client, request, queue);
                                           });
  }

  absl::Status WatchJob(const v1::GetJobRequest& request, const CallContext& context,
                        const Sink<v1::Job>& sink) override {
    auto start = [&](grpc::ClientContext* client, grpc::CompletionQueue* queue, void* tag) {
      return stub_->AsyncWatchJob(client, request, queue, tag);
    };
    return CallServerStream<v1::Job>(channel_.get(), context, start, sink, kWatchTimeout);
  }

  absl::StatusOr<v1::Job> CancelJob(const v1::GetJobRequest& request, const CallContext& context) override {
    return CallUnary<v1::Job>(channel_.get(), context, [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
      return stub_->AsyncCancelJob(client, request, queue);
    });
  }

 private:
  const std::shared_ptr<RemoteChannel> channel_;
  const std::unique_ptr<v1::IngestService::Stub> stub_;
};

}  // namespace

std::unique_ptr<IngestApi> MakeRemoteIngest(std::shared_ptr<RemoteChannel> channel) {
  return std::make_unique<RemoteIngest>(std::move(channel));
}

}  // namespace lastro::services
