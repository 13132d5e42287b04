// Which GPUs a machine has and whether this build runs on them. Thread-safe.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace lastro::engine {

int CountCudaDevices();  // 0 also without a driver
// Makes it the calling thread's device; its name. FAILED_PRECONDITION: there is none of that number, or it is too old.
absl::StatusOr<std::string> SelectCudaDevice(int device);

}  // namespace lastro::engine
