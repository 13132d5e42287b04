// Attention and the KV store against textbook softmax over plain [tokens, heads, width] arrays in double.
#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>

#include "kernels/bfloat16.h"
#include "kernels/tiles.h"
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

// The last `rows` of `length` tokens attend.
struct Problem {
  Shape shape;
  int64_t length, rows;
  bool causal;
  Extras extras;
  KvType type;
  GuardedMatrix q, k, v;
  std::vector<float> bias;   // [H, 2 length], distance 0 (or token 0) at `length` of each row
  std::vector<float> sinks;  // [H]

  static Problem Random(const Shape& s, int64_t length, int64_t rows, bool causal, float spread, const Extras& extras,
                        KvType type, std::mt19937_64& random);
  int64_t position() const { return length - rows; }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(shape.head_dim)); }
  std::vector<int32_t> Pages() const {  // in order; at least two hold nothing
    std::vector<int32_t> pages(static_cast<size_t>(length / kKvBlock + 3));
    std::iota(pages.begin(), pages.end(), 0);
    return pages;
  }
  double Bias(int64_t head, int64_t p, int64_t t) const {
    const int64_t at = extras.bias_absolute ? t : t - p;
    return extras.bias ? bias[static_cast<size_t>(head * 2 * length + length + at)] : 0.0;
  }
  bool Sees(int64_t p, int64_t t) const {
    return (!causal || t <= p) && (extras.window == 0 || std::abs(p - t) < extras.window);
  }
};

Problem Problem::Random(const Shape& s, int64_t length, int64_t rows, bool causal, float spread, const Extras& extras,
                        KvType type, std::mt19937_64& random) {
  const int64_t kv_dim = s.kv_heads * s.head_dim;
  Problem problem = {s,
                     length,
                     rows,
                     causal,
                     extras,
                     type,
                     GuardedMatrix::Random(rows, s.heads * s.head_dim, random, spread),
                     GuardedMatrix::Random(length, kv_dim, random),
                     GuardedMatrix::Random(length, kv_dim, random),
                     {},
                     {}};
  for (GuardedMatrix* m : {&problem.k, &problem.v}) MakeExact(type, s.head_dim, length, kv_dim, random, m);
  std::normal_distribution<float> normal;
  // A distance or token that nobody sees is NaN: reading it shows.
  problem.bias.assign(static_cast<size_t>(2 * length * s.heads), std::numeric_limits<float>::quiet_NaN());
  for (int64_t h = 0; h < s.heads; ++h) {
    for (int64_t p = problem.position(); p < length; ++p) {
      for (int64_t t = 0; t < length; ++t) {
        if (!problem.Sees(p, t)) continue;
        const int64_t at = extras.bias_absolute ? t : t - p;
        problem.bias[static_cast<size_t>(h * 2 * length + length + at)] = 2 * normal(random);
      }
    }
    problem.sinks.push_back(3 * normal(random));
  }
  return problem;
}

// What one query of one head gives, in double.
struct Expected {
  std::vector<double> out;         // [D]
  std::vector<double> magnitudes;  // [D]: the sum of the weighted values' sizes
  double score_terms = 0;          // the largest sum of the sizes of a score's terms
};

Expected Reference(const Problem& problem, int64_t row, int64_t head) {
  const Shape& s = problem.shape;
  const int64_t kv_head = head / (s.heads / s.kv_heads), p = problem.position() + row;
  std::vector<double> weights(static_cast<size_t>(problem.length));
  double total = problem.extras.sinks ? std::exp(static_cast<double>(problem.sinks[static_cast<size_t>(head)])) : 0;
  Expected expected;
  expected.out.resize(static_cast<size_t>(s.head_dim));
  expected.magnitudes.resize(expected.out.size());
  for (int64_t t = 0; t < problem.length; ++t) {
    if (!problem.Sees(p, t)) continue;
    double score = 0, terms = 0;
    for (int64_t d = 0; d < s.head_dim; ++d) {
      const double term = static_cast<double>(problem.q.at(row, head * s.head_dim + d)) *
                          problem.k.at(t, kv_head * s.head_dim + d) * problem.scale();
      score += term;
      terms += std::abs(term);
    }
    expected.score_terms = std::max(expected.score_terms, terms);
    const double cap = problem.extras.softcap;
    if (cap > 0) score = cap * std::tanh(score / cap);
    total += weights[static_cast<size_t>(t)] = std::exp(score + problem.Bias(head, p, t));
  }
  for (int64_t t = 0; t < problem.length; ++t) {
    for (int64_t d = 0; d < s.head_dim; ++d) {
      const double term = weights[static_cast<size_t>(t)] / total * problem.v.at(t, kv_head * s.head_dim + d);
      expected.out[static_cast<size_t>(d)] += term;
      expected.magnitudes[static_cast<size_t>(d)] += std::abs(term);
    }
  }
  return expected;
}

// The tokens of a problem in the blocks `pages` of a cache, and what attends to them.
class Sequence {
 public:
  Sequence(const Kernels& kernels, const Problem& problem, const std::vector<int32_t>& pages)
      : kernels_(kernels),
        problem_(problem),
        pages_(pages),
        cache_(problem.shape, static_cast<int64_t>(pages.size()), problem.type) {
    // In two stores, so that the second begins inside a block.
    const int64_t cut = problem.length / 2;
    kernels.store_kv(problem.k.in(), problem.v.in(), cut, pages.data(), 0, cache_.view);
    kernels.store_kv(From(problem.k, cut), From(problem.v, cut), problem.length - cut, pages.data(), cut, cache_.view);
  }

  // `rows` of the problem's rows from `row` on, with one KV head's query heads.
  void Attend(int64_t row, int64_t rows, int64_t kv_head, bool split_bf16, GuardedMatrix* out) {
    const Extras& extras = problem_.extras;
    AttentionArgs args = {cache_.view,
                          pages_.data(),
                          kv_head,
                          problem_.shape.heads,
                          From(problem_.q, row),
                          {out->out().data + row * out->out().stride, out->out().stride},
                          rows,
                          problem_.position() + row,
                          problem_.length,
                          problem_.causal,
                          problem_.scale()};
    args.softcap = extras.softcap;
    args.window = extras.window;
    args.bias = extras.bias ? problem_.bias.data() + problem_.length : nullptr;
    args.bias_stride = 2 * problem_.length;
    args.bias_absolute = extras.bias_absolute;
    args.sinks = extras.sinks ? problem_.sinks.data() : nullptr;
    args.split_bf16 = split_bf16;
    kernels_.attention(args);
  }

  int64_t most_rows() const {
    return std::max<int64_t>(1, kMaxAttentionQueries / (problem_.shape.heads / problem_.shape.kv_heads));
  }

 private:
  static ConstRows From(const GuardedMatrix& m, int64_t row) {
    return {m.in().data + row * m.in().stride, m.in().stride};
  }

  const Kernels& kernels_;
  const Problem& problem_;
  const std::vector<int32_t> pages_;
  Cache cache_;
};

// All rows, as many at a time as a call takes.
GuardedMatrix Attend(const Kernels& kernels, const Problem& problem, const std::vector<int32_t>& pages,
                     bool split_bf16 = true) {
  Sequence sequence(kernels, problem, pages);
  GuardedMatrix out(problem.rows, problem.shape.heads * problem.shape.head_dim);
  for (int64_t g = 0; g < problem.shape.kv_heads; ++g) {
    for (int64_t r = 0; r < problem.rows; r += sequence.most_rows()) {
      sequence.Attend(r, std::min(sequence.most_rows(), problem.rows - r), g, split_bf16, &out);
    }
  }
  out.ExpectGuardsIntact();
  return out;
}

bool OnTiles(const Kernels& kernels) { return &kernels != &ReferenceKernels() && TilesInUse() != TileUse::kNone; }

// Against the reference with the pages in a random order, and bit for bit against the pages in order.
void CheckAttention(const Kernels& kernels, const Shape& s, int64_t length, int64_t rows, bool causal, float spread,
                    std::mt19937_64& random, const Extras& extras = {}, KvType type = KvType::kF32) {
  SCOPED_TRACE(::testing::Message() << "heads " << s.heads << "/" << s.kv_heads << " width " << s.head_dim << " length "
                                    << length << " rows " << rows << " causal " << causal << " window " << extras.window
                                    << " softcap " << extras.softcap << " bias " << extras.bias << extras.bias_absolute
                                    << " sinks " << extras.sinks << " type " << static_cast<int>(type));
  const Problem problem = Problem::Random(s, length, rows, causal, spread, extras, type, random);
  std::vector<int32_t> pages = problem.Pages();
  const GuardedMatrix in_order = Attend(kernels, problem, pages);
  std::shuffle(pages.begin(), pages.end(), random);
  const GuardedMatrix out = Attend(kernels, problem, pages);
  // What attention_amx-inl.h promises of products of split factors, where they are split.
  const double split = OnTiles(kernels) && s.head_dim <= 256 ? 3 * 0x1p-16 : 0;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t h = 0; h < s.heads; ++h) {
      const Expected want = Reference(problem, r, h);
      for (int64_t d = 0; d < s.head_dim; ++d) {
        const int64_t column = h * s.head_dim + d;
        const size_t i = static_cast<size_t>(d);
        EXPECT_EQ(out.at(r, column), in_order.at(r, column));
        // Scores of about `spread` times 4 carry their rounding into the weights.
        const double rounding = 24 * 1.2e-7 * 4 * (1 + spread) + 1e-30;
        const double splitting = split * (2 * want.score_terms + 1) * want.magnitudes[i];
        EXPECT_NEAR(out.at(r, column), want.out[i], rounding + splitting);
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

// Any shape with any of what families add, in any cache: seeds are printed.
TEST_P(AttentionKernel, AttentionOfRandomProblems) {
  auto below = [&](int64_t n) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(n)); };
  for (int i = 0; i < 40; ++i) {
    const int64_t kv_heads = 1 + below(3), length = 1 + below(200);
    const Shape s = {kv_heads * (1 + below(9)), kv_heads, 1 + below(i % 10 == 0 ? 300 : 100)};
    Extras extras;
    if (below(3) == 0) extras.softcap = 1.0f + static_cast<float>(below(5));
    if (below(3) == 0) extras.window = 1 + below(length);
    if (below(3) == 0) extras.bias = true, extras.bias_absolute = below(2) == 0;
    if (below(3) == 0) extras.sinks = true;
    CheckAttention(kernels(), s, length, 1 + below(std::min<int64_t>(length, 70)), below(3) != 0, 1.0f, random_, extras,
                   kKvTypes[below(3)]);
  }
}

// A query's result is its own, bit for bit, whatever rows a call takes beside it.
TEST_P(AttentionKernel, AttentionDoesNotDependOnTheQueriesBeside) {
  const Extras plain = {}, all = {.softcap = 4.0f, .window = 50, .bias = true, .sinks = true};
  for (const Extras& extras : {plain, all}) {
    for (KvType type : kKvTypes) {
      const Shape s = {6, 2, 45};
      const Problem problem = Problem::Random(s, 150, 90, true, 1.0f, extras, type, random_);
      Sequence sequence(kernels(), problem, problem.Pages());
      const GuardedMatrix whole = Attend(kernels(), problem, problem.Pages());
      for (int round = 0; round < 4; ++round) {
        GuardedMatrix cut(problem.rows, s.heads * s.head_dim);
        for (int64_t r = 0, rows; r < problem.rows; r += rows) {
          rows = std::min<int64_t>(problem.rows - r, round == 0 ? 1 : 1 + static_cast<int64_t>(random_() % 40));
          for (int64_t g = 0; g < s.kv_heads; ++g) sequence.Attend(r, rows, g, true, &cut);
        }
        for (int64_t r = 0; r < problem.rows; ++r) {
          for (int64_t c = 0; c < s.heads * s.head_dim; ++c) ASSERT_EQ(cut.at(r, c), whole.at(r, c)) << r << ", " << c;
        }
      }
    }
  }
}

// What is not finite in a query or value does not become a number for those that see it, and nobody else sees it.
TEST_P(AttentionKernel, NanAndInfinityStay) {
  const Shape s = {4, 2, 40};
  constexpr int64_t kLength = 100, kRows = 60, kAt = 70;
  for (float odd : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN(),
                    std::bit_cast<float>(0xFFFFFFFFu), std::bit_cast<float>(0x7F800001u)}) {
    for (const bool in_query : {true, false}) {
      SCOPED_TRACE(::testing::Message() << odd << " in a " << (in_query ? "query" : "value"));
      Problem problem = Problem::Random(s, kLength, kRows, true, 1.0f, {}, KvType::kF32, random_);
      if (in_query) {
        problem.q.at(kAt - problem.position(), 2 * 40 + 5) = odd;  // of head 2
      } else {
        problem.v.at(kAt, 40 + 5) = odd;  // of KV head 1: heads 2 and 3
      }
      const GuardedMatrix out = Attend(kernels(), problem, problem.Pages());
      for (int64_t r = 0; r < kRows; ++r) {
        const int64_t p = problem.position() + r;
        for (int64_t c = 0; c < 4 * 40; ++c) {
          const bool in_place = in_query ? c / 40 == 2 : c >= 80 && c % 40 == 5;
          // The values of later tokens meet a weight of zero in the queries beside those that see them.
          if (!in_query && in_place && p < kAt && p >= kAt - 32) continue;
          EXPECT_EQ(std::isfinite(out.at(r, c)), !in_place || (in_query ? p != kAt : p < kAt)) << r << ", " << c;
        }
      }
    }
  }
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

LASTRO_INSTANTIATE_KERNEL_TESTS_WITH_TILES(AttentionKernel);

// Tiles in place of AVX-512.
class AttentionOnTiles : public ::testing::Test {
 protected:
  void SetUp() override {
    if (kBestVnni != Vnni::kAvx512) GTEST_SKIP() << "this CPU has no AVX-512 VNNI, so that no tiles are used on it";
  }
  void TearDown() override { SetTilesForTest(TileUse::kHardware); }

  static GuardedMatrix AttendOn(TileUse use, const Problem& problem, bool split_bf16 = true) {
    SetTilesForTest(use);
    return Attend(SimdKernels(), problem, problem.Pages(), split_bf16);
  }
  // How many outputs differ in any bit.
  static int64_t Differences(const GuardedMatrix& a, const GuardedMatrix& b) {
    int64_t differences = 0;
    for (int64_t r = 0; r < a.rows(); ++r) {
      for (int64_t c = 0; c < a.cols(); ++c) {
        differences += std::bit_cast<uint32_t>(a.at(r, c)) != std::bit_cast<uint32_t>(b.at(r, c));
      }
    }
    return differences;
  }
  // The root of the mean square of the errors, by that of the outputs.
  static double RelativeError(const Problem& problem, const GuardedMatrix& got) {
    double errors = 0, squares = 0;
    for (int64_t r = 0; r < problem.rows; ++r) {
      for (int64_t h = 0; h < problem.shape.heads; ++h) {
        const Expected want = Reference(problem, r, h);
        for (int64_t d = 0; d < problem.shape.head_dim; ++d) {
          errors += std::pow(got.at(r, h * problem.shape.head_dim + d) - want.out[static_cast<size_t>(d)], 2);
          squares += std::pow(want.out[static_cast<size_t>(d)], 2);
        }
      }
    }
    return std::sqrt(errors / squares);
  }

  std::mt19937_64 random_ = testing::SeededRandom(20261129);
};

// They are used where there are any, the caller allows it and the head is not too wide; everywhere else nothing
// changes.
TEST_F(AttentionOnTiles, UsedWhereAllowedOnly) {
  for (KvType type : kKvTypes) {
    const Problem problem = Problem::Random({4, 2, 64}, 100, 70, true, 1.0f, {}, type, random_);
    const GuardedMatrix plain = AttendOn(TileUse::kNone, problem, false);
    EXPECT_EQ(Differences(plain, AttendOn(TileUse::kNone, problem, true)), 0);
    EXPECT_EQ(Differences(plain, AttendOn(TileUse::kEmulated, problem, false)), 0);
    EXPECT_GT(Differences(plain, AttendOn(TileUse::kEmulated, problem, true)), 1000);
    if (WhyNoTiles() != nullptr) {
      EXPECT_EQ(Differences(plain, AttendOn(TileUse::kHardware, problem, true)), 0);
    }
  }
  for (int64_t head_dim : {256, 257}) {
    const Problem problem = Problem::Random({1, 1, head_dim}, 40, 40, true, 1.0f, {}, KvType::kF16, random_);
    const GuardedMatrix plain = AttendOn(TileUse::kNone, problem), split = AttendOn(TileUse::kEmulated, problem);
    EXPECT_EQ(Differences(plain, split) > 0, head_dim == 256) << head_dim;
  }
}

// Far better than BF16's 2^-9: every product that is left out costs 5e-4 at least.
TEST_F(AttentionOnTiles, KeepsSixteenBits) {
  for (KvType type : kKvTypes) {
    for (const Extras& extras : {Extras{}, Extras{.softcap = 30.0f, .window = 200, .bias = true, .sinks = true}}) {
      const Problem problem = Problem::Random({4, 1, 64}, 300, 120, true, 2.0f, extras, type, random_);
      const double plain = RelativeError(problem, AttendOn(TileUse::kNone, problem));
      const double split = RelativeError(problem, AttendOn(TileUse::kEmulated, problem));
      std::printf("KV type %d: relative error %.2g, on tiles %.2g\n", static_cast<int>(type), plain, split);
      EXPECT_LT(plain, 1e-6);
      EXPECT_LT(split, 3e-5);
    }
  }
}

using AttentionOnTilesDeathTest = AttentionOnTiles;
TEST_F(AttentionOnTilesDeathTest, LeavesNoTilesConfigured) {
  const Problem problem = Problem::Random({2, 1, 20}, 30, 30, true, 1.0f, {}, KvType::kF16, random_);
  EXPECT_DEATH(
      {
        AttendOn(TileUse::kEmulated, problem);
        EmulatedTiles::Zero<0>();
      },
      "no tiles are configured");
}

// The instructions and their emulation do the same sums, but may round them in another order.
TEST_F(AttentionOnTiles, InstructionsDoWhatTheEmulationDoes) {
  SetTilesForTest(TileUse::kHardware);
  if (TilesInUse() != TileUse::kHardware) {
    GTEST_SKIP() << "no tiles on this machine: " << (WhyNoTiles() != nullptr ? WhyNoTiles() : TilesProblem());
  }
  for (KvType type : kKvTypes) {
    const Problem problem = Problem::Random({6, 2, 45}, 150, 90, true, 1.0f, {.window = 70}, type, random_);
    const GuardedMatrix want = AttendOn(TileUse::kEmulated, problem), got = AttendOn(TileUse::kHardware, problem);
    for (int64_t r = 0; r < want.rows(); ++r) {
      for (int64_t c = 0; c < want.cols(); ++c) EXPECT_NEAR(got.at(r, c), want.at(r, c), 1e-5);
    }
  }
}

}  // namespace
}  // namespace lastro::kernels
