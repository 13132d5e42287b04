// What the store asks of a scan on a GPU and what it makes of the answer, with plain loops in the GPU's place.
#include "services/local/scan_device.h"

#include <algorithm>

#include "retrieval/row_scan.h"
#include "tests/test_util.h"
#include "tests/unit/retrieval/store_fixture.h"

namespace lastro::services {
namespace {

using retrieval::AllowedRows;
using retrieval::QuantizedVectors;
using retrieval::QueryVector;
using retrieval::ScoredRow;
using retrieval::TopRows;

constexpr int kNumbers = 70;

class LoopRows : public engine::VectorScan::Rows {
 public:
  LoopRows(const engine::ScanCodes& codes, int64_t* held, const absl::Status* status)
      : codes_(codes.codes, codes.codes + codes.rows * codes.stride),
        scales_(codes.scales, codes.scales + codes.rows),
        errors_(codes.errors, codes.errors + codes.rows),
        stride_(static_cast<size_t>(codes.stride)),
        held_(held),
        status_(status) {
    *held_ += bytes();
  }
  ~LoopRows() override { *held_ -= bytes(); }
  int64_t bytes() const override { return static_cast<int64_t>(codes_.size()); }

  absl::StatusOr<std::vector<engine::ScannedRow>> Best(const engine::ScanQuery& query) override {
    if (!status_->ok()) return *status_;
    std::vector<engine::ScannedRow> rows;
    for (size_t row = 0; row < scales_.size(); ++row) {
      if (!query.allowed.empty() && (query.allowed[row / 64] >> (row % 64) & 1) == 0) continue;
      int64_t product = 0;
      for (size_t k = 0; k < stride_; ++k) {
        product += (128 * query.high[k] + query.low[k]) * (codes_[row * stride_ + k] - 128);
      }
      const float score = query.scale * scales_[row] * static_cast<float>(product);
      rows.push_back({score + (errors_[row] * query.slack + query.error), static_cast<uint32_t>(row)});
    }
    std::sort(rows.begin(), rows.end(),
              [](const auto& a, const auto& b) { return a.bound != b.bound ? a.bound > b.bound : a.row < b.row; });
    rows.resize(std::min(rows.size(), query.wanted));
    return rows;
  }

 private:
  const std::vector<uint8_t> codes_;
  const std::vector<float> scales_, errors_;
  const size_t stride_;
  int64_t* const held_;
  const absl::Status* const status_;
};

class LoopScan : public engine::VectorScan {
 public:
  LoopScan(int64_t room, int64_t* held, const absl::Status* status) : room_(room), held_(held), status_(status) {}
  int64_t BytesOf(int64_t rows, int64_t stride) const override { return rows * stride; }
  int64_t free_bytes() const override { return room_ - *held_; }
  absl::StatusOr<std::unique_ptr<Rows>> Load(const engine::ScanCodes& codes) override {
    if (BytesOf(codes.rows, codes.stride) > free_bytes()) return absl::ResourceExhaustedError("no room");
    return std::make_unique<LoopRows>(codes, held_, status_);
  }

 private:
  const int64_t room_;
  int64_t* const held_;
  const absl::Status* const status_;
};

class ScanDeviceTest : public ::testing::Test {
 protected:
  std::vector<float> UnitVector() { return retrieval::testing::VectorOf(random_(), kNumbers); }
  QuantizedVectors RandomRows(size_t rows) {
    QuantizedVectors vectors(kNumbers);
    for (size_t row = 0; row < rows; ++row) vectors.Append(UnitVector().data());
    return vectors;
  }
  static constexpr int64_t kStride = 128;

  int64_t held_ = 0;
  absl::Status status_;
  std::vector<absl::Status> reports_;
  std::unique_ptr<retrieval::RowDevice> device_ =
      MakeScanDevice(std::make_unique<LoopScan>(1000 * kStride, &held_, &status_),
                     [this](const absl::Status& status) { reports_.push_back(status); });
  std::mt19937_64 random_ = lastro::testing::SeededRandom(99);
};

TEST_F(ScanDeviceTest, FindsWhatAScanByTheCpuFinds) {
  const QuantizedVectors vectors = RandomRows(333);
  const auto rows = device_->Load(vectors);
  ASSERT_NE(rows, nullptr);
  const AllowedRows some({{3, 70}, {128, 129}, {190, 333}}), none({});
  for (const AllowedRows* allowed : {static_cast<const AllowedRows*>(nullptr), &some, &none}) {
    for (size_t wanted : {size_t{1}, size_t{40}, size_t{400}}) {
      const QueryVector query(UnitVector());
      TopRows top(wanted), want(wanted);
      ASSERT_TRUE(rows->Scan(query, allowed, &top));
      retrieval::ScanRows(vectors, query, allowed, &want);
      const std::vector<ScoredRow> got = top.TakeSorted(), expected = want.TakeSorted();
      ASSERT_EQ(got.size(), expected.size());
      for (size_t i = 0; i < got.size(); ++i) {
        EXPECT_EQ(got[i].row, expected[i].row);
        EXPECT_EQ(got[i].score, expected[i].score);
      }
    }
  }
}

TEST_F(ScanDeviceTest, CountsItsRoom) {
  EXPECT_TRUE(device_->HasRoom(1000, kNumbers, nullptr));
  EXPECT_FALSE(device_->HasRoom(1001, kNumbers, nullptr));
  const auto rows = device_->Load(RandomRows(600));
  EXPECT_FALSE(device_->HasRoom(401, kNumbers, nullptr));
  EXPECT_TRUE(device_->HasRoom(1000, kNumbers, rows.get()));
  EXPECT_EQ(device_->Load(RandomRows(401)), nullptr);
}

TEST_F(ScanDeviceTest, LeavesToTheCpuWhatFails) {
  const auto rows = device_->Load(RandomRows(20));
  const QueryVector query(UnitVector());
  TopRows many(engine::VectorScan::kMostWanted + 1), few(5);
  EXPECT_FALSE(rows->Scan(query, nullptr, &many));
  EXPECT_THAT(reports_, ::testing::IsEmpty()) << "nothing failed";
  status_ = absl::InternalError("the device fell off the bus");
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(rows->Scan(query, nullptr, &few));
  EXPECT_TRUE(few.TakeSorted().empty());
  EXPECT_THAT(reports_, ::testing::ElementsAre(status_)) << "not once a search";
}

}  // namespace
}  // namespace lastro::services
