#include "retrieval/filter_cache.h"

#include "retrieval/schema.h"
#include "tests/unit/retrieval/store_fixture.h"

namespace lastro::retrieval::testing {
namespace {

using lastro::testing::IsOk;

Filter Uri(Filter::Op op, const std::string& uri) {
  Filter filter;
  filter.op = op;
  filter.field = "uri";
  filter.values = {uri};
  return filter;
}

TEST(FilterCacheTest, SelectsOnceForACommitAndAFilter) {
  lastro::testing::TempFolder folder;
  std::unique_ptr<SqliteStore> store = OpenStore(folder.path());
  for (const char* name : {"notes", "other"}) ASSERT_THAT(store->CreateCollection(MakeCollection(name)), IsOk());
  for (const char* uri : {"a", "b", "c"}) ASSERT_THAT(Put(*store, MakeDocument(uri, {uri})), IsOk());
  ConnectionPool pool(folder / "lastro.db", 2);
  FilterCache cache(1 << 20);
  auto select = [&](int64_t collection, const Filter& filter) {
    ReadSnapshot snapshot = pool.Snapshot().value();
    return cache.Select(snapshot, collection, filter).value();
  };
  auto first = select(1, Uri(Filter::Op::kEqual, "a"));
  EXPECT_EQ(first->rows.size(), 1u);
  EXPECT_EQ(select(1, Uri(Filter::Op::kEqual, "a")), first);
  EXPECT_EQ(select(1, Uri(Filter::Op::kNotEqual, "a"))->rows.size(), 2u);
  EXPECT_EQ(select(1, Uri(Filter::Op::kEqual, "b"))->rows.size(), 1u);
  EXPECT_EQ(select(2, Uri(Filter::Op::kEqual, "a"))->rows.size(), 0u);
  const std::string id = store->FindDocument(kCollection, "a").value().id;
  ASSERT_THAT(store->DeleteDocuments(kCollection, {&id, 1}), IsOk());
  EXPECT_EQ(select(1, Uri(Filter::Op::kEqual, "a"))->rows.size(), 0u);
}

}  // namespace
}  // namespace lastro::retrieval::testing
