// Errors of the CUDA runtime as statuses: the one place that translates them. Pure functions, thread-safe.
#pragma once

#include <cuda_runtime.h>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace lastro::engine {

// `operation` opens the message. RESOURCE_EXHAUSTED where memory ran out, FAILED_PRECONDITION where there is no
// device or driver, else INTERNAL.
absl::Status CudaStatus(cudaError_t error, absl::string_view operation);

}  // namespace lastro::engine
