// A backend's matrix as the CUDA kernels take it. Pure function, thread-safe.
#pragma once

#include "engine/backend.h"
#include "kernels/cuda/matrix.h"

namespace lastro::engine {

inline kernels::cuda::Matrix DeviceMatrix(const MatrixView& m) { return {m.data, m.type, m.rows, m.cols, m.stride}; }

}  // namespace lastro::engine
