#include "engine/onednn_matmul.h"

#include <omp.h>

#include <algorithm>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"

namespace lastro::engine {
namespace {

using dnnl::matmul;
using dnnl::memory;

// Rows for which the packed layout is chosen; the layout does not depend on them in practice, and a product over
// another number of rows is right in any case.
constexpr int64_t kTypicalRows = 128;

dnnl::engine& CpuEngine() {
  static dnnl::engine& engine = *new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

memory::data_type TypeOf(kernels::DataType type) {
  return type == kernels::DataType::kBF16 ? memory::data_type::bf16 : memory::data_type::f32;
}

bool Includes(dnnl::cpu_isa isa, dnnl::cpu_isa wanted) {
  return (static_cast<int>(isa) & static_cast<int>(wanted)) == static_cast<int>(wanted);
}

std::string NameOfIsa(dnnl::cpu_isa isa) {
  if (Includes(isa, dnnl::cpu_isa::avx512_core_amx)) return "avx512_core_amx";
  if (Includes(isa, dnnl::cpu_isa::avx512_core_bf16)) return "avx512_core_bf16";
  if (Includes(isa, dnnl::cpu_isa::avx512_core_vnni)) return "avx512_core_vnni";
  if (Includes(isa, dnnl::cpu_isa::avx512_core)) return "avx512_core";
  if (Includes(isa, dnnl::cpu_isa::avx2)) return "avx2";
  return "sse41 or less";
}

// Memory for one call, per thread; grows to the largest need.
void* ThreadScratchpad(size_t bytes) {
  thread_local std::unique_ptr<std::byte[]> buffer;
  thread_local size_t size = 0;
  if (bytes > size) {
    buffer = std::make_unique<std::byte[]>(bytes + 64);
    size = bytes;
  }
  const uintptr_t address = reinterpret_cast<uintptr_t>(buffer.get());
  return reinterpret_cast<void*>((address + 63) / 64 * 64);
}

// Without AVX-512 oneDNN multiplies fp32 rows six at a time and what is left over with other rounding, and cuts more
// than 72 of them into blocks that need not be whole sixes: such sixes, few at a time, keep a row's result its own.
// Measured on oneDNN 2.7, AVX2.
constexpr int64_t kRowsTogether = 6, kMostRows = 48;

bool RowsMustBeWhole(memory::data_type type) {
  static const bool plain = !Includes(dnnl::get_effective_cpu_isa(), dnnl::cpu_isa::avx512_core);
  return plain && type == memory::data_type::f32;
}

// oneDNN takes the size of its OpenMP team from the calling thread.
void UseOneThread() {
  if (omp_get_max_threads() != 1) omp_set_num_threads(1);
}

}  // namespace

const OneDnnSupport& GetOneDnnSupport() {
  static const OneDnnSupport& support = *[] {
    auto* found = new OneDnnSupport;
    const dnnl::cpu_isa isa = dnnl::get_effective_cpu_isa();
    found->amx = Includes(isa, dnnl::cpu_isa::avx512_core_amx);
    found->isa = NameOfIsa(isa);
    return found;
  }();
  return support;
}

struct OneDnnMatmul::Impl {
  // One compiled product per number of rows.
  struct Compiled {
    matmul primitive;
    memory::desc x, out, scratchpad;
  };

  int64_t n = 0, k = 0;
  memory::data_type type = memory::data_type::f32;
  memory weights, bias;  // const after Create

  mutable absl::Mutex mutex;
  // Node-based: values stay where they are while others are added.
  mutable std::unordered_map<int64_t, Compiled> compiled ABSL_GUARDED_BY(mutex);

  matmul::primitive_desc Describe(int64_t rows, const memory::desc& weights_desc) const {
    memory::desc x({rows, k}, type, memory::format_tag::ab),
        out({rows, n}, memory::data_type::f32, memory::format_tag::ab);
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    if (!bias) return matmul::primitive_desc(matmul::desc(x, weights_desc, out), attributes, CpuEngine());
    return matmul::primitive_desc(matmul::desc(x, weights_desc, bias.get_desc(), out), attributes, CpuEngine());
  }

  const Compiled& ForRows(int64_t rows) const {
    absl::MutexLock lock(&mutex);
    auto found = compiled.find(rows);
    if (found != compiled.end()) return found->second;
    matmul::primitive_desc desc = Describe(rows, weights.get_desc());
    Compiled fresh{matmul(desc), desc.src_desc(), desc.dst_desc(), desc.scratchpad_desc()};
    return compiled.emplace(rows, std::move(fresh)).first->second;
  }

  void Execute(const void* x, int64_t rows, float* out) const {
    const Compiled& product = ForRows(rows);
    thread_local dnnl::stream stream(CpuEngine());
    std::unordered_map<int, memory> arguments = {
        {DNNL_ARG_SRC, memory(product.x, CpuEngine(), const_cast<void*>(x))},
        {DNNL_ARG_WEIGHTS, weights},
        {DNNL_ARG_DST, memory(product.out, CpuEngine(), out)},
        {DNNL_ARG_SCRATCHPAD,
         memory(product.scratchpad, CpuEngine(), ThreadScratchpad(product.scratchpad.get_size()))}};
    if (bias) arguments.emplace(DNNL_ARG_BIAS, bias);
    product.primitive.execute(stream, arguments);
  }

  // kMostRows at a time, with rows of zeros up to a whole number of kRowsTogether.
  void ExecuteInSixes(const float* x, int64_t rows, float* out) const {
    for (; rows >= kMostRows; rows -= kMostRows, x += kMostRows * k, out += kMostRows * n) Execute(x, kMostRows, out);
    if (rows == 0) return;
    const int64_t whole = (rows + kRowsTogether - 1) / kRowsTogether * kRowsTogether;
    thread_local std::vector<float> padded_x, padded_out;
    padded_x.assign(static_cast<size_t>(whole * k), 0.0f);
    padded_out.resize(static_cast<size_t>(whole * n));
    std::copy(x, x + rows * k, padded_x.begin());
    Execute(padded_x.data(), whole, padded_out.data());
    std::copy(padded_out.begin(), padded_out.begin() + rows * n, out);
  }

  void Load(const void* source, bool pack) {
    memory::desc plain({k, n}, type, memory::format_tag::ba);
    memory from(plain, CpuEngine(), const_cast<void*>(source));
    weights = from;
    if (pack) {
      weights = memory(Describe(kTypicalRows, memory::desc({k, n}, type, memory::format_tag::any)).weights_desc(),
                       CpuEngine());
      dnnl::stream stream(CpuEngine());
      dnnl::reorder(from, weights).execute(stream, from, weights);
      stream.wait();
    }
    ForRows(kTypicalRows);  // fails here, at load, if it fails at all
  }
};

OneDnnMatmul::OneDnnMatmul() : impl_(std::make_unique<Impl>()) {}
OneDnnMatmul::~OneDnnMatmul() = default;

std::unique_ptr<OneDnnMatmul> OneDnnMatmul::Create(const void* weights, kernels::DataType type, int64_t n, int64_t k,
                                                   const float* bias, bool pack) {
  const int threads = omp_get_max_threads();  // the caller's thread may not be ours: leave its setting as it was
  std::unique_ptr<OneDnnMatmul> result(new OneDnnMatmul);
  try {
    UseOneThread();
    Impl& impl = *result->impl_;
    impl.n = n;
    impl.k = k;
    impl.type = TypeOf(type);
    if (bias != nullptr) {
      impl.bias =
          memory({{1, n}, memory::data_type::f32, memory::format_tag::ab}, CpuEngine(), const_cast<float*>(bias));
    }
    impl.Load(weights, pack);
  } catch (const std::exception&) {
    result = nullptr;
  }
  omp_set_num_threads(threads);
  return result;
}

bool OneDnnMatmul::Run(const void* x, int64_t rows, float* out) const {
  try {
    UseOneThread();
    if (RowsMustBeWhole(impl_->type)) {
      impl_->ExecuteInSixes(static_cast<const float*>(x), rows, out);
    } else {
      impl_->Execute(x, rows, out);
    }
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

bool Sgemm(const float* x, int64_t rows, const float* w, int64_t n, int64_t k, bool accumulate, int64_t out_stride,
           float* out) {
  UseOneThread();
  return dnnl_sgemm('N', 'T', rows, n, k, 1.0f, x, k, w, k, accumulate ? 1.0f : 0.0f, out, out_stride) == dnnl_success;
}

}  // namespace lastro::engine
