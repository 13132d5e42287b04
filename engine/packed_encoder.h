// PackedEncoder: runs an encoder over many sequences, several to a step: sorted by length, packed without padding,
// pooled to one vector each. Thread-safe; steps run in the backend's queue.
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

// One step's texts and what the encoder gives for them, in the same order; device memory, fp32, valid during the step.
struct EncodedBatch {
  absl::Span<const EncodedText> texts;
  absl::Span<const SequenceSpan> sequences;  // the rows of each text in `hidden`
  MatrixView hidden;                         // [rows of all, hidden_size]
  MatrixView pooled;                         // [texts.size(), hidden_size]
};

class PackedEncoder {
 public:
  // Both must outlive the object.
  PackedEncoder(const Transformer& transformer, Backend& backend) : transformer_(transformer), backend_(backend) {}

  // Calls consume for every batch, inside its step. Each sequence must have 1 to max_tokens tokens. CANCELLED and
  // DEADLINE_EXCEEDED between layers and batches; consume's errors as they are.
  using Consumer = absl::FunctionRef<absl::Status(const EncodedBatch& batch)>;
  absl::Status Run(std::vector<EncodedText> texts, Pooling pooling, bool normalize, const CallContext& context,
                   Consumer consume) const;

 private:
  absl::Status RunBatch(absl::Span<const EncodedText> batch, Pooling pooling, bool normalize,
                        const CallContext& context, Consumer consume) const;
  absl::Status Reserve(int64_t blocks, int64_t texts) const;

  const Transformer& transformer_;
  Backend& backend_;
  // Used inside steps of the backend's queue only.
  mutable TransformerScratch scratch_;
  mutable std::unique_ptr<KvStore> kv_;  // scratch of one layer
  mutable std::unique_ptr<Buffer> pooled_;
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
