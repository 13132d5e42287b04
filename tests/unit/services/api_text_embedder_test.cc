#include "services/local/api_text_embedder.h"

#include <functional>

#include "tests/test_util.h"
#include "tests/unit/services/word_embedding.h"

namespace lastro::services {
namespace {

using lastro::testing::IsOk;
using lastro::testing::StatusIs;
using ::testing::HasSubstr;

// WordEmbedding whose answers a test may spoil.
class SpoiledEmbedding : public testing::WordEmbedding {
 public:
  int calls = 0;
  int max_texts_of_a_call = 0;
  std::function<void(v1::EmbedResponse*)> spoil_vectors = [](v1::EmbedResponse*) {};
  std::function<void(v1::TokenizeTextsResponse*)> spoil_tokens = [](v1::TokenizeTextsResponse*) {};

  absl::StatusOr<v1::EmbedResponse> Embed(const v1::EmbedRequest& request, const CallContext& context) override {
    ++calls;
    max_texts_of_a_call = std::max(max_texts_of_a_call, request.texts_size());
    absl::StatusOr<v1::EmbedResponse> response = WordEmbedding::Embed(request, context);
    if (response.ok()) spoil_vectors(&*response);
    return response;
  }
  absl::StatusOr<v1::TokenizeTextsResponse> Tokenize(const v1::TokenizeTextsRequest& request,
                                                     const CallContext& context) override {
    absl::StatusOr<v1::TokenizeTextsResponse> response = WordEmbedding::Tokenize(request, context);
    if (response.ok()) spoil_tokens(&*response);
    return response;
  }
};

class ApiTextEmbedderTest : public ::testing::Test {
 protected:
  SpoiledEmbedding api_;
  ApiTextEmbedder embedder_{&api_, v1::DOCUMENT};
  const CallContext context_;
};

TEST_F(ApiTextEmbedderTest, InfoIsAskedForOnce) {
  ASSERT_OK_AND_ASSIGN(retrieval::EmbedderInfo info, embedder_.Info(context_));
  EXPECT_EQ(info.model, "words");
  EXPECT_EQ(info.fingerprint, "words-1");
  EXPECT_EQ(info.dimension, testing::WordEmbedding::kDimension);
  EXPECT_EQ(info.max_tokens, testing::WordEmbedding::kMaxTokens);
  EXPECT_TRUE(info.normalized);
  ASSERT_THAT(embedder_.Info(context_), IsOk());
  EXPECT_EQ(api_.calls, 1);
}

TEST_F(ApiTextEmbedderTest, ManyTextsGoInSeveralCalls) {
  std::vector<std::string> texts;
  for (int i = 0; i < 150; ++i) texts.push_back("text " + std::to_string(i));
  ASSERT_OK_AND_ASSIGN(std::vector<float> vectors, embedder_.Embed(texts, context_));
  EXPECT_EQ(vectors.size(), 150u * testing::WordEmbedding::kDimension);
  EXPECT_GT(api_.calls, 1);
  EXPECT_LE(api_.max_texts_of_a_call, 1'024);
  ASSERT_OK_AND_ASSIGN(std::vector<float> last, embedder_.Embed({&texts.back(), 1}, context_));
  EXPECT_TRUE(std::equal(last.begin(), last.end(), vectors.end() - testing::WordEmbedding::kDimension));
}

TEST_F(ApiTextEmbedderTest, VectorsThatDoNotFitAreRefused) {
  const std::string text = "x";
  api_.spoil_vectors = [](v1::EmbedResponse* response) { response->mutable_vectors(0)->add_values(1); };
  EXPECT_THAT(embedder_.Embed({&text, 1}, context_), StatusIs(absl::StatusCode::kInternal, HasSubstr("65 values")));
  api_.spoil_vectors = [](v1::EmbedResponse* response) { response->clear_vectors(); };
  EXPECT_THAT(embedder_.Embed({&text, 1}, context_),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("a vector for each text")));
}

TEST_F(ApiTextEmbedderTest, TokensOfEachText) {
  const std::string texts[] = {"two words", "", "one"};
  ASSERT_OK_AND_ASSIGN(auto spans, embedder_.Tokenize(texts, context_));
  ASSERT_EQ(spans.size(), 3u);
  ASSERT_EQ(spans[0].size(), 2u);
  EXPECT_EQ(spans[0][1].begin, 4u);
  EXPECT_EQ(spans[0][1].end, 9u);
  EXPECT_TRUE(spans[1].empty());
}

TEST_F(ApiTextEmbedderTest, TokensOutsideOfTheTextAreRefused) {
  const std::string text = "two words";
  using Response = v1::TokenizeTextsResponse;
  const std::function<void(Response*)> spoilt[] = {
      [](Response* response) { response->mutable_texts(0)->set_ends(1, 10); },
      [](Response* response) { response->mutable_texts(0)->set_begins(1, 9'999); },
      [](Response* response) { response->mutable_texts(0)->set_ends(1, 2); },
      [](Response* response) { response->mutable_texts(0)->set_begins(0, 5); },
      [](Response* response) { response->mutable_texts(0)->add_ends(1); },
      [](Response* response) { response->clear_texts(); },
  };
  for (const auto& spoil : spoilt) {
    api_.spoil_tokens = spoil;
    EXPECT_THAT(embedder_.Tokenize({&text, 1}, context_),
                StatusIs(absl::StatusCode::kInternal, HasSubstr("the embedding service")));
  }
}

TEST_F(ApiTextEmbedderTest, ErrorsPassThrough) {
  CallContext cancelled;
  cancelled.Cancel();
  const std::string text = "x";
  EXPECT_THAT(embedder_.Embed({&text, 1}, cancelled), StatusIs(absl::StatusCode::kCancelled, ::testing::_));
  EXPECT_THAT(embedder_.Info(cancelled), StatusIs(absl::StatusCode::kCancelled, ::testing::_));
  EXPECT_THAT(embedder_.Info(context_), IsOk());  // a failure is not remembered
}

}  // namespace
}  // namespace lastro::services
