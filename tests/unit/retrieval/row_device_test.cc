// Exact indexes on a device: a store with one finds what a store without one finds, and keeps within its room.
#include "retrieval/row_device.h"

#include <atomic>

#include "retrieval/row_scan.h"
#include "tests/unit/retrieval/store_fixture.h"

namespace lastro::retrieval::testing {
namespace {

using lastro::testing::IsOk;

constexpr int kTexts = 500;  // of a document

// A device that is the CPU, with counts.
class FakeDevice : public RowDevice {
 public:
  explicit FakeDevice(int64_t rows) : room_(rows) {}

  bool HasRoom(size_t rows, int dimension, const DeviceRows* instead_of) const override {
    EXPECT_EQ(dimension, kDimension);
    const auto* old = static_cast<const Rows*>(instead_of);
    return static_cast<int64_t>(rows) <= room_ - held + (old != nullptr ? old->size() : 0);
  }
  std::shared_ptr<const DeviceRows> Load(const QuantizedVectors& vectors) override {
    if (static_cast<int64_t>(vectors.size()) > room_ - held) return nullptr;
    return std::make_shared<Rows>(this, vectors);
  }

  std::atomic<int64_t> held = 0;  // rows
  std::atomic<int> scans = 0;
  std::atomic<bool> fails = false;

 private:
  class Rows : public DeviceRows {
   public:
    Rows(FakeDevice* device, const QuantizedVectors& vectors) : device_(device), vectors_(vectors.dimension()) {
      vectors_.Append(vectors, 0, vectors.size());
      device_->held += size();
    }
    ~Rows() override { device_->held -= size(); }
    int64_t size() const { return static_cast<int64_t>(vectors_.size()); }
    bool Scan(const QueryVector& query, const AllowedRows* allowed, TopRows* top) const override {
      if (device_->fails) return false;
      ++device_->scans;
      ScanRows(vectors_, query, allowed, top);
      return true;
    }

   private:
    FakeDevice* const device_;
    QuantizedVectors vectors_;
  };

  const int64_t room_;
};

std::vector<std::string> Texts(int document) {
  std::vector<std::string> texts;
  for (int i = 0; i < kTexts; ++i) texts.push_back(absl::StrCat("text ", i, " of ", document));
  return texts;
}

class RowDeviceTest : public ::testing::Test {
 protected:
  // Of more than 1,000 chunks an index is a graph, unless `always` or the device says otherwise.
  static std::unique_ptr<SqliteStore> Open(const std::string& folder, RowDevice* device,
                                           std::optional<IndexKind> always = std::nullopt) {
    SqliteStoreOptions options;
    options.folder = folder;
    options.index_after_chunks = 100;
    options.vector_index.always = always;
    options.vector_index.exact_up_to_chunks = 1000;
    options.row_device = device;
    options.result_cache_bytes = 0;
    absl::StatusOr<std::unique_ptr<SqliteStore>> store = SqliteStore::Open(options);
    EXPECT_THAT(store, IsOk());
    return *std::move(store);
  }

  static void Fill(SqliteStore& store, int first, int documents) {
    if (first == 0) EXPECT_THAT(store.CreateCollection(MakeCollection()), IsOk());
    for (int i = first; i < first + documents; ++i) {
      EXPECT_THAT(Put(store, absl::StrCat("d", i), Texts(i)), IsOk());
    }
    EXPECT_THAT(store.Flush(), IsOk());
  }

  // Texts and scores of the hits, best first.
  static std::vector<std::pair<std::string, double>> Search(SqliteStore& store, const Filter& filter = {}) {
    SearchQuery query = MakeQuery(SearchMode::kDense, "what");
    query.limit = 30;
    query.filter = filter;
    absl::StatusOr<SearchResult> result = store.Search(query, CallContext());
    EXPECT_THAT(result, IsOk());
    std::vector<std::pair<std::string, double>> found;
    for (const SearchHit& hit : result->hits) found.emplace_back(hit.chunk.text, hit.dense_score);
    return found;
  }
  static Filter Uri(Filter::Op op, const std::string& uri) {
    Filter filter;
    filter.op = op;
    filter.field = "uri";
    filter.values = {uri};
    return filter;
  }

  lastro::testing::TempFolder folder_, other_folder_;
};

TEST_F(RowDeviceTest, FindsWhatTheCpuFinds) {
  FakeDevice device(100000);
  auto store = Open(folder_.path(), &device), plain = Open(other_folder_.path(), nullptr, IndexKind::kExact);
  for (SqliteStore* each : {store.get(), plain.get()}) Fill(*each, 0, 12);
  EXPECT_EQ(device.held, 12 * kTexts);
  auto same = [&](const Filter& filter) { EXPECT_EQ(Search(*store, filter), Search(*plain, filter)); };

  same({});
  same(Uri(Filter::Op::kNotEqual, "d3"));
  EXPECT_EQ(device.scans, 2);
  same(Uri(Filter::Op::kEqual, "d3"));
  EXPECT_EQ(device.scans, 2) << "so few rows are scanned where they are";

  for (SqliteStore* each : {store.get(), plain.get()}) {
    ASSERT_THAT(each->DeleteDocuments(kCollection, {DocumentId(kCollection, "d1"), DocumentId(kCollection, "d7")}),
                IsOk());
    EXPECT_THAT(Put(*each, "d2", {"another text", "and one more"}), IsOk());
  }
  same({});  // by the device or, while the index is made anew, by the CPU
  EXPECT_THAT(store->Flush(), IsOk());
  const int scans = device.scans;
  same({});
  EXPECT_EQ(device.scans, scans + 1);
  device.fails = true;
  same({});
  device.fails = false;
  EXPECT_THAT(store->Purge(), IsOk());
  EXPECT_EQ(device.held, 9 * kTexts + 2) << "what was deleted has left the device";
  same({});
  EXPECT_EQ(device.scans, scans + 2);

  ASSERT_THAT(store->DeleteCollection(kCollection), IsOk());
  EXPECT_EQ(device.held, 0);
}

// There is room for either generation, not for both.
TEST_F(RowDeviceTest, OldRowsMakeRoomForNewOnes) {
  FakeDevice device(14 * kTexts);
  auto store = Open(folder_.path(), &device);
  Fill(*store, 0, 10);
  EXPECT_EQ(device.held, 10 * kTexts);
  Fill(*store, 10, 4);
  EXPECT_EQ(device.held, 14 * kTexts);
  (void)Search(*store);
  EXPECT_EQ(device.scans, 1);
}

TEST_F(RowDeviceTest, WhatDoesNotFitIsAGraphOnTheCpu) {
  FakeDevice device(11 * kTexts);
  auto store = Open(folder_.path(), &device);
  Fill(*store, 0, 11);
  EXPECT_EQ(device.held, 11 * kTexts);
  Fill(*store, 11, 4);
  EXPECT_EQ(device.held, 0);
  EXPECT_EQ(Search(*store).size(), 30u);
  EXPECT_EQ(device.scans, 0);
}

TEST_F(RowDeviceTest, RowsComeBackAfterARestart) {
  FakeDevice device(20 * kTexts);
  auto store = Open(folder_.path(), &device);
  Fill(*store, 0, 12);
  const auto found = Search(*store);
  store = nullptr;
  EXPECT_EQ(device.held, 0);
  store = Open(folder_.path(), &device);
  EXPECT_EQ(device.held, 12 * kTexts);
  EXPECT_EQ(Search(*store), found);
  EXPECT_EQ(device.scans, 2);
  store = nullptr;
  store = Open(folder_.path(), nullptr);
  EXPECT_EQ(Search(*store), found) << "the CPU reads the same index";
}

}  // namespace
}  // namespace lastro::retrieval::testing
