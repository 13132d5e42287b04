// LocalRetrieval on a real store in a temporary folder.
#include <cmath>
#include <limits>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "retrieval/sqlite_store.h"
#include "services/local/local_services.h"
#include "tests/test_util.h"
#include "tests/unit/services/answer_fakes.h"
#include "tests/unit/services/word_embedding.h"

namespace lastro::services {
namespace {

using lastro::testing::IsOk;
using lastro::testing::kInvalid;
using lastro::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr auto kNotFound = absl::StatusCode::kNotFound;

// Likes texts with `favourite` best, and is sure of it.
class FakeReranker : public testing::FakeGeneration {
 public:
  std::string favourite;
  std::vector<std::string> texts;  // of the last call
  absl::StatusOr<v1::RerankResponse> Rerank(const v1::RerankRequest& request, const CallContext&) override {
    texts = {request.texts().begin(), request.texts().end()};
    v1::RerankResponse response;
    response.set_model("fake cross-encoder");
    for (const std::string& text : texts) {
      const double score = absl::StrContains(text, favourite) ? 2 : -2;
      response.add_scores(score);
      response.add_probabilities(1 / (1 + std::exp(-score)));
    }
    return response;
  }
};

class LocalRetrievalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(store_, retrieval::SqliteStore::Open({.folder = data_.path()}));
    ingest_ = MakeLocalIngest(store_.get(), &embedding_, {});
    retrieval_ = MakeLocalRetrieval(store_.get(), &embedding_, &generation_, /*rerank_by_default=*/false);
  }

  v1::Document Upload(const std::string& uri, const std::string& text) {
    v1::UploadRequest::Header header;
    header.set_uri(uri);
    absl::StatusOr<v1::UploadResponse> response = ingest_->Upload(header, text, context_);
    EXPECT_THAT(response, IsOk());
    return response.ok() ? response->document() : v1::Document();
  }

  absl::StatusOr<v1::GetSourceResponse> Source(const std::string& id, int64_t begin, int64_t end) {
    v1::GetSourceRequest request;
    request.set_document_id(id);
    request.mutable_range()->set_begin(begin);
    request.mutable_range()->set_end(end);
    return retrieval_->GetSource(request, context_);
  }

  lastro::testing::TempFolder data_;
  testing::WordEmbedding embedding_;
  FakeReranker generation_;
  std::unique_ptr<retrieval::SqliteStore> store_;
  std::unique_ptr<IngestApi> ingest_;
  std::unique_ptr<RetrievalApi> retrieval_;
  const CallContext context_;
};

TEST_F(LocalRetrievalTest, ChunksAreEmbeddedAsDocumentsAndQueriesAsQueries) {
  Upload("valve.txt", "the blue valve opens slowly\n");
  EXPECT_THAT(embedding_.TakeRoles(), ElementsAre(v1::DOCUMENT));
  v1::SearchRequest request;
  request.set_query("valve");
  ASSERT_THAT(retrieval_->Search(request, context_), IsOk());
  EXPECT_THAT(embedding_.TakeRoles(), ElementsAre(v1::QUERY));
}

// A question asked before costs no model, and nobody learns from that what another caller asked.
TEST_F(LocalRetrievalTest, AQueryIsEmbeddedOnceForEachScope) {
  Upload("valve.txt", "the blue valve opens slowly\n");
  embedding_.TakeRoles();
  Scope guest;
  guest.all_labels = false;
  v1::SearchRequest request;
  request.set_query("valve");
  for (const Scope& scope : {Scope(), guest}) {
    const CallContext context = context_.WithScope(scope);
    ASSERT_OK_AND_ASSIGN(v1::SearchResponse first, retrieval_->Search(request, context));
    EXPECT_THAT(embedding_.TakeRoles(), ElementsAre(v1::QUERY));
    ASSERT_OK_AND_ASSIGN(v1::SearchResponse again, retrieval_->Search(request, context));
    EXPECT_THAT(embedding_.TakeRoles(), ::testing::IsEmpty());
    EXPECT_EQ(again.hits(0).score(), first.hits(0).score());
  }
}

TEST_F(LocalRetrievalTest, SearchFindsByMeaningAndByWords) {
  Upload("valve.txt", "the blue valve opens slowly\n");
  Upload("wind.txt", "strong wind closes the harbour\n");
  for (v1::SearchRequest::Mode mode :
       {v1::SearchRequest::MODE_UNSPECIFIED, v1::SearchRequest::DENSE, v1::SearchRequest::LEXICAL}) {
    v1::SearchRequest request;
    request.set_query("strong wind");
    request.set_mode(mode);
    ASSERT_OK_AND_ASSIGN(v1::SearchResponse response, retrieval_->Search(request, context_));
    ASSERT_GT(response.hits_size(), 0) << mode;
    EXPECT_EQ(response.hits(0).document().uri(), "wind.txt") << mode;
    EXPECT_EQ(response.hits(0).chunk().vector_size(), 0);
    EXPECT_EQ(response.embedding_fingerprint(), mode == v1::SearchRequest::LEXICAL ? "" : "words-1");
    EXPECT_EQ(response.durations(response.durations_size() - 1).stage(), "search");
    EXPECT_GT(response.store_commit(), 0);
  }
}

std::vector<std::string> Uris(const v1::SearchResponse& response) {
  std::vector<std::string> uris;
  for (const v1::SearchHit& hit : response.hits()) uris.push_back(hit.document().uri());
  return uris;
}

TEST_F(LocalRetrievalTest, ACrossEncoderReordersWhenAskedTo) {
  Upload("valve.txt", "the blue valve opens slowly\n");
  Upload("wind.txt", "strong wind closes the harbour\n");
  Upload("gust.txt", "strong wind and gusts\n");
  generation_.favourite = "valve";
  v1::SearchRequest request;
  request.set_query("strong wind");
  request.set_limit(2);
  request.set_explain(true);
  ASSERT_OK_AND_ASSIGN(v1::SearchResponse plain, retrieval_->Search(request, context_));
  EXPECT_EQ(plain.hits(0).rerank_rank(), 0);
  EXPECT_EQ(plain.explanation().reranked(), 0);
  EXPECT_EQ(plain.explanation().lexical_query(), "\"strong\" OR \"wind\"");
  EXPECT_EQ(plain.explanation().lexical_candidates(), 2);
  EXPECT_EQ(plain.explanation().dense_candidates(), 3);

  request.set_rerank(true);
  request.set_rerank_weight(1);
  ASSERT_OK_AND_ASSIGN(v1::SearchResponse reranked, retrieval_->Search(request, context_));
  EXPECT_EQ(generation_.texts.size(), 3u);  // more than the two that are wanted
  EXPECT_EQ(Uris(reranked)[0], "valve.txt");
  EXPECT_EQ(reranked.hits(0).rerank_rank(), 1);
  EXPECT_EQ(reranked.hits(0).rerank_score(), 2);
  EXPECT_NEAR(reranked.hits(0).score(), 1 / (1 + std::exp(-2.0)), 1e-12);
  EXPECT_EQ(reranked.hits(0).fused_rank(), 3);
  EXPECT_EQ(Uris(reranked)[1], Uris(plain)[0]);  // equals stay in their order
  EXPECT_EQ(reranked.explanation().reranked(), 3);
  EXPECT_EQ(reranked.explanation().reranker(), "fake cross-encoder");

  auto by_default = MakeLocalRetrieval(store_.get(), &embedding_, &generation_, /*rerank_by_default=*/true);
  request.clear_rerank();
  ASSERT_OK_AND_ASSIGN(reranked, by_default->Search(request, context_));
  EXPECT_EQ(Uris(reranked)[0], "valve.txt");
  request.set_rerank(false);
  ASSERT_OK_AND_ASSIGN(reranked, by_default->Search(request, context_));
  EXPECT_EQ(Uris(reranked), Uris(plain));
  request.set_rerank_weight(1.5);
  EXPECT_THAT(by_default->Search(request, context_), StatusIs(kInvalid, HasSubstr("rerank_weight is 1.5")));
  request.set_rerank_candidates(1'001);
  EXPECT_THAT(by_default->Search(request, context_), StatusIs(kInvalid, HasSubstr("rerank_candidates is 1001")));
}

TEST_F(LocalRetrievalTest, TheSearchAndTheCrossEncoderDecideTogether) {
  Upload("valve.txt", "the blue valve opens slowly\n");
  Upload("wind.txt", "strong wind closes the harbour\n");
  Upload("gust.txt", "strong wind and gusts\n");
  generation_.favourite = "valve";
  const double likes = 1 / (1 + std::exp(-2.0));
  for (std::optional<double> weight : {std::optional<double>(), std::optional(0.0), std::optional(0.5)}) {
    v1::SearchRequest request;
    request.set_query("strong wind");
    request.set_rerank(true);
    if (weight) request.set_rerank_weight(*weight);
    ASSERT_OK_AND_ASSIGN(v1::SearchResponse response, retrieval_->Search(request, context_));
    ASSERT_EQ(response.hits_size(), 3);
    double before = 2;
    for (const v1::SearchHit& hit : response.hits()) {
      const bool favourite = hit.document().uri() == "valve.txt";
      const double w = weight.value_or(0.3);
      EXPECT_NEAR(hit.score(), w * (favourite ? likes : 1 - likes) + (1 - w) * hit.fused_score(), 1e-12);
      EXPECT_EQ(hit.rerank_rank() == 1, favourite) << "a rank by the cross-encoder alone";
      EXPECT_LE(hit.score(), before);
      before = hit.score();
    }
    if (weight == 0.0) {
      EXPECT_EQ(response.hits(2).document().uri(), "valve.txt");
    }
  }
}

TEST_F(LocalRetrievalTest, UnlikeHitsFirstWithMmr) {
  Upload("a.txt", "strong wind closes the harbour\n");
  Upload("b.txt", "strong wind closes the harbour again\n");
  Upload("c.txt", "strong doors\n");
  v1::SearchRequest request;
  request.set_query("strong wind harbour");
  request.set_limit(2);
  ASSERT_OK_AND_ASSIGN(v1::SearchResponse plain, retrieval_->Search(request, context_));
  EXPECT_THAT(Uris(plain), ElementsAre("a.txt", "b.txt"));
  request.set_mmr_lambda(0.3);
  ASSERT_OK_AND_ASSIGN(v1::SearchResponse unlike, retrieval_->Search(request, context_));
  EXPECT_THAT(Uris(unlike), ElementsAre("a.txt", "c.txt"));
  EXPECT_EQ(unlike.hits(0).chunk().vector_size(), 0);
  request.set_mmr_lambda(1.5);
  EXPECT_THAT(retrieval_->Search(request, context_), StatusIs(kInvalid, HasSubstr("mmr_lambda is 1.5")));
}

TEST_F(LocalRetrievalTest, SearchErrors) {
  v1::SearchRequest request;
  request.set_query("wind");
  EXPECT_THAT(retrieval_->Search(request, context_), StatusIs(kNotFound, HasSubstr("default")));
  Upload("a.txt", "wind\n");
  request.clear_query();
  EXPECT_THAT(retrieval_->Search(request, context_), StatusIs(kInvalid, HasSubstr("query is empty")));
  request.set_query("wind");
  CallContext cancelled;
  cancelled.Cancel();
  EXPECT_THAT(retrieval_->Search(request, cancelled), StatusIs(absl::StatusCode::kCancelled, ::testing::_));
  ASSERT_THAT(store_->CreateCollection({"other", "another", "another-1", 64, absl::Now(), 0, 0}), IsOk());
  request.set_collection("other");
  EXPECT_THAT(retrieval_->Search(request, context_), StatusIs(absl::StatusCode::kFailedPrecondition, ::testing::_));
}

TEST_F(LocalRetrievalTest, ADocumentByIdOrUri) {
  v1::Document uploaded = Upload("a.txt", "wind\n");
  v1::GetDocumentRequest request;
  EXPECT_THAT(retrieval_->GetDocument(request, context_), StatusIs(kInvalid, HasSubstr("one of document_id and uri")));
  request.set_uri("a.txt");
  ASSERT_OK_AND_ASSIGN(v1::Document by_uri, retrieval_->GetDocument(request, context_));
  EXPECT_EQ(by_uri.id(), uploaded.id());
  request.set_document_id(uploaded.id());
  EXPECT_THAT(retrieval_->GetDocument(request, context_), StatusIs(kInvalid, HasSubstr("one of document_id and uri")));
  request.clear_uri();
  ASSERT_OK_AND_ASSIGN(v1::Document by_id, retrieval_->GetDocument(request, context_));
  EXPECT_EQ(by_id.uri(), "a.txt");
  request.set_document_id("nope");
  EXPECT_THAT(retrieval_->GetDocument(request, context_), StatusIs(kNotFound, ::testing::_));
}

TEST_F(LocalRetrievalTest, DocumentsInPages) {
  for (const char* uri : {"c.txt", "a.txt", "b.txt"}) Upload(uri, absl::StrCat("text of ", uri, "\n"));
  v1::ListDocumentsRequest request;
  request.set_page_size(2);
  std::vector<std::string> uris;
  do {
    ASSERT_OK_AND_ASSIGN(v1::ListDocumentsResponse page, retrieval_->ListDocuments(request, context_));
    EXPECT_LE(page.documents_size(), 2);
    for (const v1::Document& document : page.documents()) uris.push_back(document.uri());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(uris, ElementsAre("a.txt", "b.txt", "c.txt"));
  request.set_page_token("not a token");
  EXPECT_THAT(retrieval_->ListDocuments(request, context_), StatusIs(kInvalid, ::testing::_));
  request.clear_page_token();
  request.set_page_size(1'001);
  EXPECT_THAT(retrieval_->ListDocuments(request, context_), StatusIs(kInvalid, HasSubstr("page_size is 1001")));
}

TEST_F(LocalRetrievalTest, ChunksWithVectorsOnlyWhenAskedFor) {
  v1::Document document = Upload("a.txt", "The valve is blue.\n");
  v1::ListChunksRequest request;
  request.set_document_id(document.id());
  ASSERT_OK_AND_ASSIGN(v1::ListChunksResponse plain, retrieval_->ListChunks(request, context_));
  ASSERT_EQ(plain.chunks_size(), 1);
  EXPECT_EQ(plain.chunks(0).vector_size(), 0);
  request.set_include_vectors(true);
  ASSERT_OK_AND_ASSIGN(v1::ListChunksResponse full, retrieval_->ListChunks(request, context_));
  EXPECT_EQ(full.chunks(0).vector_size(), testing::WordEmbedding::kDimension);
  request.set_document_id("nope");
  EXPECT_THAT(retrieval_->ListChunks(request, context_), StatusIs(kNotFound, ::testing::_));
}

TEST_F(LocalRetrievalTest, SourceBytes) {
  const std::string text = "The valve is blue.\n";
  v1::Document document = Upload("a.txt", text);
  v1::GetSourceRequest whole;
  whole.set_document_id(document.id());
  ASSERT_OK_AND_ASSIGN(v1::GetSourceResponse all, retrieval_->GetSource(whole, context_));
  EXPECT_EQ(all.content(), text);
  EXPECT_EQ(all.source_sha256(), Sha256Hex(text));
  EXPECT_EQ(all.total_bytes(), static_cast<int64_t>(text.size()));
  ASSERT_OK_AND_ASSIGN(v1::GetSourceResponse piece, Source(document.id(), 4, 9));
  EXPECT_EQ(piece.content(), "valve");
  EXPECT_EQ(piece.range().begin(), 4);
  EXPECT_EQ(piece.range().end(), 9);
  ASSERT_OK_AND_ASSIGN(piece, Source(document.id(), 13, 1'000));  // clipped to what is there
  EXPECT_EQ(piece.content(), "blue.\n");
  EXPECT_EQ(piece.range().end(), static_cast<int64_t>(text.size()));
}

TEST_F(LocalRetrievalTest, LargeSourcesComeInPieces) {
  std::string text;
  while (text.size() < (5u << 20)) absl::StrAppend(&text, "Line ", text.size(), " of a long text.\n\n");
  v1::Document document = Upload("large.txt", text);
  std::string joined;
  while (joined.size() < text.size()) {
    ASSERT_OK_AND_ASSIGN(v1::GetSourceResponse piece, Source(document.id(), static_cast<int64_t>(joined.size()),
                                                             std::numeric_limits<int64_t>::max()));
    ASSERT_FALSE(piece.content().empty());
    ASSERT_LE(piece.content().size(), 2u << 20);
    EXPECT_EQ(piece.total_bytes(), static_cast<int64_t>(text.size()));
    joined += piece.content();
  }
  EXPECT_TRUE(joined == text);
}

TEST_F(LocalRetrievalTest, SourceErrors) {
  v1::Document document = Upload("a.txt", "wind\n");
  EXPECT_THAT(Source(document.id(), 3, 2), StatusIs(kInvalid, HasSubstr("range is 3 to 2")));
  EXPECT_THAT(Source(document.id(), -1, 2), StatusIs(kInvalid, HasSubstr("range is -1 to 2")));
  EXPECT_THAT(Source(document.id(), 1'000, 2'000), StatusIs(kInvalid, ::testing::_));
  EXPECT_THAT(Source("nope", 0, 2), StatusIs(kNotFound, ::testing::_));
}

TEST_F(LocalRetrievalTest, DeletedDocumentsAreGone) {
  v1::Document document = Upload("a.txt", "wind\n");
  v1::DeleteDocumentsRequest request;
  request.add_document_ids(document.id());
  request.add_document_ids("nope");
  ASSERT_OK_AND_ASSIGN(v1::DeleteDocumentsResponse response, retrieval_->DeleteDocuments(request, context_));
  EXPECT_EQ(response.deleted(), 1);
  EXPECT_THAT(Source(document.id(), 0, 1), StatusIs(kNotFound, ::testing::_));
  for (int i = 0; i < 10'000; ++i) request.add_document_ids("x");
  EXPECT_THAT(retrieval_->DeleteDocuments(request, context_),
              StatusIs(kInvalid, HasSubstr("10002 entries; the limit is 10000")));
}

TEST_F(LocalRetrievalTest, Collections) {
  EXPECT_THAT(retrieval_->GetCollection(v1::GetCollectionRequest(), context_),
              StatusIs(kNotFound, HasSubstr("default")));
  Upload("a.txt", "wind\n");
  ASSERT_OK_AND_ASSIGN(v1::Collection collection, retrieval_->GetCollection(v1::GetCollectionRequest(), context_));
  EXPECT_EQ(collection.name(), "default");
  EXPECT_EQ(collection.embedding_fingerprint(), "words-1");
  EXPECT_EQ(collection.documents(), 1);
  ASSERT_OK_AND_ASSIGN(v1::ListCollectionsResponse list,
                       retrieval_->ListCollections(v1::ListCollectionsRequest(), context_));
  EXPECT_EQ(list.collections_size(), 1);
  EXPECT_THAT(retrieval_->DeleteCollection(v1::DeleteCollectionRequest(), context_), IsOk());
  EXPECT_THAT(retrieval_->DeleteCollection(v1::DeleteCollectionRequest(), context_), StatusIs(kNotFound, ::testing::_));
}

}  // namespace
}  // namespace lastro::services
