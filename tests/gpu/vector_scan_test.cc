// The GPU's scan of vectors beside the CPU's: the same rows with the same bounds, to the last bit.
#include "engine/vector_scan.h"

#include <algorithm>
#include <thread>

#include "retrieval/row_scan.h"
#include "tests/gpu/backend_test_util.h"
#include "tests/unit/retrieval/store_fixture.h"

namespace lastro::engine {
namespace {

using retrieval::AllowedRows;
using retrieval::QuantizedVectors;
using retrieval::QueryVector;
using retrieval::RowBitmap;
using retrieval::RowRange;
using retrieval::ScoredRow;
using retrieval::TopRows;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

constexpr int64_t kScanBytes = int64_t{256} << 20;

class CudaVectorScan : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_OK_AND_ASSIGN(scan_, VectorScan::Create("cuda", kScanBytes)); }

  std::vector<float> UnitVector(int dimension) { return retrieval::testing::VectorOf(random_(), dimension); }

  // Some rows more than once.
  QuantizedVectors RandomRows(int dimension, size_t rows) {
    QuantizedVectors vectors(dimension);
    std::vector<float> vector;
    for (size_t row = 0; row < rows; ++row) {
      if (row == 0 || Below(4) > 0) vector = UnitVector(dimension);
      vectors.Append(vector.data());
    }
    return vectors;
  }

  std::vector<RowRange> RandomRanges(size_t rows) {
    std::vector<RowRange> ranges;
    for (uint32_t begin = Below(9); begin < rows;) {
      const uint32_t end = std::min(static_cast<uint32_t>(rows), begin + 1 + Below(200));
      ranges.push_back({begin, end});
      begin = end + 1 + Below(100);
    }
    return ranges;
  }

  uint32_t Below(uint32_t bound) { return static_cast<uint32_t>(random_() % bound); }

  absl::StatusOr<std::unique_ptr<VectorScan::Rows>> Load(const QuantizedVectors& vectors) {
    return scan_->Load({vectors.rows().codes, vectors.rows().scales, vectors.errors(),
                        static_cast<int64_t>(vectors.size()), static_cast<int64_t>(vectors.rows().stride)});
  }

  static absl::StatusOr<std::vector<ScoredRow>> OnDevice(VectorScan::Rows& rows, const QuantizedVectors& vectors,
                                                         const QueryVector& query, const AllowedRows* allowed,
                                                         size_t wanted) {
    const size_t stride = vectors.rows().stride;
    const RowBitmap bitmap(vectors.size(), allowed != nullptr ? allowed->ranges : std::vector<RowRange>());
    ScanQuery scan;
    scan.high = {query.operand().high, stride};
    scan.low = {query.operand().low, stride};
    scan.scale = query.operand().scale;
    scan.slack = QueryVector::kNormSlack;
    scan.error = query.error();
    scan.wanted = wanted;
    if (allowed != nullptr) scan.allowed = bitmap.words();
    auto found = rows.Best(scan);
    if (!found.ok()) return found.status();
    std::vector<ScoredRow> best;
    for (const ScannedRow& row : *found) best.push_back({row.bound, row.row});
    std::sort(best.begin(), best.end());
    return best;
  }
  static std::vector<ScoredRow> OnCpu(const QuantizedVectors& vectors, const QueryVector& query,
                                      const AllowedRows* allowed, size_t wanted) {
    TopRows top(wanted);
    retrieval::ScanRows(vectors, query, allowed, &top);
    return top.TakeSorted();
  }
  static void ExpectSame(const std::vector<ScoredRow>& got, const std::vector<ScoredRow>& want) {
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i) {
      ASSERT_EQ(got[i].row, want[i].row) << i << "th";
      ASSERT_EQ(got[i].score, want[i].score) << i << "th";
    }
  }

  std::unique_ptr<VectorScan> scan_;
  std::mt19937_64 random_ = testing::SeededRandom(6021);
};

TEST_F(CudaVectorScan, FindsWhatTheCpuFinds) {
  const std::pair<int, size_t> shapes[] = {{5, 1}, {64, 3}, {100, 257}, {384, 3001}, {1030, 120}};
  for (const auto& [dimension, rows] : shapes) {
    const QuantizedVectors vectors = RandomRows(dimension, rows);
    ASSERT_OK_AND_ASSIGN(auto on_device, Load(vectors));
    for (size_t wanted : {size_t{1}, size_t{52}, rows, rows + 9}) {
      SCOPED_TRACE(::testing::Message() << rows << " x " << dimension << ", " << wanted << " wanted");
      const QueryVector query(UnitVector(dimension));
      ASSERT_OK_AND_ASSIGN(auto all, OnDevice(*on_device, vectors, query, nullptr, wanted));
      ExpectSame(all, OnCpu(vectors, query, nullptr, wanted));
      for (const AllowedRows& allowed : {AllowedRows(RandomRanges(rows)), AllowedRows({})}) {
        ASSERT_OK_AND_ASSIGN(auto some, OnDevice(*on_device, vectors, query, &allowed, wanted));
        ExpectSame(some, OnCpu(vectors, query, &allowed, wanted));
      }
    }
  }
}

// Whichever scans they share.
TEST_F(CudaVectorScan, ManyCallersAtOnce) {
  constexpr int kCallers = 21;
  const QuantizedVectors vectors = RandomRows(96, 700);
  ASSERT_OK_AND_ASSIGN(auto on_device, Load(vectors));
  const AllowedRows allowed(RandomRanges(vectors.size()));
  std::vector<QueryVector> queries;
  for (int i = 0; i < kCallers; ++i) queries.emplace_back(UnitVector(96));
  std::vector<absl::StatusOr<std::vector<ScoredRow>>> found(kCallers);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kCallers; ++i) {
    threads.emplace_back(
        [&, i] { found[i] = OnDevice(*on_device, vectors, queries[i], i % 3 == 0 ? &allowed : nullptr, 1 + 7 * i); });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < kCallers; ++i) {
    ASSERT_THAT(found[i], IsOk());
    ExpectSame(*found[i], OnCpu(vectors, queries[i], i % 3 == 0 ? &allowed : nullptr, 1 + 7 * i));
  }
}

TEST_F(CudaVectorScan, KeepsToItsMemoryAndGivesItBack) {
  const int64_t free = scan_->free_bytes();
  const QuantizedVectors vectors = RandomRows(64, 1000);
  {
    ASSERT_OK_AND_ASSIGN(auto rows, Load(vectors));
    EXPECT_EQ(rows->bytes(), scan_->BytesOf(1000, 64));
    EXPECT_EQ(scan_->free_bytes(), free - rows->bytes());
  }
  EXPECT_EQ(scan_->free_bytes(), free);
  ASSERT_OK_AND_ASSIGN(auto small, VectorScan::Create("cuda", scan_->BytesOf(1000, 64) - 1));
  scan_ = std::move(small);
  EXPECT_THAT(Load(vectors).status(), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("--vector-gpu-memory")));
}

TEST_F(CudaVectorScan, RefusesWhatItCannotDo) {
  const QuantizedVectors vectors = RandomRows(64, 10);
  ASSERT_OK_AND_ASSIGN(auto rows, Load(vectors));
  const QueryVector query(UnitVector(64));
  EXPECT_THAT(OnDevice(*rows, vectors, query, nullptr, VectorScan::kMostWanted + 1).status(),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("65537")));
  ASSERT_OK_AND_ASSIGN(auto none, OnDevice(*rows, vectors, query, nullptr, 0));
  EXPECT_TRUE(none.empty());
  EXPECT_THAT(VectorScan::Create("cuda:4096", kScanBytes).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("4096")));
  EXPECT_THAT(VectorScan::Create("cuda", int64_t{1} << 60).status(),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("free")));
  EXPECT_THAT(VectorScan::Create("cpu", kScanBytes).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no GPU")));
}

#ifdef LASTRO_CUDA_EMULATOR
// Every call of a load and of a scan fails in turn: an error that names the operation, nothing is lost, and the device
// that recovers works on.
TEST_F(CudaVectorScan, AFailingDeviceIsAnError) {
  const QuantizedVectors vectors = RandomRows(64, 300);
  const QueryVector query(UnitVector(64));
  const int64_t free = scan_->free_bytes();
  int64_t failed_loads = 0, failed_scans = 0;
  for (int64_t calls = 0;; ++calls, ++failed_loads) {
    CudaEmulatorFailAfter(calls);
    auto rows = Load(vectors);
    CudaEmulatorFailAfter(-1);
    if (rows.ok()) break;
    ASSERT_LT(calls, 100);
    EXPECT_EQ(scan_->free_bytes(), free) << calls;
  }
  EXPECT_GE(failed_loads, 5);
  ASSERT_OK_AND_ASSIGN(auto rows, Load(vectors));
  for (int64_t calls = 0;; ++calls, ++failed_scans) {
    CudaEmulatorFailAfter(calls);
    auto found = OnDevice(*rows, vectors, query, nullptr, 20);
    CudaEmulatorFailAfter(-1);
    if (found.ok()) break;
    ASSERT_LT(calls, 100);
    EXPECT_THAT(found.status(), StatusIs(absl::StatusCode::kInternal, HasSubstr("vector scan")));
    ASSERT_OK_AND_ASSIGN(auto again, OnDevice(*rows, vectors, query, nullptr, 20));
    ExpectSame(again, OnCpu(vectors, query, nullptr, 20));
  }
  EXPECT_GE(failed_scans, 10);
}
#endif

}  // namespace
}  // namespace lastro::engine
