// The session that DecoderModel and Seq2SeqModel share: blocks of the model's KV memory, and for the latter what its
// decoder attends to. Its tokens run in steps that engine/step_scheduler.h shares between sessions.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "engine/decoder_model.h"
#include "engine/kv_pool.h"
#include "engine/model_files.h"
#include "engine/prefix_cache.h"
#include "engine/transformer.h"

namespace lastro::engine {

class StepScheduler;

// What sessions use of their model.
struct DecoderCore {
  DecoderCore();
  ~DecoderCore();

  std::unique_ptr<ModelFiles> files;  // the weights may view its mapped files
  std::unique_ptr<Transformer> transformer;
  Backend* backend = nullptr;
  std::unique_ptr<KvPool> pool;
  std::unique_ptr<PrefixCache> prefixes;  // null: nothing is kept
  bool reuse_chunks = false;              // engine/chunk_reuse.h
  mutable TransformerScratch scratch;     // used inside steps of the backend's queue only
  const std::unique_ptr<StepScheduler> scheduler;
};

// What a decoder attends to: keys and values of an encoder's output, in the model's KV memory.
struct CrossMemory {
  BlockTable table;
  int64_t tokens = 0;
};

class CachedSession : public DecoderSession {
 public:
  // `core` and `adapter` (null: none) must outlive the session; `table` holds the first `length` tokens.
  CachedSession(const DecoderCore& core, BlockTable table, int length, int capacity, std::optional<CrossMemory> memory,
                const LoraAdapter* adapter)
      : core_(core),
        table_(std::move(table)),
        memory_(std::move(memory)),
        adapter_(adapter),
        capacity_(capacity),
        length_(length) {}
  ~CachedSession() override;

  int length() const override { return length_; }
  absl::Status Extend(absl::Span<const int32_t> tokens, LogitsOf which, const CallContext& context,
                      std::vector<float>* logits) override;
  std::unique_ptr<DecoderSession> Fork() const override;
  void Truncate(int length) override;
  int step_sessions() const override;
  bool samples() const override { return core_.backend->samples(); }

  // What the session holds from now on is kept for others of `scope`; `held` are its tokens so far.
  void KeepFor(KvScope scope, absl::Span<const int32_t> held);

  // Goes on with `run`, which begins at length(), as it was computed elsewhere; a step of its own. What has been moved
  // is given back, so that little more is held than the run has blocks. RESOURCE_EXHAUSTED when the KV memory is full:
  // what found room was moved. CANCELLED, DEADLINE_EXCEEDED. REQUIRES: before KeepFor; within the capacity.
  absl::Status Splice(KnownRun run, const CallContext& context);

  const DecoderCore& core() const { return core_; }
  const BlockTable& table() const { return table_; }

  // Room for this session and its forks, kept with it.
  void Hold(KvPromise promise) { promise_ = std::move(promise); }

  // For the scheduler, while the session's caller waits.
  absl::Status CheckRequest(absl::Span<const int32_t> tokens, LogitsOf which) const;
  // Blocks for `rows` tokens from `position` on, and how a step sees them; inside a step. RESOURCE_EXHAUSTED.
  absl::StatusOr<SequenceSpan> Reserve(int64_t position, int64_t rows);
  void Commit(absl::Span<const int32_t> tokens, size_t drafts);
  void Rollback() { table_.Truncate(length_); }

 private:
  // With a scope: leaves the whole blocks of the first `length` tokens to others.
  void Share(int length);

  const DecoderCore& core_;
  KvPromise promise_;  // given back after the blocks
  BlockTable table_;
  const std::optional<CrossMemory> memory_;
  const LoraAdapter* const adapter_;
  const int capacity_;
  int length_;
  std::optional<KvScope> scope_;
  std::vector<int32_t> tokens_;  // with a scope: what is held
  int64_t shared_blocks_ = 0;    // of it, those that others were left
};

// `core` and `adapter` (null: none) must outlive the session. RESOURCE_EXHAUSTED when the KV memory could not hold
// `capacity` tokens.
absl::StatusOr<std::unique_ptr<DecoderSession>> NewCachedSession(const DecoderCore& core, int capacity,
                                                                 std::optional<CrossMemory> memory,
                                                                 const LoraAdapter* adapter);

// Room for a session of `capacity` tokens that remembers `memory_tokens` of an encoder, and for as many forks of its
// last `new_tokens`. Errors as LanguageModel::Open.
absl::StatusOr<KvPromise> PromiseRoom(const DecoderCore& core, int64_t capacity, int64_t memory_tokens,
                                      int64_t new_tokens, int forks, const CallContext& context);

}  // namespace lastro::engine
