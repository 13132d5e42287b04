#include "retrieval/vector_index.h"

#include <fstream>

#include "base/file.h"
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
  VectorRows rows(dimension);
  for (int64_t id = begin; id < end; ++id) {
    rows.Append(id * 3, id / 4, VectorOf(static_cast<uint64_t>(id), dimension).data());
  }
  return rows;
}

std::vector<VectorCandidate> Nearest(const VectorIndex& index, const std::vector<float>& query, size_t k) {
  TopCandidates top(k);
  index.Search(QueryVector(query), nullptr, &top);
  return top.TakeSorted();
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
  view.Search(QueryVector(VectorOf(1, 4)), &allowed, &top);
  EXPECT_EQ(top.TakeSorted().size(), 10u);
}

TEST(VectorLogTest, BoundsHoldForEveryRow) {
  VectorLog log(24);
  for (int64_t id = 1; id <= 700; ++id) log.Append(id, id, VectorOf(static_cast<uint64_t>(id), 24).data());
  const std::vector<float> query = VectorOf(9999, 24);
  TopCandidates top(700);
  log.Snapshot().Search(QueryVector(query), nullptr, &top);
  const std::vector<VectorCandidate> found = top.TakeSorted();
  ASSERT_EQ(found.size(), 700u);
  for (const VectorCandidate& candidate : found) {
    const std::vector<float> vector = VectorOf(static_cast<uint64_t>(candidate.chunk), 24);
    const float score = DotProduct(query.data(), vector.data(), 24);
    EXPECT_GE(candidate.score, score);
    EXPECT_LE(candidate.score, score + 0.05f);
  }
}

TEST(VectorLogTest, GivesItsRowsToIndexesAndOtherLogs) {
  VectorLog log(24), later(24);
  for (int64_t id = 1; id <= 1300; ++id) log.Append(id, id / 10, VectorOf(static_cast<uint64_t>(id), 24).data());
  later.Append(log.Snapshot(), 600);
  ASSERT_EQ(later.size(), 700u);
  EXPECT_EQ(later.Snapshot().chunk(0), 601);
  VectorRows rows = later.Snapshot().RowsOf({70, 71});
  ASSERT_EQ(rows.ids.size(), 20u);
  EXPECT_EQ(rows.ids.ChunkOf(0), 700);
  std::vector<float> decoded(24);
  rows.vectors.Decode(19, decoded.data());
  EXPECT_NEAR(decoded[3], VectorOf(uint64_t{719}, 24)[3], 0.01);
}

TEST(VectorIndexTest, KnowsChunksAndDocuments) {
  auto index = VectorIndex::Build(IndexKind::kExact, {1, 2, 9000}, MakeRows(0, 500, 16), 1);
  EXPECT_EQ(index->size(), 500u);
  EXPECT_EQ(Nearest(*index, VectorOf(17, 16), 1)[0].chunk, 17 * 3);
  EXPECT_EQ(Nearest(*index, VectorOf(17, 16), 1)[0].document, 17 / 4);
  TopCandidates top(10);
  DocumentSet allowed = {3, 77};
  EXPECT_EQ(index->Search(QueryVector(VectorOf(17, 16)), &allowed, &top), RowIndex::Found::kCertain);
  for (const VectorCandidate& found : top.TakeSorted()) EXPECT_TRUE(allowed.contains(found.document));
  TopCandidates none(10);
  DocumentSet nothing;
  index->Search(QueryVector(VectorOf(17, 16)), &nothing, &none);
  EXPECT_TRUE(none.TakeSorted().empty());
}

TEST(VectorIndexTest, CanBeUpdated) {
  auto base = VectorIndex::Build(IndexKind::kHnsw, {1, 2, 9000}, MakeRows(0, 400, 16), 2);
  auto index = base->Updated({2, 3, 9900}, {{0, 100}, {200, 400}}, MakeRows(400, 500, 16), 2);
  EXPECT_EQ(index->size(), 400u);
  EXPECT_EQ(base->size(), 400u);
  EXPECT_EQ(index->position().generation, 2);
  EXPECT_EQ(Nearest(*index, VectorOf(450, 16), 1)[0].chunk, 450 * 3);
  EXPECT_EQ(Nearest(*index, VectorOf(250, 16), 1)[0].chunk, 250 * 3);
  EXPECT_NE(Nearest(*index, VectorOf(150, 16), 1)[0].chunk, 150 * 3);
}

class IndexFileTest : public ::testing::TestWithParam<IndexKind> {
 protected:
  void SetUp() override {
    index_ = VectorIndex::Build(GetParam(), {7, 42, 900}, MakeRows(0, 300, 16), 1);
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

// A digit of the position that becomes another one would leave chunks out, or have them twice.
TEST_P(IndexFileTest, RefusesEveryFlippedBitOfTheHeader) {
  const std::string whole = lastro::ReadFile(path(), 1u << 30).value();
  const size_t end = whole.find("}\n");
  ASSERT_NE(end, std::string::npos);
  for (size_t at = 0; at <= end; ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = whole;
      damaged[at] ^= static_cast<char>(1 << bit);
      std::ofstream(path(), std::ios::binary) << damaged;
      EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr(path()))) << at << " " << bit;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, IndexFileTest, ::testing::ValuesIn(kIndexKinds));

}  // namespace
}  // namespace lastro::retrieval
