#include "engine/decoder_session.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace lastro::engine {
namespace {

// Tokens of a prompt that run as one step of the queue: long enough for efficient products, short enough that another
// session's next token does not wait long.
constexpr int64_t kPromptPiece = 256;
// Logits one Extend call may return.
constexpr int64_t kMaxLogits = int64_t{1} << 30;

class Session : public DecoderSession {
 public:
  Session(const DecoderCore& core, BlockTable table, int capacity, std::optional<CrossMemory> memory,
          const LoraAdapter* adapter, int length)
      : core_(core),
        table_(std::move(table)),
        memory_(std::move(memory)),
        adapter_(adapter),
        capacity_(capacity),
        length_(length) {}

  int length() const override { return length_; }
  absl::Status Extend(absl::Span<const int32_t> tokens, LogitsOf which, const CallContext& context,
                      std::vector<float>* logits) override;
  std::unique_ptr<DecoderSession> Fork() const override;
  void Truncate(int length) override {
    LASTRO_CHECK(length >= 0 && length <= length_);
    length_ = length;
    table_.Truncate(length);
  }

 private:
  absl::Status CheckRequest(absl::Span<const int32_t> tokens, LogitsOf which) const;
  absl::Status RunPiece(absl::Span<const int32_t> piece, int64_t position, const CallContext& context,
                        int64_t logit_rows, float* logits);

  const DecoderCore& core_;
  BlockTable table_;
  const std::optional<CrossMemory> memory_;
  const LoraAdapter* const adapter_;
  const int capacity_;
  int length_;
};

absl::Status Session::CheckRequest(absl::Span<const int32_t> tokens, LogitsOf which) const {
  const int64_t vocab = core_.transformer->architecture().vocab_size;
  if (tokens.size() > static_cast<size_t>(capacity_ - length_)) {
    return absl::ResourceExhaustedError(absl::StrCat("the session holds ", length_, " tokens and ", tokens.size(),
                                                     " more exceed its capacity of ", capacity_));
  }
  for (int32_t id : tokens) {
    if (id < 0 || id >= vocab) {
      return absl::InvalidArgumentError(
          absl::StrCat("token id ", id, " is not in the model's vocabulary of ", vocab, " ids"));
    }
  }
  if (which == LogitsOf::kAll && static_cast<int64_t>(tokens.size()) > kMaxLogits / vocab) {
    return absl::ResourceExhaustedError(absl::StrCat("logits of ", tokens.size(), " tokens times ", vocab,
                                                     " ids are more than ", kMaxLogits, "; ask in smaller pieces"));
  }
  return absl::OkStatus();
}

absl::Status Session::RunPiece(absl::Span<const int32_t> piece, int64_t position, const CallContext& context,
                               int64_t logit_rows, float* logits) {
  const int64_t rows = static_cast<int64_t>(piece.size());
  return core_.backend->queue().Run(context, [&]() -> absl::Status {
    LASTRO_RETURN_IF_ERROR(table_.Reserve(position, position + rows));
    SequenceSpan sequence = {0, rows, position, table_.blocks(), capacity_};
    sequence.adapter = adapter_;
    if (memory_.has_value()) {
      sequence.memory_blocks = memory_->table.blocks();
      sequence.memory_tokens = memory_->tokens;
    }
    LASTRO_RETURN_IF_ERROR(core_.transformer->Forward(
        piece, absl::MakeConstSpan(&sequence, 1), core_.pool->store(), [&] { return context.Check(); },
        &core_.scratch));
    if (logit_rows == 0) return absl::OkStatus();
    return core_.transformer->Head(rows - logit_rows, logit_rows, &core_.scratch, logits);
  });
}

absl::Status Session::Extend(absl::Span<const int32_t> tokens, LogitsOf which, const CallContext& context,
                             std::vector<float>* logits) {
  LASTRO_CHECK(which == LogitsOf::kNone || logits != nullptr);
  LASTRO_RETURN_IF_ERROR(CheckRequest(tokens, which));
  const int64_t count = static_cast<int64_t>(tokens.size());
  const int64_t vocab = core_.transformer->architecture().vocab_size;
  if (logits != nullptr) {
    const int64_t rows = which == LogitsOf::kAll ? count : which == LogitsOf::kLast ? std::min<int64_t>(count, 1) : 0;
    logits->resize(static_cast<size_t>(rows * vocab));
  }
  for (int64_t begin = 0; begin < count; begin += kPromptPiece) {
    const int64_t rows = std::min(kPromptPiece, count - begin);
    const bool last = begin + rows == count;
    const int64_t logit_rows = which == LogitsOf::kAll ? rows : which == LogitsOf::kLast && last ? 1 : 0;
    float* to = logit_rows == 0 ? nullptr : logits->data() + (which == LogitsOf::kAll ? begin * vocab : 0);
    absl::Status status = RunPiece(tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(rows)),
                                   length_ + begin, context, logit_rows, to);
    if (!status.ok()) {
      table_.Truncate(length_);
      return status;
    }
  }
  length_ += static_cast<int>(count);
  return absl::OkStatus();
}

std::unique_ptr<DecoderSession> Session::Fork() const {
  std::optional<CrossMemory> memory;
  if (memory_.has_value()) memory = CrossMemory{memory_->table.Fork(memory_->tokens), memory_->tokens};
  return std::make_unique<Session>(core_, table_.Fork(length_), capacity_, std::move(memory), adapter_, length_);
}

}  // namespace

absl::StatusOr<std::unique_ptr<DecoderSession>> NewCachedSession(const DecoderCore& core, int capacity,
                                                                 std::optional<CrossMemory> memory,
                                                                 const LoraAdapter* adapter) {
  LASTRO_RETURN_IF_ERROR(core.pool->CheckFits(capacity));
  return std::make_unique<Session>(core, BlockTable(*core.pool), capacity, std::move(memory), adapter, 0);
}

}  // namespace lastro::engine
