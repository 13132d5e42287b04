#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/sampling.h"

namespace lastro::kernels::cuda {
namespace {

constexpr int kSampleThreads = 1024;
constexpr int kSampleWarps = kSampleThreads / kWarp;
constexpr int kDigitBits = 8, kDigits = 1 << kDigitBits, kKeyBits = 64;

__device__ __forceinline__ float LogitOf(uint64 key) {
  const uint32_t ordered = static_cast<uint32_t>(key >> 32);
  return __uint_as_float(ordered >> 31 != 0 ? ordered & 0x7fffffffu : ~ordered);
}

struct Larger {
  template <typename T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a > b ? a : b;
  }
};
struct Sum {
  template <typename T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a + b;
  }
};

// Over the block, in an order that is always the same; known to each of its threads, all of which call it.
template <typename T, typename Op>
__device__ T BlockReduce(T x, Op op) {
  __shared__ T of_warps[kSampleWarps];
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  for (int bits = kWarp / 2; bits > 0; bits /= 2) x = op(x, __shfl_xor_sync(~0u, x, bits));
  if (lane == 0) of_warps[warp] = x;
  __syncthreads();
  x = of_warps[lane];
  for (int bits = kWarp / 2; bits > 0; bits /= 2) x = op(x, __shfl_xor_sync(~0u, x, bits));
  __syncthreads();
  return x;
}
static_assert(kSampleWarps == kWarp, "a warp reduces what the warps found");

// One row, and what is known of it.
struct Row {
  const float* logits;
  int64_t vocabulary;
  float best;
  float temperature;

  // Calls body(id, logit) for the finite logits, in turn with the other threads of the block.
  template <typename Body>
  __device__ __forceinline__ void ForEach(Body body) const {
    for (int64_t id = threadIdx.x; id < vocabulary; id += kSampleThreads) {
      const float logit = logits[id];
      if (isfinite(logit)) body(id, logit);
    }
  }
  __device__ __forceinline__ uint64 WeightOf(float logit) const {
    const double share = exp((static_cast<double>(logit) - static_cast<double>(best)) / temperature);
    return static_cast<uint64>(share * static_cast<double>(kSamplingOne) + 0.5);
  }
};

// The tokens' masses, by the digit of their keys at `shift`, and how many they are; of keys from `least` on that begin
// as `prefix` does.
struct Histogram {
  uint64 mass[kDigits];
  unsigned tokens[kDigits];
};
template <typename Mass>
__device__ void Count(const Row& row, uint64 least, uint64 prefix, int shift, Mass mass_of, Histogram* histogram) {
  for (int i = threadIdx.x; i < kDigits; i += kSampleThreads) {
    histogram->mass[i] = 0;
    histogram->tokens[i] = 0;
  }
  __syncthreads();
  const int above = shift + kDigitBits;
  row.ForEach([&](int64_t id, float logit) {
    const uint64 key = KeyOf(logit, id);
    if (key < least || (above < kKeyBits && key >> above != prefix >> above)) return;
    const int digit = static_cast<int>(key >> shift & (kDigits - 1));
    atomicAdd(&histogram->mass[digit], mass_of(logit));
    atomicAdd(&histogram->tokens[digit], 1u);
  });
  __syncthreads();
}

// The least key of the tokens that are kept: one is kept while the mass of those before it is less than what is needed,
// need_of(the mass of all). Only keys from `least` on take part; at least one token has one.
template <typename Mass, typename Need>
__device__ uint64 LeastKept(const Row& row, uint64 least, Mass mass_of, Need need_of) {
  __shared__ Histogram histogram;
  __shared__ uint64 prefix, need;
  __shared__ bool found;
  for (int shift = kKeyBits - kDigitBits;; shift -= kDigitBits) {
    Count(row, least, shift == kKeyBits - kDigitBits ? 0 : prefix, shift, mass_of, &histogram);
    if (threadIdx.x == 0) {
      if (shift == kKeyBits - kDigitBits) {
        uint64 all = 0;
        for (uint64 mass : histogram.mass) all += mass;
        prefix = 0;
        need = need_of(all);
      }
      int digit = kDigits - 1, last = -1;
      for (; digit >= 0; --digit) {
        if (histogram.tokens[digit] == 0) continue;
        last = digit;
        if (histogram.mass[digit] >= need) break;
        need -= histogram.mass[digit];
      }
      // Where all of them have less than is needed, all are kept.
      found = digit < 0 || shift == 0 || histogram.tokens[digit] == 1 || histogram.mass[digit] == need;
      prefix |= static_cast<uint64>(last) << shift;
    }
    __syncthreads();
    const uint64 result = prefix > least ? prefix : least;
    const bool done = found;
    __syncthreads();
    if (done) return result;
  }
}

__device__ uint64 LeastKeptBy(const SamplingRule& rule, const Row& row) {
  uint64 least = 0;
  if (rule.top_k > 0) {
    const uint64 top_k = static_cast<uint64>(rule.top_k);
    least = LeastKept(
        row, least, [](float) { return uint64{1}; }, [=](uint64) { return top_k; });
  }
  if (rule.top_p < 1.0f) {
    const double top_p = rule.top_p;
    least = LeastKept(
        row, least, [&](float logit) { return row.WeightOf(logit); },
        [=](uint64 all) { return static_cast<uint64>(ceil(top_p * static_cast<double>(all))); });
  }
  return least;
}

// The high bits of a product of 128: draw / 2^kDrawBits of `total`, rounded down.
__device__ __forceinline__ uint64 ShareOf(uint64 draw, uint64 total) {
  return __umul64hi(draw, total) << (kKeyBits - kDrawBits) | (draw * total) >> kDrawBits;
}

// Written by the thread that has it.
__device__ void Draw(const SamplingRule& rule, const Row& row, uint64* chosen) {
  const uint64 least = LeastKeptBy(rule, row);
  auto weight_of = [&](int64_t id) -> uint64 {
    const float logit = row.logits[id];
    if (!isfinite(logit) || KeyOf(logit, id) < least) return 0;
    const uint64 weight = row.WeightOf(logit);
    return weight < rule.least_weight ? 0 : weight;
  };
  const int64_t piece = CeilDiv(row.vocabulary, kSampleThreads);
  const int64_t begin = threadIdx.x * piece, end = begin + piece < row.vocabulary ? begin + piece : row.vocabulary;
  uint64 sum = 0;
  for (int64_t id = begin; id < end; ++id) sum += weight_of(id);
  const uint64 before = BlockSumBefore(sum);
  const uint64 wanted = ShareOf(rule.draw, BlockReduce(sum, Sum()));
  if (wanted < before || wanted - before >= sum) return;
  uint64 left = wanted - before;
  for (int64_t id = begin; id < end; ++id) {
    const uint64 weight = weight_of(id);
    if (left < weight) {
      *chosen = KeyOf(row.logits[id], id);
      return;
    }
    left -= weight;
  }
}

__device__ __forceinline__ float Edited(const LogitEdit& edit, float logit) {
  if (edit.repetition != 1.0f) logit = logit > 0 ? logit / edit.repetition : logit * edit.repetition;
  logit -= edit.penalty;
  return logit + edit.bias;
}

__device__ uint64 BestKey(const Row& row) {
  uint64 best = 0;  // less than the key of any finite logit
  row.ForEach([&](int64_t id, float logit) { best = Larger()(best, KeyOf(logit, id)); });
  return BlockReduce(best, Larger());
}

__device__ float LogSum(const Row& row) {
  const uint64 key = BestKey(row);
  const float best = key == 0 ? 0.0f : LogitOf(key);
  double sum = 0;
  row.ForEach([&](int64_t, float logit) { sum += expf(logit - best); });
  return static_cast<float>(best + log(BlockReduce(sum, Sum())));
}

__global__ void __launch_bounds__(kSampleThreads)
    SampleKernel(float* all_logits, int64_t vocabulary, int64_t stride, const SampledRow* rows, const LogitEdit* edits,
                 float* originals, SampledToken* out) {
  AwaitPriorKernel();
  __shared__ uint64 chosen;
  const SampledRow sampled = rows[blockIdx.x];
  float* logits = all_logits + sampled.row * stride;
  edits += sampled.first_edit;
  originals += sampled.first_edit;
  Row row = {logits, vocabulary, 0.0f, sampled.rule.temperature};
  const float log_sum = LogSum(row);
  for (int i = threadIdx.x; i < sampled.edits; i += kSampleThreads) {
    originals[i] = logits[edits[i].id];
    logits[edits[i].id] = Edited(edits[i], originals[i]);
  }
  __syncthreads();
  const uint64 best = BestKey(row);
  if (threadIdx.x == 0) chosen = best;
  if (best == 0) {
    if (threadIdx.x == 0) out[blockIdx.x] = {-1, 0.0f, log_sum};
    return;
  }
  __syncthreads();
  if (row.temperature != 0.0f) {
    row.best = LogitOf(best);
    Draw(sampled.rule, row, &chosen);
    __syncthreads();
  }
  const int32_t id = IdOf(chosen);
  if (threadIdx.x == 0) out[blockIdx.x] = {id, logits[id], log_sum};
  __syncthreads();
  for (int i = threadIdx.x; i < sampled.edits; i += kSampleThreads) {
    if (edits[i].id == id) out[blockIdx.x].logit = originals[i];
  }
}

}  // namespace

cudaError_t Sample(Matrix logits, const SampledRow* rows, int64_t count, const LogitEdit* edits, float* originals,
                   SampledToken* out, Stream stream) {
  if (count == 0) return cudaSuccess;
  return Launch(SampleKernel, dim3(static_cast<unsigned>(count)), kSampleThreads, 0, stream,
                static_cast<float*>(logits.data), logits.cols, logits.stride, rows, edits, originals, out);
}

}  // namespace lastro::kernels::cuda
