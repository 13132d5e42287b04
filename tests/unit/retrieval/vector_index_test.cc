#include "retrieval/vector_index.h"

#include <fstream>

#include "retrieval/dot_product.h"
#include "retrieval/index_file.h"
#include "retrieval/vector_log.h"
#include "tests/unit/retrieval/store_fixture.h"

namespace lastro::retrieval {
namespace {

using lastro::testing::IsOk;
using lastro::testing::StatusIs;
using ::testing::HasSubstr;
using testing::VectorOf;

VectorRows MakeRows(int64_t begin, int64_t end, int dimension) {
  VectorRows rows;
  for (int64_t id = begin; id < end; ++id) {
    rows.chunks.push_back(id * 3);
    rows.documents.push_back(id / 4);
    std::vector<float> vector = VectorOf(static_cast<uint64_t>(id), dimension);
    rows.vectors.insert(rows.vectors.end(), vector.begin(), vector.end());
  }
  return rows;
}

std::vector<VectorCandidate> Nearest(const VectorIndex& index, const std::vector<float>& query, size_t k) {
  TopCandidates top(k);
  EXPECT_THAT(index.SearchNearest(query.data(), k, &top), IsOk());
  return top.TakeSorted();
}

std::vector<VectorCandidate> Exact(const VectorIndex& index, const std::vector<float>& query, size_t k) {
  TopCandidates top(k);
  index.Scan(query.data(), nullptr, &top);
  return top.TakeSorted();
}

// Share of the exact top `k` that the index finds, over 50 queries.
double Recall(const VectorIndex& index, size_t k) {
  size_t hits = 0;
  for (uint64_t i = 0; i < 50; ++i) {
    std::vector<float> query = VectorOf(1000000 + i, index.dimension());
    std::vector<VectorCandidate> exact = Exact(index, query, k);
    for (const VectorCandidate& found : Nearest(index, query, k)) {
      for (const VectorCandidate& wanted : exact) hits += found.chunk == wanted.chunk && found.score == wanted.score;
    }
  }
  return static_cast<double>(hits) / (50.0 * static_cast<double>(k));
}

// The error of a float sum of n products is below n * epsilon * sum of |products| (Higham, 2002, section 3.1).
TEST(DotProductTest, MatchesDoublePrecisionForAllTails) {
  std::mt19937_64 random = lastro::testing::SeededRandom(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (size_t n = 0; n < 200; ++n) {
    std::vector<float> a(n), b(n);
    double exact = 0, magnitude = 0;
    for (size_t i = 0; i < n; ++i) {
      a[i] = uniform(random);
      b[i] = uniform(random);
      exact += static_cast<double>(a[i]) * b[i];
      magnitude += std::abs(static_cast<double>(a[i]) * b[i]);
    }
    double bound = static_cast<double>(n) * std::numeric_limits<float>::epsilon() * magnitude;
    EXPECT_NEAR(DotProduct(a.data(), b.data(), n), exact, bound) << n;
  }
}

TEST(VectorLogTest, ShowsAFixedPrefix) {
  VectorLog log(4);
  for (int64_t id = 1; id <= 1100; ++id) log.Append(id, id / 10, VectorOf(static_cast<uint64_t>(id), 4).data());
  VectorLog::View view = log.Snapshot();
  log.Append(1101, 200, VectorOf(7, 4).data());
  EXPECT_EQ(view.size(), 1100u);
  EXPECT_EQ(log.size(), 1101u);
  EXPECT_EQ(view.chunk(1099), 1100);
  EXPECT_EQ(view.UpTo(700).size(), 700u);
  DocumentSet allowed = {3};
  TopCandidates top(50);
  view.Scan(VectorOf(1, 4).data(), &allowed, &top);
  EXPECT_EQ(top.TakeSorted().size(), 10u);
}

TEST(VectorIndexTest, FlatIsExact) {
  ASSERT_OK_AND_ASSIGN(auto index,
                       VectorIndex::Build(16, VectorIndex::Kind::kFlat, {1, 2, 9000}, MakeRows(0, 500, 16)));
  EXPECT_EQ(Recall(*index, 10), 1.0);
  EXPECT_EQ(Exact(*index, VectorOf(17, 16), 1)[0].chunk, 17 * 3);
}

TEST(VectorIndexTest, GraphFindsNearlyAllAndCanBeExtended) {
  ASSERT_OK_AND_ASSIGN(auto base,
                       VectorIndex::Build(16, VectorIndex::Kind::kHnsw, {1, 2, 9000}, MakeRows(0, 2000, 16)));
  EXPECT_GE(Recall(*base, 10), 0.95);
  ASSERT_OK_AND_ASSIGN(auto index, VectorIndex::Extend(*base, {2, 3, 9900}, MakeRows(2000, 3000, 16)));
  EXPECT_EQ(index->size(), 3000u);
  EXPECT_EQ(base->size(), 2000u);
  EXPECT_GE(Recall(*index, 10), 0.95);
}

TEST(VectorIndexTest, EmptyIndexFindsNothing) {
  for (VectorIndex::Kind kind : {VectorIndex::Kind::kFlat, VectorIndex::Kind::kHnsw}) {
    ASSERT_OK_AND_ASSIGN(auto index, VectorIndex::Build(16, kind, {}, VectorRows()));
    EXPECT_TRUE(Nearest(*index, VectorOf(1, 16), 5).empty());
  }
}

class IndexFileTest : public ::testing::TestWithParam<VectorIndex::Kind> {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(index_, VectorIndex::Build(16, GetParam(), {7, 42, 900}, MakeRows(0, 300, 16)));
    ASSERT_THAT(WriteIndexFile(folder_.path(), *index_, "fp"), IsOk());
  }
  absl::StatusOr<std::shared_ptr<const VectorIndex>> Read(int dimension = 16, const std::string& fingerprint = "fp") {
    return ReadIndexFile(folder_.path(), 7, dimension, fingerprint);
  }
  std::string path() const { return IndexFileName(folder_.path(), 7); }

  lastro::testing::TempFolder folder_;
  std::shared_ptr<const VectorIndex> index_;
};

TEST_P(IndexFileTest, ComesBackTheSame) {
  ASSERT_OK_AND_ASSIGN(auto read, Read());
  EXPECT_EQ(read->kind(), GetParam());
  EXPECT_EQ(read->position().commit, 42);
  EXPECT_EQ(read->position().last_chunk, 900);
  for (uint64_t i = 0; i < 20; ++i) {
    std::vector<float> query = VectorOf(5000 + i, 16);
    std::vector<VectorCandidate> a = Nearest(*index_, query, 10), b = Nearest(*read, query, 10);
    ASSERT_EQ(a.size(), b.size());
    for (size_t j = 0; j < a.size(); ++j) EXPECT_TRUE(a[j].chunk == b[j].chunk && a[j].score == b[j].score);
  }
  EXPECT_THAT(ListGenerations(folder_.path()), ::testing::ElementsAre(7));
}

TEST_P(IndexFileTest, RefusesAnotherModel) {
  EXPECT_THAT(Read(16, "other"), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("another embedding model")));
  EXPECT_THAT(Read(8), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("another embedding model")));
}

TEST_P(IndexFileTest, RefusesDamage) {
  uintmax_t size = std::filesystem::file_size(path());
  for (uintmax_t at : {uintmax_t{0}, uintmax_t{20}, uintmax_t{4096}, size / 2, size - 1}) {
    std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    char old = static_cast<char>(file.get());
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(old ^ 0x41)).flush();
    EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr(path()))) << at;
    file.seekp(static_cast<std::streamoff>(at));
    file.put(old).flush();
  }
  EXPECT_THAT(Read(), IsOk());
  std::filesystem::resize_file(path(), size - 100);
  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("checksum")));
  std::filesystem::resize_file(path(), 0);
  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("not an index file")));
}

INSTANTIATE_TEST_SUITE_P(Kinds, IndexFileTest, ::testing::Values(VectorIndex::Kind::kFlat, VectorIndex::Kind::kHnsw));

}  // namespace
}  // namespace lastro::retrieval
