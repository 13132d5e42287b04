// The CPU backend's KvStore: [layers, 2 (K, V), blocks], blocks as kernels/kv_layout.h describes them.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "engine/backend.h"
#include "engine/cpu_buffer.h"
#include "kernels/kv_layout.h"

namespace lastro::engine {

class CpuKvStore : public KvStore {
 public:
  // REQUIRES: a shape of positive numbers, blocks of kernels::kKvBlock tokens.
  static absl::StatusOr<std::unique_ptr<CpuKvStore>> Create(const KvShape& shape, kernels::KvType type);
  static int64_t Bytes(const KvShape& shape, kernels::KvType type);  // INT64_MAX where that does not fit

  kernels::KvView Layer(int64_t layer) const;
  void CopyBlock(int32_t from, int32_t to);
  // Key and value of the token in `slot` of a block, of all heads: [kv_heads * head_dim] each.
  void Read(int64_t layer, int32_t block, int64_t slot, float* key, float* value) const;

 private:
  CpuKvStore(const KvShape& shape, kernels::KvType type, CpuMemory memory)
      : KvStore(shape), type_(type), memory_(std::move(memory)) {}

  const kernels::KvType type_;
  CpuMemory memory_;
};

}  // namespace lastro::engine
