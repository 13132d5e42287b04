#include "base/list_marker.h"

#include "tests/test_util.h"

namespace lastro {
namespace {

TEST(ListMarkerTest, BulletsNumbersAndLettersHaveABlankBehindThem) {
  for (const char* bullet : {"- x", "* x", "+ x"}) {
    EXPECT_EQ(BulletLength(bullet), 2u) << bullet;
    EXPECT_EQ(ListMarkerLength(bullet), 2u) << bullet;
  }
  EXPECT_EQ(BulletLength("• x"), 4u);
  EXPECT_EQ(BulletLength("3. x"), 0u);
  EXPECT_EQ(ListMarkerLength("3. x"), 3u);
  EXPECT_EQ(ListMarkerLength("123) x"), 5u);
  EXPECT_EQ(ListMarkerLength("a) x"), 3u);
}

TEST(ListMarkerTest, WhatOnlyLooksLikeAMarkerIsNone) {
  for (const char* line : {"", "-", "-x", "- ", "3.", "3.5 m", "1234. x", "A) x", "ab) x", "3 x", "x - y"}) {
    EXPECT_EQ(ListMarkerLength(line), line == std::string("- ") ? 2u : 0u) << line;
  }
}

}  // namespace
}  // namespace lastro
