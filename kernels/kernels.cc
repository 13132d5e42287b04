#include "kernels/kernels.h"

#include "kernels/cpu_features.h"

namespace lastro::kernels {

const Kernels& ActiveKernels() {
  static const Kernels& active = ApplySimdLimit() ? ReferenceKernels() : SimdKernels();
  return active;
}

}  // namespace lastro::kernels
