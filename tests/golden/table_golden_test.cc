// One row for each family: what it was checked against and the largest error over all its goldens, in fp32. With
// LASTRO_GOLDEN_TABLE set the rows are printed as a Markdown table:
//   LASTRO_GOLDEN_TABLE=1 golden_test --gtest_filter='GoldenTable.*'
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "engine/decoder_model.h"
#include "engine/embedding_model.h"
#include "engine/reader.h"
#include "engine/seq2seq_model.h"
#include "engine/sequence_classifier.h"
#include "tests/golden/golden_util.h"
#include "tests/golden/reader_golden.h"
#include "tests/test_util.h"
#include "tests/unit/engine/model_test_util.h"

namespace lastro::engine {
namespace {

struct Row {
  std::string reference;
  std::string compared;
  int checkpoints = 0;
  double largest = 0;
};

// Of every `stride`-th row of `got` and all rows of `want`, each `width` wide.
double LargestDifference(const std::vector<float>& got, const std::vector<float>& want, size_t width, size_t stride) {
  double largest = want.empty() ? INFINITY : 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const size_t at = i / width * stride * width + i % width;
    const double difference = at < got.size() ? std::abs(static_cast<double>(got[at]) - want[i]) : INFINITY;
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}

double DecoderError(const std::string& folder, const SafetensorsFile& expected, const Runtime& runtime) {
  const auto model = *DecoderModel::Load(folder, runtime);
  double largest = 0;
  for (auto [length, stride] : {std::pair{1, 1}, {17, 1}, {129, 4}, {300, 9}}) {
    const auto ids = testing::ReadGolden(expected, "ids." + std::to_string(length)).ints;
    const auto logits = testing::ReadGolden(expected, "logits." + std::to_string(length));
    std::vector<float> got;
    EXPECT_THAT((*model->NewSession(length))->Extend(ids, LogitsOf::kAll, CallContext(), &got), testing::IsOk());
    largest = std::max(largest, LargestDifference(got, logits.floats, static_cast<size_t>(logits.shape[1]),
                                                  static_cast<size_t>(stride)));
  }
  return largest;
}

double EncoderError(const std::string& folder, const SafetensorsFile& expected, const Runtime& runtime) {
  const auto model = *EmbeddingModel::Load(folder, runtime);
  const auto got = *model->Embed(testing::ReadTexts(folder + "/texts.json"), false, CallContext());
  return LargestDifference(got, testing::ReadGolden(expected, "vectors").floats, 1, 1);
}

double ClassifierError(const std::string& folder, const SafetensorsFile& expected, const Runtime& runtime) {
  const auto model = *SequenceClassifier::Load(folder, runtime);
  const auto document = *JsonDocument::ParseFile(folder + "/pairs.json");
  const std::vector<JsonValue> items = *document.root().AsArray();
  std::vector<TextPair> pairs;
  for (const JsonValue& item : items) {
    const std::vector<JsonValue> texts = *item.AsArray();
    TextPair& pair = pairs.emplace_back(TextPair{std::string(*texts[0].AsString()), std::nullopt});
    if (!texts[1].is_null()) pair.second = std::string(*texts[1].AsString());
  }
  return LargestDifference(model->Score(pairs, false, CallContext())->logits,
                           testing::ReadGolden(expected, "scores").floats, 1, 1);
}

double ReaderError(const std::string& folder, const SafetensorsFile&, const Runtime& runtime) {
  const testing::GoldenReadings golden(std::filesystem::path(folder).filename().string());
  return golden.LargestDifference(*(*Reader::Load(folder, runtime))->Read(golden.pairs(), 2, CallContext()));
}

double Seq2SeqError(const std::string& folder, const SafetensorsFile& expected, const Runtime& runtime) {
  const auto model = *Seq2SeqModel::Load(folder, runtime);
  double largest = 0;
  for (const char* length : {".1", ".17", ".129"}) {
    const auto source = testing::ReadGolden(expected, std::string("source") + length).ints;
    auto target = testing::ReadGolden(expected, std::string("target") + length).ints;
    target.pop_back();
    std::vector<float> got;
    const auto session = *model->NewSession(source, static_cast<int>(target.size()), CallContext());
    EXPECT_THAT(session->Extend(target, LogitsOf::kAll, CallContext(), &got), testing::IsOk());
    largest = std::max(
        largest,
        LargestDifference(got, testing::ReadGolden(expected, std::string("target_logits") + length).floats, 1, 1));
  }
  return largest;
}

struct Kind {
  const char* tensor;
  const char* compared;
  double (*error)(const std::string& folder, const SafetensorsFile& expected, const Runtime& runtime);
};
constexpr Kind kKinds[] = {{"logits.17", "logits of 1, 17, 129 and 300 tokens", DecoderError},
                           {"vectors", "sentence vectors", EncoderError},
                           {"scores", "scores of texts and pairs", ClassifierError},
                           {"readings", "relevance, spans and their scores", ReaderError},
                           {"target.17", "greedy generations and their logits", Seq2SeqError}};

// Family and reference of a folder; export_models.py writes no reference.json.
std::pair<std::string, std::string> FamilyOf(const std::string& name) {
  if (!testing::IsFamilyGolden(name)) {
    return {name.rfind("llama", 0) == 0 ? "Llama" : "BERT", "transformers 4.46.3"};
  }
  const auto document = *JsonDocument::ParseFile(testing::GoldenPath(name) + "/reference.json");
  return {*document.root().GetString("family", ""),
          *document.root().GetString("reference", "") + ", " + *document.root().GetString("model", "")};
}

TEST(GoldenTable, LargestErrorOfEveryFamily) {
  auto runtime = NewRuntime();
  std::map<std::string, Row> rows;
  for (const Kind& kind : kKinds) {
    for (const std::string& name : testing::GoldenFolders(kind.tensor)) {
      const std::string folder = testing::GoldenPath(name);
      if (!std::filesystem::exists(folder + "/model.safetensors")) continue;  // all-MiniLM-L6-v2: vectors only
      auto expected = SafetensorsFile::Open(folder + "/expected.safetensors");
      ASSERT_THAT(expected, testing::IsOk());
      const auto [family, reference] = FamilyOf(name);
      Row& row = rows[family];
      row.reference = reference;
      row.compared = kind.compared;
      ++row.checkpoints;
      const double error = kind.error(folder, *expected, *runtime);
      EXPECT_LE(error, testing::Tolerance(name)) << name;
      row.largest = std::max(row.largest, error);
    }
  }
  if (std::getenv("LASTRO_GOLDEN_TABLE") == nullptr) return;
  std::printf("| family | checked against | what | checkpoints | largest error |\n|---|---|---|---|---|\n");
  for (const auto& [family, row] : rows) {
    std::printf("| %s | %s | %s | %d | %.1e |\n", family.c_str(), row.reference.c_str(), row.compared.c_str(),
                row.checkpoints, row.largest);
  }
}

}  // namespace
}  // namespace lastro::engine
