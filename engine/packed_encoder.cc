#include "engine/packed_encoder.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace lastro::engine {
namespace {

// Tokens of one packed batch (one step of the queue): enough for efficient products while activations stay in cache.
constexpr int64_t kBatchTokens = 512;

}  // namespace

absl::Status PackedEncoder::Reserve(int64_t blocks, int64_t texts) const {
  const Architecture& a = transformer_.architecture();
  if (kv_ == nullptr || kv_->shape().blocks < blocks) {
    kv_ = nullptr;  // first the old memory goes
    LASTRO_ASSIGN_OR_RETURN(kv_,
                            backend_.AllocateKv({1, a.kv_heads, a.head_dim, backend_.kv_block_tokens(), blocks, true}));
  }
  const int64_t bytes = texts * a.hidden_size * static_cast<int64_t>(sizeof(float));
  if (pooled_ == nullptr || pooled_->bytes() < bytes) {
    LASTRO_ASSIGN_OR_RETURN(pooled_, backend_.Allocate(bytes));
  }
  return absl::OkStatus();
}

absl::Status PackedEncoder::RunBatch(absl::Span<const EncodedText> batch, Pooling pooling, bool normalize,
                                     const CallContext& context, Consumer consume) const {
  std::vector<int32_t> ids;
  std::vector<SequenceSpan> sequences;
  for (const EncodedText& text : batch) {
    const int64_t rows = static_cast<int64_t>(text.ids.size());
    sequences.push_back({static_cast<int64_t>(ids.size()), rows, 0, {}, rows, text.second_segment});
    ids.insert(ids.end(), text.ids.begin(), text.ids.end());
  }
  const std::vector<int32_t> blocks = AssignScratchBlocks(backend_.kv_block_tokens(), absl::MakeSpan(sequences));
  const int64_t count = static_cast<int64_t>(batch.size()), width = transformer_.architecture().hidden_size;
  return backend_.queue().Run(context, [&]() -> absl::Status {
    LASTRO_RETURN_IF_ERROR(Reserve(static_cast<int64_t>(blocks.size()), count));
    LASTRO_RETURN_IF_ERROR(transformer_.Forward(
        ids, sequences, *kv_, [&] { return context.Check(); }, &scratch_));
    transformer_.NormOutput(&scratch_);
    const MatrixView pooled = {pooled_->data(), count, width, width};
    backend_.Pool(pooling, normalize, sequences, scratch_.hidden, pooled);
    const int64_t rows = static_cast<int64_t>(ids.size());
    return consume({batch, sequences, scratch_.hidden.Rows(0, rows), pooled});
  });
}

absl::Status PackedEncoder::Run(std::vector<EncodedText> texts, Pooling pooling, bool normalize,
                                const CallContext& context, Consumer consume) const {
  std::stable_sort(texts.begin(), texts.end(),
                   [](const EncodedText& a, const EncodedText& b) { return a.ids.size() < b.ids.size(); });
  size_t begin = 0;
  while (begin < texts.size()) {
    size_t end = begin;
    int64_t tokens = 0;
    do {
      tokens += static_cast<int64_t>(texts[end++].ids.size());
    } while (end < texts.size() && tokens + static_cast<int64_t>(texts[end].ids.size()) <= kBatchTokens);
    LASTRO_RETURN_IF_ERROR(
        RunBatch(absl::MakeConstSpan(texts).subspan(begin, end - begin), pooling, normalize, context, consume));
    begin = end;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadEncoderTokenizer(const ModelFiles& files,
                                                                const Architecture& architecture) {
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<Tokenizer> tokenizer, files.LoadTokenizer());
  if (tokenizer->vocab_size() <= architecture.vocab_size) return tokenizer;
  return absl::InvalidArgumentError(absl::StrCat(files.path(), ": the tokenizer has ids up to ",
                                                 tokenizer->vocab_size() - 1, ", the model's vocabulary only ",
                                                 architecture.vocab_size));
}

size_t TemplateTail(const Tokenizer& tokenizer, absl::Span<const Token> tokens) {
  size_t tail = 0;
  while (tail < tokens.size()) {
    const Token& token = tokens[tokens.size() - 1 - tail];
    if (!tokenizer.IsSpecial(token.id) || token.begin != token.end) break;
    ++tail;
  }
  return tail;
}

PairFrame FramePair(const Tokenizer& tokenizer, absl::string_view first, int64_t separators, size_t most) {
  EncodeOptions special;
  special.add_special = true;
  const std::vector<Token> tokens = tokenizer.EncodeWithOffsets(first, special);
  const size_t tail = TemplateTail(tokenizer, tokens);
  PairFrame frame;
  for (const Token& token : tokens) {
    const bool of_template = tokenizer.IsSpecial(token.id) && token.begin == token.end;
    if (!of_template && frame.first_tokens == most) continue;
    frame.first_tokens += of_template ? 0 : 1;
    frame.before.push_back(token.id);
  }
  frame.after.assign(frame.before.end() - static_cast<ptrdiff_t>(tail), frame.before.end());
  for (int64_t i = 1; i < separators; ++i) {
    frame.before.insert(frame.before.end(), frame.after.begin(), frame.after.end());
  }
  return frame;
}

}  // namespace lastro::engine
