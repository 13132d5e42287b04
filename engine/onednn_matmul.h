// OneDnnMatmul: out = x W^T + bias through oneDNN, one thread per call: the caller splits rows over its own threads, so
// that oneDNN's OpenMP never starts a team. The one place where oneDNN's exceptions are translated.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "kernels/kernels.h"

namespace lastro::engine {

// What oneDNN finds on this machine.
struct OneDnnSupport {
  bool amx = false;
  std::string isa;  // such as "avx512_core_bf16"
};
const OneDnnSupport& GetOneDnnSupport();

class OneDnnMatmul {
 public:
  // `weights` is row-major [n, k] of type F32 or BF16; x has the same type. With `pack` the weights are copied into the
  // layout of oneDNN's kernels and `weights` is not needed afterwards; else it must outlive the object. `bias` [n] or
  // null must outlive it too. Null when oneDNN cannot do it on this machine.
  static std::unique_ptr<OneDnnMatmul> Create(const void* weights, kernels::DataType type, int64_t n, int64_t k,
                                              const float* bias, bool pack);
  ~OneDnnMatmul();

  // x [rows, k] -> out [rows, n], both without padding; a row's result does not depend on the rows beside it.
  // Thread-safe. False, with `out` unspecified, when oneDNN fails.
  bool Run(const void* x, int64_t rows, float* out) const;

 private:
  OneDnnMatmul();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// out [rows, n] = x w^T, or += with `accumulate`, in fp32 and on the calling thread; x [rows, k] and w [n, k] without
// padding, rows of out `out_stride` apart. False, with `out` unspecified, when oneDNN fails.
bool Sgemm(const float* x, int64_t rows, const float* w, int64_t n, int64_t k, bool accumulate, int64_t out_stride,
           float* out);

}  // namespace lastro::engine
