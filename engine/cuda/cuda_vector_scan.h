// The VectorScan of one NVIDIA GPU, in memory of its own beside the backend's.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "engine/vector_scan.h"

namespace lastro::engine {

// FAILED_PRECONDITION: there is no such GPU, or it is too old.
absl::StatusOr<std::unique_ptr<VectorScan>> NewCudaVectorScan(int device, int64_t bytes);

}  // namespace lastro::engine
