#include "retrieval/diversity.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lastro::retrieval {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Two that say the same, one that is unlike them, one that is opposite.
const std::vector<double> kRelevance = {0.9, 0.85, 0.5, 0.1};
const std::vector<std::vector<float>> kVectors = {{1, 0}, {1, 0}, {0, 1}, {-1, 0}};

TEST(DiversityTest, OneKeepsTheOrderOfRelevance) {
  EXPECT_THAT(SelectDiverse(kRelevance, kVectors, 1, 10), ElementsAre(0, 1, 2, 3));
}

TEST(DiversityTest, WhatRepeatsComesLater) {
  // After 0: 1 is worth 0.7 * 0.85 - 0.3, 2 is worth 0.35, 3 is worth 0.07.
  EXPECT_THAT(SelectDiverse(kRelevance, kVectors, 0.7, 10), ElementsAre(0, 2, 1, 3));
  EXPECT_THAT(SelectDiverse(kRelevance, kVectors, 0.7, 2), ElementsAre(0, 2));
}

TEST(DiversityTest, ZeroLooksAtNoveltyAlone) {
  EXPECT_THAT(SelectDiverse(kRelevance, kVectors, 0, 3), ElementsAre(0, 2, 3));
  EXPECT_THAT(SelectDiverse({}, {}, 0.5, 3), IsEmpty());
}

}  // namespace
}  // namespace lastro::retrieval
