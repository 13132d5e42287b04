#include "kernels/cuda/dense_product.h"

#include <cublasLt.h>

#include <compare>
#include <map>

namespace lastro::kernels::cuda {
namespace {

cudaDataType_t CudaType(DataType type) {
  return type == DataType::kF32 ? CUDA_R_32F : type == DataType::kBF16 ? CUDA_R_16BF : CUDA_R_16F;
}

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

struct Shape {
  int64_t rows, n, k, x_stride, out_stride;
  cudaDataType_t in, out;  // CUDA_R_8F_E4M3: with a scale for each row of W and of x
  bool with_bias;
  auto operator<=>(const Shape&) const = default;
};

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
    const Shape shape = {x.rows,           out.cols,           x.cols,         x.stride, out.stride,
                         CudaType(x.type), CudaType(out.type), bias != nullptr};
    const Plan* plan = PlanOf(shape);
    if (plan == nullptr) return cudaErrorUnknown;
    Steps steps;
    SetBias(bias, *plan, &steps);
    return Multiply(shape, *plan, weights, x.data, out.data, stream, steps);
  }

  cudaError_t RunFp8(const Fp8Matrix& weights, const void* bias, const Fp8Matrix& x, Matrix out,
                     cudaStream_t stream) override {
    if (x.rows == 0) return cudaSuccess;
    const Shape shape = {x.rows,         out.cols,           x.cols,         x.cols, out.stride,
                         CUDA_R_8F_E4M3, CudaType(out.type), bias != nullptr};
    const Plan* plan = PlanOf(shape);
    if (plan == nullptr) return cudaErrorNotSupported;
    Steps steps;
    SetBias(bias, *plan, &steps);
    steps << SetAttribute(*plan, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, weights.scales)
          << SetAttribute(*plan, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, x.scales);
    return Multiply(shape, *plan, weights.codes, x.codes, out.data, stream, steps);
  }

  const std::string& error() const override { return error_; }

 private:
  static constexpr size_t kMaxPlans = 4096;
  static constexpr uint32_t kAlignment = DenseProducts::kAlignmentBytes;

  explicit LtProducts(void* workspace) : workspace_(workspace) {}

  template <typename T>
  static cublasStatus_t SetAttribute(const Plan& plan, cublasLtMatmulDescAttributes_t attribute, const T& value) {
    return cublasLtMatmulDescSetAttribute(plan.product.get(), attribute, &value, sizeof(value));
  }
  static void SetBias(const void* bias, const Plan& plan, Steps* steps) {
    if (bias != nullptr) *steps << SetAttribute(plan, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  }

  cudaError_t Multiply(const Shape& shape, const Plan& plan, const void* weights, const void* x, void* out,
                       cudaStream_t stream, Steps steps) {
    const float one = 1.0f, zero = 0.0f;
    steps << cublasLtMatmul(handle_.get(), plan.product.get(), &one, weights, plan.weights.get(), x, plan.x.get(),
                            &zero, out, plan.out.get(), out, plan.out.get(), &plan.algorithm, workspace_,
                            kWorkspaceBytes, stream);
    return steps.ok() ? cudaSuccess : Fail("cublasLtMatmul", shape, steps.status());
  }

  // Null where cuBLASLt has none.
  const Plan* PlanOf(const Shape& shape) {
    auto found = plans_.find(shape);
    if (found == plans_.end()) {
      if (plans_.size() >= kMaxPlans) plans_.clear();
      found = plans_.emplace(shape, MakePlan(shape)).first;
    }
    return found->second.get();
  }

  std::unique_ptr<Plan> MakePlan(const Shape& shape) {
    auto plan = std::make_unique<Plan>();
    const bool fp8 = shape.in == CUDA_R_8F_E4M3;
    Steps steps;
    steps << cublasLtMatmulDescCreate(plan->product.address(), CUBLAS_COMPUTE_32F, CUDA_R_32F)
          << SetAttribute(*plan, CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T)
          << cublasLtMatrixLayoutCreate(plan->weights.address(), shape.in, shape.k, shape.n, shape.k)
          << cublasLtMatrixLayoutCreate(plan->x.address(), shape.in, shape.k, shape.rows, shape.x_stride)
          << cublasLtMatrixLayoutCreate(plan->out.address(), shape.out, shape.n, shape.rows, shape.out_stride);
    if (shape.with_bias) {
      steps << SetAttribute(*plan, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS)
            << SetAttribute(*plan, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, fp8 ? CUDA_R_16BF : shape.out);
    }
    if (fp8) {
      constexpr cublasLtMatmulMatrixScale_t kOfRows = CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;
      steps << SetAttribute(*plan, CUBLASLT_MATMUL_DESC_A_SCALE_MODE, kOfRows)
            << SetAttribute(*plan, CUBLASLT_MATMUL_DESC_B_SCALE_MODE, kOfRows);
      // A choice is made for scales that are there; each product has its own.
      for (cublasLtMatmulDescAttributes_t scales :
           {CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER}) {
        steps << SetAttribute(*plan, scales, workspace_);
      }
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
    error_ = std::string(call) + ": " + cublasLtGetStatusString(status) + " for " + std::to_string(shape.rows) +
             " rows, " + std::to_string(shape.n) + " features of " + std::to_string(shape.k);
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
