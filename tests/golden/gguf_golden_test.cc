// GGUF files written by the reference implementation (export_gguf.py): the numbers of the same weights in safetensors,
// and the values of quantised blocks.
#include <cmath>
#include <cstring>

#include "engine/decoder_model.h"
#include "engine/embedding_model.h"
#include "engine/gguf_model.h"
#include "engine/safetensors.h"
#include "kernels/quant.h"
#include "tests/golden/golden_util.h"
#include "tests/test_util.h"
#include "tests/unit/engine/model_test_util.h"

namespace lastro::engine {
namespace {

std::string GgufGolden(const std::string& name) {
  return std::string(LASTRO_SOURCE_DIR) + "/tests/golden/gguf/" + name;
}

std::vector<float> AllLogits(const DecoderModel& model, const std::vector<int32_t>& ids) {
  std::vector<float> logits;
  auto session = model.NewSession(static_cast<int>(ids.size()));
  EXPECT_THAT(session, testing::IsOk());
  EXPECT_THAT((*session)->Extend(ids, LogitsOf::kAll, CallContext(), &logits), testing::IsOk());
  return logits;
}

// Rows of q and k in the format's order, frequencies divided by rope_freqs.weight, a tied head.
TEST(GgufGoldenTest, LlamaGivesTheReferenceLogits) {
  auto runtime = NewRuntime(ComputeType::kFloat32);
  ASSERT_OK_AND_ASSIGN(auto model, DecoderModel::Load(GgufGolden("llama.gguf"), *runtime));
  EXPECT_EQ(model->info().name, "llama");
  EXPECT_EQ(model->info().architecture, "llama");
  EXPECT_EQ(model->info().eos_ids, (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(model->info().bos_id, 0);
  const std::string folder = testing::GoldenPath("llama-scaled-tied");
  ASSERT_OK_AND_ASSIGN(auto expected, SafetensorsFile::Open(folder + "/expected.safetensors"));
  for (const auto& [length, stride] : {std::pair(17, 1), std::pair(300, 9)}) {
    const auto ids = testing::ReadGolden(expected, "ids." + std::to_string(length));
    const auto want = testing::ReadGolden(expected, "logits." + std::to_string(length));
    const std::vector<float> logits = AllLogits(*model, ids.ints);
    const int64_t vocab = want.shape[1];
    for (int64_t i = 0; i < static_cast<int64_t>(want.floats.size()); ++i) {
      const int64_t at = i / vocab * stride * vocab + i % vocab;
      ASSERT_NEAR(logits[static_cast<size_t>(at)], want.floats[static_cast<size_t>(i)], 1e-4) << i;
    }
  }
}

// Mixtures: the file's one tensor for all experts; Mixtral with rows of q and k in the format's order; gpt-oss with
// gate and up apart, MXFP4 blocks in the format's order, sinks and biases.
class GgufMixtures : public ::testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(GgufMixtures, GiveTheLogitsOfTheirFolder) {
  auto runtime = NewRuntime(ComputeType::kFloat32);
  ASSERT_OK_AND_ASSIGN(auto model, DecoderModel::Load(GgufGolden(GetParam().first), *runtime));
  const std::string folder = testing::GoldenPath(GetParam().second);
  ASSERT_OK_AND_ASSIGN(auto original, DecoderModel::Load(folder, *runtime));
  EXPECT_EQ(model->info().architecture, original->info().architecture);
  ASSERT_OK_AND_ASSIGN(auto expected, SafetensorsFile::Open(folder + "/expected.safetensors"));
  for (int length : {17, 300}) {
    const auto ids = testing::ReadGolden(expected, "ids." + std::to_string(length));
    const std::vector<float> got = AllLogits(*model, ids.ints), want = AllLogits(*original, ids.ints);
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], 1e-4) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Files, GgufMixtures,
                         ::testing::Values(std::pair("mixtral.gguf", "mixtral"),
                                           std::pair("qwen3-moe.gguf", "qwen3-moe"),
                                           std::pair("gpt-oss.gguf", "gpt-oss-mxfp4")),
                         [](const auto& info) { return testing::TestName(info.param.second); });

TEST(GgufGoldenTest, TokenizesAsTheFolderDoes) {
  auto runtime = NewRuntime(ComputeType::kFloat32);
  ASSERT_OK_AND_ASSIGN(auto model, DecoderModel::Load(GgufGolden("llama.gguf"), *runtime));
  ASSERT_OK_AND_ASSIGN(auto folder, DecoderModel::Load(testing::GoldenPath("llama-scaled-tied"), *runtime));
  const std::string text = "there in the \xC3\xA9nd";
  EXPECT_EQ(model->tokenizer().Encode(text), folder->tokenizer().Encode(text));
}

TEST(GgufGoldenTest, BertGivesTheReferenceVectors) {
  auto runtime = NewRuntime(ComputeType::kFloat32);
  ASSERT_OK_AND_ASSIGN(auto model, EmbeddingModel::Load(GgufGolden("bert.gguf"), *runtime));
  EXPECT_TRUE(model->info().normalized);
  const std::string folder = testing::GoldenPath("bert-mean");
  const std::vector<std::string> texts = testing::ReadTexts(folder + "/texts.json");
  ASSERT_OK_AND_ASSIGN(auto file, SafetensorsFile::Open(folder + "/expected.safetensors"));
  const auto want = testing::ReadGolden(file, "vectors");
  ASSERT_OK_AND_ASSIGN(std::vector<float> vectors, model->Embed(texts, false, CallContext()));
  ASSERT_EQ(vectors.size(), want.floats.size());
  for (size_t i = 0; i < vectors.size(); ++i) ASSERT_NEAR(vectors[i], want.floats[i], 5e-5) << i;
}

struct NamedType {
  const char* name;
  kernels::DataType type;
};
constexpr NamedType kTypes[] = {
    {"Q4_0", kernels::DataType::kQ4_0}, {"Q4_1", kernels::DataType::kQ4_1},  {"Q5_0", kernels::DataType::kQ5_0},
    {"Q5_1", kernels::DataType::kQ5_1}, {"Q8_0", kernels::DataType::kQ8_0},  {"Q2_K", kernels::DataType::kQ2_K},
    {"Q3_K", kernels::DataType::kQ3_K}, {"Q4_K", kernels::DataType::kQ4_K},  {"Q5_K", kernels::DataType::kQ5_K},
    {"Q6_K", kernels::DataType::kQ6_K}, {"MXFP4", kernels::DataType::kMXFP4}};

TEST(GgufGoldenTest, BlocksStandForTheReferenceValues) {
  ASSERT_OK_AND_ASSIGN(auto file, SafetensorsFile::Open(GgufGolden("blocks.safetensors")));
  for (const NamedType& named : kTypes) {
    SCOPED_TRACE(named.name);
    ASSERT_OK_AND_ASSIGN(const StoredTensor* blocks, file.Find(std::string(named.name) + ".blocks"));
    const auto want = testing::ReadGolden(file, std::string(named.name) + ".values");
    const int64_t count = static_cast<int64_t>(want.floats.size());
    ASSERT_EQ(static_cast<int64_t>(blocks->data.size()), kernels::RowBytes(named.type, count));
    for (const kernels::QuantKernels* quant : {&kernels::ReferenceQuantKernels(), &kernels::SimdQuantKernels()}) {
      std::vector<float> values(want.floats.size());
      quant->dequantize(blocks->data.data(), named.type, count, false, values.data());
      for (size_t i = 0; i < values.size(); ++i) {
        ASSERT_NEAR(values[i], want.floats[i], 2e-6 * (std::abs(want.floats[i]) + 8)) << i;
      }
    }
  }
}

}  // namespace
}  // namespace lastro::engine
