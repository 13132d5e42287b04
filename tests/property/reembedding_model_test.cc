// Random puts, deletes, searches and restarts while a collection is moved to another embedding model and back, again
// and again, against an obvious model in memory.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "retrieval/document_table.h"
#include "tests/unit/retrieval/store_fixture.h"

namespace lastro::retrieval::testing {
namespace {

using lastro::testing::IsOk;
using lastro::testing::StatusIs;

struct Mode {
  std::optional<IndexKind> kind;
  int operations;
};

class ReembeddingModelTest : public ::testing::TestWithParam<Mode> {
 protected:
  static void SetUpTestSuite() {
    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", /*replace=*/0);
  }

  void SetUp() override {
    random_ = lastro::testing::SeededRandom(20260311);
    searched_ = OtherModel(kFingerprint, kDimension);
    Reopen();
    ASSERT_THAT(store_->CreateCollection(MakeCollection()), IsOk());
  }

  size_t Below(size_t bound) { return std::uniform_int_distribution<size_t>(0, bound - 1)(random_); }

  void Reopen() {
    store_.reset();
    store_ = OpenStore(folder_.path(), /*index_after_chunks=*/25, GetParam().kind);
    ASSERT_NE(store_, nullptr);
  }

  // --- The model: texts by document; which of them the other set knows, by text.

  std::set<std::string> Texts() const {
    std::set<std::string> texts;
    for (const auto& [uri, document] : documents_) texts.insert(document.begin(), document.end());
    return texts;
  }
  int64_t Chunks() const {
    int64_t chunks = 0;
    for (const auto& [uri, document] : documents_) chunks += static_cast<int64_t>(document.size());
    return chunks;
  }
  bool Complete() const {
    const std::set<std::string> texts = Texts();
    return std::all_of(texts.begin(), texts.end(), [&](const std::string& text) { return known_.count(text) > 0; });
  }
  // What no chunk has any more is not known any more.
  void ForgetTheGone() {
    const std::set<std::string> texts = Texts();
    std::erase_if(known_, [&](const std::string& text) { return texts.count(text) == 0; });
  }

  // --- Operations

  void RandomPut() {
    const std::string uri = absl::StrCat("doc", Below(25));
    std::vector<std::string> texts;
    for (size_t i = 0, count = 1 + Below(4); i < count; ++i) texts.push_back(absl::StrCat("text ", Below(60)));
    TestDocument test = MakeDocument(uri, texts, kCollection, searched_.dimension);
    for (Chunk& chunk : test.chunks) chunk.vector = VectorBy(searched_.fingerprint, chunk.text, searched_.dimension);
    ASSERT_THAT(Put(*store_, test, searched_.fingerprint), IsOk());
    documents_[uri] = texts;
    ForgetTheGone();
  }

  void RandomDelete() {
    const std::string uri = absl::StrCat("doc", Below(25));
    EXPECT_EQ(store_->DeleteDocuments(kCollection, {DocumentId(kCollection, uri)}).value(),
              static_cast<int64_t>(documents_.erase(uri)));
    ForgetTheGone();
  }

  void BeginOrFill() {
    if (!other_.has_value()) {
      const std::string fingerprint = absl::StrCat("model-", ++models_);
      other_ = OtherModel(fingerprint, 4 + static_cast<int>(Below(9)));
      known_.clear();
      ASSERT_THAT(store_->BeginReembedding(kCollection, *other_), IsOk());
    }
    std::set<std::string> missing;
    for (const std::string& text : Texts()) {
      if (known_.count(text) == 0) missing.insert(text);
    }
    const int count = 1 + static_cast<int>(Below(30));
    const int expected = std::min(count, static_cast<int>(missing.size()));
    ASSERT_OK_AND_ASSIGN(int done, FillOther(*store_, *other_, count));
    EXPECT_EQ(done, expected) << "a text was embedded again, or left out";
    ASSERT_OK_AND_ASSIGN(auto vectors, store_->FindVectors(kCollection, other_->fingerprint, Keys(missing)));
    size_t i = 0;
    for (const std::string& text : missing) {
      if (!vectors[i++].empty()) known_.insert(text);
    }
  }

  static std::vector<std::string> Keys(const std::set<std::string>& texts) {
    std::vector<std::string> keys;
    for (const std::string& text : texts) keys.push_back(Sha256Hex(text));
    return keys;
  }

  void Switch() {
    if (!other_.has_value()) return;
    if (Complete()) {
      ASSERT_THAT(store_->PrepareVectors(kCollection, other_->fingerprint), IsOk());
    }
    const int64_t commit = store_->commit();
    absl::StatusOr<Reembedding> state = store_->SwitchVectors(kCollection, other_->fingerprint);
    if (!Complete()) {
      EXPECT_THAT(state, StatusIs(absl::StatusCode::kAborted, ::testing::HasSubstr("catch up")));
      EXPECT_EQ(store_->commit(), commit);
      return;
    }
    ASSERT_THAT(state, IsOk());
    EXPECT_EQ(store_->commit(), commit + 1);
    std::swap(searched_, *other_);
    known_ = Texts();
    ++switches_;
  }

  void Drop() {
    if (!other_.has_value()) return;
    ASSERT_THAT(store_->DropVectors(kCollection, other_->fingerprint), IsOk());
    other_.reset();
  }

  // --- What must be

  void CheckSearch(const VectorSet& model, const std::string& vectors_of) {
    const std::string text = absl::StrCat("text ", Below(60));
    SearchQuery query = MakeQuery(SearchMode::kDense, text);
    query.vector = VectorBy(model.fingerprint, text, model.dimension);
    query.fingerprint = model.fingerprint;
    query.vectors_of = vectors_of;
    query.limit = 1 + static_cast<int>(Below(20));
    absl::StatusOr<SearchResult> result = store_->Search(query, CallContext());
    ASSERT_THAT(result, IsOk());
    std::vector<double> cosines;
    for (const auto& [uri, texts] : documents_) {
      for (const std::string& each : texts) {
        const std::vector<float> vector = VectorBy(model.fingerprint, each, model.dimension);
        double cosine = 0;
        for (size_t i = 0; i < vector.size(); ++i) cosine += vector[i] * query.vector[i];
        cosines.push_back(cosine);
      }
    }
    std::sort(cosines.rbegin(), cosines.rend());
    ASSERT_EQ(result->hits.size(), std::min(cosines.size(), static_cast<size_t>(query.limit)));
    for (size_t i = 0; i < result->hits.size(); ++i) EXPECT_NEAR(result->hits[i].dense_score, cosines[i], 1e-5) << i;
  }

  void CheckSearches() {
    CheckSearch(searched_, "");
    if (!other_.has_value()) return;
    if (Complete()) CheckSearch(*other_, other_->fingerprint);
    SearchQuery query = MakeQuery(SearchMode::kDense, "text 1");
    query.vector = VectorBy(other_->fingerprint, "text 1", other_->dimension);
    query.fingerprint = other_->fingerprint;
    EXPECT_THAT(store_->Search(query, CallContext()), StatusIs(absl::StatusCode::kFailedPrecondition, ::testing::_));
  }

  void CheckState() {
    ASSERT_OK_AND_ASSIGN(Reembedding state, store_->GetReembedding(kCollection));
    EXPECT_EQ(state.chunks, Chunks());
    EXPECT_EQ(state.searched.fingerprint, searched_.fingerprint);
    EXPECT_EQ(state.searched.vectors, Chunks());
    ASSERT_EQ(state.other.has_value(), other_.has_value());
    if (!other_.has_value()) return;
    EXPECT_EQ(state.other->fingerprint, other_->fingerprint);
    int64_t known = 0;
    for (const auto& [uri, texts] : documents_) {
      for (const std::string& text : texts) known += static_cast<int64_t>(known_.count(text));
    }
    EXPECT_EQ(state.other->vectors, known);
  }

  void Step() {
    const size_t dice = Below(100);
    if (dice < 25) return RandomPut();
    if (dice < 35) return RandomDelete();
    if (dice < 55) return BeginOrFill();
    if (dice < 65) return Switch();
    if (dice < 67) return Drop();
    if (dice < 90) return CheckSearches();
    if (dice < 94) return CheckState();
    if (dice < 96) {
      EXPECT_THAT(store_->Flush(), IsOk());
    } else if (dice < 97) {
      EXPECT_THAT(store_->Purge(), IsOk());
    } else {
      Reopen();
    }
  }

  lastro::testing::TempFolder folder_;
  std::mt19937_64 random_;
  std::unique_ptr<SqliteStore> store_;
  std::map<std::string, std::vector<std::string>> documents_;  // texts by uri
  VectorSet searched_;
  std::optional<VectorSet> other_;
  std::set<std::string> known_;  // texts that have a vector in the other set
  int models_ = 0;
  int switches_ = 0;
};

TEST_P(ReembeddingModelTest, AgreesWithTheModel) {
  for (int i = 0; i < GetParam().operations && !HasFailure(); ++i) {
    SCOPED_TRACE(absl::StrCat("operation ", i));
    Step();
  }
  CheckState();
  EXPECT_THAT(store_->CheckIntegrity(), IsOk());
  Reopen();
  CheckSearches();
  EXPECT_THAT(store_->CheckIntegrity(), IsOk());
  EXPECT_GT(switches_, GetParam().operations / 60);
}

INSTANTIATE_TEST_SUITE_P(Indexes, ReembeddingModelTest,
                         ::testing::Values(Mode{std::nullopt, 4000}, Mode{IndexKind::kHnsw, 1500},
                                           Mode{IndexKind::kIvfSq, 1500}));

}  // namespace
}  // namespace lastro::retrieval::testing
