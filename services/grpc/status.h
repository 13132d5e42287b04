// The one place where absl::Status and grpc::Status are translated into each other. Codes map one to one.
#pragma once

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace lastro::services {

// The message is cut to 2 KiB: it travels in HTTP/2 trailers, which peers limit to 8 KiB after percent-encoding.
grpc::Status ToGrpc(const absl::Status& status);

// A code that gRPC does not define becomes UNKNOWN.
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace lastro::services
