#include "engine/decoder_session.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "engine/step_scheduler.h"

namespace lastro::engine {
namespace {

// Logits one request may return.
constexpr int64_t kMaxLogits = int64_t{1} << 30;
// Tokens that are moved before their blocks are given back.
constexpr int64_t kMovedTokens = 64;

}  // namespace

DecoderCore::DecoderCore() : scheduler(std::make_unique<StepScheduler>(*this)) {}
DecoderCore::~DecoderCore() = default;

CachedSession::~CachedSession() { core_.scheduler->EndSession(); }

absl::Status CachedSession::Extend(absl::Span<const int32_t> tokens, LogitsOf which, const CallContext& context,
                                   std::vector<float>* logits) {
  StepRequest request = {this, tokens, which, logits, absl::OkStatus()};
  core_.scheduler->Run(absl::MakeSpan(&request, 1), context);
  return request.status;
}

std::unique_ptr<DecoderSession> CachedSession::Fork() const {
  std::optional<CrossMemory> memory;
  if (memory_.has_value()) memory = CrossMemory{memory_->table.Fork(memory_->tokens), memory_->tokens};
  return std::make_unique<CachedSession>(core_, table_.Fork(length_), length_, capacity_, std::move(memory), adapter_);
}

void CachedSession::Truncate(int length) {
  LASTRO_CHECK(length >= 0 && length <= length_);
  length_ = length;
  table_.Truncate(length);
  if (!scope_.has_value()) return;
  tokens_.resize(static_cast<size_t>(length));
  Share(length);
}

int CachedSession::step_sessions() const { return core_.scheduler->step_sessions(); }

void CachedSession::KeepFor(KvScope scope, absl::Span<const int32_t> held) {
  LASTRO_CHECK(core_.prefixes != nullptr && static_cast<int>(held.size()) == length_);
  scope_ = std::move(scope);
  tokens_.assign(held.begin(), held.end());
  shared_blocks_ = length_ / core_.pool->shape().block_tokens;
}

absl::Status CachedSession::Splice(KnownRun run, const CallContext& context) {
  LASTRO_CHECK(!scope_.has_value() && run.begin == length_ && run.tokens <= capacity_ - length_);
  const int64_t block = core_.pool->shape().block_tokens;
  return core_.backend->queue().Run(context, [&]() -> absl::Status {
    while (run.tokens > 0) {
      const int64_t tokens = std::min(run.tokens, kMovedTokens);
      LASTRO_RETURN_IF_ERROR(table_.Reserve(length_, length_ + tokens));
      core_.backend->BeginStep({});
      const KvMove move = {run.table.blocks(), run.position % block, table_.blocks(), length_, tokens};
      core_.transformer->MoveKv(move, run.position, length_, core_.pool->store());
      LASTRO_RETURN_IF_ERROR(core_.backend->Synchronize());
      length_ += static_cast<int>(tokens);
      run.DropFirst(tokens);
    }
    return absl::OkStatus();
  });
}

void CachedSession::Commit(absl::Span<const int32_t> tokens, size_t drafts) {
  length_ += static_cast<int>(tokens.size());
  if (!scope_.has_value()) return;
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  Share(length_ - static_cast<int>(drafts));
}

void CachedSession::Share(int length) {
  const int64_t whole = length / core_.pool->shape().block_tokens;
  if (whole > shared_blocks_) {
    core_.prefixes->Add(*scope_, absl::MakeConstSpan(tokens_).first(static_cast<size_t>(length)), table_);
  }
  shared_blocks_ = whole;
}

absl::Status CachedSession::CheckRequest(absl::Span<const int32_t> tokens, LogitsOf which) const {
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

absl::StatusOr<SequenceSpan> CachedSession::Reserve(int64_t position, int64_t rows) {
  LASTRO_RETURN_IF_ERROR(table_.Reserve(position, position + rows));
  SequenceSpan span;
  span.rows = rows;
  span.position = position;
  span.blocks = table_.blocks();
  span.capacity = capacity_;
  span.adapter = adapter_;
  if (memory_.has_value()) {
    span.memory_blocks = memory_->table.blocks();
    span.memory_tokens = memory_->tokens;
  }
  return span;
}

absl::StatusOr<std::unique_ptr<DecoderSession>> NewCachedSession(const DecoderCore& core, int capacity,
                                                                 std::optional<CrossMemory> memory,
                                                                 const LoraAdapter* adapter) {
  LASTRO_RETURN_IF_ERROR(core.pool->CheckFits(capacity));
  return std::make_unique<CachedSession>(core, BlockTable(*core.pool), 0, capacity, std::move(memory), adapter);
}

absl::StatusOr<KvPromise> PromiseRoom(const DecoderCore& core, int64_t capacity, int64_t memory_tokens,
                                      int64_t new_tokens, int forks, const CallContext& context) {
  LASTRO_RETURN_IF_ERROR(core.pool->CheckFits(capacity));
  const KvShape& shape = core.pool->shape();
  // A fork copies the block that it goes on in.
  const int64_t of_forks = forks * (shape.BlocksFor(new_tokens) + 1);
  return core.pool->Promise(shape.BlocksFor(capacity) + shape.BlocksFor(memory_tokens) + of_forks, context);
}

void Step(absl::Span<StepRequest> requests, const CallContext& context) {
  if (requests.empty()) return;
  const DecoderCore& core = static_cast<const CachedSession*>(requests[0].session)->core();
  core.scheduler->Run(requests, context);
}

}  // namespace lastro::engine
