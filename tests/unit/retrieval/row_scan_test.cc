// Scans against scoring every row and keeping the best.
#include "retrieval/row_scan.h"

#include "tests/test_util.h"
#include "tests/unit/retrieval/store_fixture.h"

namespace lastro::retrieval {
namespace {

using testing::VectorOf;

constexpr int kScanDimension = 100;
constexpr uint32_t kScanRows = 3000;

// In which order the best rows come decides what a scan has to look at.
enum class Order { kRandom, kWorstFirst, kBestFirst, kAllEqual };

std::vector<float> ScanQuery() { return VectorOf(77, kScanDimension); }

QuantizedVectors RowsIn(Order order) {
  std::vector<std::vector<float>> rows;
  for (uint32_t i = 0; i < kScanRows; ++i) rows.push_back(VectorOf(order == Order::kAllEqual ? 5 : i, kScanDimension));
  const std::vector<float> query = ScanQuery();
  auto score = [&](const std::vector<float>& row) { return DotProduct(row.data(), query.data(), query.size()); };
  if (order == Order::kWorstFirst || order == Order::kBestFirst) {
    std::sort(rows.begin(), rows.end(), [&](const auto& a, const auto& b) {
      return order == Order::kWorstFirst ? score(a) < score(b) : score(a) > score(b);
    });
  }
  QuantizedVectors vectors(kScanDimension);
  for (const std::vector<float>& row : rows) vectors.Append(row.data());
  return vectors;
}

std::vector<ScoredRow> BestOfAll(const QuantizedVectors& vectors, const QueryVector& query,
                                 const std::vector<RowRange>& ranges, size_t k) {
  TopRows top(k);
  for (const RowRange& range : ranges) {
    for (uint32_t row = range.begin; row < range.end; ++row) {
      float score = 0;
      ScoreRange(query.operand(), vectors.rows(), row, 1, &score);
      top.Add({score + query.ErrorOf(vectors.error(row)), row});
    }
  }
  return top.TakeSorted();
}

class RowScanTest : public ::testing::TestWithParam<SimdLimit> {
 protected:
  void SetUp() override { SetSimdLimitForTest(GetParam()); }
  void TearDown() override { SetSimdLimitForTest(SimdLimit::kNone); }
};

TEST_P(RowScanTest, KeepsTheBestOfAllToTheLastBit) {
  const std::vector<float> values = ScanQuery();
  const QueryVector query(values);
  std::vector<RowRange> single, runs;
  for (uint32_t row = 0; row < kScanRows; row += 3) single.push_back({row, row + 1});
  for (uint32_t row = 7; row + 70 < kScanRows; row += 101) runs.push_back({row, row + row % 64 + 1});
  for (Order order : {Order::kRandom, Order::kWorstFirst, Order::kBestFirst, Order::kAllEqual}) {
    const QuantizedVectors vectors = RowsIn(order);
    for (size_t k : {size_t{1}, size_t{52}, size_t{5000}}) {
      TopRows all(k);
      ScanRows(vectors, query, nullptr, &all);
      EXPECT_EQ(all.TakeSorted(), BestOfAll(vectors, query, {{0, kScanRows}}, k));
      for (const std::vector<RowRange>& ranges : {single, runs}) {
        const AllowedRows allowed(ranges);
        TopRows some(k);
        ScanRows(vectors, query, &allowed, &some);
        EXPECT_EQ(some.TakeSorted(), BestOfAll(vectors, query, ranges, k));
      }
    }
  }
}

TEST_P(RowScanTest, AQueryOfZeroAndOneOfASingleNumberAreScannedAsWell) {
  const QuantizedVectors vectors = RowsIn(Order::kRandom);
  std::vector<float> values(kScanDimension);
  for (float number : {0.0f, 1.0f, -1.0f}) {
    values[kScanDimension - 1] = number;
    const QueryVector query(values);
    TopRows top(10);
    ScanRows(vectors, query, nullptr, &top);
    EXPECT_EQ(top.TakeSorted(), BestOfAll(vectors, query, {{0, kScanRows}}, 10)) << number;
  }
}

INSTANTIATE_TEST_SUITE_P(Limits, RowScanTest,
                         ::testing::Values(SimdLimit::kNone, SimdLimit::kNoVnni, SimdLimit::kScalar));

}  // namespace
}  // namespace lastro::retrieval
