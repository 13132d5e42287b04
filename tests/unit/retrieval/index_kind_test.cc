#include "retrieval/index_kind.h"

#include "tests/test_util.h"

namespace lastro::retrieval {
namespace {

using lastro::testing::StatusIs;

TEST(IndexKindTest, NamesGoBothWays) {
  for (IndexKind kind : kIndexKinds) {
    EXPECT_EQ(ParseIndexKind(IndexKindName(kind)).value(), kind);
  }
  EXPECT_EQ(ParseIndexKind("auto").value(), std::nullopt);
  EXPECT_THAT(ParseIndexKind("flat"),
              StatusIs(absl::StatusCode::kInvalidArgument, ::testing::HasSubstr("expected auto, exact, hnsw")));
}

TEST(IndexKindTest, SizeDecidesUnlessAKindIsAskedFor) {
  IndexKindRule rule;
  EXPECT_EQ(rule.For(0), IndexKind::kExact);
  EXPECT_EQ(rule.For(50000), IndexKind::kExact);
  EXPECT_EQ(rule.For(50001), IndexKind::kHnsw);
  EXPECT_EQ(rule.For(4000000), IndexKind::kHnsw);
  EXPECT_EQ(rule.For(4000001), IndexKind::kIvfSq);
  rule.always = IndexKind::kIvfPq;
  EXPECT_EQ(rule.For(1), IndexKind::kIvfPq);
}

}  // namespace
}  // namespace lastro::retrieval
