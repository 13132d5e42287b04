#include "engine/kv_cache.h"

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace lastro::engine {

absl::StatusOr<KvCache> KvCache::Create(Backend& backend, const Architecture& architecture, int64_t layers,
                                        int64_t blocks) {
  LASTRO_CHECK(layers >= 1 && blocks >= 1);
  int64_t floats = 0;
  if (__builtin_mul_overflow(2 * architecture.kv_dim() * kernels::kKvBlock * layers, blocks, &floats)) {
    return absl::ResourceExhaustedError(absl::StrCat("a cache of ", blocks, " blocks is larger than memory can be"));
  }
  KvCache cache;
  LASTRO_ASSIGN_OR_RETURN(cache.buffer_, backend.Allocate(floats));
  cache.layers_ = layers;
  cache.blocks_ = blocks;
  cache.kv_heads_ = architecture.kv_heads;
  cache.head_dim_ = architecture.head_dim;
  return cache;
}

kernels::KvView KvCache::Layer(int64_t layer) const {
  const int64_t index = layers_ == 1 ? 0 : layer;
  LASTRO_CHECK(index >= 0 && index < layers_);
  const int64_t half = blocks_ * kv_heads_ * head_dim_ * kernels::kKvBlock;
  float* k = buffer_->data() + 2 * index * half;
  return {k, k + half, kv_heads_, head_dim_};
}

}  // namespace lastro::engine
