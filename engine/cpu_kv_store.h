// The CPU backend's KvStore: fp32, [layers, 2 (K, V), blocks, block elements], a layer as kernels::KvView describes it.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "engine/backend.h"
#include "engine/cpu_buffer.h"

namespace lastro::engine {

class CpuKvStore : public KvStore {
 public:
  // REQUIRES: a shape of positive numbers, blocks of kernels::kKvBlock tokens.
  static absl::StatusOr<std::unique_ptr<CpuKvStore>> Create(const KvShape& shape);
  static int64_t Bytes(const KvShape& shape);  // INT64_MAX where that does not fit

  kernels::KvView Layer(int64_t layer) const;
  void CopyBlock(int32_t from, int32_t to);

 private:
  CpuKvStore(const KvShape& shape, CpuMemory memory) : KvStore(shape), memory_(std::move(memory)) {}

  CpuMemory memory_;
};

}  // namespace lastro::engine
