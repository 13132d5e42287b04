// Encoder-decoder models against transformers (export_families.py): whole greedy generations, and the logits of each
// step.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "engine/decoder_model.h"
#include "engine/seq2seq_model.h"
#include "tests/golden/golden_util.h"
#include "tests/test_util.h"
#include "tests/unit/engine/model_test_util.h"

namespace lastro::engine {
namespace {

constexpr int kSources[] = {1, 17, 129};

struct Translation {
  std::vector<int32_t> source, target;  // the target begins with the start token
  std::vector<float> logits;            // [target - 1, vocab]
};

Translation ReadTranslation(const std::string& name, int length) {
  auto file = SafetensorsFile::Open(testing::GoldenPath(name) + "/expected.safetensors");
  EXPECT_THAT(file, testing::IsOk());
  const std::string suffix = "." + std::to_string(length);
  return {testing::ReadGolden(*file, "source" + suffix).ints, testing::ReadGolden(*file, "target" + suffix).ints,
          testing::ReadGolden(*file, "target_logits" + suffix).floats};
}

float LargestDifference(const float* a, const float* b, size_t count) {
  float largest = 0;
  for (size_t i = 0; i < count; ++i) {
    if (!(std::abs(a[i] - b[i]) <= largest)) largest = std::abs(a[i] - b[i]);
  }
  return largest;
}

// The logits of the whole target but its last token, in one Extend.
std::vector<float> TargetLogits(const Seq2SeqModel& model, const Translation& c) {
  auto session = model.NewSession(c.source, static_cast<int>(c.target.size()), CallContext());
  EXPECT_THAT(session, testing::IsOk());
  std::vector<float> logits;
  EXPECT_THAT((*session)->Extend(absl::MakeConstSpan(c.target).subspan(0, c.target.size() - 1), LogitsOf::kAll,
                                 CallContext(), &logits),
              testing::IsOk());
  return logits;
}

class Seq2SeqGolden : public ::testing::TestWithParam<std::string> {};

TEST_P(Seq2SeqGolden, GreedyGenerationsAreTheReferences) {
  auto runtime = NewRuntime();
  ASSERT_OK_AND_ASSIGN(auto model, Seq2SeqModel::Load(testing::GoldenPath(GetParam()), *runtime));
  const size_t vocab = static_cast<size_t>(model->info().vocab_size);
  for (int length : kSources) {
    SCOPED_TRACE(length);
    const Translation c = ReadTranslation(GetParam(), length);
    ASSERT_OK_AND_ASSIGN(auto session, model->NewSession(c.source, static_cast<int>(c.target.size()), CallContext()));
    std::vector<int32_t> target = {model->info().start_id};
    while (target.size() < c.target.size()) {
      std::vector<float> logits;
      ASSERT_THAT(session->Extend({target.back()}, LogitsOf::kLast, CallContext(), &logits), testing::IsOk());
      EXPECT_LE(LargestDifference(logits.data(), &c.logits[(target.size() - 1) * vocab], vocab), 2e-4f);
      target.push_back(static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
    }
    EXPECT_EQ(target, c.target);
  }
}

TEST_P(Seq2SeqGolden, WholeTargetsGiveTheSame) {
  auto runtime = NewRuntime();
  ASSERT_OK_AND_ASSIGN(auto model, Seq2SeqModel::Load(testing::GoldenPath(GetParam()), *runtime));
  for (int length : kSources) {
    const Translation c = ReadTranslation(GetParam(), length);
    const std::vector<float> logits = TargetLogits(*model, c);
    ASSERT_EQ(logits.size(), c.logits.size());
    EXPECT_LE(LargestDifference(logits.data(), c.logits.data(), logits.size()), 2e-4f) << length;
  }
}

TEST_P(Seq2SeqGolden, ChangedFactsShow) {
  auto runtime = NewRuntime();
  for (const auto& [from, to] : testing::Perturbations(GetParam())) {
    SCOPED_TRACE(from + " -> " + to);
    EditedModel changed(GetParam());
    changed.Edit("config.json", from, to);
    ASSERT_OK_AND_ASSIGN(auto model, Seq2SeqModel::Load(changed.path(), *runtime));
    const Translation c = ReadTranslation(GetParam(), 129);
    EXPECT_GT(LargestDifference(TargetLogits(*model, c).data(), c.logits.data(), c.logits.size()), 2e-3f);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Seq2SeqGolden, ::testing::ValuesIn(testing::GoldenFolders("target.17")),
                         [](const auto& info) { return testing::TestName(info.param); });

TEST(Seq2SeqModelTest, ChecksRequests) {
  using ::testing::HasSubstr;
  using testing::StatusIs;
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  auto runtime = NewRuntime();
  ASSERT_OK_AND_ASSIGN(auto model, Seq2SeqModel::Load(testing::GoldenPath("bart"), *runtime));
  EXPECT_THAT(model->NewSession({}, 5, CallContext()), StatusIs(kInvalid, HasSubstr("source of 0 tokens")));
  EXPECT_THAT(model->NewSession({3}, 141, CallContext()), StatusIs(kInvalid, HasSubstr("target of 141 tokens")));
  EXPECT_THAT(model->NewSession({72}, 5, CallContext()), StatusIs(kInvalid, HasSubstr("72")));
  EXPECT_THAT(model->NewSession(std::vector<int32_t>(141, 3), 5, CallContext()), StatusIs(kInvalid, HasSubstr("141")));
  EXPECT_THAT(Seq2SeqModel::Load(testing::GoldenPath("llama-gqa"), *runtime),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("supported: bart, t5")));
  EXPECT_THAT(DecoderModel::Load(testing::GoldenPath("bart"), *runtime),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("\"bart\" is not supported")));
}

}  // namespace
}  // namespace lastro::engine
