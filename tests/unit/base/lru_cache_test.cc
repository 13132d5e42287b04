#include "base/lru_cache.h"

#include <gtest/gtest.h>

namespace lastro {
namespace {

constexpr size_t kOne = 1000;  // of value; a key and the entry take some more

std::shared_ptr<const int> Value(int value) { return std::make_shared<int>(value); }

TEST(LruCacheTest, DropsWhatWasUsedLeastRecently) {
  LruCache<int> cache(3 * kOne + 600);
  for (int i = 0; i < 3; ++i) cache.Insert(std::to_string(i), Value(i), kOne);
  ASSERT_NE(cache.Find("0"), nullptr);
  cache.Insert("3", Value(3), kOne);
  EXPECT_EQ(cache.Find("1"), nullptr);
  for (int i : {0, 2, 3}) {
    ASSERT_NE(cache.Find(std::to_string(i)), nullptr) << i;
    EXPECT_EQ(*cache.Find(std::to_string(i)), i);
  }
}

TEST(LruCacheTest, StaysWithinItsBudget) {
  LruCache<int> cache(5 * kOne);
  cache.Insert("large", Value(1), 6 * kOne);
  EXPECT_EQ(cache.Find("large"), nullptr);
  for (int i = 0; i < 1000; ++i) {
    cache.Insert(std::to_string(i % 37), Value(i), static_cast<size_t>(i * 7919 % 1700));
    ASSERT_LE(cache.bytes(), 5 * kOne);
  }
}

TEST(LruCacheTest, ReplacesAndClears) {
  LruCache<int> cache(5 * kOne);
  cache.Insert("a", Value(1), kOne);
  const size_t bytes = cache.bytes();
  cache.Insert("a", Value(2), kOne);
  EXPECT_EQ(cache.bytes(), bytes);
  std::shared_ptr<const int> held = cache.Find("a");
  EXPECT_EQ(*held, 2);
  cache.Insert("a", Value(3), 6 * kOne);  // too large: the old value must not stay in its place
  EXPECT_EQ(cache.Find("a"), nullptr);
  cache.Insert("b", Value(4), kOne);
  cache.Clear();
  EXPECT_EQ(cache.Find("b"), nullptr);
  EXPECT_EQ(cache.bytes(), 0u);
  EXPECT_EQ(*held, 2);
}

}  // namespace
}  // namespace lastro
