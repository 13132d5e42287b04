// LoRA adapters: low-rank maps beside the linear maps of a decoder's layers (Hu et al. 2021, arXiv:2106.09685),
//   y += scale (x A^T) B^T,  A [r, K], B [N, r],  scale = alpha / r, or alpha / sqrt(r) (rsLoRA, arXiv:2312.03732),
// from a folder as PEFT writes it (adapter_config.json, adapter_model.safetensors). They are added in the forward pass
// rather than merged: one set of base weights, quantised or not, serves many adapters at once, each sequence of a step
// its own. Const after Load, thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/architecture.h"
#include "engine/backend.h"

namespace lastro::engine {

// The linear maps of a layer that may be adapted, as the forward pass has them (LayerWeights).
enum class AdaptedMap { kQkv, kAttentionOut, kMlpIn, kMlpOut };
inline constexpr size_t kAdaptedMaps = 4;

// Columns [first_column, first_column + b->n()) of a map's output get (x a^T) b^T; the scale is in b.
struct LowRankMap {
  int64_t first_column = 0;
  std::unique_ptr<LinearWeight> a;  // [r, K]
  std::unique_ptr<LinearWeight> b;  // [N, r]
};

class LoraAdapter {
 public:
  // An adapter of models of `architecture`; `backend` must outlive it. NOT_FOUND: a file is missing. INVALID_ARGUMENT:
  // malformed, a rank or shape that does not fit, half of a pair, a tensor that adapts what the model has not.
  // UNIMPLEMENTED: a setting that changes the mathematics and is not supported (DoRA, biases, trained embeddings, maps
  // of experts, ...), named.
  static absl::StatusOr<std::unique_ptr<const LoraAdapter>> Load(const std::string& folder,
                                                                 const Architecture& architecture, Backend& backend);

  const std::string& fingerprint() const { return fingerprint_; }  // SHA-256 over both files
  int64_t parameters() const { return parameters_; }
  // The largest rank of all maps, and the most columns that one of them writes.
  int64_t max_rank() const { return max_rank_; }
  int64_t max_columns() const { return max_columns_; }

  absl::Span<const LowRankMap> Maps(int64_t layer, AdaptedMap map) const {
    return layers_[static_cast<size_t>(layer)][static_cast<size_t>(map)];
  }

 private:
  friend class LoraLoader;
  LoraAdapter() = default;

  std::string fingerprint_;
  int64_t parameters_ = 0;
  int64_t max_rank_ = 0;
  int64_t max_columns_ = 0;
  std::vector<std::array<std::vector<LowRankMap>, kAdaptedMaps>> layers_;
  std::vector<std::vector<float>> converted_;  // tensors in the order and scale used; the maps may view them
};

}  // namespace lastro::engine
