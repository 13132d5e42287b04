#include "engine/runtime.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "engine/cpu_backend.h"
#include "engine/vector_scan.h"
#include "kernels/cpu_features.h"
#ifdef LASTRO_HAS_CUDA
#include "engine/cuda/cuda_backend.h"
#include "engine/cuda/cuda_device.h"
#include "engine/cuda/cuda_vector_scan.h"
#endif

namespace lastro::engine {
namespace {

constexpr int kMaxThreads = 1024;
constexpr char kAutoDevice[] = "auto";

ComputeType CpuComputeType(ComputeType wanted, const kernels::Kernels& kernels) {
  if (wanted != ComputeType::kAuto) return wanted;
  const bool scalar = &kernels == &kernels::ReferenceKernels();
  return kernels::HasFastIntegers() && !scalar ? ComputeType::kBFloat16 : ComputeType::kFloat32;
}

// Of what runs on a GPU only; "" of the others.
absl::string_view GpuOnlyName(ComputeType type) {
  return type == ComputeType::kFloat16 ? "fp16" : type == ComputeType::kFloat8 ? "fp8" : "";
}

ComputeType GpuComputeType(ComputeType wanted) {
  return wanted == ComputeType::kAuto ? ComputeType::kBFloat16 : wanted;
}

absl::Status CheckOptions(const RuntimeOptions& options) {
  if (options.threads < 0 || options.threads > kMaxThreads) {
    return absl::InvalidArgumentError(
        absl::StrCat("threads = ", options.threads, " is out of range [0, ", kMaxThreads, "]; 0 means one per core"));
  }
  if (options.kv_bytes < 0) return absl::InvalidArgumentError("kv_bytes is negative; 0 means the default");
  if (options.reuse_bytes < 0) return absl::InvalidArgumentError("reuse_bytes is negative; 0 means none");
  if (options.reuse_chunks && options.deterministic) {
    return absl::InvalidArgumentError(
        "reuse_chunks changes results by what came before: it does not go with deterministic; leave one of them out");
  }
  if (options.reuse_chunks && options.reuse_bytes == 0) {
    return absl::InvalidArgumentError("reuse_chunks needs memory to keep chunks in, and reuse_bytes is 0");
  }
  if (options.gpu_bytes < 0) return absl::InvalidArgumentError("gpu_bytes is negative; 0 means the default");
  return absl::OkStatus();
}

std::unique_ptr<Backend> NewCpuBackend(const RuntimeOptions& options, ComputeType type,
                                       const kernels::Kernels& kernels) {
  CpuBackendOptions backend;
  backend.threads = options.threads;
  backend.bf16 = type == ComputeType::kBFloat16;
  backend.exact = options.compute_type == ComputeType::kFloat32;
  backend.deterministic = options.deterministic;
  backend.kv_type = options.kv_type.value_or(backend.bf16 ? kernels::KvType::kF16 : kernels::KvType::kF32);
  return std::make_unique<CpuBackend>(backend, kernels);
}

// The number in "cuda:N", 0 of "cuda" and "auto".
absl::StatusOr<int> GpuNumber(absl::string_view device) {
  int number = 0;
  if (device == kAutoDevice || device == "cuda") return number;
  absl::string_view digits = device;
  if (absl::ConsumePrefix(&digits, "cuda:") && absl::SimpleAtoi(digits, &number) && number >= 0) return number;
  return absl::InvalidArgumentError(absl::StrCat(
      "device \"", device,
      "\" is none of \"auto\", \"cpu\", \"cuda\", \"cuda:N\" and, to serve, \"cuda:N,M\" and \"cuda:all\""));
}

#ifdef LASTRO_HAS_CUDA
DataType GpuType(ComputeType type) {
  return type == ComputeType::kFloat32   ? DataType::kF32
         : type == ComputeType::kFloat16 ? DataType::kF16
                                         : DataType::kBF16;
}
absl::StatusOr<std::unique_ptr<Backend>> NewGpuBackend(const RuntimeOptions& options, int device) {
  CudaBackendOptions backend;
  backend.device = device;
  backend.type = GpuType(options.compute_type);
  backend.fp8 = options.compute_type == ComputeType::kFloat8;
  backend.memory_bytes = options.gpu_bytes;
  backend.spare_bytes = options.gpu_spare_bytes;
  backend.deterministic = options.deterministic;
  backend.kernels_overlap = options.kernels_overlap;
  return CudaBackend::Create(backend);
}
absl::StatusOr<std::unique_ptr<VectorScan>> NewGpuScan(const std::string&, int device, int64_t bytes) {
  return NewCudaVectorScan(device, bytes);
}
int CountGpus() { return CountCudaDevices(); }
#else
absl::Status NoSuchDevice(const std::string& device) {
  return absl::InvalidArgumentError(absl::StrCat(
      "device \"", device, "\" is not one of this build; configure it with -DLASTRO_CUDA=ON, or use \"cpu\""));
}
absl::StatusOr<std::unique_ptr<Backend>> NewGpuBackend(const RuntimeOptions& options, int) {
  return NoSuchDevice(options.device);
}
absl::StatusOr<std::unique_ptr<VectorScan>> NewGpuScan(const std::string& device, int, int64_t) {
  return NoSuchDevice(device);
}
int CountGpus() { return 0; }
#endif

absl::Status WithAdvice(const absl::Status& status) {
  if (!absl::IsFailedPrecondition(status)) return status;
  return absl::FailedPreconditionError(absl::StrCat(status.message(), "; use --device cpu"));
}

}  // namespace

absl::StatusOr<std::vector<std::string>> DevicesOf(const std::string& device) {
  absl::string_view numbers = device;
  if (!absl::ConsumePrefix(&numbers, "cuda:")) return std::vector<std::string>{device};
  std::vector<std::string> devices;
  if (numbers == "all") {
    for (int i = 0; i < CountGpus(); ++i) devices.push_back(absl::StrCat("cuda:", i));
    if (devices.empty())
      return absl::FailedPreconditionError("device \"cuda:all\": this build or machine has no GPU; use --device cpu");
    return devices;
  }
  for (absl::string_view number : absl::StrSplit(numbers, ',')) {
    devices.push_back(absl::StrCat("cuda:", number));
    LASTRO_RETURN_IF_ERROR(GpuNumber(devices.back()).status());
    if (std::find(devices.begin(), devices.end() - 1, devices.back()) != devices.end() - 1) {
      return absl::InvalidArgumentError(absl::StrCat("device \"", device, "\" has GPU ", number, " twice"));
    }
  }
  return devices;
}

Runtime::Runtime() = default;
Runtime::~Runtime() = default;

absl::StatusOr<std::unique_ptr<Runtime>> Runtime::Create(const RuntimeOptions& options) {
  LASTRO_RETURN_IF_ERROR(CheckOptions(options));
  std::unique_ptr<Runtime> runtime(new Runtime);
  runtime->kv_bytes_ = options.kv_bytes;
  runtime->reuse_bytes_ = options.reuse_bytes;
  runtime->reuse_chunks_ = options.reuse_chunks;
  if (options.device != "cpu") {
    LASTRO_ASSIGN_OR_RETURN(int number, GpuNumber(options.device));
    auto backend = NewGpuBackend(options, number);
    if (backend.ok()) {
      if (options.kv_type.has_value()) {
        return absl::InvalidArgumentError(
            "a GPU keeps tokens in the type it computes in: use no --kv-type, or --device cpu");
      }
      runtime->backend_ = *std::move(backend);
      runtime->tokenizing_ = std::make_unique<ThreadPool>(options.threads);
      runtime->compute_type_ = GpuComputeType(options.compute_type);
      return runtime;
    }
    if (options.device != kAutoDevice) return WithAdvice(backend.status());
    // A build without CUDA says nothing: nobody expects a GPU of it.
    if (!absl::IsInvalidArgument(backend.status())) runtime->why_cpu_ = std::string(backend.status().message());
  }
  if (const absl::string_view name = GpuOnlyName(options.compute_type); !name.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "compute type ", name, " is a GPU's, and the device is the CPU",
        runtime->why_cpu_.empty() ? "" : absl::StrCat(" (", runtime->why_cpu_, ")"), "; use --compute-type auto"));
  }
  const kernels::Kernels& kernels = kernels::ActiveKernels();
  runtime->compute_type_ = CpuComputeType(options.compute_type, kernels);
  runtime->backend_ = NewCpuBackend(options, runtime->compute_type_, kernels);
  runtime->tokenizing_ = std::make_unique<ThreadPool>(1);
  return runtime;
}

std::string Runtime::WithReason(const std::string& device) const {
  return why_cpu_.empty() ? device : absl::StrCat(device, "; ", why_cpu_);
}

absl::StatusOr<std::unique_ptr<VectorScan>> VectorScan::Create(const std::string& device, int64_t bytes) {
  if (device == "cpu") return absl::InvalidArgumentError("device \"cpu\" is no GPU; name one, such as \"cuda:0\"");
  LASTRO_ASSIGN_OR_RETURN(int number, GpuNumber(device));
  return NewGpuScan(device, number, bytes);
}

std::string Runtime::Description() const { return WithReason(backend_->Description()); }
std::string Runtime::DeviceClass() const { return WithReason(backend_->DeviceClass()); }

}  // namespace lastro::engine
