// Every kind of index against the obvious search over the vectors themselves.
#include "retrieval/row_index.h"

#include <set>

#include "retrieval/hnsw_index.h"
#include "tests/unit/retrieval/store_fixture.h"

namespace lastro::retrieval {
namespace {

using lastro::testing::IsOk;
using lastro::testing::StatusIs;
using testing::VectorOf;

constexpr int kDimension = 48;
constexpr size_t kQueries = 60;

// Around 50 centres, as texts are around subjects.
std::vector<float> Clustered(uint64_t seed) {
  std::vector<float> vector = VectorOf(seed, kDimension);
  const std::vector<float> centre = VectorOf(1000000 + seed * 2654435761 % 50, kDimension);
  double square = 0;
  for (size_t i = 0; i < vector.size(); ++i) {
    vector[i] = centre[i] + vector[i];
    square += static_cast<double>(vector[i]) * vector[i];
  }
  for (float& x : vector) x = static_cast<float>(x / std::sqrt(square));
  return vector;
}

struct Rows {
  explicit Rows(std::vector<uint64_t> of) : seeds(std::move(of)), quantized(kDimension) {
    for (uint64_t seed : seeds) {
      vectors.push_back(Clustered(seed));
      quantized.Append(vectors.back().data());
    }
  }
  static Rows Numbered(uint64_t begin, uint64_t end) {
    std::vector<uint64_t> seeds;
    for (uint64_t seed = begin; seed < end; ++seed) seeds.push_back(seed);
    return Rows(std::move(seeds));
  }
  QuantizedVectors Copy() const {
    QuantizedVectors copy(kDimension);
    copy.Append(quantized, 0, quantized.size());
    return copy;
  }

  std::vector<uint64_t> seeds;
  std::vector<std::vector<float>> vectors;
  QuantizedVectors quantized;
};

std::vector<float> Query(uint64_t i) { return Clustered(9000000 + i); }

// The best `k` rows, among `allowed` unless null, by their vectors.
std::vector<uint32_t> Truth(const Rows& rows, const std::vector<float>& query, const AllowedRows* allowed, size_t k) {
  TopRows top(k);
  const RowBitmap bitmap(rows.vectors.size(), allowed != nullptr ? allowed->ranges : std::vector<RowRange>());
  for (uint32_t row = 0; row < rows.vectors.size(); ++row) {
    if (allowed != nullptr && !bitmap.Contains(row)) continue;
    top.Add({DotProduct(query.data(), rows.vectors[row].data(), query.size()), row});
  }
  std::vector<uint32_t> best;
  for (const ScoredRow& row : top.TakeSorted()) best.push_back(row.row);
  return best;
}

// What a search gives when candidates are scored by their vectors, as dense_search does.
std::vector<uint32_t> Best(const Rows& rows, const std::vector<float>& query, std::vector<ScoredRow> candidates,
                           size_t k) {
  TopRows top(k);
  std::sort(candidates.begin(), candidates.end());
  for (const ScoredRow& candidate : candidates) {
    if (candidate.score < top.worst()) break;
    top.Add({DotProduct(query.data(), rows.vectors[candidate.row].data(), query.size()), candidate.row});
  }
  std::vector<uint32_t> best;
  for (const ScoredRow& row : top.TakeSorted()) best.push_back(row.row);
  return best;
}

double Share(const std::vector<uint32_t>& found, const std::vector<uint32_t>& wanted) {
  size_t hits = 0;
  for (uint32_t row : wanted) hits += static_cast<size_t>(std::count(found.begin(), found.end(), row));
  return wanted.empty() ? 1 : static_cast<double>(hits) / static_cast<double>(wanted.size());
}

double Recall(const RowIndex& index, const Rows& rows, const AllowedRows* allowed = nullptr, size_t k = 10) {
  double sum = 0;
  for (uint64_t i = 0; i < kQueries; ++i) {
    const std::vector<float> query = Query(i);
    TopRows top(index.CandidatesFor(k));
    index.Search(QueryVector(query), allowed, &top);
    sum += Share(Best(rows, query, top.TakeSorted(), k), Truth(rows, query, allowed, k));
  }
  return sum / kQueries;
}

// Every `step`th run of `run` rows.
AllowedRows Every(size_t rows, uint32_t step, uint32_t run) {
  std::vector<RowRange> ranges;
  for (uint32_t begin = 0; begin < rows; begin += step * run) {
    ranges.push_back({begin, std::min<uint32_t>(begin + run, static_cast<uint32_t>(rows))});
  }
  return AllowedRows(std::move(ranges));
}

std::string Written(const RowIndex& index) {
  std::string bytes;
  index.Write([&](absl::string_view part) { bytes.append(part.data(), part.size()); });
  return bytes;
}

class RowIndexTest : public ::testing::TestWithParam<IndexKind> {
 protected:
  static std::unique_ptr<RowIndex> Build(const Rows& rows) { return BuildRowIndex(GetParam(), rows.Copy(), 2); }
  // What each kind promises on these rows; a graph that walks is tested below.
  static double Promise() { return GetParam() == IndexKind::kExact ? 1.0 : 0.95; }
};

TEST_P(RowIndexTest, FindsTheNearest) {
  const Rows rows = Rows::Numbered(0, 3000);
  std::unique_ptr<RowIndex> index = Build(rows);
  EXPECT_EQ(index->kind(), GetParam());
  EXPECT_EQ(index->size(), 3000u);
  EXPECT_GE(Recall(*index, rows), Promise());
}

TEST_P(RowIndexTest, FindsTheNearestOfThoseAllowed) {
  const Rows rows = Rows::Numbered(0, 3000);
  std::unique_ptr<RowIndex> index = Build(rows);
  for (uint32_t step : {1, 2, 10, 100, 1000}) {
    const AllowedRows allowed = Every(rows.vectors.size(), step, 3);
    EXPECT_GE(Recall(*index, rows, &allowed), Promise()) << "one in " << step;
  }
}

TEST_P(RowIndexTest, GivesOnlyWhatIsAllowedAndAllOfIt) {
  const Rows rows = Rows::Numbered(0, 2000);
  std::unique_ptr<RowIndex> index = Build(rows);
  const AllowedRows allowed = Every(2000, 20, 5);
  TopRows top(2000);
  EXPECT_EQ(index->Search(QueryVector(Query(1)), &allowed, &top), RowIndex::Found::kCertain);
  std::set<uint32_t> found;
  for (const ScoredRow& row : top.TakeSorted()) {
    EXPECT_TRUE(found.insert(row.row).second);
    EXPECT_LT(row.row % 100, 5u);
  }
  EXPECT_EQ(found.size(), allowed.count);
  TopRows none(10);
  const AllowedRows nothing({});
  index->Search(QueryVector(Query(1)), &nothing, &none);
  EXPECT_TRUE(none.TakeSorted().empty());
}

TEST_P(RowIndexTest, SmallIndexesWork) {
  for (uint64_t size : {0, 1, 2, 5, 40}) {
    const Rows rows = Rows::Numbered(0, size);
    std::unique_ptr<RowIndex> index = Build(rows);
    EXPECT_EQ(Recall(*index, rows, nullptr, 50), 1.0) << size;
    const Rows more = Rows::Numbered(size, size + 30);
    std::unique_ptr<RowIndex> grown = index->Updated({{0, static_cast<uint32_t>(size)}}, more.quantized, 1);
    EXPECT_EQ(grown->size(), size + 30);
    EXPECT_EQ(Recall(*grown, Rows::Numbered(0, size + 30), nullptr, 100), 1.0) << size;
  }
}

TEST_P(RowIndexTest, RowsCanGoAndCome) {
  const Rows rows = Rows::Numbered(0, 2500);
  std::unique_ptr<RowIndex> index = Build(rows);
  std::vector<RowRange> kept;
  std::vector<uint64_t> seeds;
  for (uint32_t begin = 0; begin < 2500; begin += 10) {
    kept.push_back({begin, begin + 7});
    for (uint32_t row = begin; row < begin + 7; ++row) seeds.push_back(row);
  }
  const Rows added = Rows::Numbered(2500, 3500);
  seeds.insert(seeds.end(), added.seeds.begin(), added.seeds.end());
  const Rows expected(seeds);
  std::unique_ptr<RowIndex> updated = index->Updated(kept, added.quantized, 2);
  ASSERT_EQ(updated->size(), expected.vectors.size());
  EXPECT_EQ(updated->kind(), GetParam());
  EXPECT_GE(Recall(*updated, expected), Promise() - 0.02);
  EXPECT_GE(Recall(*index, rows), Promise()) << "the old one must not change";
}

TEST_P(RowIndexTest, ComesBackTheSame) {
  const Rows rows = Rows::Numbered(0, 1500);
  std::unique_ptr<RowIndex> index = Build(rows);
  const std::string bytes = Written(*index);
  IndexReader reader(bytes);
  ASSERT_OK_AND_ASSIGN(std::unique_ptr<RowIndex> read, ReadRowIndex(GetParam(), kDimension, 1500, &reader));
  EXPECT_THAT(reader.Finish(), IsOk());
  EXPECT_EQ(Written(*read), bytes);
  for (uint64_t i = 0; i < 20; ++i) {
    TopRows a(40), b(40);
    index->Search(QueryVector(Query(i)), nullptr, &a);
    read->Search(QueryVector(Query(i)), nullptr, &b);
    const std::vector<ScoredRow> found = a.TakeSorted(), again = b.TakeSorted();
    ASSERT_EQ(found.size(), again.size());
    for (size_t j = 0; j < found.size(); ++j) {
      EXPECT_TRUE(found[j].row == again[j].row && found[j].score == again[j].score);
    }
  }
}

// A checksum says what was written, not that it is sound: whatever the numbers, no search leaves the index.
TEST_P(RowIndexTest, NoFileLeadsOutside) {
  const Rows rows = Rows::Numbered(0, 300);
  const std::string bytes = Written(*Build(rows));
  std::mt19937_64 random = lastro::testing::SeededRandom(11);
  int refused = 0;
  for (int i = 0; i < 400; ++i) {
    std::string damaged = bytes;
    for (size_t j = 0, count = 1 + random() % 8; j < count; ++j) {
      // Half of them where the structure is, behind or before the vectors.
      size_t at = random() % damaged.size();
      if (random() % 2) at = random() % 2 ? damaged.size() - 1 - at % std::min<size_t>(damaged.size(), 40000) : at % 64;
      damaged[at] = static_cast<char>(random());
    }
    if (random() % 8 == 0) damaged.resize(random() % damaged.size());
    IndexReader reader(damaged);
    absl::StatusOr<std::unique_ptr<RowIndex>> read = ReadRowIndex(GetParam(), kDimension, 300, &reader);
    refused += !read.ok();
    if (!read.ok()) continue;
    TopRows top(20);
    (*read)->Search(QueryVector(Query(1)), nullptr, &top);
    for (const ScoredRow& row : top.TakeSorted()) EXPECT_LT(row.row, 300u);
    if (auto* graph = dynamic_cast<HnswIndex*>(read->get())) {
      TopRows walked(20);
      graph->Walk(QueryVector(Query(1)), 20, &walked);
      for (const ScoredRow& row : walked.TakeSorted()) EXPECT_LT(row.row, 300u);
    }
    const AllowedRows allowed = Every(300, 3, 5);
    TopRows some(20);
    (*read)->Search(QueryVector(Query(2)), &allowed, &some);
    for (const ScoredRow& row : some.TakeSorted()) EXPECT_LT(row.row, 300u);
    std::unique_ptr<RowIndex> updated = (*read)->Updated({{0, 100}}, rows.quantized, 1);
    EXPECT_EQ(updated->size(), 400u);
  }
  EXPECT_GT(refused, 20);
}

INSTANTIATE_TEST_SUITE_P(Kinds, RowIndexTest, ::testing::ValuesIn(kIndexKinds), [](const auto& info) {
  std::string name(IndexKindName(info.param));
  std::erase(name, '-');
  return name;
});

// --- walks over graphs, which small indexes do without

constexpr uint64_t kWalked = 12000;

class HnswWalkTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    rows_ = new Rows(Rows::Numbered(0, kWalked));
    index_ = BuildRowIndex(IndexKind::kHnsw, rows_->Copy(), 2).release();
  }
  static void TearDownTestSuite() {
    delete index_;
    delete rows_;
  }
  static double WalkRecall(const RowIndex& index, const Rows& rows, size_t breadth) {
    double sum = 0;
    for (uint64_t i = 0; i < kQueries; ++i) {
      const std::vector<float> query = Query(i);
      TopRows top(breadth);
      static_cast<const HnswIndex&>(index).Walk(QueryVector(query), breadth, &top);
      sum += Share(Best(rows, query, top.TakeSorted(), 10), Truth(rows, query, nullptr, 10));
    }
    return sum / kQueries;
  }

  static Rows* rows_;
  static RowIndex* index_;
};
Rows* HnswWalkTest::rows_ = nullptr;
RowIndex* HnswWalkTest::index_ = nullptr;

TEST_F(HnswWalkTest, FindNearlyAll) {
  EXPECT_GE(WalkRecall(*index_, *rows_, HnswIndex::kLeastBreadth), 0.98);
  EXPECT_GE(WalkRecall(*index_, *rows_, 400), 0.995);
  TopRows top(60);
  EXPECT_EQ(index_->Search(QueryVector(Query(0)), nullptr, &top), RowIndex::Found::kLikely);
}

// A row that no walk comes to would be lost to every search.
TEST_F(HnswWalkTest, FindEveryRowByItsOwnVector) {
  size_t lost = 0;
  std::vector<float> vector(kDimension);
  for (uint32_t row = 0; row < kWalked; ++row) {
    index_->vectors()->Decode(row, vector.data());
    TopRows top(HnswIndex::kLeastBreadth);
    static_cast<const HnswIndex&>(*index_).Walk(QueryVector(vector), HnswIndex::kLeastBreadth, &top);
    const std::vector<ScoredRow> found = top.TakeSorted();
    lost += std::none_of(found.begin(), found.end(), [row](const ScoredRow& hit) { return hit.row == row; });
  }
  EXPECT_LE(lost, kWalked / 1000);
}

// The same text in many documents: walks must find their way out of its copies.
TEST_F(HnswWalkTest, CopiesAreNoTrap) {
  constexpr uint32_t kCopies = 1000;
  QuantizedVectors rows = rows_->Copy();
  const std::vector<float> copied = Query(1000);
  for (uint32_t i = 0; i < kCopies; ++i) rows.Append(copied.data());
  std::unique_ptr<RowIndex> index = BuildRowIndex(IndexKind::kHnsw, std::move(rows), 2);
  double sum = 0;
  for (uint64_t i = 0; i < kQueries; ++i) {
    const std::vector<float> query = Query(i);
    TopRows top(HnswIndex::kLeastBreadth);
    static_cast<const HnswIndex&>(*index).Walk(QueryVector(query), HnswIndex::kLeastBreadth, &top);
    std::vector<ScoredRow> found = top.TakeSorted();
    std::erase_if(found, [](const ScoredRow& row) { return row.row >= kWalked; });
    sum += Share(Best(*rows_, query, found, 10), Truth(*rows_, query, nullptr, 10));
  }
  EXPECT_GE(sum / kQueries, 0.97);
}

TEST_F(HnswWalkTest, FindNearlyAllAfterMostRowsWent) {
  std::vector<RowRange> kept;
  std::vector<uint64_t> seeds;
  for (uint32_t row = 7; row < kWalked; row += 100) {
    kept.push_back({row, row + 1});
    seeds.push_back(row);
  }
  const Rows added = Rows::Numbered(kWalked, 2 * kWalked);
  for (uint32_t row = kWalked; row < 2 * kWalked; ++row) seeds.push_back(row);
  std::unique_ptr<RowIndex> updated = index_->Updated(kept, added.quantized, 2);
  EXPECT_GE(WalkRecall(*updated, Rows(seeds), HnswIndex::kLeastBreadth), 0.97);
}

TEST_F(HnswWalkTest, FindNearlyAllAfterManyRowsWent) {
  std::vector<RowRange> kept;
  std::vector<uint64_t> seeds;
  for (uint32_t begin = 0; begin < kWalked; begin += 10) {
    kept.push_back({begin, begin + 8});
    for (uint32_t row = begin; row < begin + 8; ++row) seeds.push_back(row);
  }
  std::unique_ptr<RowIndex> smaller = index_->Updated(kept, QuantizedVectors(kDimension), 2);
  EXPECT_GE(WalkRecall(*smaller, Rows(seeds), HnswIndex::kLeastBreadth), 0.97);
}

TEST_F(HnswWalkTest, FindNearlyAllAfterRowsCame) {
  std::unique_ptr<RowIndex> half = BuildRowIndex(IndexKind::kHnsw, Rows::Numbered(0, kWalked / 2).Copy(), 1);
  const Rows added = Rows::Numbered(kWalked / 2, kWalked);
  std::unique_ptr<RowIndex> grown = half->Updated({{0, kWalked / 2}}, added.quantized, 2);
  EXPECT_GE(WalkRecall(*grown, *rows_, HnswIndex::kLeastBreadth), 0.98);
}

TEST_F(HnswWalkTest, HoldOnlyAllowedRows) {
  const HnswIndex& index = static_cast<const HnswIndex&>(*index_);
  for (uint32_t step : {2, 10, 100}) {
    const AllowedRows allowed = Every(kWalked, step, 4);
    const RowBitmap bitmap(kWalked, allowed.ranges);
    double sum = 0;
    for (uint64_t i = 0; i < kQueries; ++i) {
      const std::vector<float> query = Query(i);
      auto found = index.graph().Search(*index.vectors(), QueryVector(query), HnswIndex::kLeastBreadth, &bitmap,
                                        SIZE_MAX);
      ASSERT_TRUE(found.has_value());
      for (const ScoredRow& row : *found) EXPECT_TRUE(bitmap.Contains(row.row));
      for (ScoredRow& row : *found) row.score += 1;  // all are looked at
      sum += Share(Best(*rows_, query, *found, 10), Truth(*rows_, query, &allowed, 10));
      EXPECT_FALSE(index.graph().Search(*index.vectors(), QueryVector(query), 128, &bitmap, 50).has_value());
    }
    EXPECT_GE(sum / kQueries, 0.99) << "one in " << step;
  }
}

}  // namespace
}  // namespace lastro::retrieval
