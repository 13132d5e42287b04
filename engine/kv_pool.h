// KvPool: the KV memory of one model, a fixed number of blocks that its sequences take as they grow and give back when
// they are cut or die. BlockTable: the blocks of one sequence. A block may belong to several tables, which then hold
// the same tokens; it is copied when one of them is about to write into it (Kwon et al. 2023, "PagedAttention").
// KvPromise: room that a sequence is sure of before it begins, so that it does not end midway for want of memory.
//
// Threads: a KvPool may be used from many; a BlockTable from one at a time, and BlockTable::Reserve inside a step of
// the backend's queue.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "base/call_context.h"
#include "engine/architecture.h"
#include "engine/backend.h"

namespace lastro::engine {

class KvPool;

// Blocks of a pool, given back with the object. Movable. The pool must outlive it.
class KvPromise {
 public:
  KvPromise() = default;  // of nothing
  KvPromise(KvPromise&& other) noexcept { *this = std::move(other); }
  KvPromise& operator=(KvPromise&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(blocks_, other.blocks_);
    return *this;
  }
  ~KvPromise();

 private:
  friend class KvPool;
  KvPromise(KvPool* pool, int64_t blocks) : pool_(pool), blocks_(blocks) {}

  KvPool* pool_ = nullptr;
  int64_t blocks_ = 0;
};

class KvPool {
 public:
  // As many blocks for a model of `architecture` as `budget_bytes` holds; 0: Backend::default_kv_bytes().
  // RESOURCE_EXHAUSTED when that is none, or more memory than there is. `backend` must outlive the pool.
  static absl::StatusOr<std::unique_ptr<KvPool>> Create(Backend& backend, const Architecture& architecture,
                                                        int64_t budget_bytes);

  KvStore& store() const { return *store_; }
  const KvShape& shape() const { return store_->shape(); }
  int64_t blocks_in_use() const;

  int64_t block_bytes() const { return block_bytes_; }

  // Called, without a lock, when blocks are missing: may give back some that it holds, and returns whether it did.
  // Null: nobody holds any. Not while blocks are taken.
  void SetReserve(std::function<bool(int64_t blocks)> give_back) { give_back_ = std::move(give_back); }

  // Waits, in order of arrival, until so many blocks can be promised beside those that others were; more than there are
  // count as all. CANCELLED or DEADLINE_EXCEEDED when `context` ends first. Tables that take no more than was promised
  // find room as long as all others do so too, but for what was taken without a promise. To be asked for by callers
  // that hold none.
  absl::StatusOr<KvPromise> Promise(int64_t blocks, const CallContext& context);

  // Errors with RESOURCE_EXHAUSTED when a sequence of `tokens` could not be held even alone.
  absl::Status CheckFits(int64_t tokens) const;

 private:
  friend class BlockTable;
  friend class KvPromise;
  friend class PrefixCache;

  KvPool(Backend& backend, int64_t block_bytes, std::unique_ptr<KvStore> store)
      : backend_(backend), block_bytes_(block_bytes), store_(std::move(store)) {}

  // Appends `count` blocks of one holder each to `blocks`, or none: RESOURCE_EXHAUSTED, with counts.
  absl::Status Take(int64_t count, std::vector<int32_t>* blocks);
  absl::Status TryToTake(int64_t count, std::vector<int32_t>* blocks);
  void Share(absl::Span<const int32_t> blocks);    // one holder more
  void Release(absl::Span<const int32_t> blocks);  // one holder less
  bool IsShared(int32_t block) const;
  void GiveUp(int64_t promised);

  Backend& backend_;
  const int64_t block_bytes_;
  const std::unique_ptr<KvStore> store_;
  std::function<bool(int64_t)> give_back_;
  mutable absl::Mutex mutex_;
  int64_t promised_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<const void*> hopeful_ ABSL_GUARDED_BY(mutex_);  // calls of Promise that wait, the oldest first
  absl::CondVar promised_changed_;
  // Holders of each block that was ever taken: those from holders_.size() on are untouched memory.
  std::vector<int32_t> holders_ ABSL_GUARDED_BY(mutex_);
  std::vector<int32_t> free_ ABSL_GUARDED_BY(mutex_);  // of those; the last given back is the first taken
};

class BlockTable {
 public:
  explicit BlockTable(KvPool& pool) : pool_(&pool) {}  // which must outlive the table
  BlockTable(BlockTable&& other) noexcept;
  BlockTable& operator=(BlockTable&& other) noexcept;
  BlockTable(const BlockTable&) = delete;
  BlockTable& operator=(const BlockTable&) = delete;
  ~BlockTable() { Truncate(0); }

  KvPool& pool() const { return *pool_; }
  // Block i holds the tokens from i * block_tokens on.
  absl::Span<const int32_t> blocks() const { return blocks_; }

  // Room for the tokens [begin, end), in blocks that are this table's alone; those before `begin` stay.
  // RESOURCE_EXHAUSTED when the pool has too few blocks; what the table held it then holds still.
  absl::Status Reserve(int64_t begin, int64_t end);
  // Gives back the blocks that hold none of the first `tokens` tokens.
  void Truncate(int64_t tokens);
  // Appends `blocks`, which others hold too. REQUIRES: the table ends with a whole block, and so does what they hold.
  void Share(absl::Span<const int32_t> blocks);
  // Another table of the first `tokens` tokens, in the same blocks.
  BlockTable Fork(int64_t tokens) const;

 private:
  KvPool* pool_;
  std::vector<int32_t> blocks_;
};

}  // namespace lastro::engine
