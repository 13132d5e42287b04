// TransformerWeights: the tensors of a model on a backend, in the one layout that the forward pass sees: q, k and v
// stacked into one map, gate and up into another. Family names and packing end here. Const after load, thread-safe.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/architecture.h"
#include "engine/backend.h"
#include "engine/tensor_file.h"

namespace lastro::engine {

struct NormWeights {
  std::unique_ptr<Buffer> weight;  // [hidden]
  std::unique_ptr<Buffer> bias;    // [hidden] or null
};

struct LayerWeights {
  NormWeights attention_norm;
  NormWeights mlp_norm;
  std::unique_ptr<LinearWeight> qkv;            // [(heads + 2 kv_heads) * head_dim, hidden]
  std::unique_ptr<LinearWeight> attention_out;  // [hidden, heads * head_dim]
  std::unique_ptr<LinearWeight> mlp_in;         // [intermediate or 2 * intermediate (gate, up), hidden]
  std::unique_ptr<LinearWeight> mlp_out;        // [hidden, intermediate]
};

struct TransformerWeights {
  std::unique_ptr<TableWeight> token_embedding;     // [vocab, hidden]
  std::unique_ptr<TableWeight> position_embedding;  // [max_tokens, hidden] or null
  std::unique_ptr<TableWeight> type_embedding;      // [token_types, hidden] or null
  NormWeights embedding_norm;                       // null where the architecture has none
  NormWeights final_norm;
  std::vector<LayerWeights> layers;
  std::unique_ptr<LinearWeight> head;  // [vocab, hidden] or null
  int64_t parameters = 0;              // elements of the tensors used
  int64_t stored_bytes = 0;            // of the tensors used
};

// Loads what `architecture` says from `file`, which must outlive the weights. INVALID_ARGUMENT names a tensor that is
// missing, unexpected, of another shape (with expected and found) or of a type that is not a float.
absl::StatusOr<TransformerWeights> LoadTransformerWeights(const TensorFile& file, const Architecture& architecture,
                                                          Backend& backend);

}  // namespace lastro::engine
