// Attention and the KV store against textbook softmax over plain [tokens, heads, width] arrays in double.
#include <algorithm>
#include <limits>
#include <numeric>

#include "kernels/bfloat16.h"
#include "tests/unit/kernels/kernel_test_util.h"

namespace lastro::kernels {
namespace {

class AttentionKernel : public KernelTest {};

struct Shape {
  int64_t heads, kv_heads, head_dim;
};

constexpr KvType kKvTypes[] = {KvType::kF32, KvType::kF16, KvType::kInt8};

// A cache of `blocks` blocks full of NaN (in int8: of scales that are): what is read without having been stored shows.
struct Cache {
  Cache(const Shape& shape, int64_t blocks, KvType type) {
    view = {nullptr, nullptr, type, shape.kv_heads, shape.head_dim};
    k.resize(static_cast<size_t>(blocks * view.block_bytes()), 0xFF);
    v = k;
    view.k = k.data();
    view.v = v.data();
  }
  std::vector<uint8_t> k, v;
  KvView view;
};

// Makes `m`, tokens of vectors of `head_dim`, of numbers that the cache keeps exactly.
void MakeExact(KvType type, int64_t head_dim, int64_t rows, int64_t cols, std::mt19937_64& random, GuardedMatrix* m) {
  for (int64_t r = 0; r < rows; ++r) {
    float scale = 0;
    for (int64_t c = 0; c < cols; ++c) {
      float& x = m->at(r, c);
      if (type == KvType::kF16) x = Fp16ToFloat(FloatToFp16(x));
      if (type != KvType::kInt8) continue;
      const bool first = c % head_dim % kKvGroup == 0;
      if (first) scale = std::ldexp(1.0f, -static_cast<int>(random() % 4) - 5);
      x = scale * (first ? 127.0f : std::clamp(std::nearbyint(x / scale), -127.0f, 127.0f));
    }
  }
}

// The element that kv_layout.h has at `at` of a head's codes, with the scale at `scale_at`.
float ElementAt(const KvView& view, const uint8_t* head, int64_t at, int64_t scale_at) {
  float value = 0, scale = 0;
  uint16_t half = 0;
  switch (view.type) {
    case KvType::kF32:
      std::memcpy(&value, head + 4 * at, 4);
      return value;
    case KvType::kF16:
      std::memcpy(&half, head + 2 * at, 2);
      return Fp16ToFloat(half);
    case KvType::kInt8:
      std::memcpy(&scale, head + kKvBlock * view.head_dim + 4 * scale_at, 4);
      return scale * static_cast<float>(static_cast<int8_t>(head[at]));
  }
  return 0;
}

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
  KvType type;
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
  Cache cache(s, static_cast<int64_t>(pages.size()), problem.type);
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
                    std::mt19937_64& random, const Extras& extras = {}, KvType type = KvType::kF32) {
  SCOPED_TRACE(::testing::Message() << "heads " << s.heads << "/" << s.kv_heads << " width " << s.head_dim << " length "
                                    << length << " rows " << rows << " causal " << causal << " window " << extras.window
                                    << " softcap " << extras.softcap << " bias " << extras.bias << extras.bias_absolute
                                    << " sinks " << extras.sinks << " type " << static_cast<int>(type));
  const int64_t position = length - rows;
  const GuardedMatrix q = GuardedMatrix::Random(rows, s.heads * s.head_dim, random, spread);
  const int64_t kv_dim = s.kv_heads * s.head_dim;
  GuardedMatrix k = GuardedMatrix::Random(length, kv_dim, random), v = GuardedMatrix::Random(length, kv_dim, random);
  for (GuardedMatrix* m : {&k, &v}) MakeExact(type, s.head_dim, length, kv_dim, random, m);
  Problem problem = {s, length, rows, causal, extras, type, {}, {}};
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
  for (const Shape& s : {Shape{1, 1, 8}, Shape{9, 3, 14}, Shape{4, 2, 12}, Shape{5, 5, 7}, Shape{8, 1, 64},
                         Shape{2, 2, 33}, Shape{3, 1, 150}}) {
    for (int64_t length : {1, 2, 15, 16, 17, 63, 64, 65, 130}) {
      for (bool causal : {true, false}) {
        CheckAttention(kernels(), s, length, length, causal, 1.0f, random_);  // a prompt
        CheckAttention(kernels(), s, length, 1, causal, 1.0f, random_);       // a decoded token
        CheckAttention(kernels(), s, length, (length + 2) / 3, causal, 1.0f, random_);
      }
    }
  }
}

TEST_P(AttentionKernel, AttentionOverRoundedTokens) {
  for (KvType type : {KvType::kF16, KvType::kInt8}) {
    for (const Shape& s : {Shape{9, 3, 14}, Shape{8, 1, 64}, Shape{2, 2, 33}, Shape{3, 1, 150}}) {
      for (int64_t length : {1, 17, 64, 65, 130}) {
        CheckAttention(kernels(), s, length, length, true, 1.0f, random_, {}, type);
        CheckAttention(kernels(), s, length, 1, true, 1.0f, random_, {}, type);
        CheckAttention(kernels(), s, length, (length + 2) / 3, false, 1.0f, random_, {}, type);
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
  const Shape s = {2, 2, 37};
  const int64_t kv_dim = 2 * 37;
  for (KvType type : kKvTypes) {
    SCOPED_TRACE(static_cast<int>(type));
    Cache cache(s, 4, type);
    GuardedMatrix k = GuardedMatrix::Random(6, kv_dim, random_), v = GuardedMatrix::Random(6, kv_dim, random_);
    for (GuardedMatrix* m : {&k, &v}) MakeExact(type, s.head_dim, 6, kv_dim, random_, m);
    const int32_t blocks[] = {3, 1};
    kernels().store_kv(k.in(), v.in(), 6, blocks, 13, cache.view);  // slots 13..15 of block 3 and 0..2 of block 1
    // Where the layout has head 1's component 34 of the third token, and of the last.
    const int64_t c = 34, third = 2, last = 5;
    EXPECT_EQ(ElementAt(cache.view, cache.view.Keys(3, 1), c * 16 + 15, 16 + 15), k.at(third, 37 + c));
    EXPECT_EQ(ElementAt(cache.view, cache.view.Values(1, 1), 2 * 37 + c, 2 * 2 + 1), v.at(last, 37 + c));
    int64_t changed = 0;  // bytes; one of a token may happen to be what it was
    for (const std::vector<uint8_t>* bytes : {&cache.k, &cache.v}) {
      changed += std::count_if(bytes->begin(), bytes->end(), [](uint8_t byte) { return byte != 0xFF; });
    }
    EXPECT_LE(changed, 2 * 6 * 2 * KvVectorBytes(type, s.head_dim));
    EXPECT_GT(changed, 6 * 2 * KvVectorBytes(type, s.head_dim));
  }
}

// Many tokens at once leave the bytes that they leave one by one, and no others.
TEST_P(AttentionKernel, StoreKvOfManyTokensEqualsOneByOne) {
  for (int64_t head_dim : {1, 7, 8, 20, 32, 37, 64, 100}) {
    const Shape s = {2, 2, head_dim};
    const int64_t tokens = 53, position = 5;  // a block's end, whole blocks, a block's beginning
    const GuardedMatrix k = GuardedMatrix::Random(tokens, 2 * head_dim, random_);
    const GuardedMatrix v = GuardedMatrix::Random(tokens, 2 * head_dim, random_);
    const int32_t blocks[] = {3, 1, 4, 0};
    for (KvType type : kKvTypes) {
      SCOPED_TRACE(::testing::Message() << head_dim << ", type " << static_cast<int>(type));
      Cache many(s, 5, type), single(s, 5, type);
      kernels().store_kv(k.in(), v.in(), tokens, blocks, position, many.view);
      for (int64_t r = 0; r < tokens; ++r) {
        kernels().store_kv({k.in().data + r * k.in().stride, k.in().stride},
                           {v.in().data + r * v.in().stride, v.in().stride}, 1, blocks, position + r, single.view);
      }
      EXPECT_EQ(many.k, single.k);
      EXPECT_EQ(many.v, single.v);
    }
  }
}

// What is not exact is rounded to the nearest; what fp16 does not reach is its largest; NaN and infinity stay bad.
TEST_P(AttentionKernel, StoreKvRounds) {
  const Shape s = {1, 1, 40};
  const int32_t block = 0;
  GuardedMatrix x = GuardedMatrix::Random(16, 40, random_, 100.0f);
  x.at(1, 3) = 1e9f;
  x.at(2, 35) = std::numeric_limits<float>::quiet_NaN();
  for (int64_t c = 0; c < 40; ++c) x.at(4, c) = 1e-38f;
  for (KvType type : {KvType::kF16, KvType::kInt8}) {
    SCOPED_TRACE(static_cast<int>(type));
    Cache cache(s, 1, type);
    kernels().store_kv(x.in(), x.in(), 16, &block, 0, cache.view);
    for (int64_t r = 0; r < 16; ++r) {
      for (int64_t c = 0; c < 40; ++c) {
        SCOPED_TRACE(::testing::Message() << "token " << r << " component " << c);
        const int64_t group = c / kKvGroup;
        const float key = ElementAt(cache.view, cache.view.Keys(0, 0), c * 16 + r, group * 16 + r);
        const float value = ElementAt(cache.view, cache.view.Values(0, 0), r * 40 + c, r * 2 + group);
        float largest = 0;
        for (int64_t i = group * kKvGroup; i < std::min<int64_t>(40, (group + 1) * kKvGroup); ++i) {
          largest = std::max(largest, std::abs(x.at(r, i)));
        }
        const bool bad = type == KvType::kInt8 ? r == 2 && group == 1 : r == 2 && c == 35;
        const float error =
            type == KvType::kInt8 ? largest / 253.9f + 1e-30f : std::abs(x.at(r, c)) / 2047.0f + 0x1p-25f;
        for (float stored : {key, value}) {
          if (bad) {
            EXPECT_TRUE(std::isnan(stored));
          } else if (type == KvType::kF16 && r == 1 && c == 3) {
            EXPECT_EQ(stored, kLargestFp16);
          } else {
            EXPECT_NEAR(stored, x.at(r, c), error);
          }
        }
      }
    }
  }
}

LASTRO_INSTANTIATE_KERNEL_TESTS(AttentionKernel);

}  // namespace
}  // namespace lastro::kernels
