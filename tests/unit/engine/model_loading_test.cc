// Loading of weights and sentence-transformers files that do not fit the configuration.
#include <cstring>

#include "engine/decoder_model.h"
#include "engine/embedding_model.h"
#include "tests/unit/engine/model_test_util.h"

namespace lastro::engine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::kInvalid;
using testing::kUnimplemented;
using testing::StatusIs;

absl::Status LoadDecoder(const EditedModel& model) {
  auto runtime = NewRuntime();
  return DecoderModel::Load(model.path(), *runtime).status();
}
absl::Status LoadEncoder(const EditedModel& model) {
  auto runtime = NewRuntime();
  return EmbeddingModel::Load(model.path(), *runtime).status();
}

TEST(RuntimeTest, RefusesUnknownDevicesAndThreads) {
  RuntimeOptions options;
  for (const char* device : {"gpu", "cuda:", "cuda:-1", "cuda:1x", ""}) {
    options.device = device;
    EXPECT_THAT(Runtime::Create(options), StatusIs(kInvalid, HasSubstr("\"cuda:N\""))) << device;
  }
  options.device = "cpu";
  options.threads = -1;
  EXPECT_THAT(Runtime::Create(options), StatusIs(kInvalid, HasSubstr("threads = -1")));
}

TEST(RuntimeTest, TheCpuComputesNeitherFp16NorFp8) {
  RuntimeOptions options;
  options.device = "cpu";
  for (const auto& [type, name] : {std::pair(ComputeType::kFloat16, "fp16"), std::pair(ComputeType::kFloat8, "fp8")}) {
    options.compute_type = type;
    EXPECT_THAT(Runtime::Create(options),
                StatusIs(kInvalid, AllOf(HasSubstr(name), HasSubstr("use --compute-type auto"))));
  }
}

TEST(RuntimeTest, DescribesItself) {
  EXPECT_THAT(NewRuntime(ComputeType::kFloat32, 2)->Description(), HasSubstr("cpu, 2 threads, fp32"));
  EXPECT_NE(NewRuntime(ComputeType::kAuto)->compute_type(), ComputeType::kAuto);
}

TEST(ModelLoadingTest, NamesTensorExpectedAndFound) {
  EditedModel model("llama-gqa");
  model.Edit("config.json", "\"intermediate_size\": 56", "\"intermediate_size\": 57");
  EXPECT_THAT(LoadDecoder(model), StatusIs(kInvalid, AllOf(HasSubstr("model.layers.0.mlp.gate_proj.weight"),
                                                           HasSubstr("[57, 40]"), HasSubstr("[56, 40]"))));
}

TEST(ModelLoadingTest, NamesAMissingTensor) {
  EditedModel more_layers("llama-gqa");
  more_layers.Edit("config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
  EXPECT_THAT(LoadDecoder(more_layers),
              StatusIs(kInvalid, AllOf(HasSubstr("model.layers.2."), HasSubstr("is missing"))));
  EditedModel untied("llama-scaled-tied");
  untied.Edit("config.json", "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false");
  EXPECT_THAT(LoadDecoder(untied), StatusIs(kInvalid, HasSubstr("lm_head.weight")));
}

// A number that other readers size their tables by.
TEST(ModelLoadingTest, AGgufOfMoreLayersThanItHolds) {
  std::ifstream in(std::string(LASTRO_SOURCE_DIR) + "/tests/golden/gguf/llama.gguf", std::ios::binary);
  std::stringstream bytes;
  bytes << in.rdbuf();
  const std::string key = "llama.block_count";
  const size_t value = bytes.str().find(key) + key.size() + sizeof(uint32_t);  // behind the type
  ASSERT_LT(value, bytes.str().size());
  testing::TempFolder folder;
  for (uint32_t count : {513u, 1u << 20, 0x7fffffffu, 0xffffffffu}) {
    std::string file = bytes.str();
    std::memcpy(file.data() + value, &count, sizeof(count));
    std::ofstream(folder / "model.gguf", std::ios::binary) << file;
    auto runtime = NewRuntime();
    EXPECT_THAT(DecoderModel::Load(folder / "model.gguf", *runtime).status(),
                StatusIs(kInvalid, ::testing::AnyOf(HasSubstr("num_hidden_layers"), HasSubstr("is missing"))))
        << count;
  }
}

TEST(ModelLoadingTest, NamesUnexpectedTensors) {
  EditedModel fewer_layers("llama-gqa");
  fewer_layers.Edit("config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1");
  EXPECT_THAT(LoadDecoder(fewer_layers),
              StatusIs(kInvalid, AllOf(HasSubstr("does not expect"), HasSubstr("model.layers.1."))));
  EditedModel no_bias("llama-gqa");
  no_bias.Edit("config.json", "\"attention_bias\": true", "\"attention_bias\": false");
  EXPECT_THAT(LoadDecoder(no_bias), StatusIs(kInvalid, HasSubstr("q_proj.bias")));
}

TEST(ModelLoadingTest, RefusesIntegersAsWeights) {
  EditedModel model("llama-gqa");
  std::string bytes = model.Read("model.safetensors");
  size_t at = 0;
  while ((at = bytes.find("\"F32\"", at)) != std::string::npos) bytes.replace(at, 5, "\"I32\"");
  model.Write("model.safetensors", bytes);
  EXPECT_THAT(LoadDecoder(model), StatusIs(kInvalid, AllOf(HasSubstr("I32"), HasSubstr("F32, F16 or BF16"))));
}

TEST(ModelLoadingTest, EachKindRefusesTheOther) {
  EXPECT_THAT(LoadDecoder(EditedModel("bert-mean")), StatusIs(kInvalid, HasSubstr("does not generate text")));
  EXPECT_THAT(LoadEncoder(EditedModel("llama-gqa")), StatusIs(kInvalid, HasSubstr("no sentence encoder")));
}

TEST(ModelLoadingTest, MissingFilesAreNotFound) {
  auto runtime = NewRuntime();
  EXPECT_THAT(DecoderModel::Load("/nonexistent/model", *runtime), StatusIs(absl::StatusCode::kNotFound, ::testing::_));
  EditedModel model("bert-mean");
  std::filesystem::remove(model.path() + "/tokenizer.json");
  EXPECT_THAT(LoadEncoder(model), StatusIs(absl::StatusCode::kNotFound, HasSubstr("tokenizer.json")));
}

TEST(ModelLoadingTest, InfoSaysWhatWasLoaded) {
  auto runtime = NewRuntime();
  ASSERT_OK_AND_ASSIGN(auto decoder, DecoderModel::Load(TinyModel("llama-scaled-tied"), *runtime));
  const DecoderInfo& info = decoder->info();
  EXPECT_EQ(info.name, "llama-scaled-tied");
  EXPECT_EQ(info.architecture, "llama");
  EXPECT_EQ(info.vocab_size, 176);
  EXPECT_EQ(info.max_tokens, 512);
  EXPECT_EQ(info.weight_bytes, 4 * info.parameters);
  // 3 layers of q, k, v, o, gate, up, down and two norms; the embedding once though it is the head too; the last norm.
  EXPECT_EQ(info.parameters, 3 * (48 * 48 + 2 * 24 * 48 + 48 * 48 + 3 * 72 * 48 + 2 * 48) + 176 * 48 + 48);
  EXPECT_EQ(info.fingerprint.size(), 64u);
  ASSERT_OK_AND_ASSIGN(auto encoder, EmbeddingModel::Load(TinyModel("bert-mean"), *runtime));
  EXPECT_EQ(encoder->info().dimension, 36);
  EXPECT_EQ(encoder->info().max_tokens, 384);
  EXPECT_TRUE(encoder->info().normalized);
}

TEST(SentenceConfigTest, RefusesOtherPoolingAndModules) {
  EditedModel max("bert-mean");
  max.Edit("1_Pooling/config.json", "\"pooling_mode_mean_tokens\": true", "\"pooling_mode_mean_tokens\": false");
  max.Edit("1_Pooling/config.json", "\"pooling_mode_max_tokens\": false", "\"pooling_mode_max_tokens\": true");
  EXPECT_THAT(LoadEncoder(max), StatusIs(kUnimplemented, HasSubstr("pooling_mode_max_tokens")));
  EditedModel both("bert-mean");
  both.Edit("1_Pooling/config.json", "\"pooling_mode_cls_token\": false", "\"pooling_mode_cls_token\": true");
  EXPECT_THAT(LoadEncoder(both), StatusIs(kUnimplemented, HasSubstr("pooling")));
  EditedModel dense("bert-mean");
  dense.Edit("modules.json", "models.Normalize", "models.Dense");
  EXPECT_THAT(LoadEncoder(dense), StatusIs(kUnimplemented, HasSubstr("Dense")));
  EditedModel negative("bert-mean");
  negative.Edit("sentence_bert_config.json", "384", "-3");
  EXPECT_THAT(LoadEncoder(negative), StatusIs(kInvalid, HasSubstr("max_seq_length")));
}

TEST(SentenceConfigTest, FingerprintDependsOnPoolingAndLength) {
  auto fingerprint = [](const EditedModel& model) {
    auto runtime = NewRuntime();
    return (*EmbeddingModel::Load(model.path(), *runtime))->info().fingerprint;
  };
  EditedModel shorter("bert-mean"), cls("bert-mean");
  shorter.Edit("sentence_bert_config.json", "384", "100");
  cls.Edit("1_Pooling/config.json", "\"pooling_mode_mean_tokens\": true", "\"pooling_mode_mean_tokens\": false");
  cls.Edit("1_Pooling/config.json", "\"pooling_mode_cls_token\": false", "\"pooling_mode_cls_token\": true");
  const std::string base = fingerprint(EditedModel("bert-mean"));
  EXPECT_EQ(base, fingerprint(EditedModel("bert-mean")));  // the folder's name plays no part
  EXPECT_NE(base, fingerprint(shorter));
  EXPECT_NE(base, fingerprint(cls));
}

}  // namespace
}  // namespace lastro::engine
