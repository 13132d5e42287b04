// What every ChunkStore promises, of each implementation: SQLite on a folder, and Milvus.
#include <algorithm>
#include <atomic>
#include <limits>
#include <map>
#include <set>
#include <thread>

#include "retrieval/document_table.h"
#include "retrieval/filter.h"
#include "services/store_copy.h"
#include "tests/unit/retrieval/store_fixture.h"
#include "tests/unit/services/milvus_lite.h"

namespace lastro::services {
namespace {

using ::lastro::testing::IsOk;
using ::lastro::testing::StatusIs;
using ::testing::_;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using namespace ::lastro::retrieval;           // NOLINT: the records, by the names that the store's own tests have
using namespace ::lastro::retrieval::testing;  // NOLINT

enum class Kind { kSqlite, kMilvus };

class StoreConformance : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (GetParam() == Kind::kMilvus && testing::MilvusLite::Get() == nullptr) {
      GTEST_SKIP() << testing::kNoMilvusLite;
    }
    Reopen();
    ASSERT_NE(store_, nullptr);
    ASSERT_THAT(store_->CreateCollection(MakeCollection()), IsOk());
  }

  void TearDown() override {
    if (auto* sqlite = dynamic_cast<SqliteStore*>(store_.get()); sqlite != nullptr) {
      EXPECT_THAT(sqlite->CheckIntegrity(), IsOk());
    }
  }

  // The same store, by another process as it were.
  void Reopen() {
    static int stores = 0;
    if (prefix_.empty()) prefix_ = "t" + std::to_string(++stores);
    store_.reset();
    store_ = GetParam() == Kind::kSqlite ? OpenStore(folder_.path()) : OpenMilvus();
  }

  std::unique_ptr<ChunkStore> OpenMilvus() {
    auto store = OpenMilvusStore({.address = testing::MilvusLite::Get()->address(), .prefix = prefix_});
    EXPECT_THAT(store, IsOk());
    return store.ok() ? *std::move(store) : nullptr;
  }

  absl::StatusOr<Document> Put(const TestDocument& test, const std::string& fingerprint = kFingerprint) {
    return store_->PutDocument(test.document, fingerprint, test.chunks, test.original, "");
  }
  absl::StatusOr<Document> Put(const std::string& uri, const std::vector<std::string>& texts) {
    return Put(MakeDocument(uri, texts));
  }

  std::unique_ptr<ChunkStore> As(const Scope& scope) { return store_->WithScope(scope).value(); }

  static std::vector<std::string> Found(ChunkStore& store, const SearchQuery& query) {
    absl::StatusOr<SearchResult> result = store.Search(query, CallContext());
    EXPECT_THAT(result, IsOk());
    std::vector<std::string> texts;
    if (!result.ok()) return texts;
    for (const SearchHit& hit : result->hits) texts.push_back(hit.chunk.text);
    return texts;
  }
  std::vector<std::string> Found(SearchMode mode, const std::string& text) {
    return Found(*store_, MakeQuery(mode, text));
  }

  static std::vector<std::string> Uris(ChunkStore& store, const Filter& filter) {
    absl::StatusOr<DocumentPage> page = store.ListDocuments(kCollection, filter, 1000, "");
    EXPECT_THAT(page, IsOk());
    std::vector<std::string> uris;
    if (!page.ok()) return uris;
    for (const Document& document : page->documents) uris.push_back(document.uri);
    return uris;
  }

  static Scope Tenant(const std::string& tenant) {
    Scope scope;
    scope.tenant = tenant;
    return scope;
  }
  static Scope WithLabels(std::vector<std::string> labels) {
    Scope scope;
    scope.all_labels = false;
    scope.labels = std::move(labels);
    return scope;
  }

  lastro::testing::TempFolder folder_;
  std::string prefix_;
  std::unique_ptr<ChunkStore> store_;
};

INSTANTIATE_TEST_SUITE_P(Stores, StoreConformance, ::testing::Values(Kind::kSqlite, Kind::kMilvus),
                         [](const auto& info) { return info.param == Kind::kSqlite ? "Sqlite" : "Milvus"; });

Filter Compare(Filter::Op op, const std::string& field, std::vector<MetadataScalar> values) {
  Filter filter;
  filter.op = op;
  filter.field = field;
  filter.values = std::move(values);
  return filter;
}

Filter Combine(Filter::Op op, std::vector<Filter> children) {
  Filter filter;
  filter.op = op;
  filter.children = std::move(children);
  return filter;
}

// --- Collections

TEST_P(StoreConformance, KeepsCollections) {
  EXPECT_THAT(store_->CreateCollection(MakeCollection()),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("notes")));
  EXPECT_THAT(store_->CreateCollection(MakeCollection("Bad Name")), StatusIs(absl::StatusCode::kInvalidArgument, _));
  EXPECT_THAT(store_->CreateCollection(MakeCollection("x", "f", 0)), StatusIs(absl::StatusCode::kInvalidArgument, _));
  EXPECT_THAT(store_->CreateCollection(MakeCollection("x", "")), StatusIs(absl::StatusCode::kInvalidArgument, _));
  ASSERT_THAT(store_->CreateCollection(MakeCollection("archive")), IsOk());
  Reopen();
  ASSERT_OK_AND_ASSIGN(std::vector<Collection> all, store_->ListCollections());
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].name, "archive");
  EXPECT_EQ(all[1].name, kCollection);
  EXPECT_EQ(all[1].embedding_fingerprint, kFingerprint);
  EXPECT_EQ(all[1].dimension, kDimension);
  EXPECT_THAT(store_->GetCollection("nope"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("nope")));
}

TEST_P(StoreConformance, ACollectionMadeAnewIsEmpty) {
  ASSERT_THAT(store_->CreateCollection(MakeCollection("other")), IsOk());
  ASSERT_THAT(Put("a", {"shared text"}), IsOk());
  ASSERT_THAT(Put(MakeDocument("o", {"shared text"}, "other")), IsOk());
  ASSERT_THAT(store_->DeleteCollection(kCollection), IsOk());
  EXPECT_THAT(store_->DeleteCollection(kCollection), StatusIs(absl::StatusCode::kNotFound, _));
  EXPECT_THAT(store_->ListDocuments(kCollection, {}, 10, ""), StatusIs(absl::StatusCode::kNotFound, _));
  ASSERT_THAT(store_->CreateCollection(MakeCollection()), IsOk());
  EXPECT_THAT(Found(SearchMode::kHybrid, "shared text"), IsEmpty());
  EXPECT_THAT(store_->DocumentStates(kCollection).value(), IsEmpty());
  EXPECT_THAT(Found(*store_, MakeQuery(SearchMode::kHybrid, "shared text", "other")), ElementsAre("shared text"));
}

// --- Documents

TEST_P(StoreConformance, KeepsDocumentsWhole) {
  TestDocument test = MakeDocument("a/b \"quoted\" %_\\.md", {"first text", "second text"});
  test.document.title = "Title '\" \\ ";
  test.document.language = Language::kEnglish;
  test.document.origin = "/home/x";
  test.document.pipeline = "p1";
  test.document.labels = {"hr", "board"};
  test.document.modified_at = absl::FromUnixNanos(1234567890123456789);
  test.document.metadata = {{"year", 2024.0},
                            {"ok", true},
                            {"team", std::string("x")},
                            {"tags", MetadataList{std::string("a"), 3.0, false}},
                            {"due", absl::FromUnixNanos(-5)},
                            {"\"] or true or [\"", std::string("\" or true --")}};
  test.chunks[1].headings = {"Chapter", "Section\nwith newline"};
  ASSERT_OK_AND_ASSIGN(Document stored, Put(test));
  Reopen();
  ASSERT_OK_AND_ASSIGN(Document read, store_->GetDocument(kCollection, stored.id));
  EXPECT_EQ(read.uri, test.document.uri);
  EXPECT_EQ(read.collection, kCollection);
  EXPECT_EQ(read.id, DocumentId(kCollection, test.document.uri));
  EXPECT_EQ(read.title, test.document.title);
  EXPECT_EQ(read.labels, test.document.labels);
  EXPECT_EQ(read.metadata, test.document.metadata);
  EXPECT_EQ(read.modified_at, test.document.modified_at);
  EXPECT_EQ(read.ingested_at, stored.ingested_at);
  EXPECT_EQ(read.content_sha256, Sha256Hex(test.original));
  EXPECT_EQ(read.source_sha256, read.content_sha256);
  EXPECT_EQ(read.size_bytes, test.original.size());
  EXPECT_EQ(read.chunk_count, 2);
  EXPECT_EQ(store_->FindDocument(kCollection, test.document.uri)->id, stored.id);
  ASSERT_OK_AND_ASSIGN(std::vector<Chunk> chunks, store_->GetChunks(kCollection, stored.id, true));
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[1].text, "second text");
  EXPECT_EQ(chunks[1].headings, test.chunks[1].headings);
  EXPECT_EQ(chunks[1].vector, test.chunks[1].vector);
  EXPECT_EQ(chunks[1].document_id, stored.id);
  EXPECT_EQ(chunks[1].text_sha256, test.chunks[1].text_sha256);
  EXPECT_EQ(chunks[1].segments[0].source_begin, 11u);
  EXPECT_THAT(store_->GetChunks(kCollection, stored.id, false)->at(0).vector, IsEmpty());
  EXPECT_EQ(store_->ReadOriginal(kCollection, stored.id).value(), test.original);
  EXPECT_EQ(store_->ReadSource(kCollection, stored.id, 11, 17).value(), "second");
  EXPECT_EQ(store_->ReadSource(kCollection, stored.id, 11, 9999).value(), "second text\n");
  EXPECT_THAT(store_->ReadSource(kCollection, stored.id, 9999, 99999), StatusIs(absl::StatusCode::kInvalidArgument, _));
}

TEST_P(StoreConformance, UnknownDocumentsAreNotFound) {
  for (const char* id : {"", "nothing", "\" or true or \"", "0123456789abcdef"}) {
    EXPECT_THAT(store_->GetDocument(kCollection, id), StatusIs(absl::StatusCode::kNotFound, _)) << id;
    EXPECT_THAT(store_->FindDocument(kCollection, id), StatusIs(absl::StatusCode::kNotFound, _)) << id;
    EXPECT_THAT(store_->GetChunks(kCollection, id, false), StatusIs(absl::StatusCode::kNotFound, _)) << id;
    EXPECT_THAT(store_->ReadOriginal(kCollection, id), StatusIs(absl::StatusCode::kNotFound, _)) << id;
  }
}

TEST_P(StoreConformance, KeepsExtractedTextBesideTheOriginal) {
  TestDocument test = MakeDocument("x.pdf", {"extracted words"});
  test.document.source_kind = SourceKind::kExtractedText;
  const std::string original("%PDF-1.4 \0\xFF bytes", 18);
  ASSERT_OK_AND_ASSIGN(Document stored,
                       store_->PutDocument(test.document, kFingerprint, test.chunks, original, test.original));
  EXPECT_EQ(store_->ReadOriginal(kCollection, stored.id).value(), original);
  EXPECT_EQ(store_->ReadSource(kCollection, stored.id, 0, 9).value(), "extracted");
  EXPECT_EQ(stored.source_sha256, Sha256Hex(test.original));
}

TEST_P(StoreConformance, ReadsRangesOfLargeContents) {
  std::mt19937_64 random = lastro::testing::SeededRandom(5);
  TestDocument test = MakeDocument("big", {"x"});
  for (int i = 0; i < 50000; ++i) test.original += std::to_string(random()) + (i % 3 ? " " : "\n");
  ASSERT_OK_AND_ASSIGN(Document stored, Put(test));
  for (auto [begin, end] : {std::pair<uint64_t, uint64_t>{0, 1},
                            {47'999, 48'001},
                            {48'000, 96'000},
                            {100, 500'000},
                            {262'143, 262'145},
                            {262'144, 524'288},
                            {test.original.size() - 1, test.original.size()},
                            {test.original.size(), test.original.size() + 9},
                            {7, 7}}) {
    EXPECT_EQ(store_->ReadSource(kCollection, stored.id, begin, end).value(), test.original.substr(begin, end - begin));
  }
  EXPECT_TRUE(store_->ReadOriginal(kCollection, stored.id).value() == test.original);
}

TEST_P(StoreConformance, ReplacesADocumentWhole) {
  ASSERT_OK_AND_ASSIGN(Document first, Put("a", {"alpha one", "alpha two"}));
  ASSERT_OK_AND_ASSIGN(std::vector<Chunk> old_chunks, store_->GetChunks(kCollection, first.id, false));
  const SearchResult before = store_->Search(MakeQuery(SearchMode::kHybrid, "alpha"), CallContext()).value();
  ASSERT_OK_AND_ASSIGN(Document second, Put("a", {"beta"}));
  EXPECT_EQ(first.id, second.id);
  ASSERT_OK_AND_ASSIGN(std::vector<Chunk> chunks, store_->GetChunks(kCollection, first.id, false));
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_GT(chunks[0].id, old_chunks.back().id);
  EXPECT_THAT(Found(SearchMode::kLexical, "alpha"), IsEmpty());
  EXPECT_THAT(Found(SearchMode::kDense, "alpha one"), ElementsAre("beta"));
  ASSERT_OK_AND_ASSIGN(Collection collection, store_->GetCollection(kCollection));
  EXPECT_EQ(collection.documents, 1);
  EXPECT_EQ(collection.chunks, 1);
  EXPECT_EQ(store_->ReadOriginal(kCollection, first.id).value(), "beta\n");
  const SearchResult after = store_->Search(MakeQuery(SearchMode::kHybrid, "alpha"), CallContext()).value();
  EXPECT_GT(after.commit, before.commit);
  EXPECT_GT(after.removed, before.removed);
}

TEST_P(StoreConformance, CommitsGrowAndOnlyRemovalsCountAsSuch) {
  ASSERT_THAT(Put("a", {"alpha"}), IsOk());
  const SearchResult before = store_->Search(MakeQuery(SearchMode::kHybrid, "alpha"), CallContext()).value();
  ASSERT_THAT(Put("b", {"alpha"}), IsOk());
  const SearchResult added = store_->Search(MakeQuery(SearchMode::kHybrid, "alpha"), CallContext()).value();
  EXPECT_GT(added.commit, before.commit);
  EXPECT_EQ(added.removed, before.removed);
  EXPECT_EQ(store_->DeleteDocuments(kCollection, {DocumentId(kCollection, "b")}).value(), 1);
  const SearchResult removed = store_->Search(MakeQuery(SearchMode::kHybrid, "alpha"), CallContext()).value();
  EXPECT_GT(removed.commit, added.commit);
  EXPECT_GT(removed.removed, added.removed);
}

TEST_P(StoreConformance, DeletesFromEverySearchAtOnce) {
  ASSERT_THAT(Put("gone", {"the vanishing chunk"}), IsOk());
  ASSERT_THAT(Put("stays", {"the staying chunk"}), IsOk());
  EXPECT_EQ(store_->DeleteDocuments(kCollection, {DocumentId(kCollection, "gone"), "unknown", "\" or true"}).value(),
            1);
  for (SearchMode mode : {SearchMode::kDense, SearchMode::kLexical, SearchMode::kHybrid}) {
    EXPECT_THAT(Found(mode, "the vanishing chunk"), ElementsAre("the staying chunk"));
  }
  EXPECT_THAT(Uris(*store_, {}), ElementsAre("stays"));
  EXPECT_EQ(store_->GetCollection(kCollection)->documents, 1);
  EXPECT_EQ(store_->DeleteDocuments(kCollection, {"unknown"}).value(), 0);
  ASSERT_THAT(Put("gone", {"come back"}), IsOk());
  EXPECT_THAT(Found(SearchMode::kLexical, "come back"), ElementsAre("come back"));
}

TEST_P(StoreConformance, ListsDocumentsByPage) {
  for (int i = 0; i < 25; ++i) {
    TestDocument test = MakeDocument("doc" + std::to_string(100 + i), {"text"});
    test.document.metadata["even"] = i % 2 == 0;
    ASSERT_THAT(Put(test), IsOk());
  }
  std::vector<std::string> uris;
  std::string token;
  do {
    ASSERT_OK_AND_ASSIGN(DocumentPage page, store_->ListDocuments(kCollection, Filter(), 10, token));
    for (const Document& document : page.documents) uris.push_back(document.uri);
    token = page.next_page_token;
  } while (!token.empty());
  EXPECT_EQ(uris.size(), 25u);
  EXPECT_TRUE(std::is_sorted(uris.begin(), uris.end()));
  EXPECT_EQ(Uris(*store_, Compare(Filter::Op::kEqual, "even", {true})).size(), 13u);
  EXPECT_THAT(store_->ListDocuments(kCollection, Filter(), 10, "%%"), StatusIs(absl::StatusCode::kInvalidArgument, _));
  EXPECT_THAT(store_->ListDocuments(kCollection, Filter(), -1, ""), StatusIs(absl::StatusCode::kInvalidArgument, _));
  ASSERT_OK_AND_ASSIGN(auto states, store_->DocumentStates(kCollection));
  EXPECT_EQ(states.size(), 25u);
  EXPECT_EQ(states["doc100"].content_sha256, Sha256Hex("text\n"));
}

TEST_P(StoreConformance, FindsVectorsOfKnownTexts) {
  TestDocument test = MakeDocument("a", {"one", "two"});
  test.document.labels = {"hr"};
  ASSERT_THAT(Put(test), IsOk());
  const std::vector<std::string> keys = {Sha256Hex("two"), Sha256Hex("three"), "\" or true"};
  ASSERT_OK_AND_ASSIGN(auto vectors, store_->FindVectors(kCollection, kFingerprint, keys));
  EXPECT_THAT(vectors, ElementsAre(VectorOf("two"), std::vector<float>(), std::vector<float>()));
  ASSERT_OK_AND_ASSIGN(vectors, As(WithLabels({"board"}))->FindVectors(kCollection, kFingerprint, keys));
  EXPECT_THAT(vectors, ElementsAre(IsEmpty(), IsEmpty(), IsEmpty()));
  EXPECT_THAT(store_->FindVectors(kCollection, "another model", keys),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another model")));
}

TEST_P(StoreConformance, TellsWhichModelsVectorsItHas) {
  ASSERT_THAT(Put("a", {"one", "two"}), IsOk());
  ASSERT_OK_AND_ASSIGN(retrieval::Reembedding found, store_->GetReembedding(kCollection));
  EXPECT_EQ(found.chunks, 2);
  EXPECT_EQ(found.searched.fingerprint, kFingerprint);
  EXPECT_EQ(found.searched.vectors, 2);
  EXPECT_FALSE(found.other.has_value());
  EXPECT_THAT(store_->SwitchVectors(kCollection, "another model"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(kCollection)));
}

TEST_P(StoreConformance, RefusesWhatIsNotSane) {
  auto invalid = [&](TestDocument test, const char* message) {
    EXPECT_THAT(Put(test), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
  };
  const TestDocument good = MakeDocument("a", {"some text"});
  TestDocument bad = good;
  bad.chunks[0].vector[3] = std::numeric_limits<float>::quiet_NaN();
  invalid(bad, "NaN");
  bad = good;
  bad.chunks[0].vector.assign(kDimension, 0);
  invalid(bad, "no length");
  bad = good;
  bad.chunks[0].text = "bad \xFF";
  invalid(bad, "UTF-8");
  bad = good;
  bad.chunks[0].segments[0].text_length = 10;
  invalid(bad, "leaves the text");
  bad = good;
  bad.document.content_sha256 = Sha256Hex("other");
  invalid(bad, "is not the hash");
  EXPECT_THAT(Put(good, "model-b"), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("model-b")));
  EXPECT_THAT(Put(MakeDocument("a", {"x"}, "nowhere")), StatusIs(absl::StatusCode::kNotFound, HasSubstr("nowhere")));
  EXPECT_THAT(Uris(*store_, {}), IsEmpty());
}

TEST_P(StoreConformance, KeepsDocumentsOfManyChunks) {
  std::vector<std::string> texts;
  for (int i = 0; i < 2500; ++i) texts.push_back("part " + std::to_string(i));
  ASSERT_OK_AND_ASSIGN(Document stored, Put("long", texts));
  ASSERT_OK_AND_ASSIGN(std::vector<Chunk> chunks, store_->GetChunks(kCollection, stored.id, false));
  ASSERT_EQ(chunks.size(), 2500u);
  for (int i = 0; i < 2500; ++i) ASSERT_EQ(chunks[i].text, texts[i]);
  EXPECT_EQ(store_->GetCollection(kCollection)->chunks, 2500);
}

// --- Search

TEST_P(StoreConformance, FindsByMeaningAndByWords) {
  ASSERT_THAT(Put("a", {"ballast tank inspection", "lifeboat deck"}), IsOk());
  ASSERT_THAT(Put("b", {"cold chain cargo"}), IsOk());
  EXPECT_EQ(Found(SearchMode::kDense, "lifeboat deck").at(0), "lifeboat deck");
  EXPECT_THAT(Found(SearchMode::kLexical, "cargo"), ElementsAre("cold chain cargo"));
  EXPECT_THAT(Found(SearchMode::kLexical, "INSPECTIONS"), ElementsAre("ballast tank inspection"));  // by its stem
  EXPECT_THAT(Found(SearchMode::kLexical, "unrelated"), IsEmpty());
  ASSERT_OK_AND_ASSIGN(SearchResult result,
                       store_->Search(MakeQuery(SearchMode::kHybrid, "lifeboat deck"), CallContext()));
  ASSERT_EQ(result.hits.size(), 3u);
  const SearchHit& best = result.hits[0];
  EXPECT_EQ(best.chunk.text, "lifeboat deck");
  EXPECT_EQ(best.document.uri, "a");
  EXPECT_EQ(best.dense_rank, 1);
  EXPECT_EQ(best.lexical_rank, 1);
  EXPECT_NEAR(best.dense_score, 1, 1e-5);
  EXPECT_GT(best.lexical_score, 0);
  EXPECT_NEAR(best.score, 1, 1e-5);
  EXPECT_EQ(result.hits[1].lexical_rank, 0);
}

TEST_P(StoreConformance, FindsPortugueseWithoutAccents) {
  ASSERT_THAT(Put("a", {"A conservação das citações"}), IsOk());
  ASSERT_THAT(Put("b", {"outra coisa"}), IsOk());
  for (const char* query : {"conservacao", "CITAÇÃO", "citações"}) {
    EXPECT_THAT(Found(SearchMode::kLexical, query), ElementsAre("A conservação das citações")) << query;
  }
}

TEST_P(StoreConformance, PhrasesAreWantedWhereThereAreSome) {
  ASSERT_THAT(Put("a", {"the tank of ballast", "a ballast tank", "a cargo tank"}), IsOk());
  SearchQuery query = MakeQuery(SearchMode::kLexical, "\"ballast tank\"");
  EXPECT_THAT(Found(*store_, query), ElementsAre("a ballast tank"));
  query.text = "\"tank ballast\"";
  EXPECT_THAT(Found(*store_, query), IsEmpty());
  query.text = "\"tank ballast\" cargo";
  EXPECT_THAT(Found(*store_, query), ElementsAre("a cargo tank"));
  EXPECT_TRUE(store_->Search(query, CallContext())->trace.phrases_optional);
}

TEST_P(StoreConformance, HostileQueriesAreOnlyWords) {
  ASSERT_THAT(Put("a", {"plain text"}), IsOk());
  for (const std::string& text :
       {std::string("\" OR 1=1 --"), std::string("\\\" or true"), std::string("%_%"), std::string("'; DROP TABLE x"),
        std::string(70'000, 'a'), std::string("NEAR(a b) AND"), std::string("\xE2\x80\x9C\xE2\x80\x9D")}) {
    SearchQuery query = MakeQuery(SearchMode::kLexical, text);
    EXPECT_THAT(Found(*store_, query), IsEmpty()) << text.substr(0, 40);
  }
}

TEST_P(StoreConformance, NeighboursAndVectorsComeWhereAskedFor) {
  ASSERT_THAT(Put("a", {"zero", "one", "two", "three", "four"}), IsOk());
  SearchQuery query = MakeQuery(SearchMode::kLexical, "three");
  query.context_chunks = 2;
  query.with_vectors = true;
  ASSERT_OK_AND_ASSIGN(SearchResult result, store_->Search(query, CallContext()));
  ASSERT_EQ(result.hits.size(), 1u);
  const SearchHit& hit = result.hits[0];
  EXPECT_EQ(hit.chunk.vector, VectorOf("three"));
  ASSERT_EQ(hit.before.size(), 2u);
  EXPECT_EQ(hit.before[0].text, "one");
  EXPECT_EQ(hit.before[1].text, "two");
  ASSERT_EQ(hit.after.size(), 1u);
  EXPECT_EQ(hit.after[0].text, "four");
}

TEST_P(StoreConformance, CapsHitsOfADocument) {
  std::vector<std::string> many;
  for (int i = 0; i < 150; ++i) many.push_back("zebra " + std::to_string(i));
  ASSERT_THAT(Put("many", many), IsOk());
  ASSERT_THAT(Put("few", {"zebra and much else that makes it longer and so scored lower"}), IsOk());
  for (SearchMode mode : {SearchMode::kDense, SearchMode::kLexical, SearchMode::kHybrid}) {
    SearchQuery query = MakeQuery(mode, "zebra");
    query.max_per_document = 1;
    query.limit = 2;
    ASSERT_OK_AND_ASSIGN(SearchResult result, store_->Search(query, CallContext()));
    std::set<std::string> uris;
    for (const SearchHit& hit : result.hits) uris.insert(hit.document.uri);
    EXPECT_EQ(uris, (std::set<std::string>{"few", "many"}));
    EXPECT_EQ(result.hits.size(), 2u);
  }
}

TEST_P(StoreConformance, RefusesUnsuitableSearches) {
  SearchQuery query = MakeQuery(SearchMode::kDense, "x");
  query.fingerprint = "model-b";
  EXPECT_THAT(store_->Search(query, CallContext()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("model-b")));
  query = MakeQuery(SearchMode::kDense, "x", "nowhere");
  EXPECT_THAT(store_->Search(query, CallContext()), StatusIs(absl::StatusCode::kNotFound, HasSubstr("nowhere")));
  query = MakeQuery(SearchMode::kDense, "x");
  query.vector = {1, 2, 3};
  EXPECT_THAT(store_->Search(query, CallContext()), StatusIs(absl::StatusCode::kInvalidArgument, _));
  query = MakeQuery(SearchMode::kDense, "x");
  query.limit = 0;
  EXPECT_THAT(store_->Search(query, CallContext()), StatusIs(absl::StatusCode::kInvalidArgument, _));
  CallContext cancelled;
  cancelled.Cancel();
  EXPECT_THAT(store_->Search(MakeQuery(SearchMode::kDense, "x"), cancelled), StatusIs(absl::StatusCode::kCancelled, _));
  EXPECT_THAT(store_->Search(MakeQuery(SearchMode::kDense, "x"), CallContext::Until(absl::InfinitePast())),
              StatusIs(absl::StatusCode::kDeadlineExceeded, _));
}

// --- Scope

TEST_P(StoreConformance, TenantsDoNotSeeEachOther) {
  auto acme = As(Tenant("acme")), globex = As(Tenant("globex"));
  ASSERT_THAT(acme->CreateCollection(MakeCollection()), IsOk());
  ASSERT_THAT(globex->CreateCollection(MakeCollection()), IsOk());
  const TestDocument plan = MakeDocument("plan.md", {"zebra"}), other = MakeDocument("plan.md", {"quartz"});
  ASSERT_OK_AND_ASSIGN(Document secret, acme->PutDocument(plan.document, kFingerprint, plan.chunks, plan.original, ""));
  ASSERT_THAT(globex->PutDocument(other.document, kFingerprint, other.chunks, other.original, ""), IsOk());
  EXPECT_EQ(secret.collection, kCollection);
  for (SearchMode mode : {SearchMode::kDense, SearchMode::kLexical, SearchMode::kHybrid}) {
    EXPECT_THAT(Found(*acme, MakeQuery(mode, "zebra")), ElementsAre("zebra"));
    for (const std::string& text : Found(*globex, MakeQuery(mode, "zebra"))) EXPECT_EQ(text, "quartz");
  }
  EXPECT_THAT(globex->GetDocument(kCollection, secret.id), StatusIs(absl::StatusCode::kNotFound, _));
  EXPECT_EQ(globex->DeleteDocuments(kCollection, {&secret.id, 1}).value(), 0);
  EXPECT_EQ(acme->ListCollections()->size(), 1u);
  EXPECT_EQ(store_->ListCollections()->size(), 3u);  // the operator's
  EXPECT_THAT(acme->GetCollection("globex/notes"), StatusIs(absl::StatusCode::kInvalidArgument, _));
  EXPECT_THAT(store_->GetCollection("globex/notes"), IsOk());
}

TEST_P(StoreConformance, LabelsOpenDocuments) {
  for (const auto& [uri, labels] : std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"open", {}}, {"pay", {"hr"}}, {"both", {"board", "hr"}}, {"board", {"board"}}}) {
    TestDocument test = MakeDocument(uri, {"zebra " + uri});
    test.document.labels = labels;
    ASSERT_THAT(Put(test), IsOk());
  }
  auto hr = As(WithLabels({"hr"})), guest = As(WithLabels({}));
  for (SearchMode mode : {SearchMode::kDense, SearchMode::kLexical, SearchMode::kHybrid}) {
    EXPECT_THAT(Found(*hr, MakeQuery(mode, "zebra")), UnorderedElementsAre("zebra open", "zebra pay", "zebra both"));
    EXPECT_THAT(Found(*guest, MakeQuery(mode, "zebra")), ElementsAre("zebra open"));
  }
  EXPECT_THAT(Uris(*hr, {}), ElementsAre("both", "open", "pay"));
  EXPECT_EQ(hr->GetCollection(kCollection)->documents, 3);
  EXPECT_EQ(hr->GetCollection(kCollection)->chunks, 3);
  EXPECT_EQ(guest->DocumentStates(kCollection)->size(), 1u);
  const std::string board = DocumentId(kCollection, "board");
  EXPECT_THAT(hr->GetDocument(kCollection, board), StatusIs(absl::StatusCode::kNotFound, _));
  EXPECT_THAT(hr->ReadOriginal(kCollection, board), StatusIs(absl::StatusCode::kNotFound, _));
  EXPECT_EQ(hr->DeleteDocuments(kCollection, {&board, 1}).value(), 0);
  TestDocument test = MakeDocument("board", {"overwritten"});
  EXPECT_THAT(hr->PutDocument(test.document, kFingerprint, test.chunks, test.original, ""),
              StatusIs(absl::StatusCode::kPermissionDenied, _));
  test = MakeDocument("new", {"x"});
  test.document.labels = {"board"};
  EXPECT_THAT(hr->PutDocument(test.document, kFingerprint, test.chunks, test.original, ""),
              StatusIs(absl::StatusCode::kPermissionDenied, _));
  EXPECT_THAT(hr->DeleteCollection(kCollection), StatusIs(absl::StatusCode::kPermissionDenied, _));
}

// --- Filters

class RandomDocuments {
 public:
  explicit RandomDocuments(std::mt19937_64* random) : random_(*random) {}

  TestDocument Next(int number) {
    TestDocument test = MakeDocument("doc" + std::to_string(100 + number), {"zebra " + std::to_string(number)});
    for (const std::string& field : Fields()) {
      if (Pick(3) == 0) continue;
      if (Pick(2) == 0) {
        test.document.metadata[field] = std::visit([](const auto& scalar) { return MetadataValue(scalar); }, Scalar());
      } else {
        MetadataList list;
        for (size_t i = Pick(4); i > 0; --i) list.push_back(Scalar());
        test.document.metadata[field] = list;
      }
    }
    if (Pick(2) == 0) test.document.modified_at = absl::FromUnixSeconds(static_cast<int64_t>(Pick(4)));
    test.document.title = std::get<std::string>(Text());
    return test;
  }

  Filter NextFilter(int depth) {
    static constexpr Filter::Op kLogical[] = {Filter::Op::kAnd, Filter::Op::kOr, Filter::Op::kNot};
    static constexpr Filter::Op kComparisons[] = {
        Filter::Op::kEqual,   Filter::Op::kNotEqual,       Filter::Op::kLess, Filter::Op::kLessOrEqual,
        Filter::Op::kGreater, Filter::Op::kGreaterOrEqual, Filter::Op::kIn,   Filter::Op::kPrefix};
    if (depth > 0 && Pick(2) == 0) {
      const Filter::Op op = kLogical[Pick(3)];
      std::vector<Filter> children = {NextFilter(depth - 1)};
      if (op != Filter::Op::kNot && Pick(2) == 0) children.push_back(NextFilter(depth - 1));
      return Combine(op, children);
    }
    if (Pick(20) == 0) return Filter();
    const Filter::Op op = kComparisons[Pick(8)];
    std::vector<MetadataScalar> values;
    if (op == Filter::Op::kPrefix) {
      values.push_back(Text());
    } else {
      for (size_t i = op == Filter::Op::kIn ? Pick(3) : 1; i > 0; --i) values.push_back(Scalar());
    }
    return Compare(op, Fields()[Pick(Fields().size())], values);
  }

 private:
  static const std::vector<std::string>& Fields() {
    static const auto* fields =
        new std::vector<std::string>{"year", "a\"] or true or x[\"", "título", "title", "modified_at", "uri", "%_"};
    return *fields;
  }
  size_t Pick(size_t count) { return random_() % count; }
  MetadataScalar Text() {
    static const std::vector<std::string> texts = {"",
                                                   "a",
                                                   "ab",
                                                   "ab%",
                                                   "a_",
                                                   "\" or true or \"",
                                                   "b\\",
                                                   "ção",
                                                   "doc1",
                                                   "doc10",
                                                   std::string(300, 'a'),
                                                   std::string(301, 'a')};
    return texts[Pick(texts.size())];
  }
  MetadataScalar Scalar() {
    static const std::vector<double> numbers = {-1e300, -2, -0.0, 0.0, 1, 1.5, 10, 9, 1e300};
    switch (Pick(4)) {
      case 0:
        return Text();
      case 1:
        return numbers[Pick(numbers.size())];
      case 2:
        return Pick(2) == 0;
      default:
        return absl::FromUnixSeconds(static_cast<int64_t>(Pick(4)) - 1);
    }
  }

  std::mt19937_64& random_;
};

// Filters mean what Filter::Matches says, in listings and in searches.
TEST_P(StoreConformance, FiltersMeanWhatTheySay) {
  std::mt19937_64 random = lastro::testing::SeededRandom(11);
  RandomDocuments source(&random);
  std::vector<Document> documents;
  for (int i = 0; i < 30; ++i) {
    const TestDocument test = source.Next(i);
    ASSERT_OK_AND_ASSIGN(Document stored, Put(test));
    documents.push_back(stored);
  }
  for (int round = 0; round < 300; ++round) {
    const Filter filter = source.NextFilter(3);
    ASSERT_THAT(filter.Validate(), IsOk());
    std::vector<std::string> expected;
    for (const Document& document : documents) {
      if (filter.Matches(document)) expected.push_back(document.uri);
    }
    ASSERT_EQ(Uris(*store_, filter), expected) << "round " << round;
    if (round % 10 != 0) continue;
    SearchQuery query = MakeQuery(round % 20 == 0 ? SearchMode::kLexical : SearchMode::kDense, "zebra");
    query.filter = filter;
    query.limit = 100;
    ASSERT_OK_AND_ASSIGN(SearchResult result, store_->Search(query, CallContext()));
    std::set<std::string> found;
    for (const SearchHit& hit : result.hits) found.insert(hit.document.uri);
    EXPECT_EQ(found, std::set<std::string>(expected.begin(), expected.end())) << "round " << round;
  }
}

// --- Jobs

TEST_P(StoreConformance, KeepsJobs) {
  Job job;
  job.id = "job-\"1\"";
  job.state = JobState::kRunning;
  job.collection = kCollection;
  job.files_found = 7;
  job.created_at = absl::FromUnixSeconds(1'700'000'000);
  for (int i = 0; i < 1000; ++i) job.problems.push_back({"file" + std::to_string(i), std::string(100, 'x')});
  ASSERT_THAT(store_->PutJob(job), IsOk());
  job.state = JobState::kSucceeded;
  ASSERT_THAT(store_->PutJob(job), IsOk());
  Job later = job;
  later.id = "job-2";
  later.problems.clear();
  later.created_at += absl::Seconds(1);
  ASSERT_THAT(As(Tenant("acme"))->PutJob(later), IsOk());
  Reopen();
  ASSERT_OK_AND_ASSIGN(Job read, store_->GetJob(job.id));
  EXPECT_EQ(read.state, JobState::kSucceeded);
  EXPECT_EQ(read.files_found, 7);
  ASSERT_EQ(read.problems.size(), 1000u);
  EXPECT_EQ(read.problems[999].uri, "file999");
  ASSERT_OK_AND_ASSIGN(std::vector<Job> jobs, store_->ListJobs());
  ASSERT_EQ(jobs.size(), 2u);
  EXPECT_EQ(jobs[0].id, "job-2");
  EXPECT_EQ(jobs[0].collection, "acme/notes");
  EXPECT_THAT(As(Tenant("acme"))->GetJob(job.id), StatusIs(absl::StatusCode::kNotFound, _));
  Job stolen = job;
  EXPECT_THAT(As(Tenant("acme"))->PutJob(stolen), StatusIs(absl::StatusCode::kPermissionDenied, _));
  EXPECT_THAT(store_->GetJob("nothing"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("nothing")));
}

// --- Together

// Every search, while the document is replaced again and again, sees one version of it, whole.
TEST_P(StoreConformance, NoSearchMixesVersions) {
  constexpr int kVersions = 25;
  constexpr int kChunks = 4;
  auto texts = [](int version) {
    std::vector<std::string> list;
    for (int i = 0; i < kChunks; ++i) list.push_back("zebra v" + std::to_string(version) + " p" + std::to_string(i));
    return list;
  };
  ASSERT_THAT(Put("a", texts(0)), IsOk());
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int version = 1; version <= kVersions; ++version) EXPECT_THAT(Put("a", texts(version)), IsOk());
    done = true;
  });
  int searches = 0;
  while (!done || searches < 5) {
    for (SearchMode mode : {SearchMode::kDense, SearchMode::kLexical, SearchMode::kHybrid}) {
      absl::StatusOr<SearchResult> result = store_->Search(MakeQuery(mode, "zebra"), CallContext());
      EXPECT_THAT(result, IsOk());
      if (!result.ok()) continue;
      std::set<std::string> versions;
      for (const SearchHit& hit : result->hits) versions.insert(hit.chunk.text.substr(0, hit.chunk.text.rfind(' ')));
      EXPECT_EQ(versions.size(), 1u);
      EXPECT_EQ(result->hits.size(), static_cast<size_t>(kChunks));
    }
    ++searches;
  }
  writer.join();
  EXPECT_THAT(Found(SearchMode::kLexical, "zebra v" + std::to_string(kVersions)).size(), kChunks);
}

// What is read of a document while it is replaced again and again is of one version, and never missing.
TEST_P(StoreConformance, ReadsGoOnWhileADocumentIsReplaced) {
  constexpr int kVersions = 100;
  auto text = [](int version) { return "version " + std::to_string(version) + "."; };
  ASSERT_OK_AND_ASSIGN(Document stored, Put("a", {text(0)}));
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int version = 1; version <= kVersions; ++version) EXPECT_THAT(Put("a", {text(version)}), IsOk());
    done = true;
  });
  while (!done) {
    absl::StatusOr<std::string> original = store_->ReadOriginal(kCollection, stored.id);
    EXPECT_THAT(original, IsOk());
    EXPECT_THAT(original.value_or(""), HasSubstr("version "));
    EXPECT_EQ(store_->ReadSource(kCollection, stored.id, 0, 8).value_or("lost"), "version ");
    absl::StatusOr<std::vector<Chunk>> chunks = store_->GetChunks(kCollection, stored.id, false);
    EXPECT_THAT(chunks, IsOk());
    EXPECT_EQ(chunks.ok() ? chunks->size() : 0, 1u);
  }
  writer.join();
  EXPECT_EQ(store_->ReadOriginal(kCollection, stored.id).value(), text(kVersions) + "\n");
}

TEST_P(StoreConformance, AJobIsReadWhileItIsReplaced) {
  Job job;
  job.id = "job";
  job.collection = kCollection;
  for (int i = 0; i < 1000; ++i) job.problems.push_back({"file" + std::to_string(i), std::string(100, 'x')});
  ASSERT_THAT(store_->PutJob(job), IsOk());
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 1; i <= 25; ++i) {
      Job next = job;
      next.files_found = i;
      EXPECT_THAT(store_->PutJob(next), IsOk());
    }
    done = true;
  });
  while (!done) {
    absl::StatusOr<Job> read = store_->GetJob(job.id);
    EXPECT_THAT(read, IsOk());
    absl::StatusOr<std::vector<Job>> jobs = store_->ListJobs();
    EXPECT_THAT(jobs, IsOk());
    EXPECT_EQ(jobs.ok() ? jobs->size() : 0, 1u);
  }
  writer.join();
  EXPECT_EQ(store_->GetJob(job.id)->files_found, 25);
}

// All of them are put; what stays is one of them, whole.
TEST_P(StoreConformance, OneDocumentIsPutByManyAtOnce) {
  constexpr int kWriters = 4;
  std::vector<std::thread> writers;
  for (int i = 0; i < kWriters; ++i) {
    writers.emplace_back([this, i] {
      for (int round = 0; round < 5; ++round) {
        const std::string text = "zebra " + std::to_string(i) + " " + std::to_string(round);
        EXPECT_THAT(Put("a", {text, text + " again"}), IsOk());
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  const std::vector<std::string> found = Found(SearchMode::kLexical, "zebra");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(store_->ReadOriginal(kCollection, DocumentId(kCollection, "a")).value(),
            found[0].substr(0, 9) + "\n" + found[0].substr(0, 9) + " again\n");
  ASSERT_OK_AND_ASSIGN(Collection collection, store_->GetCollection(kCollection));
  EXPECT_EQ(collection.documents, 1);
  EXPECT_EQ(collection.chunks, 2);
}

// Random puts, deletes, searches and reopenings against an obvious model.
TEST_P(StoreConformance, DoesWhatAMapWouldDo) {
  std::mt19937_64 random = lastro::testing::SeededRandom(3);
  std::map<std::string, std::vector<std::string>> model;  // texts by uri
  for (int step = 0; step < 120; ++step) {
    const std::string uri = "doc" + std::to_string(random() % 8);
    if (random() % 4 != 0) {
      std::vector<std::string> texts;
      for (size_t i = random() % 3 + 1; i > 0; --i) texts.push_back("zebra " + std::to_string(random() % 50));
      ASSERT_THAT(Put(uri, texts), IsOk());
      model[uri] = texts;
    } else {
      const std::string id = DocumentId(kCollection, uri);
      EXPECT_EQ(store_->DeleteDocuments(kCollection, {&id, 1}).value(), static_cast<int64_t>(model.erase(uri)));
    }
    if (step % 40 == 39) Reopen();
    if (step % 6 != 0) continue;
    std::multiset<std::string> expected;
    for (const auto& [name, texts] : model) expected.insert(texts.begin(), texts.end());
    for (SearchMode mode : {SearchMode::kDense, SearchMode::kLexical}) {
      SearchQuery query = MakeQuery(mode, "zebra");
      query.limit = 100;
      const std::vector<std::string> found = Found(*store_, query);
      EXPECT_EQ(std::multiset<std::string>(found.begin(), found.end()), expected) << "step " << step;
    }
    ASSERT_OK_AND_ASSIGN(Collection collection, store_->GetCollection(kCollection));
    EXPECT_EQ(collection.documents, static_cast<int64_t>(model.size()));
    EXPECT_EQ(collection.chunks, static_cast<int64_t>(expected.size()));
  }
}

// From the local store there and back: nothing is lost on the way.
TEST_P(StoreConformance, CopiesThereAndBack) {
  lastro::testing::TempFolder folder;
  auto from = OpenStore(folder / "from"), back = OpenStore(folder / "back");
  ASSERT_THAT(from->CreateCollection(MakeCollection("travels")), IsOk());
  std::mt19937_64 random = lastro::testing::SeededRandom(17);
  RandomDocuments source(&random);
  for (int i = 0; i < 12; ++i) {
    TestDocument test = source.Next(i);
    test.document.collection = "travels";
    test.document.labels = i % 2 == 0 ? std::vector<std::string>{"hr"} : std::vector<std::string>{};
    ASSERT_THAT(from->PutDocument(test.document, kFingerprint, test.chunks, test.original, ""), IsOk());
  }
  const StoreCopyOptions options{.collection = "travels", .progress = nullptr};
  ASSERT_OK_AND_ASSIGN(StoreCopyReport there, CopyStore(*from, *store_, options, CallContext()));
  EXPECT_EQ(there.documents_copied, 12);
  ASSERT_OK_AND_ASSIGN(StoreCopyReport again, CopyStore(*from, *store_, options, CallContext()));
  EXPECT_EQ(again.documents_equal, 12);
  ASSERT_OK_AND_ASSIGN(StoreCopyReport home, CopyStore(*store_, *back, options, CallContext()));
  EXPECT_EQ(home.sha256, there.sha256);
  EXPECT_EQ(CopyStore(*from, *back, options, CallContext())->documents_equal, 12);
  EXPECT_THAT(back->CheckIntegrity(), IsOk());
}

}  // namespace
}  // namespace lastro::services
