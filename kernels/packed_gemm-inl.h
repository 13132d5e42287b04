// The products of packed_gemm.h, beside gemm_tiles-inl.h in each of simd_gemm.cc's namespaces.
static_assert(kPackedColumns == kGemmColumns && kPackedRows == kGemmRows);

// Groups of a panel that stay in the first-level cache, 25 KB, while all rows meet them.
constexpr int64_t kGroupsTogether = 3;

// kCount floats as integers within kPackedLimit; gives their scale, which is not finite when one of them is not.
template <int64_t kCount = kPackedGroup>
HWY_INLINE float RoundPackedGroup(const float* x, int16_t* codes) {
  const D32 d;
  const DF32 df;
  const hn::Rebind<int16_t, D32> d16;
  auto bits = hn::Zero(d);  // of the largest; as integers, so that NaN is large, and so is then the scale
  for (int64_t i = 0; i < kCount; i += kLanes) {
    bits = hn::Max(bits, hn::BitCast(d, hn::Abs(hn::LoadU(df, x + i))));
  }
  const float scale = hn::GetLane(hn::BitCast(df, hn::MaxOfLanes(d, bits))) / kPackedLimit;
  const auto inverse = hn::Set(df, scale >= std::numeric_limits<float>::min() ? 1.0f / scale : 0.0f);
  for (int64_t i = 0; i < kCount; i += kLanes) {
    const V32 rounded = hn::NearestInt(hn::Mul(hn::LoadU(df, x + i), inverse));
    hn::StoreU(hn::DemoteTo(d16, rounded), d16, codes + i);
  }
  return scale;
}

// The same of `count` floats, as if zeros followed.
HWY_INLINE float RoundPackedPart(const float* x, int64_t count, int16_t* codes) {
  if (count == kPackedGroup) return RoundPackedGroup(x, codes);
  HWY_ALIGN float some[kPackedGroup] = {};
  std::copy(x, x + count, some);
  return RoundPackedGroup(some, codes);
}

inline void PackPanel(ConstRows features, int64_t count, int64_t k, PackedWeights* to) {
  HWY_ALIGN int16_t codes[kPackedGroup];
  for (int64_t g = 0; g < PackedGroups(k); ++g) {
    for (int64_t f = 0; f < kPackedColumns; ++f) {
      const float* from = features.data + f * features.stride + g * kPackedGroup;
      const int64_t inputs = f < count ? std::min(kPackedGroup, k - g * kPackedGroup) : 0;
      to[g].scales[f] = RoundPackedPart(inputs > 0 ? from : to[g].scales, inputs, codes);
      for (int64_t i = 0; i < kPackedGroup / 2; ++i) std::memcpy(to[g].codes[i][f], codes + 2 * i, 4);
    }
  }
}

inline void RoundPackedRows(ConstRows x, int64_t rows, int64_t k, PackedRows out) {
  for (int64_t row = 0; row < rows; row += kPackedRows, out = FromBlock(out, 1)) {
    for (int64_t g = 0; g < PackedGroups(k); ++g) {
      const int64_t inputs = std::min(kPackedGroup, k - g * kPackedGroup);
      for (int64_t r = g * kPackedRows; r < (g + 1) * kPackedRows; ++r) {
        const int64_t at = row + r % kPackedRows;
        const bool there = at < rows;
        const float* from = x.data + (there ? at : row) * x.stride + g * kPackedGroup;
        out.scales[r] = RoundPackedPart(from, there ? inputs : 0, out.codes + r * kPackedGroup);
      }
    }
  }
}

// Calls put(r, v, sums) for the sums of kInputs products, as floats, of each row r of kRegisterRows, kRowStride apart,
// and vector v of the 32 features of `w` [kInputs / 2, 32, 2].
template <int64_t kInputs, int64_t kRowStride, class Put>
HWY_INLINE void SumProducts(const int16_t* codes, const int16_t* w, const Put& put) {
  const D32 d;
  V32 sums[kRegisterRows][kVectors], odd[kRegisterRows][kVectors];
  for (int r = 0; r < kRegisterRows; ++r) {
    for (int v = 0; v < kVectors; ++v) sums[r][v] = odd[r][v] = hn::Zero(d);
  }
  HWY_UNROLL(64)  // all of it: otherwise GCC copies the sums in every round
  for (int64_t k = 0; k < kInputs / 2; ++k) {
    for (int r = 0; r < kRegisterRows; ++r) {
      int32_t pair;
      std::memcpy(&pair, codes + r * kRowStride + 2 * k, sizeof(pair));
      const V32 broadcast = hn::Set(d, pair);
      for (int v = 0; v < kVectors; ++v) {
        sums[r][v] = Dot(sums[r][v], odd[r][v], broadcast, w + (k * kPackedColumns + v * kLanes) * 2);
        Settle(sums[r][v]);
      }
    }
  }
  for (int r = 0; r < kRegisterRows; ++r) {
    for (int v = 0; v < kVectors; ++v) put(r, v, hn::ConvertTo(DF32(), Finish(sums[r][v], odd[r][v])));
  }
}

// to [kRegisterRows, 32] = from + rows [first, first + kRegisterRows) of a block's group times a panel's.
HWY_INLINE void MultiplyGroup(const PackedWeights& w, const int16_t* codes, const float* scales, int64_t first,
                              ConstRows from, MutRows to) {
  const DF32 df;
  SumProducts<kPackedGroup, kPackedGroup>(
      codes + first * kPackedGroup, &w.codes[0][0][0], [&](int r, int v, hn::Vec<DF32> sum) HWY_ATTR {
        const auto scale = hn::Mul(hn::Set(df, scales[first + r]), hn::Load(df, w.scales + v * kLanes));
        const auto so_far = hn::LoadU(df, from.data + r * from.stride + v * kLanes);
        hn::StoreU(hn::MulAdd(sum, scale, so_far), df, to.data + r * to.stride + v * kLanes);
      });
}

// to [8, 32] = from + a block of rows times the groups [begin, end) of a panel. `from` may be `to`.
HWY_NOINLINE void MultiplyBlock(const PackedWeights* panel, const PackedRows& block, int64_t begin, int64_t end,
                                ConstRows from, MutRows to) {
  for (int64_t g = begin; g < end; ++g) {
    for (int64_t r = 0; r < kPackedRows; r += kRegisterRows) {
      MultiplyGroup(panel[g], block.codes + g * kPackedGroup * kPackedRows, block.scales + g * kPackedRows, r,
                    {from.data + r * from.stride, from.stride}, {to.data + r * to.stride, to.stride});
    }
    from = {to.data, to.stride};
  }
}

HWY_INLINE void CopyRows(ConstRows from, int64_t rows, int64_t cols, MutRows to) {
  for (int64_t r = 0; r < rows; ++r) std::copy_n(from.data + r * from.stride, cols, to.data + r * to.stride);
}

// Piece `piece` of `pieces` of the groups behind [begin, end), as many, towards the second-level cache: while rows meet
// what is there, what they meet next comes.
HWY_INLINE void FetchNext(const PackedWeights* panel, int64_t begin, int64_t end, int64_t piece, int64_t pieces) {
  constexpr int64_t kLine = 64;
  const int64_t lines = (end - begin) * static_cast<int64_t>(sizeof(PackedWeights)) / kLine;
  const char* next = reinterpret_cast<const char*>(panel + end);
  for (int64_t line = lines * piece / pieces; line < lines * (piece + 1) / pieces; ++line) {
    __builtin_prefetch(next + line * kLine, 0, 2);
  }
}

// Block `index` of the rows times the groups [begin, end) of a panel of `count` features onto `out`, which begins at
// the panel's first feature.
HWY_INLINE void MultiplyPart(const PackedGemmArgs& args, const PackedWeights* panel, int64_t begin, int64_t end,
                             const float* bias, int64_t count, int64_t index, MutRows out) {
  HWY_ALIGN float some[kPackedRows * kPackedColumns];
  const MutRows buffer = {some, kPackedColumns};
  const int64_t row = index * kPackedRows, rows = std::min(kPackedRows, args.rows - row);
  const bool whole = rows == kPackedRows && count == kPackedColumns;
  const MutRows there = {out.data + row * out.stride, out.stride}, to = whole ? there : buffer;
  if (!whole) std::fill(some, some + kPackedRows * kPackedColumns, 0.0f);
  if (!whole && begin > 0) CopyRows({there.data, there.stride}, rows, count, buffer);
  const ConstRows from = begin == 0 ? ConstRows{bias, 0} : ConstRows{to.data, to.stride};
  MultiplyBlock(panel, FromBlock(args.x, index), begin, end, from, to);
  if (!whole) CopyRows({some, kPackedColumns}, rows, count, there);
}

// All rows times one panel, a few groups at a time.
HWY_INLINE void MultiplyRows(const PackedGemmArgs& args, const PackedWeights* panel, const float* bias, int64_t count,
                             MutRows out) {
  const int64_t blocks = (args.rows + kPackedRows - 1) / kPackedRows;
  for (int64_t begin = 0; begin < args.x.groups; begin += kGroupsTogether) {
    const int64_t end = std::min(args.x.groups, begin + kGroupsTogether);
    for (int64_t block = 0; block < blocks; ++block) {
      FetchNext(panel, begin, end, block, blocks);
      MultiplyPart(args, panel, begin, end, bias, count, block, out);
    }
  }
}

inline void PackedGemm(const PackedGemmArgs& args, int64_t panel_begin, int64_t panel_end) {
  for (int64_t p = panel_begin; p < panel_end; ++p) {
    const int64_t first = p * kPackedColumns, count = std::min(kPackedColumns, args.n - first);
    HWY_ALIGN float bias[kPackedColumns] = {};
    if (args.bias != nullptr) std::copy_n(args.bias + first, count, bias);
    MultiplyRows(args, args.panels + p * args.x.groups, bias, count, {args.out.data + first, args.out.stride});
  }
}
