// CUDA's runtime API over the heap. A stream's work is done as late as a device may do it: when the host waits for it,
// or frees memory; copies from and to memory that is not pinned wait for themselves.
#include <cstdio>
#include <deque>
#include <map>
#include <mutex>
#include <set>

#include "cuda_runtime.h"

namespace {

constexpr size_t kMemory = size_t{8} << 30;  // of the emulated device

std::mutex mutex;
std::map<const void*, int> max_shared;
std::map<void*, size_t> allocations;
size_t allocated = 0;
int64_t calls_left = -1;
cudaError_t last_error = cudaSuccess;

// Of every call that may fail on a device; `error` is what it would return otherwise.
cudaError_t Done(cudaError_t error) {
  std::lock_guard<std::mutex> lock(mutex);
  if (calls_left == 0) error = static_cast<cudaError_t>(719);  // cudaErrorLaunchFailure, which stays
  if (calls_left > 0) --calls_left;
  if (error != cudaSuccess) last_error = error;
  return error;
}

}  // namespace

struct CudaEmulatorGraph {
  std::vector<std::function<void()>> work;
};
struct CudaEmulatorStream {
  std::unique_ptr<CudaEmulatorGraph> captured;
  std::recursive_mutex mutex;  // of what follows; held while work runs, so that it runs in order
  std::deque<std::function<void()>> ahead;
  uint64_t enqueued = 0, done = 0;

  void Enqueue(std::function<void()> work) {
    std::lock_guard<std::recursive_mutex> lock(mutex);
    ahead.push_back(std::move(work));
    ++enqueued;
  }
  void RunUntil(uint64_t count) {
    std::lock_guard<std::recursive_mutex> lock(mutex);
    while (done < count && !ahead.empty()) {
      const std::function<void()> work = std::move(ahead.front());
      ahead.pop_front();
      work();
      ++done;
    }
  }
  void RunAll() { RunUntil(~uint64_t{0}); }
};
struct CudaEmulatorEvent {
  CudaEmulatorStream* stream = nullptr;
  uint64_t recorded = 0;  // how much the stream had been given
};

namespace {

// Never destroyed: streams of static objects end after it.
std::mutex& streams_mutex = *new std::mutex;
std::set<CudaEmulatorStream*>& streams = *new std::set<CudaEmulatorStream*>;
std::map<const void*, size_t>& pinned_memory = *new std::map<const void*, size_t>;

void RunAllStreams() {
  std::lock_guard<std::mutex> lock(streams_mutex);
  for (CudaEmulatorStream* stream : streams) stream->RunAll();
}

bool IsPinned(const void* memory) {
  std::lock_guard<std::mutex> lock(streams_mutex);
  auto after = pinned_memory.upper_bound(memory);
  if (after == pinned_memory.begin()) return false;
  --after;
  return static_cast<const uint8_t*>(memory) < static_cast<const uint8_t*>(after->first) + after->second;
}

}  // namespace

void CudaEmulatorFailAfter(int64_t calls) {
  std::lock_guard<std::mutex> lock(mutex);
  calls_left = calls;
  last_error = cudaSuccess;
}

cudaError_t cudaGetLastError() {
  std::lock_guard<std::mutex> lock(mutex);
  return std::exchange(last_error, cudaSuccess);
}

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
      return "cudaErrorInvalidConfiguration";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    default:
      break;
  }
  return "cudaErrorLaunchFailure";
}
const char* cudaGetErrorString(cudaError_t error) { return error == cudaSuccess ? "no error" : "emulated"; }

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) { return device == 0 ? cudaSuccess : cudaErrorInvalidDevice; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  std::snprintf(properties->name, sizeof(properties->name), "emulated");
  properties->totalGlobalMem = kMemory;
  properties->major = 9;
  properties->minor = 0;
  properties->multiProcessorCount = 132;
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  std::lock_guard<std::mutex> lock(mutex);
  *free = kMemory - allocated;
  *total = kMemory;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** memory, size_t bytes) {
  if (const cudaError_t error = Done(cudaSuccess); error != cudaSuccess) return error;
  std::lock_guard<std::mutex> lock(mutex);
  if (bytes > kMemory - allocated) return cudaErrorMemoryAllocation;
  *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (*memory == nullptr) return cudaErrorMemoryAllocation;
  // Large memory stays untouched, so that a budget of gigabytes costs nothing.
  std::memset(*memory, 0xff, std::min(bytes, size_t{64} << 20));
  allocations[*memory] = bytes;
  allocated += bytes;
  return cudaSuccess;
}
cudaError_t cudaFree(void* memory) {
  RunAllStreams();
  std::lock_guard<std::mutex> lock(mutex);
  if (memory == nullptr) return cudaSuccess;
  auto found = allocations.find(memory);
  if (found == allocations.end()) return cudaErrorInvalidValue;
  allocated -= found->second;
  allocations.erase(found);
  std::free(memory);
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** memory, size_t bytes) {
  *memory = std::malloc(bytes);
  if (*memory == nullptr) return cudaErrorMemoryAllocation;
  std::lock_guard<std::mutex> lock(streams_mutex);
  pinned_memory[*memory] = bytes;
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* memory) {
  if (memory == nullptr) return cudaSuccess;
  RunAllStreams();
  std::lock_guard<std::mutex> lock(streams_mutex);
  pinned_memory.erase(memory);
  std::free(memory);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  CudaEmulatorEnqueue(stream, [=] { std::memmove(to, from, bytes); });
  const bool waits =
      (kind == cudaMemcpyHostToDevice && !IsPinned(from)) || (kind == cudaMemcpyDeviceToHost && !IsPinned(to));
  if (waits && stream != nullptr && stream->captured == nullptr) stream->RunAll();
  return Done(cudaSuccess);
}
cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind, cudaStream_t stream) {
  CudaEmulatorEnqueue(stream, [=] {
    for (size_t row = 0; row < height; ++row) {
      std::memcpy(static_cast<uint8_t*>(to) + row * to_pitch, static_cast<const uint8_t*>(from) + row * from_pitch,
                  width);
    }
  });
  return Done(cudaSuccess);
}
cudaError_t cudaMemset2DAsync(void* memory, size_t pitch, int value, size_t width, size_t height, cudaStream_t stream) {
  CudaEmulatorEnqueue(stream, [=] {
    for (size_t row = 0; row < height; ++row) std::memset(static_cast<uint8_t*>(memory) + row * pitch, value, width);
  });
  return Done(cudaSuccess);
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new CudaEmulatorStream;
  std::lock_guard<std::mutex> lock(streams_mutex);
  streams.insert(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  stream->RunAll();
  {
    std::lock_guard<std::mutex> lock(streams_mutex);
    streams.erase(stream);
  }
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  // As on a device, where the capture is then no more.
  if (stream != nullptr && stream->captured != nullptr) return Done(cudaErrorUnknown);
  if (stream != nullptr) stream->RunAll();
  return Done(cudaSuccess);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new CudaEmulatorEvent;
  return Done(cudaSuccess);
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  std::lock_guard<std::recursive_mutex> lock(stream->mutex);
  *event = {stream, stream->enqueued};
  return Done(cudaSuccess);
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (event->stream != nullptr) event->stream->RunUntil(event->recorded);
  return Done(cudaSuccess);
}

void CudaEmulatorEnqueue(cudaStream_t stream, const std::function<void()>& work) {
  if (stream == nullptr) {
    work();
  } else if (stream->captured != nullptr) {
    stream->captured->work.push_back(work);
  } else {
    stream->Enqueue(work);
  }
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (stream == nullptr || stream->captured != nullptr) return Done(cudaErrorInvalidValue);
  const cudaError_t error = Done(cudaSuccess);
  if (error == cudaSuccess) stream->captured = std::make_unique<CudaEmulatorGraph>();
  return error;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  if (stream->captured == nullptr) return Done(cudaErrorInvalidValue);
  *graph = stream->captured.release();
  return Done(cudaSuccess);
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  *executable = new CudaEmulatorGraph(*graph);
  return Done(cudaSuccess);
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  const cudaError_t error = Done(cudaSuccess);
  if (error != cudaSuccess) return error;
  for (const std::function<void()>& work : executable->work) stream->Enqueue(work);
  return error;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}

cudaError_t CudaEmulatorSetMaxShared(const void* function, int bytes) {
  if (bytes < 0 || static_cast<size_t>(bytes) > cuda_emulator::kMaxShared) return cudaErrorInvalidValue;
  std::lock_guard<std::mutex> lock(mutex);
  max_shared[function] = bytes;
  return cudaSuccess;
}

cudaError_t CudaEmulatorLaunch(const void* function, const cudaLaunchConfig_t& config,
                               const std::function<void()>& body) {
  using namespace cuda_emulator;
  const dim3 g = config.gridDim, b = config.blockDim;
  {
    std::lock_guard<std::mutex> lock(mutex);
    const auto asked = max_shared.find(function);
    const size_t limit = asked != max_shared.end() ? static_cast<size_t>(asked->second) : kMaxSharedUnasked;
    if (config.dynamicSmemBytes > limit) return last_error = cudaErrorInvalidValue;
  }
  const bool fits = g.x > 0 && g.y > 0 && g.z > 0 && g.x <= kMaxGridX && g.y <= kMaxGridYz && g.z <= kMaxGridYz &&
                    size_t{b.x} * b.y * b.z <= kMaxThreads;
  if (!fits) return Done(cudaErrorInvalidConfiguration);
  const cudaError_t error = Done(cudaSuccess);
  if (error != cudaSuccess) return error;
  const bool overlaps = config.numAttrs > 0 && config.attrs[0].val.programmaticStreamSerializationAllowed != 0;
  CudaEmulatorEnqueue(config.stream, [=, shared = config.dynamicSmemBytes] {
    Run({g.x, g.y, g.z}, {b.x, b.y, b.z}, shared, overlaps, body);
  });
  return error;
}
