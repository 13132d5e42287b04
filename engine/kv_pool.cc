#include "engine/kv_pool.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace lastro::engine {
namespace {

// How often a call that waits looks at its context.
constexpr absl::Duration kPollPeriod = absl::Milliseconds(20);

}  // namespace

absl::StatusOr<std::unique_ptr<KvPool>> KvPool::Create(Backend& backend, const Architecture& architecture,
                                                       int64_t budget_bytes) {
  if (budget_bytes == 0) budget_bytes = backend.default_kv_bytes();
  KvShape shape = {architecture.layers, architecture.kv_heads, architecture.head_dim, backend.kv_block_tokens(), 1};
  const int64_t block_bytes = backend.KvBytes(shape);
  shape.blocks = std::min<int64_t>(budget_bytes / block_bytes, INT32_MAX);
  if (shape.blocks < 1) {
    return absl::ResourceExhaustedError(absl::StrCat("a KV memory of ", budget_bytes, " bytes holds no block of ",
                                                     shape.block_tokens, " tokens, ", block_bytes,
                                                     " bytes: raise --kv-memory"));
  }
  absl::StatusOr<std::unique_ptr<KvStore>> store = backend.AllocateKv(shape);
  if (!store.ok()) {
    return absl::Status(store.status().code(),
                        absl::StrCat(store.status().message(), " for the KV memory: lower --kv-memory"));
  }
  return std::unique_ptr<KvPool>(new KvPool(backend, block_bytes, *std::move(store)));
}

int64_t KvPool::blocks_in_use() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int64_t>(holders_.size() - free_.size());
}

KvPromise::~KvPromise() {
  if (pool_ != nullptr) pool_->GiveUp(blocks_);
}

absl::StatusOr<KvPromise> KvPool::Promise(int64_t blocks, const CallContext& context) {
  LASTRO_CHECK(blocks >= 0);
  blocks = std::min(blocks, shape().blocks);
  absl::Status status = context.Check();
  absl::MutexLock lock(&mutex_);
  hopeful_.push_back(&status);
  while (status.ok() && (hopeful_.front() != &status || promised_ + blocks > shape().blocks)) {
    promised_changed_.WaitWithTimeout(&mutex_, kPollPeriod);
    mutex_.Unlock();  // the context may call code that is not ours
    status = context.Check();
    mutex_.Lock();
  }
  hopeful_.erase(std::find(hopeful_.begin(), hopeful_.end(), &status));
  promised_changed_.SignalAll();  // another is the oldest now
  LASTRO_RETURN_IF_ERROR(status);
  promised_ += blocks;
  return KvPromise(this, blocks);
}

void KvPool::GiveUp(int64_t promised) {
  absl::MutexLock lock(&mutex_);
  promised_ -= promised;
  promised_changed_.SignalAll();
}

absl::Status KvPool::CheckFits(int64_t tokens) const {
  if (shape().BlocksFor(tokens) <= shape().blocks) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("a sequence of ", tokens, " tokens exceeds the KV memory of ",
                                                   shape().blocks * shape().block_tokens,
                                                   " tokens: ask for fewer, or raise --kv-memory"));
}

absl::Status KvPool::Take(int64_t count, std::vector<int32_t>* blocks) {
  absl::Status status = TryToTake(count, blocks);
  while (!status.ok() && give_back_ != nullptr && give_back_(count - (shape().blocks - blocks_in_use()))) {
    status = TryToTake(count, blocks);
  }
  return status;
}

absl::Status KvPool::TryToTake(int64_t count, std::vector<int32_t>* blocks) {
  absl::MutexLock lock(&mutex_);
  const int64_t free = shape().blocks - static_cast<int64_t>(holders_.size()) + static_cast<int64_t>(free_.size());
  if (count > free) {
    const int64_t tokens = shape().block_tokens;
    return absl::ResourceExhaustedError(
        absl::StrCat("the KV memory of ", shape().blocks * tokens, " tokens has room for ", free * tokens, " more and ",
                     count * tokens, " are needed: try again when other texts have ended, or raise --kv-memory"));
  }
  for (int64_t i = 0; i < count; ++i) {
    if (free_.empty()) {
      blocks->push_back(static_cast<int32_t>(holders_.size()));
      holders_.push_back(1);
    } else {
      blocks->push_back(free_.back());
      free_.pop_back();
      holders_[static_cast<size_t>(blocks->back())] = 1;
    }
  }
  return absl::OkStatus();
}

void KvPool::Share(absl::Span<const int32_t> blocks) {
  absl::MutexLock lock(&mutex_);
  for (int32_t block : blocks) ++holders_[static_cast<size_t>(block)];
}

void KvPool::Release(absl::Span<const int32_t> blocks) {
  absl::MutexLock lock(&mutex_);
  for (int32_t block : blocks) {
    int32_t& holders = holders_[static_cast<size_t>(block)];
    LASTRO_CHECK(holders > 0);
    if (--holders == 0) free_.push_back(block);
  }
}

bool KvPool::IsShared(int32_t block) const {
  absl::MutexLock lock(&mutex_);
  return holders_[static_cast<size_t>(block)] > 1;
}

BlockTable::BlockTable(BlockTable&& other) noexcept : pool_(other.pool_), blocks_(std::exchange(other.blocks_, {})) {}

BlockTable& BlockTable::operator=(BlockTable&& other) noexcept {
  std::swap(pool_, other.pool_);
  std::swap(blocks_, other.blocks_);
  return *this;
}

absl::Status BlockTable::Reserve(int64_t begin, int64_t end) {
  LASTRO_CHECK(begin >= 0 && begin <= end);
  const KvShape& shape = pool_->shape();
  const size_t first = static_cast<size_t>(begin / shape.block_tokens), held = blocks_.size();
  std::vector<size_t> shared;  // to be copied before they are written
  for (size_t i = first; i < held; ++i) {
    if (pool_->IsShared(blocks_[i])) shared.push_back(i);
  }
  const int64_t more = std::max<int64_t>(0, shape.BlocksFor(end) - static_cast<int64_t>(held));
  std::vector<int32_t> taken;
  LASTRO_RETURN_IF_ERROR(pool_->Take(static_cast<int64_t>(shared.size()) + more, &taken));
  for (size_t i : shared) {
    const int32_t from = std::exchange(blocks_[i], taken.back());
    taken.pop_back();
    pool_->backend_.CopyKvBlock(from, blocks_[i], pool_->store());
    pool_->Release({from});
  }
  blocks_.insert(blocks_.end(), taken.begin(), taken.end());
  return absl::OkStatus();
}

void BlockTable::Share(absl::Span<const int32_t> blocks) {
  pool_->Share(blocks);
  blocks_.insert(blocks_.end(), blocks.begin(), blocks.end());
}

void BlockTable::Truncate(int64_t tokens) {
  const size_t kept = static_cast<size_t>(pool_->shape().BlocksFor(tokens));
  if (kept >= blocks_.size()) return;
  pool_->Release(absl::MakeConstSpan(blocks_).subspan(kept));
  blocks_.resize(kept);
}

BlockTable BlockTable::Fork(int64_t tokens) const {
  BlockTable fork(*pool_);
  const size_t shared = static_cast<size_t>(pool_->shape().BlocksFor(tokens));
  LASTRO_CHECK(shared <= blocks_.size());
  fork.blocks_.assign(blocks_.begin(), blocks_.begin() + static_cast<ptrdiff_t>(shared));
  pool_->Share(fork.blocks_);
  return fork;
}

}  // namespace lastro::engine
