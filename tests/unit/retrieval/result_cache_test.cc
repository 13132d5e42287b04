#include "retrieval/result_cache.h"

#include <functional>

#include "tests/unit/retrieval/store_fixture.h"

namespace lastro::retrieval::testing {
namespace {

using lastro::testing::IsOk;

Filter Label(const std::string& label) {
  Filter filter;
  filter.op = Filter::Op::kEqual;
  filter.field = "label";
  filter.values = {label};
  return filter;
}

TEST(ResultCacheTest, KnowsASearchByEverythingItDependsOn) {
  ResultCache cache(1 << 20);
  const SearchQuery query = MakeQuery(SearchMode::kHybrid, "zebra");
  const SearchTarget target{"notes", Label("hr")};
  SearchResult result;
  result.commit = 7;
  result.hits.resize(3);
  cache.Insert(query, target, result);
  ASSERT_NE(cache.Find(query, target, 7), nullptr);
  EXPECT_EQ(cache.Find(query, target, 7)->hits.size(), 3u);
  EXPECT_EQ(cache.Find(query, target, 8), nullptr);
  EXPECT_EQ(cache.Find(query, {"acme/notes", Label("hr")}, 7), nullptr);
  EXPECT_EQ(cache.Find(query, {"notes", Label("board")}, 7), nullptr);
  EXPECT_EQ(cache.Find(query, {"notes", Filter()}, 7), nullptr);
  const std::vector<std::function<void(SearchQuery&)>> changes = {
      [](SearchQuery& q) { q.collection = "acme/notes"; },
      [](SearchQuery& q) { q.text += "s"; },
      [](SearchQuery& q) { q.vector[0] += 1e-7f; },
      [](SearchQuery& q) { q.fingerprint = "model-b"; },
      [](SearchQuery& q) { q.mode = SearchMode::kDense; },
      [](SearchQuery& q) { ++q.limit; },
      [](SearchQuery& q) { q.filter = Label(""); },
      [](SearchQuery& q) { q.max_per_document = 1; },
      [](SearchQuery& q) { q.dense_weight = 0.25; },
      [](SearchQuery& q) { q.fusion = Fusion::kReciprocalRank; },
      [](SearchQuery& q) { ++q.rrf_k; },
      [](SearchQuery& q) { ++q.context_chunks; },
      [](SearchQuery& q) { q.with_vectors = true; },
  };
  for (size_t i = 0; i < changes.size(); ++i) {
    SearchQuery other = query;
    changes[i](other);
    EXPECT_EQ(cache.Find(other, target, 7), nullptr) << "change " << i;
  }
  cache.Clear();
  EXPECT_EQ(cache.Find(query, target, 7), nullptr);
}

// Every commit shows in the next search, also one that was asked before.
TEST(ResultCacheTest, NeverShowsAnOlderCommit) {
  lastro::testing::TempFolder folder;
  std::unique_ptr<SqliteStore> store = OpenStore(folder.path());
  ASSERT_THAT(store->CreateCollection(MakeCollection()), IsOk());
  const SearchQuery query = MakeQuery(SearchMode::kHybrid, "zebra");
  auto hits = [&] { return store->Search(query, CallContext()).value().hits.size(); };
  for (size_t i = 1; i <= 3; ++i) {
    ASSERT_THAT(Put(*store, MakeDocument(std::to_string(i), {"zebra"})), IsOk());
    EXPECT_EQ(hits(), i);
    EXPECT_EQ(hits(), i);
  }
  const std::string id = store->FindDocument(kCollection, "2").value().id;
  ASSERT_THAT(store->DeleteDocuments(kCollection, {&id, 1}), IsOk());
  EXPECT_EQ(hits(), 2u);
}

}  // namespace
}  // namespace lastro::retrieval::testing
