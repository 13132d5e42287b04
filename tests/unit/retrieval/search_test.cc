// Searches through the store: dense, lexical, hybrid, filters, hostile queries, generations.
#include <algorithm>
#include <atomic>
#include <fstream>
#include <limits>
#include <map>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "retrieval/document_table.h"
#include "retrieval/dot_product.h"
#include "tests/unit/retrieval/store_fixture.h"

namespace lastro::retrieval::testing {
namespace {

using lastro::testing::IsOk;
using lastro::testing::StatusIs;
using ::testing::_;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class SearchTest : public StoreTest {
 protected:
  void PutTexts(const std::vector<std::string>& texts) {
    for (const std::string& text : texts) ASSERT_THAT(Put(*store_, "doc:" + text, {text}), IsOk());
  }
  std::vector<std::string> Lexical(const std::string& text) { return Found(*store_, SearchMode::kLexical, text); }
};

TEST_F(SearchTest, FindsWordsAcrossFormsAndAccents) {
  PutTexts({"A citação verificada.", "Férias de trinta dias", "Our refund policies", "nothing of interest"});
  EXPECT_THAT(Lexical("citações"), ElementsAre("A citação verificada."));
  EXPECT_THAT(Lexical("CITACAO"), ElementsAre("A citação verificada."));
  EXPECT_THAT(Lexical("ferias"), ElementsAre("Férias de trinta dias"));
  EXPECT_THAT(Lexical("What is the policy?"), ElementsAre("Our refund policies"));
}

TEST_F(SearchTest, FindsCodesAndPrefersThemWhole) {
  PutTexts({"error E-1042 in module", "error E 1042", "the year 1042 and more", "release v2.3 of foo_bar"});
  EXPECT_EQ(Lexical("E-1042").front(), "error E-1042 in module");
  EXPECT_EQ(Lexical("E-1042").size(), 3u);
  EXPECT_THAT(Lexical("foo_bar"), ElementsAre("release v2.3 of foo_bar"));
  EXPECT_THAT(Lexical("v2.3"), ElementsAre("release v2.3 of foo_bar"));
}

TEST_F(SearchTest, QuotedTextIsAPhrase) {
  PutTexts({"prazo de entrega de dez dias", "entrega sem prazo"});
  EXPECT_THAT(Lexical("\"prazo de entrega\""), ElementsAre("prazo de entrega de dez dias"));
  EXPECT_EQ(Lexical("prazo entrega").size(), 2u);
}

TEST_F(SearchTest, PhrasesMustBeThereWhileAChunkHasThem) {
  PutTexts({"prazo de entrega de dez dias", "entrega sem prazo", "frete"});
  EXPECT_THAT(Lexical("\"prazo de entrega\" frete"), ElementsAre("prazo de entrega de dez dias"));
  EXPECT_EQ(Lexical("\"dias de entrega\" frete").size(), 1u);  // nothing has it: the other words are left
  SearchQuery query = MakeQuery(SearchMode::kLexical, "\"dias de entrega\" frete");
  ASSERT_OK_AND_ASSIGN(SearchResult result, store_->Search(query, CallContext()));
  EXPECT_TRUE(result.trace.phrases_optional);
  EXPECT_EQ(result.trace.lexical_query, "\"dias de entrega\" OR \"frete\"");
  EXPECT_EQ(result.trace.lexical_candidates, 1);
}

TEST_F(SearchTest, AStarStandsForTheRestOfAWord) {
  PutTexts(
      {"international trade", "interim report", "order ABC-123", "order ABC-199", "C++ and C", "C alone", "nations"});
  EXPECT_THAT(Lexical("inter*"), UnorderedElementsAre("international trade", "interim report"));
  EXPECT_THAT(Lexical("abc-1*"), UnorderedElementsAre("order ABC-123", "order ABC-199"));
  EXPECT_THAT(Lexical("\"order abc*\""), UnorderedElementsAre("order ABC-123", "order ABC-199"));
  EXPECT_THAT(Lexical("internation*"), ElementsAre("international trade"));  // not what begins with its stem
  EXPECT_EQ(Lexical("C++").front(), "C++ and C");
}

TEST_F(SearchTest, AWordThatMostChunksHaveStillCounts) {
  PutTexts({"valve valve valve open", "valve closed", "valve open and closed", "pump"});
  ASSERT_OK_AND_ASSIGN(SearchResult result, store_->Search(MakeQuery(SearchMode::kLexical, "valve"), CallContext()));
  ASSERT_EQ(result.hits.size(), 3u);
  EXPECT_EQ(result.hits[0].chunk.text, "valve valve valve open");
  EXPECT_GT(result.hits[2].lexical_score, 0.1);
}

TEST_F(SearchTest, HitsComeWithTheirNeighbours) {
  std::vector<std::string> texts;
  for (int i = 0; i < 7; ++i) texts.push_back("part " + std::to_string(i) + (i == 3 ? " needle" : ""));
  ASSERT_THAT(Put(*store_, "long", texts), IsOk());
  ASSERT_THAT(Put(*store_, "other", {"something else"}), IsOk());
  SearchQuery query = MakeQuery(SearchMode::kLexical, "needle");
  for (int reach : {0, 2, 10}) {
    query.context_chunks = reach;
    ASSERT_OK_AND_ASSIGN(SearchResult result, store_->Search(query, CallContext()));
    ASSERT_EQ(result.hits.size(), 1u);
    const SearchHit& hit = result.hits[0];
    ASSERT_EQ(hit.before.size(), static_cast<size_t>(std::min(reach, 3)));
    ASSERT_EQ(hit.after.size(), static_cast<size_t>(std::min(reach, 3)));
    for (size_t i = 0; i < hit.before.size(); ++i) {
      const Chunk& chunk = hit.before[i];
      EXPECT_EQ(chunk.ordinal, static_cast<int>(3 - hit.before.size() + i));
      EXPECT_EQ(hit.after[i].ordinal, static_cast<int>(4 + i));
      EXPECT_EQ(chunk.document_id, hit.document.id);
      // Its segments still lead to its bytes in the source.
      ASSERT_OK_AND_ASSIGN(std::string bytes,
                           store_->ReadSource(kCollection, hit.document.id, chunk.segments[0].source_begin,
                                              chunk.segments[0].source_begin + chunk.segments[0].source_length));
      EXPECT_EQ(bytes, chunk.text);
    }
  }
  query.context_chunks = 11;
  EXPECT_THAT(store_->Search(query, CallContext()), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("context")));
}

TEST_F(SearchTest, ReciprocalRanksAndVectorsWhenAskedFor) {
  PutTexts({"apple pie", "banana bread", "cherry cake"});
  SearchQuery query = MakeQuery(SearchMode::kHybrid, "banana");
  query.vector = VectorOf(std::string("banana bread"));
  query.fusion = Fusion::kReciprocalRank;
  query.with_vectors = true;
  ASSERT_OK_AND_ASSIGN(SearchResult result, store_->Search(query, CallContext()));
  ASSERT_EQ(result.hits.size(), 3u);
  EXPECT_EQ(result.hits[0].chunk.text, "banana bread");
  EXPECT_DOUBLE_EQ(result.hits[0].score, 1);  // first in both
  EXPECT_DOUBLE_EQ(result.hits[1].score, 0.5 * 61 / 62);
  EXPECT_EQ(result.hits[1].fused_rank, 2);
  EXPECT_EQ(result.hits[1].fused_score, result.hits[1].score);
  EXPECT_EQ(result.hits[0].chunk.vector, VectorOf(std::string("banana bread")));
  query.rrf_k = 0;
  EXPECT_THAT(store_->Search(query, CallContext()), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("rrf_k")));
}

TEST_F(SearchTest, WeighsTitleAndHeadings) {
  TestDocument titled = MakeDocument("titled", {"some words here"});
  titled.document.title = "Warranty";
  TestDocument headed = MakeDocument("headed", {"other words here"});
  headed.chunks[0].headings = {"Warranty"};
  ASSERT_THAT(Put(*store_, headed), IsOk());
  ASSERT_THAT(Put(*store_, titled), IsOk());
  PutTexts({"warranty in text", "a", "b", "c"});
  EXPECT_THAT(Lexical("warranty"), ElementsAre("some words here", "other words here", "warranty in text"));
}

TEST_F(SearchTest, HostileQueriesAreHarmless) {
  PutTexts({"plain text"});
  std::string large(10 << 20, 'x');
  for (size_t i = 0; i < large.size(); i += 7) large[i] = i % 2 ? '"' : '-';
  for (const std::string& text : {large, std::string("\0\0", 2), std::string("\""), std::string("!!! ???"),
                                  std::string("\xFF\xC0\x80"), std::string("text\" OR body:x NEAR("),
                                  std::string("'; DROP TABLE chunks;--"), std::string("*"), std::string(100000, '(')}) {
    SearchQuery query = MakeQuery(SearchMode::kLexical, text);
    EXPECT_THAT(store_->Search(query, CallContext()), IsOk());
  }
  EXPECT_THAT(Lexical("text\" OR nothing:("), ElementsAre("plain text"));
  EXPECT_THAT(store_->CheckIntegrity(), IsOk());
}

TEST_F(SearchTest, HybridKnowsBothScores) {
  PutTexts({"apple pie", "banana bread", "cherry cake"});
  SearchQuery query = MakeQuery(SearchMode::kHybrid, "banana");
  query.vector = VectorOf(std::string("cherry cake"));
  query.dense_weight = 0.4;
  ASSERT_OK_AND_ASSIGN(SearchResult result, store_->Search(query, CallContext()));
  ASSERT_EQ(result.hits.size(), 3u);
  EXPECT_EQ(result.commit, store_->commit());
  EXPECT_EQ(result.hits[0].chunk.text, "banana bread");
  EXPECT_EQ(result.hits[0].lexical_rank, 1);
  EXPECT_GT(result.hits[0].lexical_score, 0);
  for (const SearchHit& hit : result.hits) {
    EXPECT_GE(hit.score, 0);
    EXPECT_LE(hit.score, 1);
    EXPECT_EQ(hit.document.uri, "doc:" + hit.chunk.text);
    EXPECT_EQ(hit.chunk.document_id, hit.document.id);
    double cosine = 0;
    std::vector<float> vector = VectorOf(hit.chunk.text);
    for (size_t i = 0; i < vector.size(); ++i) cosine += vector[i] * query.vector[i];
    EXPECT_NEAR(hit.dense_score, cosine, 1e-5);
    if (hit.chunk.text == "cherry cake") {
      EXPECT_EQ(hit.dense_rank, 1);
    }
  }
}

TEST_F(SearchTest, CapsHitsPerDocument) {
  std::vector<std::string> texts;
  for (int i = 0; i < 400; ++i) texts.push_back("word number " + std::to_string(i));
  ASSERT_THAT(Put(*store_, "long", texts), IsOk());
  ASSERT_THAT(Put(*store_, "short", {"a single word among very many others that make it rank lower"}), IsOk());
  SearchQuery query = MakeQuery(SearchMode::kLexical, "word");
  query.limit = 3;
  query.max_per_document = 2;
  ASSERT_OK_AND_ASSIGN(SearchResult result, store_->Search(query, CallContext()));
  ASSERT_EQ(result.hits.size(), 3u);
  EXPECT_EQ(result.hits[2].document.uri, "short");
}

TEST_F(SearchTest, CountsWhatWasRemovedOrReplaced) {
  auto removed = [this] {
    absl::StatusOr<SearchResult> result = store_->Search(MakeQuery(SearchMode::kLexical, "word"), CallContext());
    EXPECT_THAT(result, IsOk());
    return result->removed;
  };
  const int64_t at_first = removed();
  PutTexts({"word one", "word two", "word three"});
  EXPECT_EQ(removed(), at_first);
  ASSERT_THAT(Put(*store_, "doc:word one", {"word, another"}), IsOk());
  EXPECT_EQ(removed(), at_first + 1);
  ASSERT_OK_AND_ASSIGN(SearchResult result, store_->Search(MakeQuery(SearchMode::kLexical, "three"), CallContext()));
  ASSERT_EQ(result.hits.size(), 1u);
  ASSERT_THAT(store_->DeleteDocuments(kCollection, {result.hits[0].document.id}), IsOk());
  EXPECT_EQ(removed(), at_first + 2);
  ASSERT_THAT(store_->CreateCollection(MakeCollection("other")), IsOk());
  ASSERT_THAT(store_->DeleteCollection("other"), IsOk());
  EXPECT_EQ(removed(), at_first + 2);
  ASSERT_THAT(store_->DeleteCollection(kCollection), IsOk());
  ASSERT_THAT(store_->CreateCollection(MakeCollection()), IsOk());
  EXPECT_GT(removed(), at_first + 2) << "one made anew is another";
}

TEST_F(SearchTest, FiltersBothSearches) {
  for (int i = 0; i < 200; ++i) {
    TestDocument test = MakeDocument("d" + std::to_string(i), {"common text " + std::to_string(i)});
    test.document.metadata["rare"] = i == 77;
    ASSERT_THAT(Put(*store_, test), IsOk());
    if (i == 100) {
      ASSERT_THAT(store_->Flush(), IsOk());
    }
  }
  for (SearchMode mode : {SearchMode::kDense, SearchMode::kLexical, SearchMode::kHybrid}) {
    SearchQuery query = MakeQuery(mode, "common");
    query.limit = 5;
    query.filter.op = Filter::Op::kEqual;
    query.filter.field = "rare";
    query.filter.values = {true};
    EXPECT_THAT(Found(*store_, query), ElementsAre("common text 77"));
    query.filter.field = "unknown";
    EXPECT_THAT(Found(*store_, query), IsEmpty());
  }
}

TEST_F(SearchTest, RefusesBadQueries) {
  PutTexts({"x"});
  auto code = [&](const SearchQuery& query) { return store_->Search(query, CallContext()).status().code(); };
  SearchQuery query = MakeQuery(SearchMode::kHybrid, "x");
  query.fingerprint = "model-b";
  EXPECT_EQ(code(query), absl::StatusCode::kFailedPrecondition);
  query = MakeQuery(SearchMode::kHybrid, "x", "nope");
  EXPECT_EQ(code(query), absl::StatusCode::kNotFound);
  query = MakeQuery(SearchMode::kHybrid, "x");
  query.limit = 0;
  EXPECT_EQ(code(query), absl::StatusCode::kInvalidArgument);
  query = MakeQuery(SearchMode::kHybrid, "x");
  query.vector.clear();
  EXPECT_EQ(code(query), absl::StatusCode::kInvalidArgument);
  query = MakeQuery(SearchMode::kDense, "x");
  query.vector[0] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(code(query), absl::StatusCode::kInvalidArgument);
  query = MakeQuery(SearchMode::kHybrid, "x");
  query.dense_weight = std::nan("");
  EXPECT_EQ(code(query), absl::StatusCode::kInvalidArgument);
  CallContext cancelled;
  cancelled.Cancel();
  EXPECT_THAT(store_->Search(MakeQuery(SearchMode::kDense, "x"), cancelled), StatusIs(absl::StatusCode::kCancelled, _));
}

// --- generations

class GenerationTest : public SearchTest {
 protected:
  void PutMany(int count) {
    for (int i = 0; i < count; ++i) ASSERT_THAT(Put(*store_, "n" + std::to_string(i), {Text(i)}), IsOk());
  }
  static std::string Text(int i) { return "entry number " + std::to_string(i); }
  std::vector<std::string> Files() {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / "index/1")) names.push_back(entry.path());
    return names;
  }
  void ExpectAllFound(int count) {
    for (int i = 0; i < count; i += 7) EXPECT_EQ(Found(*store_, SearchMode::kDense, Text(i)).front(), Text(i));
  }
};

TEST_F(GenerationTest, SurvivesARestart) {
  PutMany(100);
  ASSERT_THAT(store_->Flush(), IsOk());
  ASSERT_EQ(Files().size(), 1u);
  ASSERT_THAT(Put(*store_, "late", {"late text"}), IsOk());
  Reopen();
  EXPECT_EQ(Files().size(), 1u);
  ExpectAllFound(100);
  EXPECT_EQ(Found(*store_, SearchMode::kDense, "late text").front(), "late text");
}

TEST_F(GenerationTest, IsMadeInTheBackgroundAndKeepsOneFile) {
  Reopen(/*index_after_chunks=*/20);
  PutMany(200);
  ASSERT_THAT(store_->Flush(), IsOk());
  EXPECT_EQ(Files().size(), 1u);
  ExpectAllFound(200);
}

TEST_F(GenerationTest, ADamagedFileIsRebuiltFromTheTruth) {
  PutMany(50);
  ASSERT_THAT(store_->Flush(), IsOk());
  std::string file = Files().at(0);
  store_.reset();
  std::fstream(file, std::ios::in | std::ios::out | std::ios::binary).seekp(5000).write("garbage", 7);
  Reopen();
  EXPECT_FALSE(std::filesystem::exists(file));
  ExpectAllFound(50);
  ASSERT_THAT(store_->Flush(), IsOk());
  EXPECT_EQ(Files().size(), 1u);
  Reopen();
  ExpectAllFound(50);
}

TEST_F(GenerationTest, AMissingFileIsRebuiltFromTheTruth) {
  PutMany(50);
  ASSERT_THAT(store_->Flush(), IsOk());
  store_.reset();
  std::filesystem::remove_all(folder_ / "index");
  Reopen();
  ExpectAllFound(50);
}

TEST_F(GenerationTest, AFileFromAnotherTimeIsNotTrusted) {
  PutMany(30);
  store_.reset();
  std::filesystem::copy_file(folder_ / "lastro.db", folder_ / "old.db");
  Reopen();
  for (int i = 30; i < 60; ++i) ASSERT_THAT(Put(*store_, "n" + std::to_string(i), {Text(i)}), IsOk());
  ASSERT_THAT(store_->Flush(), IsOk());
  store_.reset();
  std::filesystem::rename(folder_ / "old.db", folder_ / "lastro.db");  // an older copy than the index
  std::filesystem::remove(folder_ / "lastro.db-sums");
  Reopen();
  EXPECT_TRUE(Files().empty());
  ASSERT_THAT(Put(*store_, "new", {"a new text"}), IsOk());
  EXPECT_EQ(Found(*store_, SearchMode::kDense, "a new text").front(), "a new text");
  ExpectAllFound(30);
}

TEST_F(GenerationTest, FindsEnoughWhenMostOfTheIndexIsDeleted) {
  for (IndexKind kind : kIndexKinds) {
    Reopen(5000, kind);
    PutMany(300);
    ASSERT_THAT(store_->Flush(), IsOk());
    std::vector<std::string> ids;
    for (int i = 0; i < 300; ++i) {
      if (i % 50 != 0) ids.push_back(DocumentId(kCollection, "n" + std::to_string(i)));
    }
    ASSERT_THAT(store_->DeleteDocuments(kCollection, ids), IsOk());
    EXPECT_EQ(Found(*store_, SearchMode::kDense, "anything").size(), 6u);
    ASSERT_THAT(Put(*store_, "one more", {"one more"}), IsOk());
    ASSERT_THAT(store_->Flush(), IsOk());
    EXPECT_EQ(Found(*store_, SearchMode::kDense, "anything").size(), 7u);
    ASSERT_THAT(store_->DeleteDocuments(kCollection, {DocumentId(kCollection, "one more")}), IsOk());
  }
}

// Enough chunks that a graph is walked over, with deletions, a tail and a filter.
class WalkTest : public GenerationTest {
 protected:
  static constexpr int kDocuments = 80, kChunks = 100;

  static std::string Text(int document, int chunk) { return absl::StrCat("d", document, "c", chunk); }
  static bool Deleted(int document) { return document % 8 == 0 && document < kDocuments; }
  static bool Third(int document) { return document % 3 == 0; }

  void PutNumber(int number) {
    std::vector<std::string> texts;
    for (int chunk = 0; chunk < kChunks; ++chunk) texts.push_back(Text(number, chunk));
    TestDocument test = MakeDocument(absl::StrCat("n", number), texts);
    test.document.metadata["third"] = Third(number);
    ASSERT_THAT(Put(*store_, test), IsOk());
  }

  // The texts of the ten nearest chunks, of every third document with `filtered`.
  static std::set<std::string> Nearest(const std::vector<float>& query, bool filtered) {
    std::vector<std::pair<float, std::string>> all;
    for (int document = 0; document <= kDocuments; ++document) {
      if (Deleted(document) || (filtered && !Third(document))) continue;
      for (int chunk = 0; chunk < kChunks; ++chunk) {
        const std::vector<float> vector = VectorOf(Text(document, chunk));
        all.push_back({-DotProduct(query.data(), vector.data(), vector.size()), Text(document, chunk)});
      }
    }
    std::partial_sort(all.begin(), all.begin() + 10, all.end());
    std::set<std::string> nearest;
    for (int i = 0; i < 10; ++i) nearest.insert(all[static_cast<size_t>(i)].second);
    return nearest;
  }
};

TEST_F(WalkTest, FindsNearlyAllOfWhatIsThere) {
  Reopen(5000, IndexKind::kHnsw);
  for (int document = 0; document < kDocuments; ++document) PutNumber(document);
  ASSERT_THAT(store_->Flush(), IsOk());
  PutNumber(kDocuments);
  std::vector<std::string> ids;
  for (int document = 0; document < kDocuments; ++document) {
    if (Deleted(document)) ids.push_back(DocumentId(kCollection, absl::StrCat("n", document)));
  }
  ASSERT_THAT(store_->DeleteDocuments(kCollection, ids), IsOk());
  Filter third;
  third.op = Filter::Op::kEqual;
  third.field = "third";
  third.values = {true};
  for (bool filtered : {false, true}) {
    size_t hits = 0;
    for (int i = 0; i < 20; ++i) {
      SearchQuery query = MakeQuery(SearchMode::kDense, absl::StrCat("query ", i));
      query.limit = 10;
      if (filtered) query.filter = third;
      const std::set<std::string> nearest = Nearest(query.vector, filtered);
      const std::vector<std::string> found = Found(*store_, query);
      EXPECT_EQ(found.size(), 10u);
      for (const std::string& text : found) hits += nearest.count(text);
    }
    EXPECT_GE(hits, 196u) << filtered;
  }
}

TEST_F(GenerationTest, GraphsSurviveRestartsAndGrow) {
  Reopen(5000, IndexKind::kHnsw);
  PutMany(150);
  ASSERT_THAT(store_->Flush(), IsOk());
  Reopen(5000, IndexKind::kHnsw);
  ExpectAllFound(150);
  for (int i = 150; i < 200; ++i) ASSERT_THAT(Put(*store_, "n" + std::to_string(i), {Text(i)}), IsOk());
  ASSERT_THAT(store_->Flush(), IsOk());
  ExpectAllFound(200);
  EXPECT_THAT(Files(), ElementsAre(HasSubstr("/2.index")));
}

// For the thread sanitizer too: readers search while a writer puts and deletes and generations are made.
TEST_F(GenerationTest, ReadersSeeWholeDocumentsWhileTheWriterWorks) {
  Reopen(/*index_after_chunks=*/10);
  ASSERT_THAT(Put(*store_, "fixed", {"fixed point"}), IsOk());
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  for (int reader = 0; reader < 3; ++reader) {
    readers.emplace_back([&, reader] {
      SearchMode mode = reader == 0 ? SearchMode::kDense : reader == 1 ? SearchMode::kLexical : SearchMode::kHybrid;
      int64_t last_commit = 0;
      while (!stop) {
        absl::StatusOr<SearchResult> result = store_->Search(MakeQuery(mode, "fixed point pair"), CallContext());
        ASSERT_TRUE(result.ok()) << result.status();
        EXPECT_GE(result->commit, last_commit);
        last_commit = result->commit;
        std::map<std::string, int> chunks_of;
        for (const SearchHit& hit : result->hits) ++chunks_of[hit.document.uri];
        EXPECT_EQ(chunks_of["fixed"], 1);
        if (chunks_of.count("pair") > 0) {
          EXPECT_EQ(chunks_of["pair"], 2);
        }
      }
    });
  }
  for (int i = 0; i < 60; ++i) {
    EXPECT_THAT(Put(*store_, "pair", {"pair one " + std::to_string(i), "pair two " + std::to_string(i)}), IsOk());
    if (i % 5 == 4) {
      EXPECT_THAT(store_->DeleteDocuments(kCollection, {DocumentId(kCollection, "pair")}), IsOk());
    }
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_THAT(store_->CheckIntegrity(), IsOk());
}

}  // namespace
}  // namespace lastro::retrieval::testing
