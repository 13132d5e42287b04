// TransformerWeights: the tensors of a model on a backend, in the one layout that the forward pass sees: q, k and v
// stacked into one map, gate and up into another, norms as they multiply. Family names and packing end here. Const
// after load, thread-safe.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/architecture.h"
#include "engine/backend.h"
#include "engine/tensor_file.h"

namespace lastro::engine {

// Both null where the architecture leaves the norm out.
struct NormWeights {
  std::unique_ptr<Buffer> weight;  // [width]
  std::unique_ptr<Buffer> bias;    // [width] or null
};

struct LayerWeights {
  NormWeights attention_norm;       // before attention, or with ResidualOrder::kPost after it was added
  NormWeights post_attention_norm;  // of attention's output, before it is added
  NormWeights mlp_norm;
  NormWeights post_mlp_norm;
  NormWeights q_norm, k_norm;                   // [head_dim], or [q_dim] and [kv_dim]
  std::unique_ptr<LinearWeight> qkv;            // [(heads + 2 kv_heads) * head_dim, hidden]
  std::unique_ptr<LinearWeight> attention_out;  // [hidden, heads * head_dim]
  std::unique_ptr<Buffer> sinks;                // [heads] or null
  NormWeights cross_attention_norm;             // these four of a decoder that attends to an encoder
  std::unique_ptr<LinearWeight> cross_q;        // [heads * head_dim, hidden]
  std::unique_ptr<LinearWeight> cross_kv;       // [2 kv_heads * head_dim, hidden]
  std::unique_ptr<LinearWeight> cross_out;      // [hidden, heads * head_dim]
  std::unique_ptr<LinearWeight> mlp_in;         // [intermediate or 2 * intermediate (gate, up), hidden]
  std::unique_ptr<LinearWeight> mlp_out;        // [hidden, intermediate]
  std::unique_ptr<LinearWeight> router;         // [experts, hidden], or null: then mlp_in and mlp_out are there
  std::vector<ExpertWeights> experts;
};

// PositionBias (engine/position_bias.h) on the device.
struct PositionBiasWeights {
  std::unique_ptr<Buffer> table;  // [heads, stride], or null
  int64_t stride = 0;
  int64_t zero = 0;
  bool absolute = false;
};

struct TransformerWeights {
  std::unique_ptr<TableWeight> token_embedding;     // [vocab, hidden]
  std::unique_ptr<TableWeight> position_embedding;  // [position_offset + max_tokens, hidden] or null
  std::unique_ptr<TableWeight> type_embedding;      // [token_types, hidden] or null
  PositionBiasWeights position_bias;
  NormWeights embedding_norm;  // null where the architecture has none
  NormWeights final_norm;
  std::vector<LayerWeights> layers;
  std::unique_ptr<LinearWeight> head;           // [vocab, hidden] or null
  std::vector<std::vector<uint8_t>> converted;  // tensors that were stored another way; `parts` may view them
  int64_t parameters = 0;                       // elements of the tensors used
  int64_t stored_bytes = 0;                     // of the tensors used
};

// Loads what `architecture` says from `file`, which must outlive the weights. INVALID_ARGUMENT names a tensor that is
// missing, unexpected, of another shape (with expected and found) or of a type that is not a float.
absl::StatusOr<TransformerWeights> LoadTransformerWeights(const TensorFile& file, const Architecture& architecture,
                                                          Backend& backend);

}  // namespace lastro::engine
