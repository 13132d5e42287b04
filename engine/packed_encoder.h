// PackedEncoder: runs an encoder over many sequences, several to a step: sorted by length, packed without padding,
// pooled to one vector each. Where the backend has lanes and the texts of a step divide among them, each core takes its
// own through all layers: nothing waits for another, and activations stay in that core's cache. Thread-safe; steps run
// in the backend's queue.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/call_context.h"
#include "engine/backend.h"
#include "engine/model_files.h"
#include "engine/tokenizer.h"
#include "engine/transformer.h"

namespace lastro::engine {

struct EncodedText {
  size_t index = 0;  // in the caller's order
  std::vector<int32_t> ids;
  int64_t second_segment = -1;  // SequenceSpan::second_segment
};

// Texts of one step and what the encoder gives for them, in the same order; device memory, fp32, valid during the step.
struct EncodedBatch {
  absl::Span<const EncodedText> texts;
  absl::Span<const SequenceSpan> sequences;  // the rows of each text in `hidden`
  MatrixView hidden;                         // [rows of all, hidden_size]
  MatrixView pooled;                         // [texts.size(), hidden_size]
};

class PackedEncoder {
 public:
  // Both must outlive the object.
  PackedEncoder(const Transformer& transformer, Backend& backend);

  // Calls consume for every batch, inside its step. Each sequence must have 1 to max_tokens tokens. CANCELLED and
  // DEADLINE_EXCEEDED between layers and batches; consume's errors as they are.
  using Consumer = absl::FunctionRef<absl::Status(const EncodedBatch& batch)>;
  absl::Status Run(std::vector<EncodedText> texts, Pooling pooling, bool normalize, const CallContext& context,
                   Consumer consume) const;

 private:
  // Where texts are encoded: all cores together, or one.
  struct Place {
    Place(const Transformer& transformer, Backend& backend) : transformer(transformer), backend(backend) {}
    absl::Status Reserve(int64_t blocks, int64_t texts);

    const Transformer& transformer;
    Backend& backend;
    // Used inside steps of the backend's queue only.
    TransformerScratch scratch;
    std::unique_ptr<KvStore> kv;  // scratch of one layer
    std::unique_ptr<Buffer> pooled;
  };
  // Texts that are packed together.
  struct Pack {
    explicit Pack(absl::Span<const EncodedText> texts, int64_t block_tokens);
    absl::Span<const EncodedText> texts;
    std::vector<int32_t> ids, blocks;
    std::vector<SequenceSpan> sequences;
  };

  absl::Status RunStepOf(absl::Span<const absl::Span<const EncodedText>> shares, Pooling pooling, bool normalize,
                         const CallContext& context, Consumer consume) const;
  static absl::Status Encode(const Pack& pack, Pooling pooling, bool normalize, const CallContext& context,
                             Place* place);
  static EncodedBatch BatchOf(const Pack& pack, const Place& place);

  Backend& backend_;
  std::vector<std::unique_ptr<Transformer>> lane_transformers_;  // of the lanes
  std::unique_ptr<Place> all_;
  std::vector<std::unique_ptr<Place>> lanes_;
};

// The tokenizer of `files`. INVALID_ARGUMENT when it has ids for which the model has no vectors.
absl::StatusOr<std::unique_ptr<Tokenizer>> LoadEncoderTokenizer(const ModelFiles& files,
                                                                const Architecture& architecture);

// Tokens at the end of `tokens` that the template added: special and of no bytes.
size_t TemplateTail(const Tokenizer& tokenizer, absl::Span<const Token> tokens);

// The tokens around a pair's second text: those before it, from the template's first to the last separator, and those
// after it. Of a first text longer than `most` tokens the end is cut.
struct PairFrame {
  std::vector<int32_t> before, after;
  size_t first_tokens = 0;  // of the first text in `before`
};
PairFrame FramePair(const Tokenizer& tokenizer, absl::string_view first, int64_t separators,
                    size_t most = std::numeric_limits<size_t>::max());

}  // namespace lastro::engine
