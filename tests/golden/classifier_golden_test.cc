// Scores of texts and pairs against transformers (export_families.py), for every folder of tests/golden/models that has
// them.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "engine/sequence_classifier.h"
#include "tests/golden/golden_util.h"
#include "tests/test_util.h"
#include "tests/unit/engine/model_test_util.h"

namespace lastro::engine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::StatusIs;

std::vector<TextPair> ReadPairs(const std::string& name) {
  std::vector<TextPair> pairs;
  auto document = JsonDocument::ParseFile(testing::GoldenPath(name) + "/pairs.json");
  EXPECT_THAT(document, testing::IsOk());
  if (!document.ok()) return pairs;
  const std::vector<JsonValue> items = *document->root().AsArray();
  for (const JsonValue& item : items) {
    const std::vector<JsonValue> texts = *item.AsArray();
    TextPair& pair = pairs.emplace_back(TextPair{std::string(*texts[0].AsString()), std::nullopt});
    if (!texts[1].is_null()) pair.second = std::string(*texts[1].AsString());
  }
  return pairs;
}

float LargestDifference(const std::vector<float>& a, const std::vector<float>& b) {
  float largest = a.size() == b.size() ? 0 : INFINITY;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

class ClassifierGolden : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    pairs_ = ReadPairs(GetParam());
    auto file = SafetensorsFile::Open(testing::GoldenPath(GetParam()) + "/expected.safetensors");
    ASSERT_THAT(file, testing::IsOk());
    expected_ = testing::ReadGolden(*file, "scores");
  }
  std::vector<TextPair> pairs_;
  testing::GoldenTensor expected_;
};

TEST_P(ClassifierGolden, Fp32MatchesReference) {
  auto runtime = NewRuntime(ComputeType::kFloat32);
  ASSERT_OK_AND_ASSIGN(auto model, SequenceClassifier::Load(testing::GoldenPath(GetParam()), *runtime));
  EXPECT_EQ(model->info().labels, expected_.shape[1]);
  ASSERT_OK_AND_ASSIGN(ClassifierScores scored, model->Score(pairs_, false, CallContext()));
  const std::vector<float>& scores = scored.logits;
  EXPECT_LE(LargestDifference(scores, expected_.floats), 5e-5f);
}

TEST_P(ClassifierGolden, ChangedFactsShow) {
  auto runtime = NewRuntime(ComputeType::kFloat32);
  for (const auto& [from, to] : testing::Perturbations(GetParam())) {
    SCOPED_TRACE(from + " -> " + to);
    EditedModel changed(GetParam());
    changed.Edit("config.json", from, to);
    ASSERT_OK_AND_ASSIGN(auto model, SequenceClassifier::Load(changed.path(), *runtime));
    ASSERT_OK_AND_ASSIGN(ClassifierScores scored, model->Score(pairs_, false, CallContext()));
    const std::vector<float>& scores = scored.logits;
    EXPECT_GT(LargestDifference(scores, expected_.floats), 1e-3f);
  }
}

TEST_P(ClassifierGolden, OtherTextsDiffer) {
  auto runtime = NewRuntime(ComputeType::kFloat32);
  ASSERT_OK_AND_ASSIGN(auto model, SequenceClassifier::Load(testing::GoldenPath(GetParam()), *runtime));
  std::swap(pairs_.back().first, *pairs_.back().second);
  ASSERT_OK_AND_ASSIGN(ClassifierScores scored, model->Score(pairs_, false, CallContext()));
  const std::vector<float>& scores = scored.logits;
  EXPECT_GT(LargestDifference(scores, expected_.floats), 1e-3f);
}

INSTANTIATE_TEST_SUITE_P(Models, ClassifierGolden, ::testing::ValuesIn(testing::GoldenFolders("scores")),
                         [](const auto& info) { return testing::TestName(info.param); });

TEST(SequenceClassifierTest, LongPairsAreCutOnlyWhenAsked) {
  auto runtime = NewRuntime();
  ASSERT_OK_AND_ASSIGN(auto model, SequenceClassifier::Load(testing::GoldenPath("bert-pairs"), *runtime));
  const int limit = model->info().max_tokens;
  std::string words;
  for (int i = 0; i < limit; ++i) words += "cat ";
  const std::vector<TextPair> pair = {{"river", words}};
  EXPECT_THAT(model->Score(pair, false, CallContext()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(std::to_string(limit + 4)), HasSubstr(std::to_string(limit)))));
  ASSERT_OK_AND_ASSIGN(ClassifierScores cut, model->Score(pair, true, CallContext()));
  EXPECT_EQ(cut.truncated, std::vector<int>{0});
  EXPECT_EQ(cut.tokens, model->info().max_tokens);
  std::string fitting;
  for (int i = 0; i < limit - 4; ++i) fitting += "cat ";
  ASSERT_OK_AND_ASSIGN(ClassifierScores whole, model->Score({{"river", fitting}}, false, CallContext()));
  EXPECT_EQ(cut.logits, whole.logits);
  EXPECT_TRUE(whole.truncated.empty());
  EXPECT_THAT(model->Score({{words, "river"}}, true, CallContext()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("takes at most")));
}

TEST(SequenceClassifierTest, RefusesModelsWithoutAHead) {
  auto runtime = NewRuntime();
  EXPECT_THAT(SequenceClassifier::Load(testing::GoldenPath("bert-mean"), *runtime),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no tensor classifier.weight")));
  EXPECT_THAT(SequenceClassifier::Load(testing::GoldenPath("llama-gqa"), *runtime),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("as a classifier")));
}

}  // namespace
}  // namespace lastro::engine
