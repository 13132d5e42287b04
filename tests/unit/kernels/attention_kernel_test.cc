// Attention and the KV store against textbook softmax over plain [tokens, heads, width] arrays in double.
#include <algorithm>
#include <limits>
#include <numeric>

#include "tests/unit/kernels/kernel_test_util.h"

namespace lastro::kernels {
namespace {

class AttentionKernel : public KernelTest {};

struct Shape {
  int64_t heads, kv_heads, head_dim;
};

// A cache of `blocks` blocks full of NaN: whatever is read without having been stored shows.
struct Cache {
  Cache(const Shape& shape, int64_t blocks)
      : k(static_cast<size_t>(blocks * shape.kv_heads * shape.head_dim * kKvBlock),
          std::numeric_limits<float>::quiet_NaN()),
        v(k) {
    view = {k.data(), v.data(), shape.kv_heads, shape.head_dim};
  }
  std::vector<float> k, v;
  KvView view;
};

// What families add to plain attention; see AttentionArgs.
struct Extras {
  float softcap = 0;
  int64_t window = 0;
  bool bias = false, bias_absolute = false, sinks = false;
};

// One call of CheckAttention.
struct Problem {
  Shape shape;
  int64_t length, rows;
  bool causal;
  Extras extras;
  std::vector<float> bias;   // [H, 2 length], distance 0 (or token 0) at `length` of each row
  std::vector<float> sinks;  // [H]

  int64_t position() const { return length - rows; }
  double Bias(int64_t head, int64_t p, int64_t t) const {
    const int64_t at = extras.bias_absolute ? t : t - p;
    return extras.bias ? bias[static_cast<size_t>(head * 2 * length + length + at)] : 0.0;
  }
  bool Sees(int64_t p, int64_t t) const {
    return (!causal || t <= p) && (extras.window == 0 || std::abs(p - t) < extras.window);
  }
};

// The output of one query of one head, in double.
std::vector<double> Reference(const Problem& problem, const GuardedMatrix& q, const GuardedMatrix& k,
                              const GuardedMatrix& v, int64_t row, int64_t head, double scale) {
  const Shape& s = problem.shape;
  const int64_t kv_head = head / (s.heads / s.kv_heads), p = problem.position() + row;
  std::vector<double> weights(static_cast<size_t>(problem.length));
  double total = problem.extras.sinks ? std::exp(static_cast<double>(problem.sinks[static_cast<size_t>(head)])) : 0;
  std::vector<double> out(static_cast<size_t>(s.head_dim));
  for (int64_t t = 0; t < problem.length; ++t) {
    if (!problem.Sees(p, t)) continue;
    double score = 0;
    for (int64_t d = 0; d < s.head_dim; ++d) {
      score += static_cast<double>(q.at(row, head * s.head_dim + d)) * k.at(t, kv_head * s.head_dim + d);
    }
    score *= scale;
    const double cap = problem.extras.softcap;
    if (cap > 0) score = cap * std::tanh(score / cap);
    total += weights[static_cast<size_t>(t)] = std::exp(score + problem.Bias(head, p, t));
  }
  for (int64_t t = 0; t < problem.length; ++t) {
    for (int64_t d = 0; d < s.head_dim; ++d) {
      out[static_cast<size_t>(d)] += weights[static_cast<size_t>(t)] / total * v.at(t, kv_head * s.head_dim + d);
    }
  }
  return out;
}

// The kernels' output, with the tokens in the blocks `pages` of a cache.
GuardedMatrix Attend(const Kernels& kernels, const Problem& problem, const GuardedMatrix& q, const GuardedMatrix& k,
                     const GuardedMatrix& v, const std::vector<int32_t>& pages, float scale) {
  const Shape& s = problem.shape;
  const Extras& extras = problem.extras;
  Cache cache(s, static_cast<int64_t>(pages.size()));
  // In two stores, so that the second begins inside a block.
  const int64_t cut = problem.length / 2, rows = problem.rows;
  auto from = [](const GuardedMatrix& m, int64_t row) {
    return ConstRows{m.in().data + row * m.in().stride, m.in().stride};
  };
  kernels.store_kv(k.in(), v.in(), cut, pages.data(), 0, cache.view);
  kernels.store_kv(from(k, cut), from(v, cut), problem.length - cut, pages.data(), cut, cache.view);
  GuardedMatrix out(rows, s.heads * s.head_dim);
  for (int64_t g = 0; g < s.kv_heads; ++g) {
    const int64_t step = std::max<int64_t>(1, kMaxAttentionQueries / (s.heads / s.kv_heads));
    for (int64_t r = 0; r < rows; r += step) {
      AttentionArgs args = {cache.view,
                            pages.data(),
                            g,
                            s.heads,
                            from(q, r),
                            {out.out().data + r * out.out().stride, out.out().stride},
                            std::min(step, rows - r),
                            problem.position() + r,
                            problem.length,
                            problem.causal,
                            scale};
      args.softcap = extras.softcap;
      args.window = extras.window;
      args.bias = extras.bias ? problem.bias.data() + problem.length : nullptr;
      args.bias_stride = 2 * problem.length;
      args.bias_absolute = extras.bias_absolute;
      args.sinks = extras.sinks ? problem.sinks.data() : nullptr;
      kernels.attention(args);
    }
  }
  out.ExpectGuardsIntact();
  return out;
}

// Against the reference with the pages in a random order, and bit for bit against the pages in order.
void CheckAttention(const Kernels& kernels, const Shape& s, int64_t length, int64_t rows, bool causal, float spread,
                    std::mt19937_64& random, const Extras& extras = {}) {
  SCOPED_TRACE(::testing::Message() << "heads " << s.heads << "/" << s.kv_heads << " width " << s.head_dim << " length "
                                    << length << " rows " << rows << " causal " << causal << " window " << extras.window
                                    << " softcap " << extras.softcap << " bias " << extras.bias << extras.bias_absolute
                                    << " sinks " << extras.sinks);
  const int64_t position = length - rows;
  const GuardedMatrix q = GuardedMatrix::Random(rows, s.heads * s.head_dim, random, spread);
  const GuardedMatrix k = GuardedMatrix::Random(length, s.kv_heads * s.head_dim, random);
  const GuardedMatrix v = GuardedMatrix::Random(length, s.kv_heads * s.head_dim, random);
  Problem problem = {s, length, rows, causal, extras, {}, {}};
  std::normal_distribution<float> normal;
  // A distance or token that nobody sees is NaN: reading it shows.
  problem.bias.assign(static_cast<size_t>(2 * length * s.heads), std::numeric_limits<float>::quiet_NaN());
  for (int64_t h = 0; h < s.heads; ++h) {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t t = 0; t < length; ++t) {
        if (!problem.Sees(position + r, t)) continue;
        const int64_t at = extras.bias_absolute ? t : t - position - r;
        problem.bias[static_cast<size_t>(h * 2 * length + length + at)] = 2 * normal(random);
      }
    }
    problem.sinks.push_back(3 * normal(random));
  }
  std::vector<int32_t> pages(static_cast<size_t>(length / kKvBlock + 3));  // at least two hold nothing
  std::iota(pages.begin(), pages.end(), 0);
  const float scale = 1.0f / std::sqrt(static_cast<float>(s.head_dim));
  const GuardedMatrix in_order = Attend(kernels, problem, q, k, v, pages, scale);
  std::shuffle(pages.begin(), pages.end(), random);
  const GuardedMatrix out = Attend(kernels, problem, q, k, v, pages, scale);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t h = 0; h < s.heads; ++h) {
      const auto want = Reference(problem, q, k, v, r, h, scale);
      for (int64_t d = 0; d < s.head_dim; ++d) {
        const int64_t column = h * s.head_dim + d;
        EXPECT_EQ(out.at(r, column), in_order.at(r, column));
        // Scores of about `spread` times 4 carry their rounding into the weights.
        ExpectClose(out.at(r, column), want[static_cast<size_t>(d)], 4 * (1 + spread), 24);
      }
    }
  }
}

TEST_P(AttentionKernel, AttentionOverShapesAndLengths) {
  for (const Shape& s :
       {Shape{1, 1, 8}, Shape{9, 3, 14}, Shape{4, 2, 12}, Shape{5, 5, 7}, Shape{8, 1, 64}, Shape{2, 2, 33}}) {
    for (int64_t length : {1, 2, 15, 16, 17, 63, 64, 65, 130}) {
      for (bool causal : {true, false}) {
        CheckAttention(kernels(), s, length, length, causal, 1.0f, random_);  // a prompt
        CheckAttention(kernels(), s, length, 1, causal, 1.0f, random_);       // a decoded token
        CheckAttention(kernels(), s, length, (length + 2) / 3, causal, 1.0f, random_);
      }
    }
  }
}

// Large scores: the running maximum must keep exp from overflowing, and rise from tile to tile.
TEST_P(AttentionKernel, AttentionWithLargeScores) {
  CheckAttention(kernels(), {4, 2, 16}, 200, 200, true, 60.0f, random_);
}

TEST_P(AttentionKernel, AttentionWithWhatFamiliesAdd) {
  const Extras all[] = {{.softcap = 2.5f}, {.window = 1},
                        {.window = 16},    {.window = 37},
                        {.bias = true},    {.bias = true, .bias_absolute = true},
                        {.sinks = true},   {.softcap = 4.0f, .window = 70, .bias = true, .sinks = true}};
  for (const Extras& extras : all) {
    for (const Shape& s : {Shape{6, 2, 10}, Shape{3, 3, 33}}) {
      for (int64_t length : {1, 36, 64, 150}) {
        for (bool causal : {true, false}) {
          CheckAttention(kernels(), s, length, length, causal, 1.0f, random_, extras);
          CheckAttention(kernels(), s, length, 1, causal, 1.0f, random_, extras);
          CheckAttention(kernels(), s, length, (length + 2) / 3, causal, 1.0f, random_, extras);
        }
      }
    }
  }
}

// Falcon-7B: more query heads for one KV head than rows are taken at once.
TEST_P(AttentionKernel, AttentionWithManyHeadsForOneKvHead) {
  CheckAttention(kernels(), {71, 1, 6}, 70, 70, true, 1.0f, random_);
}

TEST_P(AttentionKernel, StoreKvTouchesItsTokensOnly) {
  const Shape s = {2, 2, 5};
  Cache cache(s, 4);
  const GuardedMatrix k = GuardedMatrix::Random(6, 10, random_), v = GuardedMatrix::Random(6, 10, random_);
  const int32_t blocks[] = {3, 1};
  kernels().store_kv(k.in(), v.in(), 6, blocks, 13, cache.view);  // slots 13..15 of block 3 and 0..2 of block 1
  auto written = [](const std::vector<float>& values) {
    return std::count_if(values.begin(), values.end(), [](float x) { return !std::isnan(x); });
  };
  EXPECT_EQ(written(cache.k), 6 * 10);
  EXPECT_EQ(written(cache.v), 6 * 10);
  EXPECT_EQ(cache.k[static_cast<size_t>(3 * 160 + (1 * 5 + 2) * 16 + 13)], k.at(0, 7));
  EXPECT_EQ(cache.v[static_cast<size_t>(1 * 160 + (1 * 16 + 2) * 5 + 4)], v.at(5, 9));
}

LASTRO_INSTANTIATE_KERNEL_TESTS(AttentionKernel);

}  // namespace
}  // namespace lastro::kernels
