#include "engine/embedding_model.h"

#include <atomic>
#include <cmath>
#include <thread>

#include "engine/sequence_classifier.h"
#include "tests/unit/engine/model_test_util.h"

namespace lastro::engine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::StatusIs;

class EmbeddingModelTest : public ::testing::Test {
 protected:
  std::unique_ptr<Runtime> runtime_ = NewRuntime();
  std::unique_ptr<EmbeddingModel> model_ = *EmbeddingModel::Load(TinyModel("bert-mean"), *runtime_);
  const size_t dimension_ = 36;

  std::vector<float> One(const std::string& text) { return *model_->Embed({text}, false, CallContext()); }
  static std::string Words(int count) {
    std::string text;
    for (int i = 0; i < count; ++i) text += i % 3 == 0 ? "river " : "cat ";
    return text;
  }
};

TEST_F(EmbeddingModelTest, ManyTextsOfAllLengthsInOrder) {
  std::vector<std::string> texts;
  for (int i = 0; i < 120; ++i) texts.push_back(Words(i * 37 % 151));  // several batches, unsorted, the empty text too
  ASSERT_OK_AND_ASSIGN(std::vector<float> all, model_->Embed(texts, false, CallContext()));
  ASSERT_EQ(all.size(), texts.size() * dimension_);
  for (size_t i = 0; i < texts.size(); i += 7) {
    const std::vector<float> alone = One(texts[i]);
    for (size_t d = 0; d < dimension_; ++d) ASSERT_NEAR(all[i * dimension_ + d], alone[d], 1e-6) << i;
  }
}

// However texts divide among the cores, or do not: a text's vector is the same to the last bit.
TEST_F(EmbeddingModelTest, VectorsDoNotDependOnTheNumberOfThreads) {
  for (ComputeType compute : {ComputeType::kFloat32, ComputeType::kBFloat16}) {
    std::vector<std::unique_ptr<Runtime>> runtimes;
    std::vector<std::unique_ptr<EmbeddingModel>> models;
    for (int threads : {1, 2, 3}) {
      runtimes.push_back(NewRuntime(compute, threads));
      ASSERT_OK_AND_ASSIGN(auto model, EmbeddingModel::Load(TinyModel("bert-mean"), *runtimes.back()));
      models.push_back(std::move(model));
    }
    const std::vector<std::vector<int>> calls = {{40},        {40, 40},        {40, 40, 40},
                                                 {1, 2, 300}, {9, 9, 9, 9, 9}, {200, 200, 200, 200, 200, 200, 200}};
    for (const std::vector<int>& lengths : calls) {
      std::vector<std::string> texts;
      for (int length : lengths) texts.push_back(Words(length + static_cast<int>(texts.size())));
      ASSERT_OK_AND_ASSIGN(std::vector<float> want, models[0]->Embed(texts, false, CallContext()));
      for (size_t i = 1; i < models.size(); ++i) {
        ASSERT_OK_AND_ASSIGN(std::vector<float> got, models[i]->Embed(texts, false, CallContext()));
        EXPECT_EQ(got, want) << lengths.size() << " texts, " << i + 1 << " threads";
      }
    }
  }
}

// Nor on texts beside it that are so long that their attention goes another way; here one of the layers' does.
TEST(LongTexts, LeaveOthersAsTheyAre) {
  EditedModel folder("modernbert-labels");
  folder.Edit("config.json", "\"num_attention_heads\": 2", "\"num_attention_heads\": 1")
      .Edit("config.json", "\"max_position_embeddings\": 512", "\"max_position_embeddings\": 2048");
  const auto runtime = NewRuntime(ComputeType::kBFloat16, 1);
  ASSERT_OK_AND_ASSIGN(auto model, SequenceClassifier::Load(folder.path(), *runtime));
  auto words = [](int count) {
    std::string text;
    for (int i = 0; i < count; ++i) text += i % 3 == 0 ? "river " : "cat ";
    return text;
  };
  const std::vector<TextPair> texts = {{words(9), {}}, {words(40), {}}, {words(600), {}}};
  ASSERT_OK_AND_ASSIGN(const ClassifierScores together, model->Score(texts, false, CallContext()));
  const size_t labels = together.logits.size() / texts.size();
  for (size_t i = 0; i < texts.size(); ++i) {
    ASSERT_OK_AND_ASSIGN(const ClassifierScores alone, model->Score({texts[i]}, false, CallContext()));
    const auto first = together.logits.begin() + static_cast<ptrdiff_t>(i * labels);
    EXPECT_EQ(alone.logits, std::vector<float>(first, first + static_cast<ptrdiff_t>(labels))) << i;
  }
}

// A cancel is seen within a step, wherever in it, and leaves nothing behind.
TEST_F(EmbeddingModelTest, CancelledWhileCoresWorkOnTheirOwn) {
  const std::vector<std::string> texts(64, Words(60));
  ASSERT_OK_AND_ASSIGN(const std::vector<float> want, model_->Embed(texts, false, CallContext()));
  for (int polls : {1, 70, 75, 90}) {  // each text is looked at once before its tokens are
    std::atomic<int> left = polls;
    const CallContext context = CallContext::Until(absl::InfiniteFuture(), [&] { return --left < 0; });
    EXPECT_THAT(model_->Embed(texts, false, context), StatusIs(absl::StatusCode::kCancelled, ::testing::_)) << polls;
  }
  EXPECT_EQ(*model_->Embed(texts, false, CallContext()), want);
}

TEST_F(EmbeddingModelTest, NoTextsNoVectors) {
  ASSERT_OK_AND_ASSIGN(std::vector<float> none, model_->Embed({}, false, CallContext()));
  EXPECT_TRUE(none.empty());
}

TEST_F(EmbeddingModelTest, TooLongIsAnErrorUnlessTruncated) {
  // 384 tokens are allowed, two of them special.
  const std::string longest = Words(382), longer = Words(383);
  EXPECT_THAT(model_->Embed({longest}, false, CallContext()), testing::IsOk());
  EXPECT_THAT(model_->Embed({"a", longer}, false, CallContext()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("text 1"), HasSubstr("385 tokens"), HasSubstr("384"))));
  ASSERT_OK_AND_ASSIGN(std::vector<float> cut, model_->Embed({longer}, true, CallContext()));
  EXPECT_EQ(cut, One(longest));  // the end of the text goes, the closing [SEP] stays
}

TEST_F(EmbeddingModelTest, CancelledAndExpiredCalls) {
  CallContext cancelled;
  cancelled.Cancel();
  EXPECT_THAT(model_->Embed({"a"}, false, cancelled), StatusIs(absl::StatusCode::kCancelled, ::testing::_));
  EXPECT_THAT(model_->Embed({"a"}, false, CallContext::Until(absl::Now() - absl::Seconds(1))),
              StatusIs(absl::StatusCode::kDeadlineExceeded, ::testing::_));
}

TEST_F(EmbeddingModelTest, ManyThreadsGetTheirOwnVectors) {
  std::vector<std::vector<float>> want;
  for (int i = 0; i < 16; ++i) want.push_back(One(Words(i + 1)));
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 10; ++round) EXPECT_EQ(One(Words(i + 1)), want[static_cast<size_t>(i)]);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(EmbeddingModelTest, VectorsThatAreNotNumbersAreAnError) {
  EditedModel broken("bert-mean");
  std::string bytes = broken.Read("model.safetensors");
  for (size_t i = bytes.size() - 64; i < bytes.size(); ++i) bytes[i] = '\xFF';  // NaN
  broken.Write("model.safetensors", bytes);
  ASSERT_OK_AND_ASSIGN(auto model, EmbeddingModel::Load(broken.path(), *runtime_));
  EXPECT_THAT(model->Embed({"the cat"}, false, CallContext()),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("not finite")));
}

}  // namespace
}  // namespace lastro::engine
