// LoRA adapters against peft and transformers (export_lora.py): logits of whole prompts and of single tokens, several
// adapters at once, quantised bases, and folders that are refused.
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "engine/beam_search.h"
#include "engine/decoder_model.h"
#include "engine/generator.h"
#include "engine/lora.h"
#include "engine/quantize.h"
#include "tests/golden/golden_util.h"
#include "tests/test_util.h"
#include "tests/unit/engine/model_test_util.h"

namespace lastro::engine {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using testing::kUnimplemented;
using testing::StatusIs;

constexpr float kTolerance = 2e-4f;

std::string AdapterPath(const std::string& name) { return LASTRO_SOURCE_DIR "/tests/golden/lora/" + name; }

std::string BaseOf(const std::string& name) {
  auto document = JsonDocument::ParseFile(AdapterPath(name) + "/reference.json");
  EXPECT_THAT(document, IsOk());
  return *document->root().GetString("base", "");
}

// Of the prompt of `length` tokens: the ids, and the logits that are stored (each `stride`-th position).
struct Expected {
  std::vector<int32_t> ids;
  std::vector<float> logits;
  size_t stride;
};

Expected Read(const std::string& name, int length) {
  auto file = SafetensorsFile::Open(AdapterPath(name) + "/expected.safetensors");
  EXPECT_THAT(file, IsOk());
  const std::string suffix = "." + std::to_string(length);
  return {testing::ReadGolden(*file, "ids" + suffix).ints, testing::ReadGolden(*file, "logits" + suffix).floats,
          length == 129 ? size_t{4} : size_t{1}};
}

std::vector<float> LogitsOfAll(DecoderSession& session, absl::Span<const int32_t> ids) {
  std::vector<float> logits;
  EXPECT_THAT(session.Extend(ids, LogitsOf::kAll, CallContext(), &logits), IsOk());
  return logits;
}

// The largest difference at the stored positions.
float Difference(const Expected& expected, const std::vector<float>& logits) {
  const size_t vocab = logits.size() / expected.ids.size();
  float largest = 0;
  for (size_t row = 0; row * vocab < expected.logits.size(); ++row) {
    for (size_t i = 0; i < vocab; ++i) {
      const float difference = std::abs(expected.logits[row * vocab + i] - logits[row * expected.stride * vocab + i]);
      if (!(difference <= largest)) largest = difference;
    }
  }
  return largest;
}

class LoraGolden : public ::testing::TestWithParam<const char*> {};

TEST_P(LoraGolden, LogitsAreTheReferences) {
  auto runtime = NewRuntime();
  ASSERT_OK_AND_ASSIGN(auto model, DecoderModel::Load(TinyModel(BaseOf(GetParam())), *runtime));
  ASSERT_OK_AND_ASSIGN(auto adapter, model->LoadAdapter(AdapterPath(GetParam())));
  for (int length : {1, 17, 129}) {
    SCOPED_TRACE(length);
    const Expected expected = Read(GetParam(), length);
    ASSERT_OK_AND_ASSIGN(auto whole, model->NewSession(length, adapter.get()));
    EXPECT_LE(Difference(expected, LogitsOfAll(*whole, expected.ids)), kTolerance);
    ASSERT_OK_AND_ASSIGN(auto stepwise, model->NewSession(length, adapter.get()));
    std::vector<float> logits;
    for (int32_t id : expected.ids) {
      const std::vector<float> row = LogitsOfAll(*stepwise, {id});
      logits.insert(logits.end(), row.begin(), row.end());
    }
    EXPECT_LE(Difference(expected, logits), kTolerance);
    ASSERT_OK_AND_ASSIGN(auto plain, model->NewSession(length));
    EXPECT_GT(Difference(expected, LogitsOfAll(*plain, expected.ids)), 0.5f);  // the adapter changes much
  }
}

INSTANTIATE_TEST_SUITE_P(Adapters, LoraGolden,
                         ::testing::Values("llama-all", "llama-rs-patterns", "phi3-stacked", "neox-grouped",
                                           "gpt2-conv1d"),
                         [](const auto& info) { return testing::TestName(info.param); });

// Steps of sessions with one adapter, another one and none, in turn.
TEST(LoraTest, AdaptersDoNotMeet) {
  auto runtime = NewRuntime();
  ASSERT_OK_AND_ASSIGN(auto model, DecoderModel::Load(TinyModel("llama-gqa"), *runtime));
  ASSERT_OK_AND_ASSIGN(auto all, model->LoadAdapter(AdapterPath("llama-all")));
  ASSERT_OK_AND_ASSIGN(auto patterns, model->LoadAdapter(AdapterPath("llama-rs-patterns")));
  EXPECT_NE(all->fingerprint(), patterns->fingerprint());
  const std::vector<const LoraAdapter*> adapters = {all.get(), patterns.get(), nullptr};
  const std::vector<int32_t> ids = Read("llama-all", 17).ids;
  std::vector<std::vector<float>> alone, together(adapters.size());
  std::vector<std::unique_ptr<DecoderSession>> sessions;
  for (const LoraAdapter* adapter : adapters) {
    ASSERT_OK_AND_ASSIGN(auto session, model->NewSession(17, adapter));
    std::vector<float> rows;
    for (int32_t id : ids) {
      const std::vector<float> row = LogitsOfAll(*session, {id});
      rows.insert(rows.end(), row.begin(), row.end());
    }
    alone.push_back(rows);
    ASSERT_OK_AND_ASSIGN(sessions.emplace_back(), model->NewSession(17, adapter));
  }
  for (int32_t id : ids) {
    for (size_t i = 0; i < sessions.size(); ++i) {
      const std::vector<float> row = LogitsOfAll(*sessions[i], {id});
      together[i].insert(together[i].end(), row.begin(), row.end());
    }
  }
  EXPECT_EQ(together, alone);
  auto forked = sessions[0]->Fork();
  forked->Truncate(16);
  sessions[0]->Truncate(16);
  EXPECT_EQ(LogitsOfAll(*forked, {5}), LogitsOfAll(*sessions[0], {5}));  // a fork keeps its adapter
}

TEST(LoraTest, GenerationScoresAndBeamsUseIt) {
  auto runtime = NewRuntime();
  ASSERT_OK_AND_ASSIGN(auto model, DecoderModel::Load(TinyModel("llama-gqa"), *runtime));
  ASSERT_OK_AND_ASSIGN(auto adapter, model->LoadAdapter(AdapterPath("llama-all")));
  const std::vector<int32_t> prompt = Read("llama-all", 17).ids;
  GenerateOptions options;
  options.max_new_tokens = 6;
  options.ignore_eos = true;
  options.top_logprobs = 0;
  options.adapter = adapter.get();
  ASSERT_OK_AND_ASSIGN(GenerateResult adapted, Generate(*model, prompt, options, CallContext()));
  options.adapter = nullptr;
  ASSERT_OK_AND_ASSIGN(GenerateResult plain, Generate(*model, prompt, options, CallContext()));
  std::vector<int32_t> ids;
  double logprob = 0;
  bool differ = false;
  for (size_t i = 0; i < adapted.tokens.size(); ++i) {
    ids.push_back(adapted.tokens[i].id);
    logprob += adapted.tokens[i].logprob;
    differ |= adapted.tokens[i].id != plain.tokens[i].id;
  }
  EXPECT_TRUE(differ);
  ASSERT_OK_AND_ASSIGN(auto scored, ScoreContinuations(*model, prompt, {ids}, {adapter.get()}, CallContext()));
  EXPECT_NEAR(scored.scores[0].logprob, logprob, 1e-3);
  BeamOptions beams;
  beams.width = 1;
  beams.max_new_tokens = 6;
  beams.ignore_eos = true;
  beams.adapter = adapter.get();
  ASSERT_OK_AND_ASSIGN(auto found, BeamSearch(*model, prompt, beams, CallContext()));
  EXPECT_EQ(found[0].ids, ids);
}

// The same adapter beside quantised weights: as far from the reference as the weights are.
TEST(LoraTest, QuantisedBasesTakeAdapters) {
  auto runtime = NewRuntime();
  testing::TempFolder folder;
  const std::string gguf = folder / "base.gguf";
  ASSERT_THAT(QuantizeModel(TinyModel("llama-gqa"), gguf, {}, CallContext()), IsOk());
  ASSERT_OK_AND_ASSIGN(auto model, DecoderModel::Load(gguf, *runtime));
  ASSERT_OK_AND_ASSIGN(auto adapter, model->LoadAdapter(AdapterPath("llama-all")));
  const Expected expected = Read("llama-all", 17);
  ASSERT_OK_AND_ASSIGN(auto with, model->NewSession(17, adapter.get()));
  ASSERT_OK_AND_ASSIGN(auto without, model->NewSession(17));
  const float near = Difference(expected, LogitsOfAll(*with, expected.ids));
  EXPECT_LT(near, 0.3f);
  EXPECT_GT(Difference(expected, LogitsOfAll(*without, expected.ids)), 10 * near);
}

// A copy of an adapter whose files are edited.
class LoraRefusals : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::copy(AdapterPath("llama-all"), folder_.path(), std::filesystem::copy_options::recursive);
    model_ = *DecoderModel::Load(TinyModel("llama-gqa"), *runtime_);
  }
  absl::Status Load() { return model_->LoadAdapter(folder_.path()).status(); }
  // Loads with `from` in `file` replaced by `to`, of the same length in a binary file.
  absl::Status LoadEdited(const std::string& file, const std::string& from, const std::string& to) {
    const std::string path = folder_ / file;
    const std::string before = *ReadFile(path, 1 << 24);
    std::string text = before;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    EXPECT_THAT(WriteFileAtomically(path, text), IsOk());
    absl::Status status = Load();
    EXPECT_THAT(WriteFileAtomically(path, before), IsOk());
    return status;
  }
  absl::Status LoadConfig(const std::string& from, const std::string& to) {
    return LoadEdited("adapter_config.json", from, to);
  }
  absl::Status LoadTensors(const std::string& from, const std::string& to) {
    EXPECT_EQ(from.size(), to.size());
    return LoadEdited("adapter_model.safetensors", from, to);
  }

  testing::TempFolder folder_;
  std::unique_ptr<Runtime> runtime_ = NewRuntime();
  std::unique_ptr<DecoderModel> model_;
};

TEST_F(LoraRefusals, SettingsThatChangeTheMathematicsAreNamed) {
  ASSERT_THAT(Load(), IsOk());
  EXPECT_THAT(LoadConfig("\"LORA\"", "\"LOHA\""), StatusIs(kUnimplemented, HasSubstr("LOHA")));
  EXPECT_THAT(LoadConfig("\"use_dora\": false", "\"use_dora\": true"), StatusIs(kUnimplemented, HasSubstr("use_dora")));
  EXPECT_THAT(LoadConfig("\"lora_bias\": false", "\"lora_bias\": true"),
              StatusIs(kUnimplemented, HasSubstr("lora_bias")));
  EXPECT_THAT(LoadConfig("\"bias\": \"none\"", "\"bias\": \"all\""), StatusIs(kUnimplemented, HasSubstr("bias")));
  EXPECT_THAT(LoadConfig("\"modules_to_save\": null", "\"modules_to_save\": [\"lm_head\"]"),
              StatusIs(kUnimplemented, HasSubstr("modules_to_save")));
  EXPECT_THAT(LoadConfig("\"init_lora_weights\": true", "\"init_lora_weights\": \"pissa_niter_4\""),
              StatusIs(kUnimplemented, HasSubstr("init_lora_weights")));
  EXPECT_THAT(LoadConfig("\"rank_pattern\": {}", "\"rank_pattern\": {\"q_pro.*\": 4}"),
              StatusIs(kUnimplemented, HasSubstr("rank_pattern")));
  EXPECT_THAT(LoadConfig("\"revision\": null", "\"of_tomorrow\": 3"),
              StatusIs(kUnimplemented, HasSubstr("of_tomorrow")));
}

TEST_F(LoraRefusals, MalformedConfigurations) {
  EXPECT_THAT(LoadConfig("\"r\": 4", "\"r\": 0"), StatusIs(kInvalid, HasSubstr("from 1 to 4096")));
  EXPECT_THAT(LoadConfig("\"r\": 4", "\"r\": 1000000000000"), StatusIs(kInvalid, HasSubstr("from 1 to 4096")));
  EXPECT_THAT(LoadConfig("\"r\": 4", "\"r\": 5"), StatusIs(kInvalid, HasSubstr("expected shape [5, ")));
  EXPECT_THAT(LoadConfig("\"lora_alpha\": 8", "\"lora_alpha\": 1e300"), StatusIs(kInvalid, HasSubstr("lora_alpha")));
  EXPECT_THAT(LoadConfig("\"lora_alpha\": 8", "\"lora_alpha\": \"NaN\""), StatusIs(kInvalid, HasSubstr("lora_alpha")));
  EXPECT_THAT(LoadConfig("{", "["), StatusIs(kInvalid, HasSubstr("adapter_config.json")));
  std::filesystem::remove(folder_ / "adapter_config.json");
  EXPECT_THAT(Load(), StatusIs(absl::StatusCode::kNotFound, HasSubstr("adapter_config.json")));
}

TEST_F(LoraRefusals, TensorsThatDoNotFit) {
  EXPECT_THAT(LoadTensors("layers.0.self_attn.q_proj.lora_A", "layers.0.self_attn.x_proj.lora_A"),
              StatusIs(kInvalid, HasSubstr("q_proj has lora_B but no lora_A")));
  EXPECT_THAT(LoadTensors("layers.0.self_attn.q_proj.lora_A", "layers.9.self_attn.q_proj.lora_A"),
              StatusIs(kInvalid, HasSubstr("no lora_A")));
  // An adapter of another model.
  ASSERT_OK_AND_ASSIGN(auto other, DecoderModel::Load(TinyModel("mistral-window"), *runtime_));
  EXPECT_THAT(other->LoadAdapter(folder_.path()), StatusIs(kInvalid, HasSubstr("expected shape")));
  ASSERT_OK_AND_ASSIGN(auto gpt2, DecoderModel::Load(TinyModel("gpt2"), *runtime_));
  EXPECT_THAT(gpt2->LoadAdapter(folder_.path()), StatusIs(kInvalid, HasSubstr("Is it an adapter of this model?")));
  std::filesystem::remove(folder_ / "adapter_model.safetensors");
  EXPECT_THAT(Load(), StatusIs(absl::StatusCode::kNotFound, HasSubstr("adapter_model.safetensors")));
}

TEST_F(LoraRefusals, EncoderDecodersTakeNone) {
  ASSERT_OK_AND_ASSIGN(auto t5, LanguageModel::Load(TinyModel("t5-tied-relu"), *runtime_));
  EXPECT_THAT(t5->LoadAdapter(folder_.path()), StatusIs(kUnimplemented, HasSubstr("encoder and decoder")));
}

}  // namespace
}  // namespace lastro::engine
