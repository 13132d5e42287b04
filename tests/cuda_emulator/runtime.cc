// CUDA's runtime API over the heap: every call is done when it returns.
#include <cstdio>
#include <map>
#include <mutex>

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
};

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
  return *memory != nullptr ? cudaSuccess : cudaErrorMemoryAllocation;
}
cudaError_t cudaFreeHost(void* memory) {
  std::free(memory);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
  CudaEmulatorEnqueue(stream, [=] { std::memmove(to, from, bytes); });
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
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  // As on a device, where the capture is then no more.
  const bool capturing = stream != nullptr && stream->captured != nullptr;
  return Done(capturing ? cudaErrorUnknown : cudaSuccess);
}

void CudaEmulatorEnqueue(cudaStream_t stream, const std::function<void()>& work) {
  if (stream != nullptr && stream->captured != nullptr) {
    stream->captured->work.push_back(work);
  } else {
    work();
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
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t) {
  const cudaError_t error = Done(cudaSuccess);
  if (error != cudaSuccess) return error;
  for (const std::function<void()>& work : executable->work) work();
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
  CudaEmulatorEnqueue(config.stream, [=, shared = config.dynamicSmemBytes] {
    Run({g.x, g.y, g.z}, {b.x, b.y, b.z}, shared, body);
  });
  return error;
}
