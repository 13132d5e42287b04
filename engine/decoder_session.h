// The session that DecoderModel and Seq2SeqModel share: blocks of the model's KV memory, extended piece by piece
// through the backend's queue, and for the latter what its decoder attends to.
#pragma once

#include <memory>
#include <optional>

#include "engine/decoder_model.h"
#include "engine/kv_pool.h"
#include "engine/model_files.h"
#include "engine/transformer.h"

namespace lastro::engine {

// What sessions use of their model.
struct DecoderCore {
  std::unique_ptr<ModelFiles> files;  // the weights may view its mapped files
  std::unique_ptr<Transformer> transformer;
  Backend* backend = nullptr;
  std::unique_ptr<KvPool> pool;
  mutable TransformerScratch scratch;  // used inside steps of the backend's queue only
};

// What a decoder attends to: keys and values of an encoder's output, in the model's KV memory.
struct CrossMemory {
  BlockTable table;
  int64_t tokens = 0;
};

// `core` and `adapter` (null: none) must outlive the session. RESOURCE_EXHAUSTED when the KV memory could not hold `capacity` tokens.
absl::StatusOr<std::unique_ptr<DecoderSession>> NewCachedSession(const DecoderCore& core, int capacity,
                                                                 std::optional<CrossMemory> memory,
                                                                 const LoraAdapter* adapter);

}  // namespace lastro::engine
