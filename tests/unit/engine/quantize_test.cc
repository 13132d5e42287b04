// Writing GGUF files: the same model comes back, quantised products equal those of the dequantised weights, and what
// the format cannot say is refused.
#include "engine/quantize.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#include "base/file.h"
#include "engine/decoder_model.h"
#include "engine/embedding_model.h"
#include "engine/gguf_model.h"
#include "engine/hf_folder.h"
#include "engine/perplexity.h"
#include "tests/unit/engine/model_test_util.h"

namespace lastro::engine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using testing::kUnimplemented;
using testing::StatusIs;
using testing::TempFolder;

absl::StatusOr<QuantizeSummary> Quantize(const std::string& in, const std::string& out, const std::string& type) {
  QuantizeOptions options;
  options.type = type;
  options.threads = 2;
  return QuantizeModel(in, out, options, CallContext());
}

std::vector<float> Logits(const std::string& path, const std::vector<int32_t>& ids, size_t piece) {
  auto runtime = NewRuntime();
  auto model = DecoderModel::Load(path, *runtime);
  EXPECT_THAT(model, IsOk());
  if (!model.ok()) return {};
  auto session = (*model)->NewSession(static_cast<int>(ids.size()));
  EXPECT_THAT(session, IsOk());
  std::vector<float> all, logits;
  for (size_t begin = 0; begin < ids.size(); begin += piece) {
    const auto part = absl::MakeConstSpan(ids).subspan(begin, piece);
    EXPECT_THAT((*session)->Extend(part, LogitsOf::kAll, CallContext(), &logits), IsOk());
    all.insert(all.end(), logits.begin(), logits.end());
  }
  return all;
}

std::vector<int32_t> SomeIds(int count) {
  std::vector<int32_t> ids;
  for (int i = 0; i < count; ++i) ids.push_back(3 + (i * 37 + i * i) % 60);
  return ids;
}

double LargestDifference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = a.empty() ? INFINITY : 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (!(std::abs(a[i] - b[i]) <= largest)) largest = std::abs(a[i] - b[i]);
  }
  return largest;
}

// A Llama of two layers whose rows are whole blocks of 256, with random weights.
class RandomLlama {
 public:
  explicit RandomLlama(bool tied = false) {
    std::filesystem::copy(TinyModel("llama-gqa"), folder_.path(), std::filesystem::copy_options::recursive);
    WriteConfig(tied);
    Add("model.embed_tokens.weight", {176, 256}, tied ? 0.06f : 1.0f);
    if (!tied) Add("lm_head.weight", {176, 256}, 0.06f);
    Add("model.norm.weight", {256}, 1.0f);
    for (int layer = 0; layer < 2; ++layer) AddLayer("model.layers." + std::to_string(layer) + ".");
    WriteWeights();
  }
  const std::string& path() const { return folder_.path(); }

 private:
  void WriteConfig(bool tied) {
    std::ofstream(folder_ / "config.json")
        << R"({"model_type": "llama", "vocab_size": 176, "hidden_size": 256, "num_hidden_layers": 2,)"
        << R"("num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 512, "rms_norm_eps": 1e-5,)"
        << R"("max_position_embeddings": 512, "bos_token_id": 0, "eos_token_id": [1, 2], "tie_word_embeddings": )"
        << (tied ? "true}" : "false}");
  }
  void AddLayer(const std::string& prefix) {
    Add(prefix + "input_layernorm.weight", {256}, 1.0f);
    Add(prefix + "post_attention_layernorm.weight", {256}, 1.0f);
    Add(prefix + "self_attn.q_proj.weight", {256, 256}, 0.08f);
    Add(prefix + "self_attn.k_proj.weight", {128, 256}, 0.08f);
    Add(prefix + "self_attn.v_proj.weight", {128, 256}, 0.08f);
    Add(prefix + "self_attn.o_proj.weight", {256, 256}, 0.08f);
    Add(prefix + "mlp.gate_proj.weight", {512, 256}, 0.08f);
    Add(prefix + "mlp.up_proj.weight", {512, 256}, 0.08f);
    Add(prefix + "mlp.down_proj.weight", {256, 512}, 0.06f);
  }
  void Add(const std::string& name, const std::vector<int>& shape, float scale) {
    size_t count = 1;
    for (int extent : shape) count *= static_cast<size_t>(extent);
    const size_t begin = data_.size();
    for (size_t i = 0; i < count; ++i) {
      const float value = shape.size() == 1 ? 1.0f + 0.1f * normal_(random_) : scale * normal_(random_);
      data_.append(reinterpret_cast<const char*>(&value), sizeof(value));
    }
    header_ += (header_.empty() ? "\"" : ", \"") + name + R"(": {"dtype": "F32", "shape": [)" +
               std::to_string(shape[0]) + (shape.size() > 1 ? ", " + std::to_string(shape[1]) : "") +
               R"(], "data_offsets": [)" + std::to_string(begin) + ", " + std::to_string(data_.size()) + "]}";
  }
  void WriteWeights() {
    const std::string header = "{" + header_ + "}";
    std::string file(8, '\0');
    const uint64_t length = header.size();
    std::memcpy(file.data(), &length, 8);
    std::ofstream(folder_ / "model.safetensors", std::ios::binary) << file << header << data_;
  }

  TempFolder folder_;
  std::mt19937_64 random_{9};
  std::normal_distribution<float> normal_;
  std::string header_, data_;
};

class SameModelTest : public ::testing::TestWithParam<const char*> {};

// The whole way through the format and back, with every change of layout it asks for.
TEST_P(SameModelTest, F32GivesTheSameLogits) {
  TempFolder folder;
  const std::string file = folder / "m.gguf";
  ASSERT_THAT(Quantize(TinyModel(GetParam()), file, "f32"), IsOk());
  const std::vector<int32_t> ids = SomeIds(140);
  EXPECT_LE(LargestDifference(Logits(file, ids, 140), Logits(TinyModel(GetParam()), ids, 140)), 2e-5);
  auto runtime = NewRuntime();
  ASSERT_OK_AND_ASSIGN(auto model, DecoderModel::Load(file, *runtime));
  ASSERT_OK_AND_ASSIGN(auto original, DecoderModel::Load(TinyModel(GetParam()), *runtime));
  EXPECT_EQ(model->info().eos_ids, original->info().eos_ids);
  EXPECT_EQ(model->info().bos_id, original->info().bos_id);
  EXPECT_EQ(model->info().parameters, original->info().parameters);
  EXPECT_EQ(model->tokenizer().Encode("there is"), original->tokenizer().Encode("there is"));
}

INSTANTIATE_TEST_SUITE_P(Models, SameModelTest,
                         ::testing::Values("llama-gqa", "llama-scaled-tied", "llama-linear-bf16", "mistral-tied-f16",
                                           "qwen2-tied", "qwen2-yarn", "qwen3-tied", "gemma", "gemma2-caps",
                                           "gemma3-pattern", "phi3-longrope", "phi3-window", "gemma2-no-caps", "gpt2",
                                           "gpt2-inner-untied-f16", "neox-parallel", "falcon-grouped",
                                           "falcon-grouped-one-norm", "falcon-multi-query", "mpt", "bloom",
                                           "bloom-f32"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// What a model copied into another order is taken out of memory, and nothing is lost: neither the copies, nor what the
// file says when it is hashed again.
TEST(QuantizeTest, WhatIsForgottenIsReadAgain) {
  RandomLlama model;
  TempFolder folder;
  ASSERT_THAT(Quantize(model.path(), folder / "m.gguf", "f32"), IsOk());
  ASSERT_OK_AND_ASSIGN(auto opened, GgufModel::Open(folder / "m.gguf"));
  auto contents = [&] {
    std::vector<std::string> all = {opened->Fingerprint({})};
    for (const std::string& name : opened->weights().names()) {
      const absl::Span<const uint8_t> data = (*opened->weights().Find(name))->data;
      all.emplace_back(data.begin(), data.end());
    }
    return all;
  };
  const std::vector<std::string> before = contents();
  opened->weights().ForgetReplaced();
  EXPECT_TRUE(contents() == before);
  FingerprintBuilder builder;
  builder.Add("gguf", *ReadFile(folder / "m.gguf", 1 << 30));
  EXPECT_EQ(before[0], builder.FinishHex());
}

// In pieces a file has the fingerprint that it has as a whole.
TEST(QuantizeTest, FingerprintsOfMappedFilesAreThoseOfTheirBytes) {
  const std::string large((size_t{33} << 20) + 5, 'x');
  for (size_t size : {size_t{0}, size_t{5}, size_t{16} << 20, large.size()}) {
    FingerprintBuilder whole, pieces;
    whole.Add("gguf", absl::string_view(large).substr(0, size));
    size_t calls = 0;
    pieces.AddMapped("gguf", {reinterpret_cast<const uint8_t*>(large.data()), size}, [&] { ++calls; });
    EXPECT_EQ(pieces.FinishHex(), whole.FinishHex()) << size;
    EXPECT_EQ(calls, (size + (size_t{16} << 20) - 1) >> 24);
  }
}

TEST(QuantizeTest, EncodersComeBackWithTheirPooling) {
  TempFolder folder;
  ASSERT_THAT(Quantize(TinyModel("bert-mean"), folder / "m.gguf", "f32"), IsOk());
  auto runtime = NewRuntime();
  ASSERT_OK_AND_ASSIGN(auto model, EmbeddingModel::Load(folder / "m.gguf", *runtime));
  ASSERT_OK_AND_ASSIGN(auto original, EmbeddingModel::Load(TinyModel("bert-mean"), *runtime));
  EXPECT_EQ(model->info().max_tokens, original->info().max_tokens);
  EXPECT_EQ(model->info().normalized, original->info().normalized);
  const std::vector<std::string> texts = {"the cat", "a stone in the river"};
  ASSERT_OK_AND_ASSIGN(std::vector<float> a, model->Embed(texts, false, CallContext()));
  ASSERT_OK_AND_ASSIGN(std::vector<float> b, original->Embed(texts, false, CallContext()));
  EXPECT_LE(LargestDifference(a, b), 1e-6);
}

struct TypeCase {
  const char* type;
  double divergence;  // from the original, at most; nats a token
  double bits;        // a weight, at most
};

class QuantizedModelTest : public ::testing::TestWithParam<TypeCase> {};

// Integer products and tiles against the same weights dequantised into F32, one row and many at a time; then the loss.
TEST_P(QuantizedModelTest, RunsOnItsBlocks) {
  TempFolder folder;
  const RandomLlama original(GetParam().bits < 5);  // a tied head with the smaller types
  const std::string quantized = folder / "q.gguf", dequantized = folder / "f.gguf";
  ASSERT_OK_AND_ASSIGN(QuantizeSummary summary, Quantize(original.path(), quantized, GetParam().type));
  const double bits = 8.0 * static_cast<double>(summary.bytes_after) / static_cast<double>(summary.parameters);
  EXPECT_LE(bits, GetParam().bits);
  ASSERT_THAT(Quantize(quantized, dequantized, "f32"), IsOk());
  const std::vector<int32_t> ids = SomeIds(90);
  const std::vector<float> want = Logits(dequantized, ids, 90);
  double magnitude = 0;
  for (float value : want) magnitude = std::max(magnitude, std::abs(static_cast<double>(value)));
  for (size_t piece : {1, 3, 17, 90}) {
    EXPECT_LE(LargestDifference(Logits(quantized, ids, piece), want), 1e-3 * magnitude) << "pieces of " << piece;
  }
  auto runtime = NewRuntime();
  ASSERT_OK_AND_ASSIGN(auto model, DecoderModel::Load(quantized, *runtime));
  ASSERT_OK_AND_ASSIGN(auto baseline, DecoderModel::Load(original.path(), *runtime));
  PerplexityOptions options;
  options.window = 64;
  options.stride = 32;
  const std::string text = "in the end there is a thing that then ran in there, and another one; the rest is in here";
  ASSERT_OK_AND_ASSIGN(PerplexityResult result,
                       MeasurePerplexity(*model, baseline.get(), text, options, CallContext()));
  ASSERT_TRUE(result.comparison.has_value());
  EXPECT_GE(result.comparison->mean_divergence, -1e-9);
  EXPECT_LE(result.comparison->mean_divergence, GetParam().divergence);
}

INSTANTIATE_TEST_SUITE_P(Types, QuantizedModelTest,
                         ::testing::Values(TypeCase{"q8_0", 1e-3, 8.6}, TypeCase{"q6_k", 5e-3, 6.7},
                                           TypeCase{"q5_k_m", 2e-2, 6.1}, TypeCase{"q4_k_m", 8e-2, 5.4},
                                           TypeCase{"q4_0", 0.12, 4.8}, TypeCase{"mxfp4", 0.3, 4.8},
                                           TypeCase{"f16", 1e-5, 16.1}),
                         [](const auto& info) { return std::string(info.param.type); });

TEST(QuantizeTest, RefusesWhatTheFormatCannotSay) {
  TempFolder folder;
  const std::string file = folder / "m.gguf";
  ASSERT_THAT(WriteFileAtomically(file, "kept"), IsOk());
  EXPECT_THAT(Quantize(TinyModel("mistral-window"), file, "f16"), StatusIs(kUnimplemented, HasSubstr("windows")));
  EXPECT_THAT(Quantize(TinyModel("bert-cls-f16"), file, "f16"), StatusIs(kUnimplemented, HasSubstr("activation")));
  EXPECT_THAT(Quantize(TinyModel("qwen3-bias-dynamic"), file, "f16"), StatusIs(kUnimplemented, HasSubstr("rope")));
  EXPECT_THAT(Quantize(TinyModel("llama-gqa"), file, "q9"),
              StatusIs(kInvalid, AllOf(HasSubstr("q9"), HasSubstr("q4_0"))));
  EXPECT_THAT(Quantize(folder / "none", file, "f16"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
  EXPECT_EQ(*ReadFile(file, 100), "kept");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(QuantizeTest, RefusesNumbersThatAreNotFinite) {
  EditedModel model("llama-gqa");
  std::string bytes = model.Read("model.safetensors");
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(bytes.data() + bytes.size() - sizeof(nan), &nan, sizeof(nan));
  model.Write("model.safetensors", bytes);
  TempFolder folder;
  EXPECT_THAT(Quantize(model.path(), folder / "m.gguf", "f16"), StatusIs(kInvalid, HasSubstr("not finite")));
}

TEST(PerplexityTest, IsTheMeanOverAllTokensOnce) {
  auto runtime = NewRuntime();
  ASSERT_OK_AND_ASSIGN(auto model, DecoderModel::Load(TinyModel("llama-gqa"), *runtime));
  std::string text;
  for (int i = 0; i < 30; ++i) text += "the rain in there " + std::to_string(i);
  PerplexityOptions options;
  for (const auto& [window, stride] : {std::pair(500, 250), std::pair(64, 32), std::pair(33, 1), std::pair(40, 39)}) {
    options.window = window;
    options.stride = stride;
    ASSERT_OK_AND_ASSIGN(PerplexityResult result, MeasurePerplexity(*model, model.get(), text, options, CallContext()));
    EXPECT_EQ(result.tokens + 1, static_cast<int64_t>(model->tokenizer().Encode(text, {true, false}).size()));
    EXPECT_NEAR(result.comparison->mean_divergence, 0, 1e-9);
    EXPECT_EQ(result.comparison->same_best, 1);
    EXPECT_EQ(result.comparison->baseline_perplexity, result.perplexity);
  }
  // One window: against the plain formula over all logits.
  const std::vector<int32_t> ids = model->tokenizer().Encode("in the rain", {true, false});
  const std::vector<float> logits = Logits(TinyModel("llama-gqa"), ids, ids.size());
  double sum = 0;
  const size_t vocab = static_cast<size_t>(model->info().vocab_size);
  for (size_t i = 0; i + 1 < ids.size(); ++i) {
    double exponentials = 0;
    for (size_t j = 0; j < vocab; ++j) exponentials += std::exp(static_cast<double>(logits[i * vocab + j]));
    sum += logits[i * vocab + static_cast<size_t>(ids[i + 1])] - std::log(exponentials);
  }
  ASSERT_OK_AND_ASSIGN(PerplexityResult one, MeasurePerplexity(*model, nullptr, "in the rain", {}, CallContext()));
  EXPECT_NEAR(one.mean_log_probability, sum / static_cast<double>(ids.size() - 1), 1e-5);
}

TEST(PerplexityTest, ChecksItsOptions) {
  auto runtime = NewRuntime();
  ASSERT_OK_AND_ASSIGN(auto model, DecoderModel::Load(TinyModel("llama-gqa"), *runtime));
  EXPECT_THAT(MeasurePerplexity(*model, nullptr, "in the end", {1, 1}, CallContext()),
              StatusIs(kInvalid, HasSubstr("window")));
  EXPECT_THAT(MeasurePerplexity(*model, nullptr, "in the end", {513, 1}, CallContext()),
              StatusIs(kInvalid, HasSubstr("[2, 512]")));
  EXPECT_THAT(MeasurePerplexity(*model, nullptr, "in the end", {16, 16}, CallContext()),
              StatusIs(kInvalid, HasSubstr("stride")));
  EXPECT_THAT(MeasurePerplexity(*model, nullptr, "", {}, CallContext()), StatusIs(kInvalid, HasSubstr("two tokens")));
}

}  // namespace
}  // namespace lastro::engine
