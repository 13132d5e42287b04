// Tiles: AMX's matrix registers behind a thin policy, so that a kernel written once runs on the instructions and on an
// emulation of them, which tests run on any CPU and which checks the instructions before they are used.
//
// A policy has, with tiles and the number of a tile as template arguments (0 to 7):
//   Configure(config)              shapes of all tiles, which become zero; per thread, until Release()
//   Release()                      back to no tiles: the thread's state is small again
//   Zero<t>()
//   Load<t>(from, stride)          row i from `from` + i * stride bytes; what is beyond the tile's shape becomes zero
//   Store<t>(to, stride)           rows of the tile's shape, nothing else
//   DotBytes<c, a, b>()            c [M, N] int32 += a [M, 4 K] int8 times b [K, 4 N] int8, of dwords of 4 in the order
//                                  of K; sums wrap (TDPBSSD)
//   DotUnsignedBytes<c, a, b>()    the same with a of uint8 (TDPBUSD)
//   DotBf16<c, a, b>()             c [M, N] fp32 += a [M, 2 K] BF16 times b [K, 2 N] BF16 (TDPBF16PS)
// where M, K and N are the rows of c, the rows of b and the dwords of a row of c.
//
// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, vol. 1 chapter 18 and vol. 2 (LDTILECFG,
// TILELOADD, TILESTORED, TILEZERO, TDPBSSD, TDPBUSD, TDPBF16PS): palette 1.
#pragma once

#include <cstdint>

namespace lastro::kernels {

inline constexpr int kTiles = 8;
inline constexpr int kTileRows = 16;
inline constexpr int kTileBytes = 64;  // of a row

// What LDTILECFG reads. Both numbers of a tile are 0 where it is not used.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};  // those of tiles that there are not stay 0
  uint8_t rows[16] = {};

  constexpr void Set(int tile, int64_t tile_rows, int bytes) {
    rows[tile] = static_cast<uint8_t>(tile_rows);
    row_bytes[tile] = static_cast<uint16_t>(bytes);
  }
};
static_assert(sizeof(TileConfig) == 64);

#if defined(__x86_64__)
// The instructions. The assembler knows them whatever the compiler may use by itself, so no target is set; compilers
// keep nothing in tiles, so none is named as changed.
struct HardwareTiles {
  static void Configure(const TileConfig& config) { asm volatile("ldtilecfg %0" : : "m"(config)); }
  static void Release() { asm volatile("tilerelease"); }
  template <int t>
  static void Zero() {
    asm volatile("tilezero %%tmm%c0" : : "i"(t));
  }
  template <int t>
  static void Load(const void* from, int64_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(t) : "memory");
  }
  template <int t>
  static void Store(void* to, int64_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(t) : "memory");
  }
  template <int c, int a, int b>
  static void DotBytes() {
    asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(c), "i"(a), "i"(b));
  }
  template <int c, int a, int b>
  static void DotUnsignedBytes() {
    asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(c), "i"(a), "i"(b));
  }
  template <int c, int a, int b>
  static void DotBf16() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(c), "i"(a), "i"(b));
  }
};
#endif

// What the instructions are documented to do, on tiles of the calling thread. What the CPU would fault on (a
// configuration, shapes that do not fit, tiles that are not configured) aborts with a message. No alignment is needed.
class EmulatedTiles {
 public:
  static void Configure(const TileConfig& config);
  static void Release();
  template <int t>
  static void Zero() {
    ZeroTile(t);
  }
  template <int t>
  static void Load(const void* from, int64_t stride) {
    LoadTile(t, from, stride);
  }
  template <int t>
  static void Store(void* to, int64_t stride) {
    StoreTile(t, to, stride);
  }
  template <int c, int a, int b>
  static void DotBytes() {
    MultiplyBytes(c, a, b, /*a_signed=*/true);
  }
  template <int c, int a, int b>
  static void DotUnsignedBytes() {
    MultiplyBytes(c, a, b, /*a_signed=*/false);
  }
  template <int c, int a, int b>
  static void DotBf16() {
    MultiplyBf16(c, a, b);
  }

 private:
  static void ZeroTile(int tile);
  static void LoadTile(int tile, const void* from, int64_t stride);
  static void StoreTile(int tile, void* to, int64_t stride);
  static void MultiplyBytes(int c, int a, int b, bool a_signed);
  static void MultiplyBf16(int c, int a, int b);
};

// Whether this CPU and system have tiles of palette 1 and their products, and this process was let use them; asked for
// once. Null, or why not.
const char* WhyNoTiles();

// Whether the instructions do what the emulation does: shapes, strides, zeroing, signs, wrapping sums, BF16 of exact
// and of rounded sums, denormals. Null, or what differed. REQUIRES: WhyNoTiles() is null.
const char* CheckTiles();

}  // namespace lastro::kernels
