// The emulation of tiles against the manual's words, written down a second time, and the instructions against the
// emulation where the CPU has them.
#include "kernels/tiles.h"

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/bfloat16.h"
#include "tests/test_util.h"

namespace lastro::kernels {
namespace {

constexpr uint8_t kUntouched = 0xA5;

class Tiles : public ::testing::Test {
 protected:
  void TearDown() override { EmulatedTiles::Release(); }

  static TileConfig ForProduct(int m, int k, int n) {
    TileConfig config;
    config.Set(0, m, 4 * n);
    config.Set(1, m, 4 * k);
    config.Set(2, k, 4 * n);
    return config;
  }

  std::vector<uint8_t> Bytes(size_t count) {
    std::vector<uint8_t> bytes(count);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random_());
    return bytes;
  }

  std::mt19937_64 random_ = testing::SeededRandom(20261128);
};

TEST_F(Tiles, LoadAndStoreKeepToTheShapeAndTheStride) {
  constexpr int64_t kStride = 77;
  const std::vector<uint8_t> from = Bytes(16 * kStride);
  TileConfig config;
  config.Set(3, 5, 12);
  EmulatedTiles::Configure(config);
  EmulatedTiles::Load<3>(from.data(), kStride);
  std::vector<uint8_t> to(16 * 70, kUntouched);
  EmulatedTiles::Store<3>(to.data(), 70);
  for (size_t row = 0; row < 16; ++row) {
    for (size_t i = 0; i < 70; ++i) {
      EXPECT_EQ(to[row * 70 + i], row < 5 && i < 12 ? from[row * kStride + i] : kUntouched) << row << ", " << i;
    }
  }
}

TEST_F(Tiles, ConfigureAndZeroClear) {
  const std::vector<uint8_t> from = Bytes(1024), zeros(1024, 0);
  TileConfig config;
  config.Set(0, 16, 64);
  config.Set(7, 16, 64);
  EmulatedTiles::Configure(config);
  std::vector<uint8_t> to(1024);
  auto expect = [&](const std::vector<uint8_t>& want) {
    EmulatedTiles::Store<7>(to.data(), 64);
    EXPECT_EQ(to, want);
  };
  expect(zeros);
  EmulatedTiles::Load<7>(from.data(), 64);
  EmulatedTiles::Zero<0>();
  expect(from);
  EmulatedTiles::Zero<7>();
  expect(zeros);
  EmulatedTiles::Load<7>(from.data(), 64);
  EmulatedTiles::Configure(config);
  expect(zeros);
}

TEST_F(Tiles, ProductsOfBytes) {
  for (const auto& [m, k, n] : {std::array{16, 16, 16}, std::array{16, 8, 16}, std::array{3, 5, 7}}) {
    const std::vector<uint8_t> a = Bytes(1024), b = Bytes(1024), c = Bytes(1024);
    for (bool is_signed : {true, false}) {
      EmulatedTiles::Configure(ForProduct(m, k, n));
      EmulatedTiles::Load<0>(c.data(), 64);
      EmulatedTiles::Load<1>(a.data(), 64);
      EmulatedTiles::Load<2>(b.data(), 64);
      is_signed ? EmulatedTiles::DotBytes<0, 1, 2>() : EmulatedTiles::DotUnsignedBytes<0, 1, 2>();
      std::vector<uint8_t> got(1024);
      EmulatedTiles::Store<0>(got.data(), 64);
      for (int row = 0; row < m; ++row) {
        for (int column = 0; column < n; ++column) {
          int32_t start, result;
          std::memcpy(&start, c.data() + row * 64 + column * 4, 4);
          std::memcpy(&result, got.data() + row * 64 + column * 4, 4);
          int64_t sum = start;
          for (int i = 0; i < k; ++i) {
            for (int j = 0; j < 4; ++j) {
              const uint8_t x = a[static_cast<size_t>(row * 64 + 4 * i + j)];
              const int8_t y = static_cast<int8_t>(b[static_cast<size_t>(i * 64 + 4 * column + j)]);
              sum += (is_signed ? static_cast<int8_t>(x) : static_cast<int>(x)) * y;
            }
          }
          EXPECT_EQ(static_cast<uint32_t>(result), static_cast<uint32_t>(sum)) << row << ", " << column;
        }
      }
    }
  }
}

// c += a b of one pair of BF16 numbers a step, in a tile of one number.
float Bf16Product(float c, const std::vector<std::pair<float, float>>& a,
                  const std::vector<std::pair<float, float>>& b) {
  const int k = static_cast<int>(a.size());
  TileConfig config;
  config.Set(0, 1, 4);
  config.Set(1, 1, 4 * k);
  config.Set(2, k, 4);
  std::vector<uint16_t> left, right;
  for (const auto& [even, odd] : a) left.insert(left.end(), {FloatToBf16(even), FloatToBf16(odd)});
  for (const auto& [even, odd] : b) right.insert(right.end(), {FloatToBf16(even), FloatToBf16(odd)});
  EmulatedTiles::Configure(config);
  EmulatedTiles::Load<0>(&c, 4);
  EmulatedTiles::Load<1>(left.data(), 64);
  EmulatedTiles::Load<2>(right.data(), 4);
  EmulatedTiles::DotBf16<0, 1, 2>();
  EmulatedTiles::Store<0>(&c, 4);
  return c;
}

TEST_F(Tiles, EvenAndOddProductsOfBf16AreAddedApart) {
  EXPECT_EQ(Bf16Product(1, {{2, 3}, {5, 7}}, {{11, 13}, {17, 19}}), 1 + 22 + 39 + 85 + 133);
  // 2^24 swallows a 1 that follows it; not one that is in the other chain, and one ahead of it stays.
  EXPECT_EQ(Bf16Product(0, {{4096, 0}, {1, 0}, {-4096, 0}}, {{4096, 0}, {1, 0}, {4096, 0}}), 0);
  EXPECT_EQ(Bf16Product(0, {{4096, 0}, {0, 1}, {-4096, 0}}, {{4096, 0}, {0, 1}, {4096, 0}}), 1);
  EXPECT_EQ(Bf16Product(16777216, {{1, 1}}, {{1, 1}}), 16777218);
  EXPECT_EQ(Bf16Product(16777216, {{1, 0}}, {{1, 0}}), 16777216);  // a tie goes to the even one
  EXPECT_EQ(Bf16Product(16777218, {{1, 0}}, {{1, 0}}), 16777220);
}

TEST_F(Tiles, Bf16DenormalsCountAsZero) {
  const float denormal = 0x1p-130f, least = 0x1p-126f;
  EXPECT_EQ(Bf16Product(0, {{denormal, 0}}, {{0x1p100f, 0}}), 0);
  EXPECT_EQ(Bf16Product(0, {{0, 0x1p100f}}, {{0, denormal}}), 0);
  EXPECT_EQ(Bf16Product(denormal, {{0, 0}}, {{0, 0}}), 0);
  EXPECT_EQ(Bf16Product(0, {{least, 0}}, {{0.5f, 0}}), 0);           // the sum is denormal
  EXPECT_EQ(Bf16Product(least, {{least, 0}}, {{-0.5f, 0}}), least);  // it is flushed before it is added
  EXPECT_EQ(Bf16Product(0, {{least, 0}}, {{1, 0}}), least);
}

TEST_F(Tiles, Bf16InfinityAndNan) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(Bf16Product(0, {{infinity, 1}}, {{1, 1}}), infinity);
  EXPECT_TRUE(std::isnan(Bf16Product(0, {{infinity, 1}}, {{0, 1}})));
  EXPECT_TRUE(std::isnan(Bf16Product(0, {{1, 1}}, {{1, std::numeric_limits<float>::quiet_NaN()}})));
}

using TilesDeathTest = Tiles;

TEST_F(TilesDeathTest, WhatTheCpuWouldFaultOn) {
  const std::vector<uint8_t> bytes = Bytes(1024);
  EXPECT_DEATH(EmulatedTiles::Load<0>(bytes.data(), 64), "no tiles are configured");
  auto configure = [](auto change) {
    TileConfig config = ForProduct(16, 16, 16);
    change(config);
    EmulatedTiles::Configure(config);
  };
  EXPECT_DEATH(configure([](TileConfig& c) { c.palette = 2; }), "no such palette");
  EXPECT_DEATH(configure([](TileConfig& c) { c.reserved[3] = 1; }), "reserved");
  EXPECT_DEATH(configure([](TileConfig& c) { c.Set(8, 1, 4); }), "no such tile");
  EXPECT_DEATH(configure([](TileConfig& c) { c.Set(1, 17, 64); }), "too large");
  EXPECT_DEATH(configure([](TileConfig& c) { c.Set(1, 16, 65); }), "too large");
  EXPECT_DEATH(configure([](TileConfig& c) { c.Set(1, 0, 64); }), "rows or columns only");
  auto multiply = [](int m_of_a, int k_of_a, int k_of_b, int n_of_b) {
    TileConfig config = ForProduct(8, 8, 8);
    config.Set(1, m_of_a, k_of_a);
    config.Set(2, k_of_b, n_of_b);
    EmulatedTiles::Configure(config);
    EmulatedTiles::DotBytes<0, 1, 2>();
  };
  multiply(8, 32, 8, 32);
  EXPECT_DEATH(multiply(7, 32, 8, 32), "rows of the result");
  EXPECT_DEATH(multiply(8, 28, 8, 32), "columns of the left side");
  EXPECT_DEATH(multiply(8, 32, 8, 28), "columns of the result");
  EXPECT_DEATH((EmulatedTiles::DotBytes<0, 1, 1>()), "three tiles");
  EXPECT_DEATH((EmulatedTiles::DotBytes<0, 1, 4>()), "not configured");
}

TEST(TilesOfThisCpu, DoWhatTheEmulationDoes) {
  if (WhyNoTiles() != nullptr) GTEST_SKIP() << "the instructions were not run: " << WhyNoTiles();
  EXPECT_EQ(CheckTiles(), nullptr) << CheckTiles();
}

}  // namespace
}  // namespace lastro::kernels
