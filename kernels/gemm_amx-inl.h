// The products of gemm.h on AMX's tiles, beside gemm_tiles-inl.h in simd_gemm.cc's namespace for AVX-512 VNNI, whose
// panels it packs: a panel's codes are already what a tile takes as right side. `Tiles` is a policy of tiles.h.
//
// Four panels at a time meet all rows, so that x, which does not fit in a core's cache, is read once for 128 features.
// Of x 32 rows meet a panel at a time: 2 by 2 tiles of sums, for which two tiles of each side are loaded.
constexpr int64_t kTilePanels = 4;
constexpr int64_t kTilePassRows = 512;  // rows whose sums for these panels stay in the second-level cache
constexpr int64_t kBlockCodes = kTileBytes * kGemmTileRows;  // bytes of x that lie together

// Tiles 0 to 3: sums, of two blocks of rows times two halves of a panel. 4, 5: blocks of x. 6, 7: halves of a panel.
constexpr TileConfig ConfigOf(int left_bytes) {
  TileConfig config;
  for (int t = 0; t < 4; ++t) config.Set(t, kGemmTileRows, kTileBytes);
  for (int t = 4; t < 6; ++t) config.Set(t, kGemmTileRows, left_bytes);
  for (int t = 6; t < 8; ++t) config.Set(t, left_bytes / 4, kTileBytes);
  return config;
}

// One chunk of a block of 16 rows of x.
struct TileRowsOfX {
  uint8_t* codes;  // [chunk's bytes / 64, 16, 64]
  float* scales;   // [groups of 32, 16]
  float* sums;     // [groups of 16, 16]
};

inline TileRowsOfX RowsOfX(const GemmRows& x, int64_t block, int64_t k, int64_t code_bytes) {
  const int64_t at = (block * x.padded_k + k) * kGemmTileRows;
  return {static_cast<uint8_t*>(x.codes) + at * code_bytes, x.scales + at / kQuantGroup, x.sums + at / kQuantSumGroup};
}

// The tile of the bytes from `first` on of a chunk of x.
template <class Tiles, int t>
HWY_INLINE void LoadLeft(const uint8_t* codes, int64_t first) {
  Tiles::template Load<t>(codes + first / kTileBytes * kBlockCodes + first % kTileBytes, kTileBytes);
}
// Two tiles of a panel's rows of dwords from `dword` on.
template <class Tiles, typename Code>
HWY_INLINE void LoadRight(const Panel<Code>& panel, int64_t dword) {
  const auto* from = reinterpret_cast<const uint8_t*>(panel.codes) + dword * 4 * kGemmColumns;
  Tiles::template Load<6>(from, 4 * kGemmColumns);
  Tiles::template Load<7>(from + kTileBytes, 4 * kGemmColumns);
}

template <class Tiles, int kBlocks>
HWY_INLINE void ZeroSums() {
  Tiles::template Zero<0>();
  Tiles::template Zero<1>();
  if (kBlocks < 2) return;
  Tiles::template Zero<2>();
  Tiles::template Zero<3>();
}
// Of [16 blocks, 32] dwords.
template <class Tiles, int kBlocks>
HWY_INLINE void LoadSums(const float* c) {
  Tiles::template Load<0>(c, 4 * kGemmColumns);
  Tiles::template Load<1>(c + 16, 4 * kGemmColumns);
  if (kBlocks < 2) return;
  Tiles::template Load<2>(c + kGemmTileRows * kGemmColumns, 4 * kGemmColumns);
  Tiles::template Load<3>(c + kGemmTileRows * kGemmColumns + 16, 4 * kGemmColumns);
}
template <class Tiles, int kBlocks>
HWY_INLINE void StoreSums(void* sums) {
  uint8_t* to = static_cast<uint8_t*>(sums);
  Tiles::template Store<0>(to, 4 * kGemmColumns);
  Tiles::template Store<1>(to + kTileBytes, 4 * kGemmColumns);
  if (kBlocks < 2) return;
  Tiles::template Store<2>(to + kGemmTileRows * 4 * kGemmColumns, 4 * kGemmColumns);
  Tiles::template Store<3>(to + kGemmTileRows * 4 * kGemmColumns + kTileBytes, 4 * kGemmColumns);
}

template <class Source>
struct TileSource;

// Blocks of integers: the sums of a group are scaled and added in fp32 before the next one's.
template <class Format>
struct TileSource<QuantSource<Format>> {
  using Panels = QuantSource<Format>;
  using Code = int8_t;
  static constexpr int kLeftBytes = static_cast<int>(Panels::kGroup);
  static constexpr int64_t kGroups = 4;  // whose sums wait at a time

  static HWY_INLINE void Pack(const uint8_t* w, int64_t row_bytes, int64_t count, int64_t elements, Rows<Code>* rows,
                              Panel<Code>* panel) {
    Panels::Pack(w, row_bytes, count, elements, rows, panel);
  }

  // The sums of one row over the groups [from, to) onto c [32].
  static HWY_INLINE void AddGroups(const Panel<Code>& panel, const TileRowsOfX& x, int64_t row, int64_t from,
                                   int64_t to, const int32_t* sums, float* c) {
    constexpr int64_t kGroup = Panels::kGroup;
    const D32 d;
    const DF32 df;
    auto low = hn::Load(df, c), high = hn::Load(df, c + 16);
    for (int64_t g = from; g < to; ++g, sums += 2 * kGemmTileRows * kGemmColumns) {
      const auto x_scale = hn::Set(df, x.scales[g * kGroup / kQuantGroup * kGemmTileRows + row]);
      const auto low_scale = hn::Mul(x_scale, hn::Load(df, panel.scales[g]));
      const auto high_scale = hn::Mul(x_scale, hn::Load(df, panel.scales[g] + 16));
      low = hn::MulAdd(hn::ConvertTo(df, hn::Load(d, sums)), low_scale, low);
      high = hn::MulAdd(hn::ConvertTo(df, hn::Load(d, sums + 16)), high_scale, high);
      if (!Panels::kMinima) continue;
      const float* values = x.sums + g * kGroup / kQuantSumGroup * kGemmTileRows + row;
      const auto value = hn::Set(df, kGroup == 32 ? values[0] + values[kGemmTileRows] : values[0]);
      low = hn::NegMulAdd(value, hn::Load(df, panel.minima[g]), low);
      high = hn::NegMulAdd(value, hn::Load(df, panel.minima[g] + 16), high);
    }
    hn::Store(low, df, c);
    hn::Store(high, df, c + 16);
  }

  // c [16 kBlocks, 32] += a chunk of x times the panel.
  template <class Tiles, int kBlocks>
  static HWY_NOINLINE void Multiply(const Panel<Code>& panel, const TileRowsOfX (&x)[2], int64_t elements, float* c) {
    alignas(64) int32_t sums[kGroups][2 * kGemmTileRows][kGemmColumns];
    const int64_t groups = elements / kLeftBytes;
    for (int64_t from = 0; from < groups; from += kGroups) {
      const int64_t to = std::min(groups, from + kGroups);
      for (int64_t g = from; g < to; ++g) {
        LoadRight<Tiles>(panel, g * kLeftBytes / 4);
        LoadLeft<Tiles, 4>(x[0].codes, g * kLeftBytes);
        ZeroSums<Tiles, kBlocks>();
        Tiles::template DotBytes<0, 4, 6>();
        Tiles::template DotBytes<1, 4, 7>();
        if (kBlocks == 2) {
          LoadLeft<Tiles, 5>(x[1].codes, g * kLeftBytes);
          Tiles::template DotBytes<2, 5, 6>();
          Tiles::template DotBytes<3, 5, 7>();
        }
        StoreSums<Tiles, kBlocks>(sums[g - from]);
      }
      for (int64_t row = 0; row < kBlocks * kGemmTileRows; ++row) {
        AddGroups(panel, x[row / kGemmTileRows], row % kGemmTileRows, from, to, sums[0][row], c + row * kGemmColumns);
      }
    }
  }
};

// BF16: the sums stay in tiles over a chunk.
template <>
struct TileSource<Bf16Source> {
  using Code = int16_t;
  static constexpr int kLeftBytes = kTileBytes;

  static HWY_INLINE void Pack(const uint8_t* w, int64_t row_bytes, int64_t count, int64_t elements, Rows<Code>* rows,
                              Panel<Code>* panel) {
    Bf16Source::Transpose(w, row_bytes, count, elements, rows, panel);
  }

  template <class Tiles, int kBlocks>
  static HWY_NOINLINE void Multiply(const Panel<Code>& panel, const TileRowsOfX (&x)[2], int64_t elements, float* c) {
    LoadSums<Tiles, kBlocks>(c);
    for (int64_t first = 0; first < 2 * elements; first += kLeftBytes) {
      LoadRight<Tiles>(panel, first / 4);
      LoadLeft<Tiles, 4>(x[0].codes, first);
      Tiles::template DotBf16<0, 4, 6>();
      Tiles::template DotBf16<1, 4, 7>();
      if (kBlocks == 2) {
        LoadLeft<Tiles, 5>(x[1].codes, first);
        Tiles::template DotBf16<2, 5, 6>();
        Tiles::template DotBf16<3, 5, 7>();
      }
    }
    StoreSums<Tiles, kBlocks>(c);
  }
};

// The sums of a pass: c [panels, kTilePassRows, 32] += the chunk at k of all its blocks of rows times each panel.
template <class Tiles, class Source>
HWY_INLINE void MultiplyPanels(const Panel<typename Source::Code>* panels, int64_t panel_count, const GemmRows& x,
                               int64_t block, int64_t blocks, int64_t k, int64_t elements, float* c) {
  constexpr int64_t kCodeBytes = sizeof(typename Source::Code);
  for (int64_t i = 0; i < blocks; i += 2) {
    const bool both = i + 1 < blocks;
    const TileRowsOfX rows[2] = {RowsOfX(x, block + i, k, kCodeBytes),
                                 RowsOfX(x, block + i + (both ? 1 : 0), k, kCodeBytes)};
    for (int64_t p = 0; p < panel_count; ++p) {
      float* to = c + (p * kTilePassRows + i * kGemmTileRows) * kGemmColumns;
      both ? Source::template Multiply<Tiles, 2>(panels[p], rows, elements, to)
           : Source::template Multiply<Tiles, 1>(panels[p], rows, elements, to);
    }
  }
}

template <class Tiles, class Source>
HWY_NOINLINE void GemmOnTiles(const GemmArgs& args, int64_t panel_begin, int64_t panel_end) {
  using Code = typename Source::Code;
  static constexpr TileConfig kConfig = ConfigOf(Source::kLeftBytes);
  Rows<Code> rows;
  Panel<Code> panels[kTilePanels];
  alignas(64) float c[kTilePanels * kTilePassRows * kGemmColumns];
  const int64_t row_bytes = RowBytes(args.type, args.k);
  Tiles::Configure(kConfig);
  for (int64_t from = panel_begin; from < panel_end; from += kTilePanels) {
    const int64_t panel_count = std::min(kTilePanels, panel_end - from);
    const auto features = [&](int64_t p) { return std::min(kGemmColumns, args.n - (from + p) * kGemmColumns); };
    for (int64_t row = 0; row < args.rows; row += kTilePassRows) {
      const int64_t pass = std::min(kTilePassRows, args.rows - row);
      std::fill(c, c + panel_count * kTilePassRows * kGemmColumns, 0.0f);
      for (int64_t k = 0; k < args.k; k += kQuantChunk) {
        const int64_t elements = std::min(kQuantChunk, args.k - k);
        for (int64_t p = 0; p < panel_count; ++p) {
          const uint8_t* w = static_cast<const uint8_t*>(args.weights) + (from + p) * kGemmColumns * row_bytes;
          Source::Pack(w + RowBytes(args.type, k), row_bytes, features(p), elements, &rows, &panels[p]);
        }
        MultiplyPanels<Tiles, Source>(panels, panel_count, args.x, row / kGemmTileRows,
                                      (pass + kGemmTileRows - 1) / kGemmTileRows, k, elements, c);
      }
      for (int64_t p = 0; p < panel_count; ++p) {
        PutSums(c + p * kTilePassRows * kGemmColumns, args, row, pass, (from + p) * kGemmColumns, features(p));
      }
    }
  }
  Tiles::Release();
}

template <class Tiles>
void TileGemm(const GemmArgs& args, int64_t panel_begin, int64_t panel_end) {
  if (args.type == DataType::kBF16) return GemmOnTiles<Tiles, TileSource<Bf16Source>>(args, panel_begin, panel_end);
  WithFormat(args.type, [&](auto format) {
    GemmOnTiles<Tiles, TileSource<QuantSource<decltype(format)>>>(args, panel_begin, panel_end);
  });
}

inline RowCode TileCodeFor(DataType type) { return type == DataType::kBF16 ? RowCode::kTileBf16 : RowCode::kTileInt8; }

// A group of 32 of one row of a block at k.
HWY_INLINE void PutGroup(const float* from, RowCode code, int64_t k, int64_t row, const TileRowsOfX& block) {
  uint8_t* to = block.codes + k * BytesOf(code) / kTileBytes * kBlockCodes + row * kTileBytes;
  if (code == RowCode::kTileBf16) {
    const DF32 d;
    const hn::Rebind<uint16_t, DF32> d16;
    for (int64_t i = 0; i < kQuantGroup; i += kLanes) {
      hn::StoreU(ToBf16Bits(d, hn::LoadU(d, from + i)), d16, reinterpret_cast<uint16_t*>(to) + i);
    }
    return;
  }
  float sums[2];
  HWY_ALIGN int16_t codes[kQuantGroup];
  block.scales[k / kQuantGroup * kGemmTileRows + row] = RoundGroup(from, LimitOf(code), codes, sums);
  for (int64_t i = 0; i < kQuantGroup; ++i) to[k % kTileBytes + i] = static_cast<uint8_t>(codes[i]);
  for (int64_t h = 0; h < 2; ++h) block.sums[(k / kQuantSumGroup + h) * kGemmTileRows + row] = sums[h];
}

inline void RoundTileRows(ConstRows x, int64_t rows, int64_t k, RowCode code, GemmRows out) {
  HWY_ALIGN float some[kQuantGroup];
  for (int64_t row = 0; row < (rows + kGemmTileRows - 1) / kGemmTileRows * kGemmTileRows; ++row) {
    const TileRowsOfX block = RowsOfX(out, row / kGemmTileRows, 0, BytesOf(code));
    for (int64_t i = 0; i < out.padded_k; i += kQuantGroup) {
      const int64_t count = row < rows ? std::clamp<int64_t>(k - i, 0, kQuantGroup) : 0;
      const float* from = x.data + row * x.stride + i;
      if (count < kQuantGroup) {
        std::fill(some, some + kQuantGroup, 0.0f);
        if (count > 0) std::copy(from, from + count, some);
        from = some;
      }
      PutGroup(from, code, i, row % kGemmTileRows, block);
    }
  }
}

template <class Tiles>
const GemmKernels& TileTable() {
  static const GemmKernels table = {TileCodeFor, RoundTileRows, TileGemm<Tiles>, kTilePanels};
  return table;
}
