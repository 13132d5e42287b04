#include "kernels/cuda/dense_product.h"

#include <cublasLt.h>

#include <map>
#include <tuple>

namespace lastro::kernels::cuda {
namespace {

cudaDataType_t CudaType(DataType type) { return type == DataType::kBF16 ? CUDA_R_16BF : CUDA_R_32F; }

// Owns what cuBLASLt makes.
template <typename T, cublasStatus_t (*kDestroy)(T)>
class Handle {
 public:
  Handle() = default;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    if (value_ != nullptr) kDestroy(value_);
  }
  T* address() { return &value_; }
  T get() const { return value_; }

 private:
  T value_ = nullptr;
};
using LtHandle = Handle<cublasLtHandle_t, cublasLtDestroy>;
using MatmulDesc = Handle<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Layout = Handle<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = Handle<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

// The first error of a row of calls.
class Steps {
 public:
  Steps& operator<<(cublasStatus_t status) {
    if (status_ == CUBLAS_STATUS_SUCCESS) status_ = status;
    return *this;
  }
  bool ok() const { return status_ == CUBLAS_STATUS_SUCCESS; }
  cublasStatus_t status() const { return status_; }

 private:
  cublasStatus_t status_ = CUBLAS_STATUS_SUCCESS;
};

// rows, n, k, strides of x and out, their types, with a bias.
using Shape = std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t, DataType, DataType, bool>;

// cuBLAS's matrices are column-major: W is [K, N] transposed, x [K, R], out [N, R].
struct Plan {
  MatmulDesc product;
  Layout weights, x, out;
  cublasLtMatmulAlgo_t algorithm;
};

class LtProducts : public DenseProducts {
 public:
  static std::unique_ptr<DenseProducts> Create(void* workspace, std::string* error) {
    std::unique_ptr<LtProducts> products(new LtProducts(workspace));
    const cublasStatus_t status = cublasLtCreate(products->handle_.address());
    if (status == CUBLAS_STATUS_SUCCESS) return products;
    *error = std::string("cublasLtCreate: ") + cublasLtGetStatusString(status);
    return nullptr;
  }

  cudaError_t Run(const void* weights, const void* bias, Matrix x, Matrix out, cudaStream_t stream) override {
    if (x.rows == 0) return cudaSuccess;
    const Shape shape = {x.rows, out.cols, x.cols, x.stride, out.stride, x.type, out.type, bias != nullptr};
    auto found = plans_.find(shape);
    if (found == plans_.end()) {
      if (plans_.size() >= kMaxPlans) plans_.clear();
      std::unique_ptr<Plan> plan = MakePlan(shape);
      if (plan == nullptr) return cudaErrorUnknown;
      found = plans_.emplace(shape, std::move(plan)).first;
    }
    const Plan& plan = *found->second;
    Steps steps;
    if (bias != nullptr) {
      steps << cublasLtMatmulDescSetAttribute(plan.product.get(), CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias,
                                              sizeof(bias));
    }
    const float one = 1.0f, zero = 0.0f;
    steps << cublasLtMatmul(handle_.get(), plan.product.get(), &one, weights, plan.weights.get(), x.data, plan.x.get(),
                            &zero, out.data, plan.out.get(), out.data, plan.out.get(), &plan.algorithm, workspace_,
                            kWorkspaceBytes, stream);
    return steps.ok() ? cudaSuccess : Fail("cublasLtMatmul", shape, steps.status());
  }

  const std::string& error() const override { return error_; }

 private:
  static constexpr size_t kMaxPlans = 4096;
  static constexpr uint32_t kAlignment = DenseProducts::kAlignmentBytes;

  explicit LtProducts(void* workspace) : workspace_(workspace) {}

  std::unique_ptr<Plan> MakePlan(const Shape& shape) {
    const auto& [rows, n, k, x_stride, out_stride, type, out_type, with_bias] = shape;
    auto plan = std::make_unique<Plan>();
    const cublasOperation_t transposed = CUBLAS_OP_T;
    Steps steps;
    steps << cublasLtMatmulDescCreate(plan->product.address(), CUBLAS_COMPUTE_32F, CUDA_R_32F)
          << cublasLtMatmulDescSetAttribute(plan->product.get(), CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                            sizeof(transposed))
          << cublasLtMatrixLayoutCreate(plan->weights.address(), CudaType(type), k, n, k)
          << cublasLtMatrixLayoutCreate(plan->x.address(), CudaType(type), k, rows, x_stride)
          << cublasLtMatrixLayoutCreate(plan->out.address(), CudaType(out_type), n, rows, out_stride);
    if (with_bias) {
      const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
      const cudaDataType_t bias_type = CudaType(out_type);
      steps << cublasLtMatmulDescSetAttribute(plan->product.get(), CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue,
                                              sizeof(epilogue))
            << cublasLtMatmulDescSetAttribute(plan->product.get(), CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &bias_type,
                                              sizeof(bias_type));
    }
    Preference preference;
    const size_t workspace_bytes = kWorkspaceBytes;
    cublasLtMatmulHeuristicResult_t best = {};
    int found = 0;
    steps << cublasLtMatmulPreferenceCreate(preference.address())
          << cublasLtMatmulPreferenceSetAttribute(preference.get(), CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                  &workspace_bytes, sizeof(workspace_bytes));
    for (cublasLtMatmulPreferenceAttributes_t attribute :
         {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
          CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
      steps << cublasLtMatmulPreferenceSetAttribute(preference.get(), attribute, &kAlignment, sizeof(kAlignment));
    }
    if (steps.ok()) {
      steps << cublasLtMatmulAlgoGetHeuristic(handle_.get(), plan->product.get(), plan->weights.get(), plan->x.get(),
                                              plan->out.get(), plan->out.get(), preference.get(), 1, &best, &found);
    }
    if (steps.ok() && found > 0) {
      plan->algorithm = best.algo;
      return plan;
    }
    Fail("cublasLtMatmulAlgoGetHeuristic", shape, steps.ok() ? CUBLAS_STATUS_NOT_SUPPORTED : steps.status());
    return nullptr;
  }

  cudaError_t Fail(const char* call, const Shape& shape, cublasStatus_t status) {
    error_ = std::string(call) + ": " + cublasLtGetStatusString(status) + " for " + std::to_string(std::get<0>(shape)) +
             " rows, " + std::to_string(std::get<1>(shape)) + " features of " + std::to_string(std::get<2>(shape));
    return cudaErrorUnknown;
  }

  LtHandle handle_;
  void* const workspace_;
  std::map<Shape, std::unique_ptr<Plan>> plans_;
  std::string error_;
};

}  // namespace

std::unique_ptr<DenseProducts> DenseProducts::Create(void* workspace, std::string* error) {
  return LtProducts::Create(workspace, error);
}

}  // namespace lastro::kernels::cuda
