#include "engine/cuda/cuda_vector_scan.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "engine/cuda/cuda_device.h"
#include "engine/cuda/cuda_loader.h"
#include "engine/cuda/cuda_memory.h"
#include "engine/cuda/cuda_status.h"
#include "kernels/cuda/row_scan.h"

namespace lastro::engine {
namespace {

namespace cuda = kernels::cuda;

constexpr int64_t kQueries = cuda::kScanQueries;
constexpr int64_t kMostWanted = VectorScan::kMostWanted;
constexpr int64_t kKeyBytes = sizeof(unsigned long long);
constexpr int64_t kFloatBytes = sizeof(float);

// The number in a key of elements.cuh.
float BoundOf(unsigned long long key) {
  const uint32_t ordered = static_cast<uint32_t>(key >> 32);
  const uint32_t bits = ordered >> 31 != 0 ? ordered & 0x7fffffffu : ~ordered;
  float bound;
  std::memcpy(&bound, &bits, sizeof(bound));
  return bound;
}

// Of a set of rows in device memory, bytes from the beginning: what they are, what a scan is given, and its scratch.
struct Layout {
  Layout(int64_t rows, int64_t stride)
      : allowed_bytes((rows + 63) / 64 * 8),
        query_bytes(DeviceAligned(2 * stride + allowed_bytes)),
        scales(DeviceAligned(rows * stride)),
        errors(scales + DeviceAligned(rows * kFloatBytes)),
        input(errors + DeviceAligned(rows * kFloatBytes)),
        selections(input + DeviceAligned(kQueries * query_bytes)),
        keys(selections + DeviceAligned(kQueries * static_cast<int64_t>(sizeof(cuda::ScanSelection)))),
        bounds(keys + DeviceAligned(kQueries * kMostWanted * kKeyBytes)),
        bytes(bounds + DeviceAligned(kQueries * rows * kFloatBytes)) {}

  int64_t allowed_bytes, query_bytes;  // of one query
  int64_t scales, errors, input, selections, keys, bounds, bytes;
};

class CudaRows : public VectorScan::Rows {
 public:
  CudaRows(int device, const ScanCodes& codes, CudaMemory memory)
      : device_(device),
        layout_(codes.rows, codes.stride),
        memory_(std::move(memory)),
        rows_{At<uint8_t>(0), At<float>(layout_.scales), At<float>(layout_.errors), codes.rows, codes.stride} {}
  ~CudaRows() override {
    cudaSetDevice(device_);
    if (stream_ != nullptr) cudaStreamSynchronize(stream_);
    cudaFreeHost(pinned_);
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
  }

  absl::Status Load(const ScanCodes& codes, CudaLoader& loader) {
    cudaSetDevice(device_);
    LASTRO_RETURN_IF_ERROR(CudaStatus(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate"));
    LASTRO_RETURN_IF_ERROR(CudaStatus(
        cudaMallocHost(reinterpret_cast<void**>(&pinned_), static_cast<size_t>(layout_.bounds - layout_.input)),
        "cudaMallocHost"));
    const int64_t floats = codes.rows * kFloatBytes;
    LASTRO_RETURN_IF_ERROR(loader.Copy(codes.codes, codes.rows * codes.stride, At<uint8_t>(0)));
    LASTRO_RETURN_IF_ERROR(loader.Copy(codes.scales, floats, At<float>(layout_.scales)));
    LASTRO_RETURN_IF_ERROR(loader.Copy(codes.errors, floats, At<float>(layout_.errors)));
    return loader.Finish();
  }

  int64_t bytes() const override { return layout_.bytes; }

  absl::StatusOr<std::vector<ScannedRow>> Best(const ScanQuery& query) override {
    if (query.wanted > VectorScan::kMostWanted) {
      return absl::OutOfRangeError(absl::StrCat("vector scan: ", query.wanted, " rows wanted; at most ", kMostWanted));
    }
    if (query.wanted == 0 || rows_.rows == 0) return std::vector<ScannedRow>();
    Waiting self = {&query, {}, {}, false};
    absl::MutexLock lock(&mutex_);
    waiting_.push_back(&self);
    auto may_go_on = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return self.done || !scanning_; };
    while (true) {
      mutex_.Await(absl::Condition(&may_go_on));
      if (self.done) break;
      ScanForTheFirst();
    }
    LASTRO_RETURN_IF_ERROR(self.status);
    return std::move(self.found);
  }

 private:
  // A caller, and what it gets.
  struct Waiting {
    const ScanQuery* query;
    absl::Status status;
    std::vector<ScannedRow> found;
    bool done;
  };

  template <typename T>
  T* At(int64_t offset) const {
    return reinterpret_cast<T*>(memory_.as<uint8_t>() + offset);
  }
  template <typename T>
  T* PinnedAt(int64_t offset) const {  // of what is at `offset` in device memory
    return reinterpret_cast<T*>(pinned_ + offset - layout_.input);
  }

  // One scan for as many callers as it has room for.
  void ScanForTheFirst() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    scanning_ = true;
    std::vector<Waiting*> callers;
    while (!waiting_.empty() && callers.size() < static_cast<size_t>(kQueries)) {
      callers.push_back(waiting_.front());
      waiting_.pop_front();
    }
    mutex_.Unlock();
    const absl::Status status = Scan(callers);
    if (!status.ok()) cudaStreamSynchronize(stream_);  // nothing reads the pinned memory any more
    mutex_.Lock();
    for (Waiting* caller : callers) {
      caller->status = status;
      caller->done = true;
    }
    scanning_ = false;
  }

  absl::Status Scan(const std::vector<Waiting*>& callers) {
    cudaSetDevice(device_);
    const int64_t count = static_cast<int64_t>(callers.size());
    cuda::ScanQueries queries;
    queries.count = static_cast<int>(count);
    for (int64_t q = 0; q < count; ++q) queries.of[q] = Put(*callers[static_cast<size_t>(q)]->query, q);
    std::fill_n(PinnedAt<cuda::ScanSelection>(layout_.selections), count, cuda::ScanSelection());
    LASTRO_RETURN_IF_ERROR(Copy(layout_.input, count * layout_.query_bytes, cudaMemcpyHostToDevice));
    LASTRO_RETURN_IF_ERROR(Copy(layout_.selections, count * kSelectionBytes, cudaMemcpyHostToDevice));
    LASTRO_RETURN_IF_ERROR(CudaStatus(
        cuda::ScanBestRows(rows_, queries, At<float>(layout_.bounds), At<cuda::ScanSelection>(layout_.selections),
                           At<unsigned long long>(layout_.keys), kMostWanted, stream_),
        "vector scan"));
    LASTRO_RETURN_IF_ERROR(Copy(layout_.selections, count * kSelectionBytes, cudaMemcpyDeviceToHost));
    for (int64_t q = 0; q < count; ++q) {
      LASTRO_RETURN_IF_ERROR(
          Copy(KeysOf(q), static_cast<int64_t>(queries.of[q].wanted) * kKeyBytes, cudaMemcpyDeviceToHost));
    }
    LASTRO_RETURN_IF_ERROR(CudaStatus(cudaStreamSynchronize(stream_), "vector scan"));
    for (int64_t q = 0; q < count; ++q) callers[static_cast<size_t>(q)]->found = Take(q);
    return absl::OkStatus();
  }

  // The query in pinned memory, as the device will see it.
  cuda::ScanQuery Put(const ScanQuery& query, int64_t q) {
    LASTRO_CHECK(static_cast<int64_t>(query.high.size()) == rows_.stride && query.low.size() == query.high.size());
    const int64_t at = layout_.input + q * layout_.query_bytes;
    int8_t* numbers = PinnedAt<int8_t>(at);
    std::copy(query.high.begin(), query.high.end(), numbers);
    std::copy(query.low.begin(), query.low.end(), numbers + rows_.stride);
    const int64_t allowed = at + 2 * rows_.stride;
    if (!query.allowed.empty()) {
      LASTRO_CHECK(static_cast<int64_t>(query.allowed.size()) * 8 == layout_.allowed_bytes);
      std::copy(query.allowed.begin(), query.allowed.end(), PinnedAt<uint64_t>(allowed));
    }
    return {At<int8_t>(at), query.allowed.empty() ? nullptr : At<uint64_t>(allowed),
            query.scale,    query.slack,
            query.error,    static_cast<uint32_t>(query.wanted)};
  }

  std::vector<ScannedRow> Take(int64_t q) const {
    const unsigned long long* keys = PinnedAt<unsigned long long>(KeysOf(q));
    std::vector<ScannedRow> found;
    for (uint32_t i = 0; i < PinnedAt<cuda::ScanSelection>(layout_.selections)[q].written; ++i) {
      found.push_back({BoundOf(keys[i]), ~static_cast<uint32_t>(keys[i])});
    }
    return found;
  }

  int64_t KeysOf(int64_t q) const { return layout_.keys + q * kMostWanted * kKeyBytes; }

  absl::Status Copy(int64_t offset, int64_t bytes, cudaMemcpyKind kind) {
    void* device = At<uint8_t>(offset);
    void* host = PinnedAt<uint8_t>(offset);
    const bool up = kind == cudaMemcpyHostToDevice;
    return CudaStatus(
        cudaMemcpyAsync(up ? device : host, up ? host : device, static_cast<size_t>(bytes), kind, stream_),
        "vector scan");
  }

  static constexpr int64_t kSelectionBytes = sizeof(cuda::ScanSelection);

  const int device_;
  const Layout layout_;
  const CudaMemory memory_;
  const cuda::CodedRows rows_;
  cudaStream_t stream_ = nullptr;
  uint8_t* pinned_ = nullptr;  // device memory from layout_.input to layout_.bounds goes by way of it

  absl::Mutex mutex_;
  std::deque<Waiting*> waiting_ ABSL_GUARDED_BY(mutex_);
  bool scanning_ ABSL_GUARDED_BY(mutex_) = false;
};

class CudaVectorScan : public VectorScan {
 public:
  static absl::StatusOr<std::unique_ptr<VectorScan>> Create(int device, int64_t bytes) {
    std::unique_ptr<CudaVectorScan> scan(new CudaVectorScan(device, bytes));
    LASTRO_ASSIGN_OR_RETURN(scan->loader_, CudaLoader::Create(scan->budget_));
    return scan;
  }

  int64_t BytesOf(int64_t rows, int64_t stride) const override { return Layout(rows, stride).bytes; }
  int64_t free_bytes() const override { return budget_.free_bytes(); }

  absl::StatusOr<std::unique_ptr<Rows>> Load(const ScanCodes& codes) override {
    LASTRO_CHECK(codes.stride % cuda::kScanPart == 0);
    LASTRO_ASSIGN_OR_RETURN(CudaMemory memory, budget_.Allocate(BytesOf(codes.rows, codes.stride)));
    auto rows = std::make_unique<CudaRows>(device_, codes, std::move(memory));
    LASTRO_RETURN_IF_ERROR(rows->Load(codes, *loader_));
    return rows;
  }

 private:
  CudaVectorScan(int device, int64_t bytes) : device_(device), budget_(device, bytes, "--vector-gpu-memory") {}

  const int device_;
  CudaBudget budget_;
  std::unique_ptr<CudaLoader> loader_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<VectorScan>> NewCudaVectorScan(int device, int64_t bytes) {
  LASTRO_RETURN_IF_ERROR(SelectCudaDevice(device).status());
  size_t free = 0, total = 0;
  LASTRO_RETURN_IF_ERROR(CudaStatus(cudaMemGetInfo(&free, &total), "cudaMemGetInfo"));
  if (bytes > static_cast<int64_t>(free)) {
    return absl::ResourceExhaustedError(
        absl::StrCat(bytes, " bytes for vectors; GPU ", device, " has ", free, " of ", total, " free"));
  }
  return CudaVectorScan::Create(device, bytes);
}

}  // namespace lastro::engine
