#include "engine/cpu_kv_store.h"

#include <cstring>

#include "base/status_macros.h"
#include "kernels/bfloat16.h"

namespace lastro::engine {
namespace {

// Element i of an array of the cache's type; `scale` is of int8.
float Element(kernels::KvType type, const uint8_t* array, int64_t i, float scale) {
  switch (type) {
    case kernels::KvType::kF32: {
      float value;
      std::memcpy(&value, array + 4 * i, sizeof(value));
      return value;
    }
    case kernels::KvType::kF16: {
      uint16_t bits;
      std::memcpy(&bits, array + 2 * i, sizeof(bits));
      return kernels::Fp16ToFloat(bits);
    }
    case kernels::KvType::kInt8:
      return scale * static_cast<float>(static_cast<int8_t>(array[i]));
  }
  return 0;
}

}  // namespace

int64_t CpuKvStore::Bytes(const KvShape& shape, kernels::KvType type) {
  constexpr int64_t kWidest = int64_t{1} << 32;  // far from where the bytes of a vector would overflow
  if (shape.head_dim > kWidest) return INT64_MAX;
  int64_t bytes = 2 * kernels::KvVectorBytes(type, shape.head_dim);
  for (int64_t factor : {shape.layers, shape.kv_heads, shape.block_tokens, shape.blocks}) {
    if (__builtin_mul_overflow(bytes, factor, &bytes)) return INT64_MAX;
  }
  return bytes;
}

absl::StatusOr<std::unique_ptr<CpuKvStore>> CpuKvStore::Create(const KvShape& shape, kernels::KvType type) {
  LASTRO_CHECK(shape.layers > 0 && shape.kv_heads > 0 && shape.head_dim > 0 && shape.blocks > 0);
  LASTRO_CHECK(shape.block_tokens == kernels::kKvBlock);
  LASTRO_ASSIGN_OR_RETURN(CpuMemory memory, CpuMemory::Allocate(Bytes(shape, type)));
  return std::unique_ptr<CpuKvStore>(new CpuKvStore(shape, type, std::move(memory)));
}

kernels::KvView CpuKvStore::Layer(int64_t layer) const {
  kernels::KvView view = {nullptr, nullptr, type_, shape().kv_heads, shape().head_dim};
  const int64_t half = shape().blocks * view.block_bytes();
  view.k = memory_.as<uint8_t>() + 2 * layer * half;
  view.v = view.k + half;
  return view;
}

void CpuKvStore::CopyBlock(int32_t from, int32_t to) {
  for (int64_t layer = 0; layer < shape().layers; ++layer) {
    const kernels::KvView view = Layer(layer);
    const size_t bytes = static_cast<size_t>(view.block_bytes());
    std::memcpy(view.Keys(to, 0), view.Keys(from, 0), bytes);
    std::memcpy(view.Values(to, 0), view.Values(from, 0), bytes);
  }
}

void CpuKvStore::Read(int64_t layer, int32_t block, int64_t slot, float* key, float* value) const {
  const kernels::KvView view = Layer(layer);
  const int64_t dims = view.head_dim, groups = kernels::KvGroups(dims);
  for (int64_t head = 0; head < view.kv_heads; ++head, key += dims, value += dims) {
    const uint8_t *keys = view.Keys(block, head), *values = view.Values(block, head);
    float key_scale = 0, value_scale = 0;
    for (int64_t c = 0; c < dims; ++c) {
      if (type_ == kernels::KvType::kInt8 && c % kernels::kKvGroup == 0) {
        const int64_t codes = kernels::kKvBlock * dims, group = c / kernels::kKvGroup;
        key_scale = Element(kernels::KvType::kF32, keys + codes, group * kernels::kKvBlock + slot, 0);
        value_scale = Element(kernels::KvType::kF32, values + codes, slot * groups + group, 0);
      }
      key[c] = Element(type_, keys, c * kernels::kKvBlock + slot, key_scale);
      value[c] = Element(type_, values, slot * dims + c, value_scale);
    }
  }
}

}  // namespace lastro::engine
