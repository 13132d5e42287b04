// Beam search against transformers' generate(num_beams) (tests/golden/export_models.py): the same texts in the same
// order.
#include <cmath>
#include <string>
#include <vector>

#include "base/json.h"
#include "engine/beam_search.h"
#include "engine/decoder_model.h"
#include "engine/runtime.h"
#include "tests/golden/golden_util.h"
#include "tests/test_util.h"
#include "tests/unit/engine/model_test_util.h"

namespace lastro::engine {
namespace {

std::vector<int32_t> Ids(const JsonValue& list) {
  std::vector<int32_t> ids;
  const std::vector<JsonValue> items = *list.AsArray();
  for (const JsonValue& item : items) ids.push_back(static_cast<int32_t>(*item.AsInt()));
  return ids;
}

BeamOptions OptionsOf(const JsonValue& test) {
  BeamOptions options;
  options.width = static_cast<int>(*test.GetInt("width", 0));
  options.results = options.width;
  options.length_penalty = static_cast<float>(*test.GetDouble("length_penalty", 0));
  options.max_new_tokens = static_cast<int>(*test.GetInt("max_new_tokens", 0));
  const std::string early = *test.GetString("early_stopping", "");
  options.early_stopping = early == "true"    ? EarlyStopping::kAlways
                           : early == "never" ? EarlyStopping::kNever
                                              : EarlyStopping::kHeuristic;
  options.stop_ids = Ids(*test.Get("ends"));
  options.ignore_eos = true;
  return options;
}

class BeamSearchGolden : public ::testing::TestWithParam<const char*> {};

TEST_P(BeamSearchGolden, FindsWhatTheReferenceFinds) {
  const std::string folder = testing::GoldenPath(GetParam());
  auto runtime = NewRuntime(ComputeType::kFloat32, 1);
  ASSERT_OK_AND_ASSIGN(auto model, DecoderModel::Load(folder, *runtime));
  ASSERT_OK_AND_ASSIGN(JsonDocument document, JsonDocument::ParseFile(folder + "/beams.json"));
  const std::vector<JsonValue> cases = *document.root().AsArray();
  ASSERT_GE(cases.size(), 10u);
  int ended = 0;
  for (const JsonValue& test : cases) {
    SCOPED_TRACE(test.path());
    ASSERT_OK_AND_ASSIGN(auto results, BeamSearch(*model, Ids(*test.Get("prompt")), OptionsOf(test), CallContext()));
    const std::vector<JsonValue> ids = *test.Get("ids")->AsArray(), scores = *test.Get("scores")->AsArray();
    ASSERT_EQ(results.size(), ids.size());
    for (size_t i = 0; i < results.size(); ++i) {
      EXPECT_EQ(results[i].ids, Ids(ids[i])) << i;
      const double score = scores.empty() ? results[i].score : *scores[i].AsDouble();
      EXPECT_NEAR(results[i].score, score, 2e-4 * (1 + std::abs(score)));
      ended += results[i].finish == FinishReason::kEndOfText ? 1 : 0;
    }
  }
  EXPECT_GT(ended, 3);  // both ways to end were met
}

TEST(BeamSearchTest, RefusesBadOptions) {
  auto runtime = NewRuntime();
  auto model = *DecoderModel::Load(testing::GoldenPath("llama-gqa"), *runtime);
  auto status = [&](auto edit) {
    BeamOptions options;
    edit(options);
    return BeamSearch(*model, {5}, options, CallContext()).status();
  };
  using testing::StatusIs;
  const auto invalid = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(status([](auto& o) { o.width = 0; }), StatusIs(invalid, ::testing::HasSubstr("width")));
  EXPECT_THAT(status([](auto& o) { o.results = 5; }), StatusIs(invalid, ::testing::HasSubstr("results")));
  EXPECT_THAT(status([](auto& o) { o.length_penalty = NAN; }),
              StatusIs(invalid, ::testing::HasSubstr("length_penalty")));
  EXPECT_THAT(status([](auto& o) { o.max_new_tokens = 512; }), StatusIs(invalid, ::testing::HasSubstr("exceed")));
  EXPECT_THAT(BeamSearch(*model, {}, {}, CallContext()), StatusIs(invalid, ::testing::HasSubstr("empty")));
}

INSTANTIATE_TEST_SUITE_P(Llama, BeamSearchGolden, ::testing::Values("llama-gqa", "llama-scaled-tied"),
                         [](const auto& info) { return info.param[6] == 'g' ? "gqa" : "scaled_tied"; });

}  // namespace
}  // namespace lastro::engine
