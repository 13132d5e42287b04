#include "engine/cuda/cuda_graphs.h"

#include <utility>

namespace lastro::engine {

CudaGraphs::Mode CudaGraphs::Begin(const Key& key, uint64_t epoch) {
  if (epoch != epoch_ || graphs_.size() >= kMaxGraphs) Clear();
  epoch_ = epoch;
  key_ = key;
  open_ = true;
  const auto found = graphs_.find(key);
  if (found == graphs_.end()) return mode_ = Mode::kEnqueue;
  if (found->second != nullptr) return mode_ = Mode::kReplay;
  // Relaxed: other threads load models meanwhile.
  const bool recording = cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed) == cudaSuccess;
  return mode_ = recording ? Mode::kRecord : Mode::kEnqueue;
}

cudaError_t CudaGraphs::End(uint64_t epoch) {
  const Mode mode = std::exchange(mode_, Mode::kEnqueue);
  const bool open = std::exchange(open_, false);
  if (mode == Mode::kEnqueue) {
    if (open) graphs_.try_emplace(key_, nullptr);
    return cudaSuccess;
  }
  if (mode == Mode::kReplay) {
    // What other threads release meanwhile is no memory of this step.
    ++replays_;
    return cudaGraphLaunch(graphs_[key_], stream_);
  }
  cudaGraphExec_t executable = nullptr;
  cudaError_t error = EndCapture(&executable);
  if (error == cudaSuccess) error = cudaGraphLaunch(executable, stream_);
  if (executable == nullptr) return error;
  if (error == cudaSuccess && epoch == epoch_) {
    graphs_[key_] = executable;
    return error;
  }
  cudaStreamSynchronize(stream_);
  cudaGraphExecDestroy(executable);
  return error;
}

void CudaGraphs::Abandon() {
  open_ = false;
  if (std::exchange(mode_, Mode::kEnqueue) != Mode::kRecord) return;
  cudaGraph_t graph = nullptr;
  cudaStreamEndCapture(stream_, &graph);
  if (graph != nullptr) cudaGraphDestroy(graph);
  cudaGetLastError();
}

cudaError_t CudaGraphs::EndCapture(cudaGraphExec_t* executable) {
  cudaGraph_t graph = nullptr;
  cudaError_t error = cudaStreamEndCapture(stream_, &graph);
  if (error == cudaSuccess) error = cudaGraphInstantiate(executable, graph, 0);
  if (graph != nullptr) cudaGraphDestroy(graph);
  return error;
}

void CudaGraphs::Clear() {
  for (const auto& [key, executable] : graphs_) {
    if (executable != nullptr) cudaGraphExecDestroy(executable);
  }
  graphs_.clear();
}

}  // namespace lastro::engine
