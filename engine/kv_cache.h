// KvCache: keys and values of the tokens of one sequence, for every layer, in blocks of kernels::kKvBlock tokens
// (kernels::KvView says how they lie). Memory is the backend's and goes back when the cache dies; on the CPU it is
// touched only as far as tokens are stored. Not thread-safe.
//
// A cache of one layer serves an encoder as scratch: each layer overwrites what the one before stored.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "engine/architecture.h"
#include "engine/backend.h"

namespace lastro::engine {

class KvCache {
 public:
  // Room for `blocks` blocks in each of `layers` layers. RESOURCE_EXHAUSTED when there is not that much memory.
  static absl::StatusOr<KvCache> Create(Backend& backend, const Architecture& architecture, int64_t layers,
                                        int64_t blocks);

  kernels::KvView Layer(int64_t layer) const;
  int64_t blocks() const { return blocks_; }

  static int64_t BlocksFor(int64_t tokens) { return (tokens + kernels::kKvBlock - 1) / kernels::kKvBlock; }

 private:
  std::unique_ptr<Buffer> buffer_;  // [layers, 2, blocks, block elements]
  int64_t layers_ = 0;
  int64_t blocks_ = 0;
  int64_t kv_heads_ = 0;
  int64_t head_dim_ = 0;
};

}  // namespace lastro::engine
