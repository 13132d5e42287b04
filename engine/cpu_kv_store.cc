#include "engine/cpu_kv_store.h"

#include <cstring>

#include "base/status_macros.h"

namespace lastro::engine {

int64_t CpuKvStore::Bytes(const KvShape& shape) {
  int64_t bytes = 2 * sizeof(float);
  for (int64_t factor : {shape.layers, shape.kv_heads, shape.head_dim, shape.block_tokens, shape.blocks}) {
    if (__builtin_mul_overflow(bytes, factor, &bytes)) return INT64_MAX;
  }
  return bytes;
}

absl::StatusOr<std::unique_ptr<CpuKvStore>> CpuKvStore::Create(const KvShape& shape) {
  LASTRO_CHECK(shape.layers > 0 && shape.kv_heads > 0 && shape.head_dim > 0 && shape.blocks > 0);
  LASTRO_CHECK(shape.block_tokens == kernels::kKvBlock);
  LASTRO_ASSIGN_OR_RETURN(CpuMemory memory, CpuMemory::Allocate(Bytes(shape)));
  return std::unique_ptr<CpuKvStore>(new CpuKvStore(shape, std::move(memory)));
}

kernels::KvView CpuKvStore::Layer(int64_t layer) const {
  const int64_t half = shape().blocks * shape().kv_heads * shape().head_dim * kernels::kKvBlock;
  float* k = memory_.as<float>() + 2 * layer * half;
  return {k, k + half, shape().kv_heads, shape().head_dim};
}

void CpuKvStore::CopyBlock(int32_t from, int32_t to) {
  for (int64_t layer = 0; layer < shape().layers; ++layer) {
    const kernels::KvView view = Layer(layer);
    for (float* half : {view.k, view.v}) {
      std::memcpy(half + to * view.block_elements(), half + from * view.block_elements(),
                  static_cast<size_t>(view.block_elements()) * sizeof(float));
    }
  }
}

}  // namespace lastro::engine
