#include "kernels/tiles.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <limits>

#include "kernels/bfloat16.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#define LASTRO_ASK_FOR_TILES 1
#endif

namespace lastro::kernels {
namespace {

struct State {
  TileConfig config;
  uint8_t data[kTiles][kTileRows][kTileBytes];
};

State& ThreadState() {
  thread_local State state = [] {
    State none = {};
    none.config.palette = 0;
    return none;
  }();
  return state;
}

[[noreturn]] void Fault(const char* why) {
  std::fprintf(stderr, "tiles: the CPU would fault: %s\n", why);
  std::abort();
}
void Require(bool good, const char* why) {
  if (!good) Fault(why);
}

void CheckConfig(const TileConfig& config) {
  Require(config.palette <= 1, "there is no such palette");
  for (uint8_t byte : config.reserved) Require(byte == 0, "reserved bytes of the configuration are not 0");
  for (int t = 0; t < 16; ++t) {
    const int rows = config.rows[t], bytes = config.row_bytes[t];
    Require(t < kTiles || (rows == 0 && bytes == 0), "there is no such tile");
    Require(rows <= kTileRows && bytes <= kTileBytes, "a tile of the configuration is too large");
    Require((rows == 0) == (bytes == 0), "a tile of the configuration has rows or columns only");
  }
}

void RequireTile(const State& state, int tile) {
  Require(state.config.palette == 1, "no tiles are configured");
  Require(state.config.rows[tile] != 0, "the tile is not configured");
}

// The rows of c and b and the dwords of a row of c, of a product whose shapes fit.
struct Shape {
  int m, k, n;
};
Shape ShapeOfProduct(const State& state, int c, int a, int b) {
  for (int tile : {c, a, b}) RequireTile(state, tile);
  Require(c != a && c != b && a != b, "a product needs three tiles");
  const TileConfig& config = state.config;
  for (int tile : {c, a, b}) Require(config.row_bytes[tile] % 4 == 0, "a row is not whole dwords");
  Require(config.rows[c] == config.rows[a], "rows of the result and of the left side differ");
  Require(config.row_bytes[c] == config.row_bytes[b], "columns of the result and of the right side differ");
  Require(config.row_bytes[a] / 4 == config.rows[b], "columns of the left side and rows of the right side differ");
  return {config.rows[c], config.rows[b], config.row_bytes[c] / 4};
}

// Behind the first `rows` and `bytes` all is zero after an instruction that writes the tile.
void ZeroBeyond(State& state, int tile, int rows, int bytes) {
  for (int row = 0; row < kTileRows; ++row) {
    const int from = row < rows ? bytes : 0;
    std::memset(state.data[tile][row] + from, 0, static_cast<size_t>(kTileBytes - from));
  }
}

// Denormals count as zero.
float Flush(float x) { return std::abs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0f, x) : x; }
void ReadRows(const State& state, int tile, float (&to)[kTileRows][kTileBytes / 2]) {
  for (int row = 0; row < state.config.rows[tile]; ++row) {
    for (int i = 0; i < state.config.row_bytes[tile] / 2; ++i) {
      uint16_t bits;
      std::memcpy(&bits, state.data[tile][row] + 2 * i, sizeof(bits));
      to[row][i] = Flush(Bf16ToFloat(bits));
    }
  }
}

}  // namespace

void EmulatedTiles::Configure(const TileConfig& config) {
  CheckConfig(config);
  State& state = ThreadState();
  state.config = config;
  std::memset(state.data, 0, sizeof(state.data));
}

void EmulatedTiles::Release() {
  State& state = ThreadState();
  state = {};
  state.config.palette = 0;
}

void EmulatedTiles::ZeroTile(int tile) {
  State& state = ThreadState();
  RequireTile(state, tile);
  ZeroBeyond(state, tile, 0, 0);
}

void EmulatedTiles::LoadTile(int tile, const void* from, int64_t stride) {
  State& state = ThreadState();
  RequireTile(state, tile);
  const int rows = state.config.rows[tile], bytes = state.config.row_bytes[tile];
  for (int row = 0; row < rows; ++row) {
    std::memcpy(state.data[tile][row], static_cast<const uint8_t*>(from) + row * stride, static_cast<size_t>(bytes));
  }
  ZeroBeyond(state, tile, rows, bytes);
}

void EmulatedTiles::StoreTile(int tile, void* to, int64_t stride) {
  State& state = ThreadState();
  RequireTile(state, tile);
  for (int row = 0; row < state.config.rows[tile]; ++row) {
    std::memcpy(static_cast<uint8_t*>(to) + row * stride, state.data[tile][row], state.config.row_bytes[tile]);
  }
}

void EmulatedTiles::MultiplyBytes(int c, int a, int b, bool a_signed) {
  State& state = ThreadState();
  const Shape shape = ShapeOfProduct(state, c, a, b);
  for (int m = 0; m < shape.m; ++m) {
    for (int n = 0; n < shape.n; ++n) {
      uint32_t sum;  // wraps
      std::memcpy(&sum, state.data[c][m] + 4 * n, 4);
      for (int k = 0; k < 4 * shape.k; ++k) {
        const uint8_t left = state.data[a][m][k], right = state.data[b][k / 4][4 * n + k % 4];
        const int x = a_signed ? static_cast<int8_t>(left) : left;
        sum += static_cast<uint32_t>(x * static_cast<int8_t>(right));
      }
      std::memcpy(state.data[c][m] + 4 * n, &sum, 4);
    }
  }
  ZeroBeyond(state, c, shape.m, 4 * shape.n);
}

// The even and the odd products each in a chain of FMAs from zero, then their sum onto c; everything rounded to
// nearest, denormals flushed at each step.
void EmulatedTiles::MultiplyBf16(int c, int a, int b) {
  State& state = ThreadState();
  const Shape shape = ShapeOfProduct(state, c, a, b);
  float left[kTileRows][kTileBytes / 2], right[kTileRows][kTileBytes / 2];
  ReadRows(state, a, left);
  ReadRows(state, b, right);
  for (int m = 0; m < shape.m; ++m) {
    for (int n = 0; n < shape.n; ++n) {
      float sums[2] = {0, 0};
      for (int k = 0; k < shape.k; ++k) {
        for (int i = 0; i < 2; ++i) sums[i] = Flush(std::fma(left[m][2 * k + i], right[k][2 * n + i], sums[i]));
      }
      float value;
      std::memcpy(&value, state.data[c][m] + 4 * n, 4);
      value = Flush(Flush(value) + Flush(sums[0] + sums[1]));
      std::memcpy(state.data[c][m] + 4 * n, &value, 4);
    }
  }
  ZeroBeyond(state, c, shape.m, 4 * shape.n);
}

#if LASTRO_ASK_FOR_TILES
namespace {

const char* FindTiles() {
  // ARCH_REQ_XCOMP_PERM and the number of the tiles' data among a thread's states.
  constexpr int kAskFor = 0x1023, kTileData = 18;
  unsigned a, b, c, d;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return "the CPU has no AMX";
  constexpr unsigned kBf16 = 1u << 22, kTile = 1u << 24, kInt8 = 1u << 25;
  if ((d & (kBf16 | kTile | kInt8)) != (kBf16 | kTile | kInt8)) return "the CPU has no AMX";
  __get_cpuid(1, &a, &b, &c, &d);
  if ((c & 1u << 27) == 0) return "the system does not say which states it saves";
  unsigned low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low & 3u << 17) != 3u << 17) return "the system does not save tiles";
  if (__get_cpuid_count(0x1D, 1, &a, &b, &c, &d) == 0) return "the CPU has no palette 1";
  if (a >> 16 != kTileRows * kTileBytes || (b & 0xFFFF) != kTileBytes || b >> 16 != kTiles ||
      (c & 0xFFFF) != kTileRows) {
    return "the CPU's palette 1 is not the one that is known";
  }
  if (syscall(SYS_arch_prctl, kAskFor, kTileData) != 0) return "the system does not let this process use tiles";
  return nullptr;
}

// The same small products on one policy; `results` are compared.
struct CheckData {
  uint8_t a[kTileRows * 96], b[kTileRows * 96];
  float c[kTileRows * kTileRows];
};

constexpr int64_t kCheckStride = 96;  // not that of a tile

template <class Tiles>
void RunCheck(const CheckData& data, int m, int k, int n, int what, uint8_t* out) {
  TileConfig config;
  config.Set(0, m, 4 * n);
  config.Set(3, m, 4 * k);
  config.Set(7, k, 4 * n);
  Tiles::Configure(config);
  Tiles::template Load<0>(data.c, kTileBytes);
  Tiles::template Load<3>(data.a, kCheckStride);
  Tiles::template Load<7>(data.b, kCheckStride);
  if (what == 0) Tiles::template DotBytes<0, 3, 7>();
  if (what == 1) Tiles::template DotUnsignedBytes<0, 3, 7>();
  if (what == 2) Tiles::template DotBf16<0, 3, 7>();
  Tiles::template Store<0>(out, kCheckStride);
  Tiles::template Zero<0>();
  Tiles::template DotBytes<0, 3, 7>();
  Tiles::template Store<0>(out + kTileRows * kCheckStride, kCheckStride);
  Tiles::Release();
}

constexpr size_t kCheckBytes = 2 * kTileRows * kCheckStride;

bool SameOnBoth(const CheckData& data, int m, int k, int n, int what, float tolerance) {
  uint8_t want[kCheckBytes], got[kCheckBytes];
  std::memset(want, 0xA5, sizeof(want));
  std::memset(got, 0xA5, sizeof(got));
  RunCheck<EmulatedTiles>(data, m, k, n, what, want);
  RunCheck<HardwareTiles>(data, m, k, n, what, got);
  if (tolerance == 0) return std::memcmp(want, got, sizeof(want)) == 0;
  for (int row = 0; row < m; ++row) {
    for (int i = 0; i < n; ++i) {
      float x, y;
      std::memcpy(&x, want + row * kCheckStride + 4 * i, 4);
      std::memcpy(&y, got + row * kCheckStride + 4 * i, 4);
      if (!(std::abs(x - y) <= tolerance)) return false;
    }
  }
  return true;
}

// A plain generator: the check is the same each time.
uint32_t Next(uint32_t& state) { return state = state * 1664525u + 1013904223u; }

void FillBf16(uint8_t* to, size_t bytes, bool exact, uint32_t& state) {
  for (size_t i = 0; i + 1 < bytes; i += 2) {
    const int whole = static_cast<int>(Next(state) >> 26) - 32;
    const float value = exact ? static_cast<float>(whole) : static_cast<float>(whole) * 0.03137f;
    uint16_t bits = FloatToBf16(value);
    if (exact && Next(state) >> 28 == 0) bits = static_cast<uint16_t>(Next(state) >> 25);  // a denormal
    std::memcpy(to + i, &bits, sizeof(bits));
  }
}

}  // namespace

const char* WhyNoTiles() {
  static const char* const why = FindTiles();
  return why;
}

const char* CheckTiles() {
  constexpr int kShapes[][3] = {{16, 16, 16}, {16, 8, 16}, {16, 4, 16}, {5, 3, 7}, {1, 1, 1}};
  CheckData data;
  uint32_t state = 20260101;
  for (const auto& [m, k, n] : kShapes) {
    for (uint8_t& byte : data.a) byte = static_cast<uint8_t>(Next(state) >> 24);
    for (uint8_t& byte : data.b) byte = static_cast<uint8_t>(Next(state) >> 24);
    for (float& value : data.c) {
      const int32_t near_the_end = std::numeric_limits<int32_t>::max() - static_cast<int32_t>(Next(state) >> 18);
      std::memcpy(&value, &near_the_end, sizeof(value));
    }
    if (!SameOnBoth(data, m, k, n, 0, 0)) return "products of signed bytes differ";
    if (!SameOnBoth(data, m, k, n, 1, 0)) return "products of unsigned bytes differ";
    for (bool exact : {true, false}) {
      FillBf16(data.a, sizeof(data.a), exact, state);
      FillBf16(data.b, sizeof(data.b), exact, state);
      for (float& value : data.c) value = static_cast<float>(Next(state) >> 24);
      if (!SameOnBoth(data, m, k, n, 2, exact ? 0.0f : 1e-4f)) return "products of BF16 differ";
    }
  }
  return nullptr;
}

#else

const char* WhyNoTiles() { return "AMX is used on x86-64 under Linux only"; }
const char* CheckTiles() { return WhyNoTiles(); }

#endif

}  // namespace lastro::kernels
