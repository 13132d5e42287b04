// CudaGraphs: steps recorded as CUDA graphs and replayed, one launch in place of hundreds. The first step of a key runs
// as it is, so that memory and algorithms are found; the second is recorded; later ones are replayed. Recordings hold
// addresses: they are dropped when `epoch` is another. One thread at a time.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "absl/container/flat_hash_map.h"

namespace lastro::engine {

class CudaGraphs {
 public:
  enum class Mode { kEnqueue, kRecord, kReplay };

  struct Key {
    uint64_t repeats = 0;
    int64_t sequences = 0;
    int64_t length = 0;  // that attention is prepared for
    template <typename H>
    friend H AbslHashValue(H h, const Key& key) {
      return H::combine(std::move(h), key.repeats, key.sequences, key.length);
    }
    bool operator==(const Key& other) const {
      return repeats == other.repeats && sequences == other.sequences && length == other.length;
    }
  };

  explicit CudaGraphs(cudaStream_t stream) : stream_(stream) {}
  CudaGraphs(const CudaGraphs&) = delete;
  CudaGraphs& operator=(const CudaGraphs&) = delete;
  ~CudaGraphs() { Clear(); }

  Mode mode() const { return mode_; }
  int64_t replays() const { return replays_; }
  // What the step of `key` that begins now does. REQUIRES: the stream is idle, no step is open.
  Mode Begin(const Key& key, uint64_t epoch);
  // Runs what was recorded or is to be replayed. `epoch` as it is now: a recording during which memory was released is
  // run, but not kept.
  cudaError_t End(uint64_t epoch);
  // Forgets the open step; nothing of what it recorded runs.
  void Abandon();

 private:
  // Recordings that are kept; batch sizes come and go.
  static constexpr size_t kMaxGraphs = 256;

  void Clear();
  cudaError_t EndCapture(cudaGraphExec_t* executable);

  const cudaStream_t stream_;
  Mode mode_ = Mode::kEnqueue;
  bool open_ = false;  // between Begin and End
  Key key_;
  uint64_t epoch_ = 0;
  int64_t replays_ = 0;
  absl::flat_hash_map<Key, cudaGraphExec_t> graphs_;  // null: ran once
};

}  // namespace lastro::engine
