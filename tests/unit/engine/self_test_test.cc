#include "engine/self_test.h"

#include "base/status_macros.h"
#include "tests/unit/engine/model_test_util.h"

namespace lastro::engine {
namespace {

using ::lastro::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

const std::vector<std::string> kTexts = {"the river", "a stone in the boat"};

class SelfTestTest : public ::testing::Test {
 protected:
  // Loads `model` and writes its self-test beside it.
  template <class Model>
  void Store(const EditedModel& model) {
    ASSERT_OK_AND_ASSIGN(auto loaded, Model::Load(model.path(), *runtime_));
    ASSERT_OK_AND_ASSIGN(std::string text, MakeSelfTest(*loaded, kTexts, "this test", CallContext()));
    model.Write("lastro_selftest.json", text);
  }
  template <class Model>
  absl::StatusOr<std::optional<SelfTestReport>> Check(const EditedModel& model) {
    LASTRO_ASSIGN_OR_RETURN(auto loaded, Model::Load(model.path(), *runtime_));
    return RunSelfTest(*loaded, SelfTestPath(model.path()), CallContext());
  }

  std::unique_ptr<Runtime> runtime_ = NewRuntime();
};

TEST_F(SelfTestTest, AModelWithoutOneHasNoReport) {
  ASSERT_OK_AND_ASSIGN(auto report, Check<EmbeddingModel>(EditedModel("bert-mean")));
  EXPECT_FALSE(report.has_value());
}

TEST_F(SelfTestTest, AModelGivesWhatItStored) {
  EditedModel encoder("bert-mean"), decoder("llama-gqa");
  Store<EmbeddingModel>(encoder);
  Store<DecoderModel>(decoder);
  ASSERT_OK_AND_ASSIGN(auto of_encoder, Check<EmbeddingModel>(encoder));
  ASSERT_OK_AND_ASSIGN(auto of_decoder, Check<DecoderModel>(decoder));
  EXPECT_EQ(of_encoder->cases, 2);
  EXPECT_GT(of_encoder->worst, 0.999999);
  EXPECT_EQ(of_encoder->source, "this test");
  EXPECT_EQ(of_decoder->cases, 2);
  EXPECT_LT(of_decoder->worst, 1e-4);
}

TEST_F(SelfTestTest, AReaderGivesWhatItStored) {
  EditedModel model("bert-reader");
  Store<Reader>(model);
  ASSERT_OK_AND_ASSIGN(auto report, Check<Reader>(model));
  EXPECT_EQ(report->cases, 2);
  EXPECT_LT(report->worst, 1e-4);
  model.Edit("config.json", "\"layer_norm_eps\": 1e-12", "\"layer_norm_eps\": 1.0");
  EXPECT_THAT(Check<Reader>(model), StatusIs(absl::StatusCode::kFailedPrecondition,
                                             AllOf(HasSubstr("lastro_selftest.json"), HasSubstr("results stored"))));
}

TEST_F(SelfTestTest, AnAnswerElsewhereIsCaught) {
  EditedModel model("bert-reader");
  Store<Reader>(model);
  model.Edit("lastro_selftest.json", "\"end\": ", "\"end\": 1");
  EXPECT_THAT(Check<Reader>(model),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("expected the answer at bytes")));
}

TEST_F(SelfTestTest, AnotherPoolingIsCaught) {
  EditedModel model("bert-mean");
  Store<EmbeddingModel>(model);
  model.Edit("1_Pooling/config.json", "\"pooling_mode_mean_tokens\": true", "\"pooling_mode_mean_tokens\": false")
      .Edit("1_Pooling/config.json", "\"pooling_mode_cls_token\": false", "\"pooling_mode_cls_token\": true");
  EXPECT_THAT(Check<EmbeddingModel>(model),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("lastro_selftest.json"), HasSubstr("cosine"), HasSubstr("0.999"))));
}

TEST_F(SelfTestTest, AnotherConfigurationIsCaught) {
  EditedModel model("llama-gqa");
  Store<DecoderModel>(model);
  std::string text = model.Read("lastro_selftest.json");
  model.Write("lastro_selftest.json", "{\"max_logprob_error\": 0.001, " + text.substr(1));
  model.Edit("config.json", "\"rope_theta\": 10000.0", "\"rope_theta\": 10.0");
  EXPECT_THAT(Check<DecoderModel>(model),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("log probability")));
}

TEST_F(SelfTestTest, AnotherTokenizerIsCaught) {
  EditedModel model("llama-gqa");
  Store<DecoderModel>(model);
  model.Edit("lastro_selftest.json", "\"ids\": [", "\"ids\": [1, ");
  EXPECT_THAT(Check<DecoderModel>(model), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("token ids")));
}

TEST_F(SelfTestTest, MalformedFilesAreErrors) {
  const std::string bad[] = {
      "",
      "[]",
      "{\"kind\": \"embedding\"}",
      "{\"kind\": \"embedding\", \"cases\": []}",
      "{\"kind\": \"decoder\", \"cases\": [{\"text\": \"the\", \"ids\": [1], \"logprobs\": []}]}",
      "{\"kind\": \"embedding\", \"cases\": [{\"vector\": [1]}]}",
      "{\"kind\": \"embedding\", \"min_cosine\": \"high\", \"cases\": [{\"text\": \"the\", \"vector\": [1]}]}",
      "{\"kind\": \"embedding\", \"cases\": [{\"text\": \"the\", \"vector\": [\"1\"]}]}",
  };
  for (const std::string& text : bad) {
    EditedModel model("bert-mean");
    model.Write("lastro_selftest.json", text);
    absl::Status status = Check<EmbeddingModel>(model).status();
    EXPECT_FALSE(status.ok()) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("lastro_selftest.json")) << text;
  }
}

TEST(SelfTestPathTest, FoldersAndFiles) {
  testing::TempFolder folder;
  EXPECT_EQ(SelfTestPath(folder.path()), folder / "lastro_selftest.json");
  EXPECT_EQ(SelfTestPath("/models/a.gguf"), "/models/a.gguf.selftest.json");
}

}  // namespace
}  // namespace lastro::engine
