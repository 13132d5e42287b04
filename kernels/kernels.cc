#include "kernels/kernels.h"

#include <cstdlib>
#include <cstring>

namespace lastro::kernels {

const Kernels& ActiveKernels() {
  static const Kernels& active = [&]() -> const Kernels& {
    const char* choice = std::getenv("LASTRO_SIMD");
    return choice != nullptr && std::strcmp(choice, "scalar") == 0 ? ReferenceKernels() : SimdKernels();
  }();
  return active;
}

}  // namespace lastro::kernels
