// Random operations on a SqliteStore against an obvious model in memory: what one finds the other must find.
// LASTRO_MODEL_OPERATIONS: how many instead, for each kind of index.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "retrieval/document_table.h"
#include "tests/unit/retrieval/store_fixture.h"

namespace lastro::retrieval::testing {
namespace {

using lastro::testing::IsOk;
using Op = Filter::Op;

// Words that no stemmer maps onto each other.
const std::vector<std::string> kWords = {"zebra", "quartz", "lithium", "mundo", "fjord", "bishop", "tunel", "gravy"};

struct Mode {
  const char* name;
  std::optional<IndexKind> kind;
  int operations;
};

int OperationsOf(const Mode& mode) {
  const char* wanted = std::getenv("LASTRO_MODEL_OPERATIONS");
  int operations = mode.operations;
  if (wanted == nullptr) return operations;
  EXPECT_TRUE(absl::SimpleAtoi(wanted, &operations)) << wanted;
  return operations;
}

class StoreModelTest : public ::testing::TestWithParam<Mode> {
 protected:
  // Thousands of commits, each synced: in memory where there is such a folder. Durability is the crash test's business.
  static void SetUpTestSuite() {
    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", /*replace=*/0);
  }

  void SetUp() override {
    random_ = lastro::testing::SeededRandom(20240601);
    Reopen();
    ASSERT_THAT(store_->CreateCollection(MakeCollection()), IsOk());
    ASSERT_THAT(store_->CreateCollection(MakeCollection("decoy")), IsOk());
  }

  size_t Below(size_t bound) { return std::uniform_int_distribution<size_t>(0, bound - 1)(random_); }
  template <typename T>
  const T& Pick(const std::vector<T>& values) {
    return values[Below(values.size())];
  }

  void Reopen() {
    store_.reset();
    store_ = OpenStore(data_, /*index_after_chunks=*/60, GetParam().kind);
    ASSERT_NE(store_, nullptr);
  }

  // The database's files by name, those that there are.
  std::map<std::string, std::string> DatabaseFiles() const {
    std::map<std::string, std::string> files;
    for (const char* name : {"lastro.db", "lastro.db-wal", "lastro.db-sums"}) {
      absl::StatusOr<std::string> file = ReadFile(data_ + "/" + name, /*max_bytes=*/1u << 30);
      if (file.ok()) files[name] = *std::move(file);
    }
    return files;
  }

  // What a process that is killed now would leave is opened instead. Upkeep commits and moves the log in the background:
  // only files that were the same twice are what they are at one moment.
  void Crash() {
    const std::string left = folder_ / absl::StrCat("life", ++lives_), before = data_;
    std::filesystem::create_directory(left);
    std::map<std::string, std::string> files = DatabaseFiles();
    for (auto again = DatabaseFiles(); again != files; again = DatabaseFiles()) files = std::move(again);
    for (const auto& [name, bytes] : files) ASSERT_THAT(WriteFileAtomically(left + "/" + name, bytes), IsOk());
    if (Below(2))
      std::filesystem::copy(data_ + "/index", left + "/index", std::filesystem::copy_options::recursive, ignored_);
    data_ = left;
    Reopen();
    std::filesystem::remove_all(before);
  }

  // --- operations that change

  std::string RandomUri() { return absl::StrCat("dir", Below(3), "/doc", Below(40)); }

  std::string RandomText() {
    std::vector<std::string> words;
    for (size_t i = 0, count = 1 + Below(6); i < count; ++i) words.push_back(Pick(kWords));
    return absl::StrCat(absl::StrJoin(words, " "), " ", Below(1000000));
  }

  MetadataScalar RandomScalar() {
    static const std::vector<MetadataScalar> values = {0.0,
                                                       -1.5,
                                                       2023.0,
                                                       2024.0,
                                                       1e300,
                                                       true,
                                                       false,
                                                       std::string(),
                                                       std::string("a"),
                                                       std::string("ab"),
                                                       std::string("b\0c", 3),
                                                       std::string("ção"),
                                                       std::string("2024"),
                                                       std::string("\u00FF\U0010FFFF"),
                                                       absl::FromUnixSeconds(1'700'000'000),
                                                       absl::FromUnixSeconds(2024),
                                                       absl::FromUnixNanos(-1)};
    return Pick(values);
  }

  MetadataValue RandomValue() {
    if (Below(3) > 0) return std::visit([](const auto& scalar) { return MetadataValue(scalar); }, RandomScalar());
    MetadataList list;
    for (size_t i = 0, count = Below(4); i < count; ++i) list.push_back(RandomScalar());
    return list;
  }

  // --- scopes

  std::vector<std::string> RandomLabels(size_t at_most) {
    std::vector<std::string> labels;
    for (const char* label : {"hr", "board", "ops"}) {
      if (labels.size() < at_most && Below(3) == 0) labels.push_back(label);
    }
    return labels;
  }

  Scope RandomScope() {
    Scope scope;
    scope.all_labels = Below(3) == 0;
    if (!scope.all_labels) scope.labels = RandomLabels(3);
    return scope;
  }

  std::unique_ptr<ChunkStore> As(const Scope& scope) { return store_->WithScope(scope).value(); }

  void RandomPut() {
    std::vector<std::string> texts;
    for (size_t i = 0, count = Below(4); i < count; ++i) texts.push_back(RandomText());
    TestDocument test = MakeDocument(RandomUri(), texts);
    test.document.title = Below(2) ? "a" : "";
    test.document.language = static_cast<Language>(Below(3));
    for (const char* key : {"year", "team", "draft"}) {
      if (Below(3)) test.document.metadata[key] = RandomValue();
    }
    test.document.labels = RandomLabels(2);
    absl::StatusOr<Document> stored = Put(*store_, test);
    ASSERT_THAT(stored, IsOk());
    test.document = *stored;
    model_[test.document.uri] = test;
    if (Below(4) == 0) {  // the same texts elsewhere must never show up
      test.document = Document();
      test.document.collection = "decoy";
      test.document.uri = stored->uri;
      ASSERT_THAT(Put(*store_, test), IsOk());
    }
  }

  void RandomDelete() {
    Scope scope = RandomScope();
    std::vector<std::string> ids;
    int64_t expected = 0;
    for (size_t i = 0, count = 1 + Below(3); i < count; ++i) {
      std::string uri = RandomUri();
      ids.push_back(DocumentId(kCollection, uri));
      auto known = model_.find(uri);
      if (known == model_.end() || !Sees(scope, known->second.document.labels)) continue;
      model_.erase(known);
      ++expected;
    }
    EXPECT_EQ(As(scope)->DeleteDocuments(kCollection, ids).value(), expected);
  }

  // --- filters

  Filter RandomComparison() {
    static const std::vector<std::string> fields = {"uri",  "title", "language", "origin",      "label",
                                                    "year", "team",  "draft",    "ingested_at", "no"};
    static const std::vector<MetadataScalar> strings = {
        std::string("dir1/"), std::string("dir1/doc1"), std::string("en"), std::string("\xFF"),
        std::string("b"),     std::string("hr"),        std::string()};
    Filter filter;
    filter.op = static_cast<Op>(static_cast<int>(Op::kEqual) + static_cast<int>(Below(8)));
    filter.field = Pick(fields);
    size_t count = filter.op == Op::kIn ? Below(4) : 1;
    for (size_t i = 0; i < count; ++i) filter.values.push_back(Below(2) ? RandomScalar() : Pick(strings));
    if (filter.op == Op::kPrefix && !std::holds_alternative<std::string>(filter.values[0]))
      filter.values = {Pick(strings)};
    return filter;
  }

  Filter RandomFilter(int depth) {
    if (Below(8) == 0) return Filter();
    if (depth == 0 || Below(2)) return RandomComparison();
    Filter filter;
    filter.op = static_cast<Op>(static_cast<int>(Op::kAnd) + static_cast<int>(Below(3)));
    size_t children = filter.op == Op::kNot ? 1 : 1 + Below(3);
    for (size_t i = 0; i < children; ++i) filter.children.push_back(RandomFilter(depth - 1));
    return filter;
  }

  void CheckListing() {
    Filter filter = RandomFilter(3);
    Scope scope = RandomScope();
    std::unique_ptr<ChunkStore> store = As(scope);
    std::vector<std::string> expected, listed;
    for (const auto& [uri, test] : model_) {
      if (filter.Matches(test.document) && Sees(scope, test.document.labels)) expected.push_back(uri);
    }
    std::string token;
    do {
      absl::StatusOr<DocumentPage> page = store->ListDocuments(kCollection, filter, 7, token);
      ASSERT_THAT(page, IsOk());
      for (const Document& document : page->documents) listed.push_back(document.uri);
      token = page->next_page_token;
    } while (!token.empty());
    EXPECT_EQ(listed, expected);
  }

  // --- searches

  struct Expected {
    double cosine = 0;
    bool matches = false;  // lexically
  };

  // Every chunk of the model that the query may return, by text (texts are unique in practice: they end in a number).
  std::map<std::string, Expected> ExpectedChunks(const SearchQuery& query, const Scope& scope,
                                                 const std::string& word) {
    std::map<std::string, Expected> expected;
    for (const auto& [uri, test] : model_) {
      if (!query.filter.Matches(test.document) || !Sees(scope, test.document.labels)) continue;
      for (const Chunk& chunk : test.chunks) {
        Expected& entry = expected[chunk.text];
        for (size_t i = 0; i < query.vector.size(); ++i) entry.cosine += chunk.vector[i] * query.vector[i];
        std::vector<std::string> words = absl::StrSplit(chunk.text, ' ');
        entry.matches = std::find(words.begin(), words.end(), word) != words.end();
      }
    }
    return expected;
  }

  void CheckSearch() {
    const std::string& word = Pick(kWords);
    SearchQuery query = MakeQuery(static_cast<SearchMode>(Below(3)), word);
    query.vector = VectorOf(random_());
    query.limit = 1 + static_cast<int>(Below(40));
    if (Below(2)) query.filter = RandomFilter(2);
    Scope scope = RandomScope();
    std::map<std::string, Expected> expected = ExpectedChunks(query, scope, word);
    absl::StatusOr<SearchResult> result = As(scope)->Search(query, CallContext());
    ASSERT_THAT(result, IsOk());
    EXPECT_EQ(result->commit, store_->commit());
    CheckHits(*result, expected);
    CheckCount(query, expected, result->hits.size());
    // So few rows are all scored, whatever the index, but for products' codes.
    if (query.mode == SearchMode::kDense && GetParam().kind != IndexKind::kIvfPq) CheckRanking(*result, expected);
  }

  void CheckHits(const SearchResult& result, const std::map<std::string, Expected>& expected) {
    std::set<int64_t> ids;
    double last = 1;
    for (const SearchHit& hit : result.hits) {
      auto entry = expected.find(hit.chunk.text);
      ASSERT_TRUE(entry != expected.end()) << "found what is not there: " << hit.chunk.text;
      EXPECT_NEAR(hit.dense_score, entry->second.cosine, 1e-5);
      EXPECT_EQ(hit.lexical_rank > 0 ? entry->second.matches : true, true) << hit.chunk.text;
      EXPECT_TRUE(ids.insert(hit.chunk.id).second);
      EXPECT_LE(hit.score, last);
      EXPECT_GE(hit.score, 0);
      last = hit.score;
    }
  }

  static void CheckCount(const SearchQuery& query, const std::map<std::string, Expected>& expected, size_t hits) {
    auto matching = std::count_if(expected.begin(), expected.end(), [](auto& entry) { return entry.second.matches; });
    size_t possible = query.mode == SearchMode::kLexical ? static_cast<size_t>(matching) : expected.size();
    EXPECT_EQ(hits, std::min(possible, static_cast<size_t>(query.limit)));
  }

  static void CheckRanking(const SearchResult& result, const std::map<std::string, Expected>& expected) {
    std::vector<double> cosines;
    for (const auto& [text, entry] : expected) cosines.push_back(entry.cosine);
    std::sort(cosines.rbegin(), cosines.rend());
    for (size_t i = 0; i < result.hits.size(); ++i) EXPECT_NEAR(result.hits[i].dense_score, cosines[i], 1e-5) << i;
  }

  void Step() {
    size_t dice = Below(1000);
    if (dice < 350) return RandomPut();
    if (dice < 470) return RandomDelete();
    if (dice < 800) return CheckSearch();
    if (dice < 970) return CheckListing();
    if (dice < 985) {
      EXPECT_THAT(store_->Flush(), IsOk());
    } else if (dice < 987) {
      EXPECT_THAT(store_->Purge(), IsOk());
    } else if (dice < 993) {
      Crash();
    } else {
      Reopen();
    }
  }

  void CheckEverything() {
    EXPECT_THAT(store_->CheckIntegrity(), IsOk());
    ASSERT_OK_AND_ASSIGN(auto states, store_->DocumentStates(kCollection));
    EXPECT_EQ(states.size(), model_.size());
    for (const auto& [uri, test] : model_) {
      EXPECT_EQ(states[uri].content_sha256, Sha256Hex(test.original));
      EXPECT_EQ(store_->ReadOriginal(kCollection, test.document.id).value(), test.original);
      ASSERT_OK_AND_ASSIGN(std::vector<Chunk> chunks, store_->GetChunks(kCollection, test.document.id, true));
      ASSERT_EQ(chunks.size(), test.chunks.size());
      for (size_t i = 0; i < chunks.size(); ++i) {
        EXPECT_EQ(chunks[i].text, test.chunks[i].text);
        EXPECT_EQ(chunks[i].vector, test.chunks[i].vector);
      }
    }
  }

  lastro::testing::TempFolder folder_;
  std::string data_ = folder_ / "life0";
  int lives_ = 0;
  std::error_code ignored_;
  std::mt19937_64 random_;
  std::unique_ptr<SqliteStore> store_;
  std::map<std::string, TestDocument> model_;  // by uri
};

TEST_P(StoreModelTest, AgreesWithTheModel) {
  for (int i = 0, count = OperationsOf(GetParam()); i < count && !HasFailure(); ++i) {
    SCOPED_TRACE(absl::StrCat("operation ", i));
    Step();
  }
  CheckEverything();
  Reopen();
  CheckEverything();
}

INSTANTIATE_TEST_SUITE_P(Indexes, StoreModelTest,
                         ::testing::Values(Mode{"BySize", std::nullopt, 6000}, Mode{"Hnsw", IndexKind::kHnsw, 1500},
                                           Mode{"IvfSq", IndexKind::kIvfSq, 1500},
                                           Mode{"IvfPq", IndexKind::kIvfPq, 1500}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace lastro::retrieval::testing
