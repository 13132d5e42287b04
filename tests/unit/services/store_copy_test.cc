// Copying between stores: what arrives is the same to the byte, whichever implementations the two are.
#include "services/store_copy.h"

#include "retrieval/document_table.h"
#include "retrieval/one_model_store.h"
#include "services/local/local_services.h"
#include "services/remote/remote_apis.h"
#include "services/store_address.h"
#include "tests/unit/retrieval/store_fixture.h"
#include "tests/unit/services/grpc_fakes.h"

namespace lastro::services {
namespace {

using ::lastro::testing::IsOk;
using ::lastro::testing::StatusIs;
using retrieval::ChunkStore;
using retrieval::DocumentId;
using retrieval::testing::kCollection;
using retrieval::testing::kFingerprint;
using retrieval::testing::MakeCollection;
using retrieval::testing::MakeDocument;
using retrieval::testing::OpenStore;
using retrieval::testing::TestDocument;
using ::testing::HasSubstr;

class StoreCopyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(from_->CreateCollection(MakeCollection()), IsOk());
    TestDocument rich = MakeDocument("rich.md", {"first text", "second text"});
    rich.document.title = "Título";
    rich.document.language = retrieval::Language::kPortuguese;
    rich.document.labels = {"board", "hr"};
    rich.document.modified_at = absl::FromUnixNanos(1'234'567'890'123'456'789);
    rich.document.metadata = {{"year", 2024.0}, {"tags", retrieval::MetadataList{std::string("a"), true}}};
    rich.chunks[1].headings = {"Chapter", "with\nnewline"};
    ASSERT_THAT(Put(*from_, rich), IsOk());
    TestDocument pdf = MakeDocument("x.pdf", {"extracted words"});
    pdf.document.source_kind = retrieval::SourceKind::kExtractedText;
    ASSERT_THAT(from_->PutDocument(pdf.document, kFingerprint, pdf.chunks, "%PDF", pdf.original), IsOk());
    for (int i = 0; i < 3; ++i) ASSERT_THAT(Put(*from_, MakeDocument("n" + std::to_string(i), {"note"})), IsOk());
  }

  absl::StatusOr<StoreCopyReport> Copy(ChunkStore& from, ChunkStore& to, const std::string& collection = "") {
    return CopyStore(from, to, {.collection = collection, .progress = nullptr}, CallContext());
  }

  std::string Digest(ChunkStore& store, const std::string& uri) {
    absl::StatusOr<retrieval::Document> document = store.FindDocument(kCollection, uri);
    EXPECT_THAT(document, IsOk());
    return document.ok() ? DocumentDigest(store, kCollection, document->id).value_or("unreadable") : "";
  }

  lastro::testing::TempFolder folder_;
  std::unique_ptr<retrieval::SqliteStore> from_ = OpenStore(folder_ / "from");
  std::unique_ptr<retrieval::SqliteStore> to_ = OpenStore(folder_ / "to");
};

TEST_F(StoreCopyTest, WhatArrivesIsTheSame) {
  ASSERT_OK_AND_ASSIGN(StoreCopyReport report, Copy(*from_, *to_));
  EXPECT_EQ(report.collections, 1);
  EXPECT_EQ(report.documents_copied, 5);
  EXPECT_EQ(report.chunks, 6);
  ASSERT_OK_AND_ASSIGN(retrieval::Document rich, to_->FindDocument(kCollection, "rich.md"));
  EXPECT_EQ(rich.title, "Título");
  EXPECT_EQ(rich.labels, (std::vector<std::string>{"board", "hr"}));
  EXPECT_EQ(rich.metadata, from_->FindDocument(kCollection, "rich.md")->metadata);
  ASSERT_OK_AND_ASSIGN(auto chunks, to_->GetChunks(kCollection, rich.id, true));
  EXPECT_EQ(chunks[1].headings, (std::vector<std::string>{"Chapter", "with\nnewline"}));
  EXPECT_EQ(chunks[1].vector, retrieval::testing::VectorOf(std::string("second text")));
  EXPECT_EQ(to_->ReadOriginal(kCollection, DocumentId(kCollection, "x.pdf")).value(), "%PDF");
  EXPECT_EQ(to_->ReadSource(kCollection, DocumentId(kCollection, "x.pdf"), 0, 9).value(), "extracted");
  EXPECT_THAT(to_->CheckIntegrity(), IsOk());
}

TEST_F(StoreCopyTest, ASecondRunFindsAllThereAndCommitsNothing) {
  ASSERT_OK_AND_ASSIGN(StoreCopyReport first, Copy(*from_, *to_));
  const int64_t commit = to_->commit();
  ASSERT_OK_AND_ASSIGN(StoreCopyReport second, Copy(*from_, *to_));
  EXPECT_EQ(second.documents_copied, 0);
  EXPECT_EQ(second.documents_equal, 5);
  EXPECT_EQ(second.sha256, first.sha256);
  EXPECT_EQ(to_->commit(), commit);
}

// Each field of its own: what differs in one alone is copied again.
TEST_F(StoreCopyTest, EveryDifferenceIsSeen) {
  using Change = std::function<void(TestDocument*)>;
  const std::vector<std::pair<const char*, Change>> changes = {
      {"title", [](TestDocument* test) { test->document.title = "other"; }},
      {"labels", [](TestDocument* test) { test->document.labels = {"hr"}; }},
      {"metadata", [](TestDocument* test) { test->document.metadata["year"] = 2025.0; }},
      {"pipeline", [](TestDocument* test) { test->document.pipeline = "p2"; }},
      {"vector", [](TestDocument* test) { test->chunks[0].vector = retrieval::testing::VectorOf(uint64_t{7}); }},
      {"tokens", [](TestDocument* test) { test->chunks[0].tokens = 9; }},
      {"headings", [](TestDocument* test) { test->chunks[0].headings = {"H"}; }},
      {"segments", [](TestDocument* test) { test->chunks[0].segments.clear(); }},
      {"original", [](TestDocument* test) { test->original += "more"; }},
  };
  const TestDocument same = MakeDocument("n0", {"note"});
  ASSERT_THAT(Copy(*from_, *to_), IsOk());
  for (const auto& [what, change] : changes) {
    TestDocument changed = same;
    change(&changed);
    ASSERT_THAT(Put(*to_, changed), IsOk()) << what;
    EXPECT_NE(Digest(*from_, "n0"), Digest(*to_, "n0")) << what;
    ASSERT_OK_AND_ASSIGN(StoreCopyReport report, Copy(*from_, *to_));
    EXPECT_EQ(report.documents_copied, 1) << what;
    EXPECT_EQ(Digest(*from_, "n0"), Digest(*to_, "n0")) << what;
  }
}

TEST_F(StoreCopyTest, WhatTheTargetHasBesidesStays) {
  ASSERT_THAT(to_->CreateCollection(MakeCollection()), IsOk());
  ASSERT_THAT(Put(*to_, MakeDocument("own", {"mine"})), IsOk());
  ASSERT_OK_AND_ASSIGN(StoreCopyReport report, Copy(*from_, *to_));
  EXPECT_EQ(report.documents_beyond, 1);
  EXPECT_THAT(to_->FindDocument(kCollection, "own"), IsOk());
}

TEST_F(StoreCopyTest, AnInterruptedCopyGoesOn) {
  int left = 3;
  const CallContext context = CallContext::Until(absl::InfiniteFuture(), [&left] { return left-- <= 0; });
  EXPECT_THAT(CopyStore(*from_, *to_, {}, context), StatusIs(absl::StatusCode::kCancelled, ::testing::_));
  EXPECT_EQ(to_->GetCollection(kCollection)->documents, 3);
  ASSERT_OK_AND_ASSIGN(StoreCopyReport report, Copy(*from_, *to_));
  EXPECT_EQ(report.documents_equal, 3);
  EXPECT_EQ(report.documents_copied, 2);
}

TEST_F(StoreCopyTest, RefusesVectorsOfAnotherModelAndUnknownCollections) {
  ASSERT_THAT(to_->CreateCollection(MakeCollection(kCollection, "model-b")), IsOk());
  EXPECT_THAT(Copy(*from_, *to_), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("notes")));
  EXPECT_THAT(Copy(*from_, *to_, "nope"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("nope")));
}

// Vectors of two models never meet, even where the source turns to another while it is copied.
TEST_F(StoreCopyTest, ASourceThatTurnsToAnotherModelStopsTheCopy) {
  const retrieval::VectorSet other = retrieval::testing::OtherModel("model-b", retrieval::testing::kDimension);
  auto turn = [&](const std::string&, int64_t done, int64_t) {
    if (done != 2) return;
    ASSERT_THAT(from_->BeginReembedding(kCollection, other), IsOk());
    for (const char* text : {"first text", "second text", "extracted words", "note"}) {
      const retrieval::TextVector vector{Sha256Hex(text), retrieval::testing::VectorOf(uint64_t{99})};
      ASSERT_THAT(from_->PutVectors(kCollection, other.fingerprint, {&vector, 1}), IsOk());
    }
    ASSERT_THAT(from_->SwitchVectors(kCollection, other.fingerprint), IsOk());
  };
  EXPECT_THAT(CopyStore(*from_, *to_, {.collection = "", .progress = turn}, CallContext()),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("model-b")));
  EXPECT_EQ(to_->GetCollection(kCollection)->documents, 2);
}

TEST_F(StoreCopyTest, TenantsStayApart) {
  Scope acme_scope;
  acme_scope.tenant = "acme";
  ASSERT_OK_AND_ASSIGN(auto acme, from_->WithScope(acme_scope));
  ASSERT_THAT(acme->CreateCollection(MakeCollection()), IsOk());
  ASSERT_THAT(acme->PutDocument(MakeDocument("secret", {"zebra"}).document, kFingerprint,
                                MakeDocument("secret", {"zebra"}).chunks, "zebra\n", ""),
              IsOk());
  ASSERT_OK_AND_ASSIGN(StoreCopyReport report, Copy(*from_, *to_));  // the operator's view: all tenants
  EXPECT_EQ(report.collections, 2);
  EXPECT_THAT(to_->FindDocument("acme/notes", "secret"), IsOk());
  EXPECT_THAT(to_->FindDocument(kCollection, "secret"), StatusIs(absl::StatusCode::kNotFound, ::testing::_));
}

// There and back over the wire.
TEST_F(StoreCopyTest, TravelsThroughAServer) {
  testing::TestServer test;
  test.retrieval = MakeLocalRetrieval(to_.get(), &test.embedding, &test.generation, /*rerank_by_default=*/false);
  test.store = to_.get();
  test.Start();
  ASSERT_OK_AND_ASSIGN(StoreAddress address, ParseStoreAddress("lastrod:" + test.server().address()));
  ASSERT_OK_AND_ASSIGN(std::unique_ptr<ChunkStore> server, OpenStoreAt(address, {}));
  ASSERT_OK_AND_ASSIGN(StoreCopyReport there, Copy(*from_, *server));
  EXPECT_EQ(there.documents_copied, 5);
  auto back = OpenStore(folder_ / "back");
  ASSERT_OK_AND_ASSIGN(StoreCopyReport again, Copy(*server, *back));
  EXPECT_EQ(again.sha256, there.sha256);
  EXPECT_EQ(Copy(*from_, *back)->documents_equal, 5);
}

// A store that gives back another text than it was given.
class ForgetfulStore : public retrieval::OneModelStore {
 public:
  explicit ForgetfulStore(ChunkStore* store) : store_(*store) {}
  absl::StatusOr<std::unique_ptr<ChunkStore>> WithScope(const Scope& scope) override { return store_.WithScope(scope); }
  absl::Status CreateCollection(const retrieval::Collection& c) override { return store_.CreateCollection(c); }
  absl::StatusOr<retrieval::Collection> GetCollection(const std::string& n) override { return store_.GetCollection(n); }
  absl::StatusOr<std::vector<retrieval::Collection>> ListCollections() override { return store_.ListCollections(); }
  absl::Status DeleteCollection(const std::string& name) override { return store_.DeleteCollection(name); }
  absl::StatusOr<retrieval::Document> PutDocument(const retrieval::Document& document, const std::string& fingerprint,
                                                  absl::Span<const retrieval::Chunk> chunks,
                                                  const std::string& original, const std::string& extracted) override {
    return store_.PutDocument(document, fingerprint, chunks.subspan(0, chunks.size() - 1), original, extracted);
  }
  absl::StatusOr<int64_t> DeleteDocuments(const std::string& c, absl::Span<const std::string> ids) override {
    return store_.DeleteDocuments(c, ids);
  }
  absl::StatusOr<retrieval::Document> GetDocument(const std::string& c, const std::string& id) override {
    return store_.GetDocument(c, id);
  }
  absl::StatusOr<retrieval::Document> FindDocument(const std::string& c, const std::string& uri) override {
    return store_.FindDocument(c, uri);
  }
  absl::StatusOr<retrieval::DocumentPage> ListDocuments(const std::string& c, const retrieval::Filter& filter, int size,
                                                        const std::string& token) override {
    return store_.ListDocuments(c, filter, size, token);
  }
  absl::StatusOr<std::map<std::string, retrieval::DocumentState>> DocumentStates(const std::string& c) override {
    return store_.DocumentStates(c);
  }
  absl::StatusOr<std::vector<retrieval::Chunk>> GetChunks(const std::string& c, const std::string& id,
                                                          bool with_vectors) override {
    return store_.GetChunks(c, id, with_vectors);
  }
  absl::StatusOr<std::string> ReadSource(const std::string& c, const std::string& id, uint64_t begin,
                                         uint64_t end) override {
    return store_.ReadSource(c, id, begin, end);
  }
  absl::StatusOr<std::string> ReadOriginal(const std::string& c, const std::string& id) override {
    return store_.ReadOriginal(c, id);
  }
  absl::StatusOr<std::vector<std::vector<float>>> FindVectors(const std::string& c, const std::string& fingerprint,
                                                              absl::Span<const std::string> keys) override {
    return store_.FindVectors(c, fingerprint, keys);
  }
  absl::StatusOr<retrieval::SearchResult> Search(const retrieval::SearchQuery& q, const CallContext& context) override {
    return store_.Search(q, context);
  }
  absl::Status PutJob(const retrieval::Job& job) override { return store_.PutJob(job); }
  absl::StatusOr<retrieval::Job> GetJob(const std::string& id) override { return store_.GetJob(id); }
  absl::StatusOr<std::vector<retrieval::Job>> ListJobs() override { return store_.ListJobs(); }

 private:
  ChunkStore& store_;
};

TEST_F(StoreCopyTest, ATargetThatLosesSomethingIsFoundOut) {
  ForgetfulStore forgetful(to_.get());
  EXPECT_THAT(Copy(*from_, forgetful), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("not what was put")));
}

TEST(StoreAddresses, AreParsedAndRefused) {
  EXPECT_EQ(ParseStoreAddress("lastrod:localhost:7420")->place, "localhost:7420");
  EXPECT_EQ(ParseStoreAddress("milvus:localhost:19530")->kind, StoreAddress::Kind::kMilvus);
  EXPECT_EQ(ParseStoreAddress("./data")->kind, StoreAddress::Kind::kFolder);
  for (const char* bad :
       {"", "lastrod:", "lastrod:host", "lastrod:host:0", "lastrod:host:99999", "milvus:", "milvus:lastrod:1:2"}) {
    EXPECT_THAT(ParseStoreAddress(bad), StatusIs(absl::StatusCode::kInvalidArgument, ::testing::_)) << bad;
  }
  lastro::testing::TempFolder folder;
  EXPECT_THAT(OpenStoreAt({StoreAddress::Kind::kFolder, folder / "none"}, {}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("there is no store")));
}

}  // namespace
}  // namespace lastro::services
