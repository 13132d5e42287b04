// What a caller sees of a store, and that it sees nothing else. More of it, of every store, is in
// tests/unit/services/store_conformance_test.cc.
#include "base/scope.h"

#include <map>
#include <set>

#include "retrieval/sqlite.h"
#include "tests/unit/retrieval/store_fixture.h"

namespace lastro::retrieval::testing {
namespace {

using lastro::testing::IsOk;
using lastro::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

Scope Tenant(const std::string& tenant) {
  Scope scope;
  scope.tenant = tenant;
  return scope;
}

Scope WithLabels(std::vector<std::string> labels) {
  Scope scope;
  scope.all_labels = false;
  scope.labels = std::move(labels);
  return scope;
}

class ScopeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = OpenStore(folder_.path());
    ASSERT_NE(store_, nullptr);
  }

  std::unique_ptr<ChunkStore> As(const Scope& scope) { return store_->WithScope(scope).value(); }

  static absl::StatusOr<Document> PutText(ChunkStore& store, const std::string& uri, const std::string& text,
                                          std::vector<std::string> labels = {}) {
    TestDocument test = MakeDocument(uri, {text});
    test.document.labels = std::move(labels);
    return store.PutDocument(test.document, kFingerprint, test.chunks, test.original, "");
  }

  static std::vector<std::string> Uris(ChunkStore& store, const SearchQuery& query) {
    std::vector<std::string> uris;
    const SearchResult found = store.Search(query, CallContext()).value();
    for (const SearchHit& hit : found.hits) {
      EXPECT_EQ(hit.document.collection, kCollection);
      uris.push_back(hit.document.uri);
    }
    return uris;
  }

  lastro::testing::TempFolder folder_;
  std::unique_ptr<SqliteStore> store_;
};

TEST_F(ScopeTest, WhoHasNoTenantSeesNoTenants) {
  auto acme = As(Tenant("acme")), nobody = As(Scope());
  ASSERT_THAT(acme->CreateCollection(MakeCollection()), IsOk());
  ASSERT_THAT(PutText(*acme, "plan.md", "zebra"), IsOk());
  for (SearchMode mode : {SearchMode::kDense, SearchMode::kLexical, SearchMode::kHybrid}) {
    EXPECT_THAT(Uris(*acme, MakeQuery(mode, "zebra")), ElementsAre("plan.md"));
    EXPECT_THAT(nobody->Search(MakeQuery(mode, "zebra"), CallContext()),
                StatusIs(absl::StatusCode::kNotFound, ::testing::_));
  }
  EXPECT_THAT(nobody->GetCollection(kCollection), StatusIs(absl::StatusCode::kNotFound, ::testing::_));
  EXPECT_THAT(nobody->ListCollections().value(), IsEmpty());
  EXPECT_EQ(acme->ListCollections().value().size(), 1u);
}

// The name under which a tenant's collection is kept is no way into it.
TEST_F(ScopeTest, NobodyButTheOperatorSpellsAnotherTenant) {
  ASSERT_THAT(As(Tenant("acme"))->CreateCollection(MakeCollection()), IsOk());
  for (const Scope& scope : {Scope(), Tenant("globex"), Tenant("acme")}) {
    auto store = As(scope);
    for (const char* name : {"acme/notes", "/notes", "notes/", "../notes", "acme//notes"}) {
      EXPECT_THAT(store->GetCollection(name), StatusIs(absl::StatusCode::kInvalidArgument, ::testing::_)) << name;
      EXPECT_THAT(store->DeleteCollection(name), StatusIs(absl::StatusCode::kInvalidArgument, ::testing::_)) << name;
      SearchQuery query = MakeQuery(SearchMode::kHybrid, "zebra");
      query.collection = name;
      EXPECT_THAT(store->Search(query, CallContext()), StatusIs(absl::StatusCode::kInvalidArgument, ::testing::_))
          << name;
    }
  }
  EXPECT_THAT(store_->GetCollection("acme/notes"), IsOk());
  EXPECT_THAT(store_->WithScope(Tenant("a/b")), StatusIs(absl::StatusCode::kInvalidArgument, ::testing::_));
  EXPECT_THAT(store_->WithScope(WithLabels({"a,b"})), StatusIs(absl::StatusCode::kInvalidArgument, ::testing::_));
}

class LabelsTest : public ScopeTest {
 protected:
  void SetUp() override {
    ScopeTest::SetUp();
    everybody_ = As(Scope());
    hr_ = As(WithLabels({"hr"}));
    guest_ = As(WithLabels({}));
    ASSERT_THAT(everybody_->CreateCollection(MakeCollection()), IsOk());
    for (const auto& [uri, labels] : std::vector<std::pair<std::string, std::vector<std::string>>>{
             {"open", {}}, {"pay", {"hr"}}, {"both", {"board", "hr"}}, {"board", {"board"}}}) {
      ASSERT_OK_AND_ASSIGN(documents_[uri], PutText(*everybody_, uri, "zebra " + uri, labels));
    }
  }

  std::unique_ptr<ChunkStore> everybody_, hr_, guest_;
  std::map<std::string, Document> documents_;
};

TEST_F(LabelsTest, FiltersByLabelOpenNothing) {
  SearchQuery query = MakeQuery(SearchMode::kHybrid, "zebra");
  EXPECT_THAT(Uris(*everybody_, query), UnorderedElementsAre("open", "pay", "both", "board"));
  query.filter.op = Filter::Op::kEqual;
  query.filter.field = "label";
  query.filter.values = {std::string("board")};
  EXPECT_THAT(Uris(*everybody_, query), UnorderedElementsAre("both", "board"));
  EXPECT_THAT(Uris(*hr_, query), ElementsAre("both"));
  EXPECT_THAT(Uris(*guest_, query), IsEmpty());
}

TEST_F(LabelsTest, WhatIsClosedIsNotThere) {
  for (const char* uri : {"pay", "both", "board"}) {
    const std::string& id = documents_[uri].id;
    EXPECT_THAT(guest_->GetDocument(kCollection, id), StatusIs(absl::StatusCode::kNotFound, ::testing::_));
    EXPECT_THAT(guest_->FindDocument(kCollection, uri), StatusIs(absl::StatusCode::kNotFound, ::testing::_));
    EXPECT_THAT(guest_->GetChunks(kCollection, id, true), StatusIs(absl::StatusCode::kNotFound, ::testing::_));
    EXPECT_THAT(guest_->ReadSource(kCollection, id, 0, 10), StatusIs(absl::StatusCode::kNotFound, ::testing::_));
    EXPECT_THAT(guest_->ReadOriginal(kCollection, id), StatusIs(absl::StatusCode::kNotFound, ::testing::_));
    EXPECT_EQ(guest_->DeleteDocuments(kCollection, {&id, 1}).value(), 0);
    // In the words of one that never was.
    EXPECT_EQ(guest_->GetDocument(kCollection, id).status().message(),
              "collection \"notes\" has no document with id " + id);
  }
  // Nor does a known vector tell that somebody has the text.
  for (const auto& [uri, document] : documents_) {
    const std::string key = everybody_->GetChunks(kCollection, document.id, false).value()[0].text_sha256;
    EXPECT_FALSE(everybody_->FindVectors(kCollection, kFingerprint, {&key, 1}).value()[0].empty()) << uri;
    EXPECT_EQ(guest_->FindVectors(kCollection, kFingerprint, {&key, 1}).value()[0].empty(), uri != "open") << uri;
  }
  EXPECT_EQ(guest_->GetCollection(kCollection).value().documents, 1);
  EXPECT_EQ(guest_->GetCollection(kCollection).value().chunks, 1);
  EXPECT_EQ(guest_->ListCollections().value()[0].documents, 1);
  EXPECT_EQ(everybody_->GetCollection(kCollection).value().documents, 4);
  EXPECT_EQ(guest_->DocumentStates(kCollection).value().size(), 1u);
  EXPECT_EQ(hr_->ListDocuments(kCollection, Filter(), 10, "").value().documents.size(), 3u);
}

TEST_F(LabelsTest, WritesStayWithinTheLabels) {
  EXPECT_THAT(PutText(*guest_, "pay", "mine now"), StatusIs(absl::StatusCode::kPermissionDenied, ::testing::_));
  EXPECT_EQ(everybody_->ReadOriginal(kCollection, documents_["pay"].id).value(), "zebra pay\n");
  EXPECT_THAT(PutText(*hr_, "pay", "zebra raised", {"hr"}), IsOk());
  EXPECT_THAT(PutText(*hr_, "news", "zebra news"), IsOk());
  EXPECT_THAT(Uris(*guest_, MakeQuery(SearchMode::kLexical, "zebra")), UnorderedElementsAre("open", "news"));
}

// A document that gets other labels is closed, or opened, with the commit.
TEST_F(LabelsTest, NewLabelsHoldAtOnce) {
  ASSERT_THAT(PutText(*everybody_, "open", "zebra open", {"board"}), IsOk());
  ASSERT_THAT(PutText(*everybody_, "pay", "zebra pay"), IsOk());
  ASSERT_THAT(store_->Flush(), IsOk());
  for (SearchMode mode : {SearchMode::kDense, SearchMode::kLexical}) {
    EXPECT_THAT(Uris(*guest_, MakeQuery(mode, "zebra")), ElementsAre("pay"));
  }
}

TEST_F(LabelsTest, JobsBelongToTheirTenantAndLabels) {
  Job job;
  job.id = "job-1";
  job.collection = kCollection;
  job.labels = {"hr"};
  ASSERT_THAT(hr_->PutJob(job), IsOk());
  auto acme = As(Tenant("acme"));
  for (ChunkStore* other : {guest_.get(), acme.get()}) {
    EXPECT_THAT(other->GetJob("job-1"), StatusIs(absl::StatusCode::kNotFound, ::testing::_));
    EXPECT_THAT(other->ListJobs().value(), IsEmpty());
    Job stolen = job;
    stolen.labels.clear();
    EXPECT_THAT(other->PutJob(stolen), StatusIs(absl::StatusCode::kPermissionDenied, ::testing::_));
  }
  job.id = "job-2";
  ASSERT_THAT(acme->PutJob(job), IsOk());
  EXPECT_EQ(acme->GetJob("job-2").value().collection, kCollection);
  EXPECT_EQ(store_->GetJob("job-2").value().collection, "acme/notes");
  EXPECT_EQ(hr_->ListJobs().value().size(), 1u);
  EXPECT_EQ(store_->ListJobs().value().size(), 2u);
}

// A store of version 1, which knew no labels, no lists and no times.
TEST_F(ScopeTest, OlderStoresAreUpgraded) {
  ASSERT_THAT(store_->CreateCollection(MakeCollection()), IsOk());
  TestDocument test = MakeDocument("a.md", {"zebra"});
  test.document.metadata = {{"year", 2024.0}, {"team", std::string("ops")}};
  test.document.modified_at = absl::FromUnixSeconds(1'700'000'000);
  ASSERT_THAT(Put(*store_, test), IsOk());
  store_.reset();
  {
    ASSERT_OK_AND_ASSIGN(std::unique_ptr<Database> db, Database::Open(folder_ / "lastro.db", false));
    MakeVersion3(*db);
    ASSERT_THAT(
        db->Execute("CREATE TABLE old(document INTEGER NOT NULL, collection INTEGER NOT NULL, key TEXT NOT NULL, "
                    "type INTEGER NOT NULL, value NOT NULL, PRIMARY KEY(document, key)) WITHOUT ROWID;"
                    "INSERT INTO old SELECT document, collection, key, type, value FROM fields "
                    "WHERE key NOT IN ('label', 'modified_at', 'ingested_at');"
                    "DROP TABLE fields; ALTER TABLE old RENAME TO fields;"
                    "CREATE INDEX fields_by_value ON fields(collection, key, type, value);"
                    "ALTER TABLE documents DROP COLUMN labels; ALTER TABLE collections DROP COLUMN removed; PRAGMA "
                    "user_version=1;"),
        IsOk());
  }
  store_ = OpenStore(folder_.path());
  ASSERT_NE(store_, nullptr);
  EXPECT_THAT(store_->CheckIntegrity(), IsOk());
  auto guest = As(WithLabels({}));
  for (const auto& [field, value] : std::vector<std::pair<std::string, MetadataScalar>>{
           {"year", 2024.0}, {"team", std::string("ops")}, {"modified_at", absl::FromUnixSeconds(1'700'000'000)}}) {
    SearchQuery query = MakeQuery(SearchMode::kHybrid, "zebra");
    query.filter.op = Filter::Op::kEqual;
    query.filter.field = field;
    query.filter.values = {value};
    EXPECT_THAT(Uris(*guest, query), ElementsAre("a.md")) << field;
  }
}

TEST(ScopeNames, AreParsedAndRefused) {
  EXPECT_THAT(ParseLabels("hr, board,hr").value(), ElementsAre("board", "hr"));
  EXPECT_THAT(ParseLabels("").value(), IsEmpty());
  EXPECT_THAT(ParseLabels("hr,,board"), StatusIs(absl::StatusCode::kInvalidArgument, ::testing::_));
  EXPECT_THAT(ParseLabels(std::string(129, 'a')), StatusIs(absl::StatusCode::kInvalidArgument, ::testing::_));
  EXPECT_THAT(ValidateTenant("acme-1"), IsOk());
  for (const std::string& bad : {std::string(), std::string("Acme"), std::string("-a"), std::string("a/b"),
                                 std::string("a\n"), std::string(65, 'a')}) {
    EXPECT_THAT(ValidateTenant(bad), StatusIs(absl::StatusCode::kInvalidArgument, ::testing::_)) << bad;
  }
}

TEST(ScopeNames, KeysKeepDifferentScopesApart) {
  std::set<std::string> keys;
  Scope some_of_all = WithLabels({"hr"});
  some_of_all.all_tenants = true;
  for (const Scope& scope : {Scope(), Tenant("a"), WithLabels({}), WithLabels({"hr"}), WithLabels({"board", "hr"}),
                             Scope::Operator(), some_of_all}) {
    EXPECT_TRUE(keys.insert(ScopeKey(scope)).second) << ScopeKey(scope);
  }
  EXPECT_EQ(ScopeKey(WithLabels({"hr", "board"})), ScopeKey(WithLabels({"board", "hr"})));
}

}  // namespace
}  // namespace lastro::retrieval::testing
