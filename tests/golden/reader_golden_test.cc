// Readings of questions and passages against a reader made of transformers (export_families.py), for every folder of
// tests/golden/models that has them.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/reader.h"
#include "engine/sequence_classifier.h"
#include "tests/golden/golden_util.h"
#include "tests/test_util.h"
#include "tests/unit/engine/model_test_util.h"

namespace lastro::engine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::StatusIs;

constexpr double kTolerance = 2e-4;

struct Golden {
  std::vector<std::string> questions, passages;
  std::vector<Reading> readings;

  std::vector<ReadPair> Pairs() const {
    std::vector<ReadPair> pairs;
    for (size_t i = 0; i < questions.size(); ++i) pairs.push_back({questions[i], passages[i]});
    return pairs;
  }
};

Golden ReadGoldenReadings(const std::string& name) {
  Golden golden;
  const JsonDocument pairs = *JsonDocument::ParseFile(testing::GoldenPath(name) + "/pairs.json");
  const std::vector<JsonValue> items = *pairs.root().AsArray();
  for (const JsonValue& item : items) {
    const std::vector<JsonValue> texts = *item.AsArray();
    golden.questions.push_back(std::string(*texts[0].AsString()));
    golden.passages.push_back(std::string(*texts[1].AsString()));
  }
  const JsonDocument readings = *JsonDocument::ParseFile(testing::GoldenPath(name) + "/readings.json");
  const std::vector<JsonValue> results = *readings.root().AsArray();
  for (const JsonValue& item : results) {
    Reading reading;
    reading.relevance = static_cast<float>(*item.GetDouble("relevance", 0));
    reading.probability = static_cast<float>(*item.GetDouble("probability", 0));
    const JsonValue listed = *item.Get("spans");
    const std::vector<JsonValue> spans = *listed.AsArray();
    for (const JsonValue& span : spans) {
      const std::vector<JsonValue> parts = *span.AsArray();
      reading.spans.push_back({static_cast<uint32_t>(*parts[0].AsInt()), static_cast<uint32_t>(*parts[1].AsInt()),
                               static_cast<float>(*parts[2].AsDouble())});
    }
    golden.readings.push_back(reading);
  }
  return golden;
}

std::vector<std::string> Folders() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(testing::GoldenPath(""))) {
    if (std::filesystem::exists(entry.path() / "readings.json")) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// Spans that are elsewhere count as an error of 1.
double LargestDifference(const std::vector<Reading>& got, const std::vector<Reading>& want) {
  if (got.size() != want.size()) return INFINITY;
  double largest = 0;
  const auto see = [&](double a, double b) { largest = std::max(largest, std::abs(a - b)); };
  for (size_t i = 0; i < got.size(); ++i) {
    see(got[i].relevance, want[i].relevance);
    see(got[i].probability, want[i].probability);
    see(static_cast<double>(got[i].spans.size()), static_cast<double>(want[i].spans.size()));
    for (size_t k = 0; k < std::min(got[i].spans.size(), want[i].spans.size()); ++k) {
      const ReadSpan &a = got[i].spans[k], &b = want[i].spans[k];
      see(a.score, b.score);
      if (a.begin != b.begin || a.end != b.end) see(0, 1);
    }
    EXPECT_EQ(got[i].answerability, got[i].spans.front().score);
  }
  return largest;
}

class ReaderGolden : public ::testing::TestWithParam<std::string> {
 protected:
  const Golden golden_ = ReadGoldenReadings(GetParam());
};

TEST_P(ReaderGolden, Fp32MatchesReference) {
  auto runtime = NewRuntime(ComputeType::kFloat32);
  ASSERT_OK_AND_ASSIGN(auto model, Reader::Load(testing::GoldenPath(GetParam()), *runtime));
  ASSERT_OK_AND_ASSIGN(std::vector<Reading> readings, model->Read(golden_.Pairs(), 2, CallContext()));
  EXPECT_LE(LargestDifference(readings, golden_.readings), kTolerance);
}

// What stands in one call beside others changes nothing.
TEST_P(ReaderGolden, EachPairAloneGivesTheSame) {
  auto runtime = NewRuntime(ComputeType::kFloat32);
  ASSERT_OK_AND_ASSIGN(auto model, Reader::Load(testing::GoldenPath(GetParam()), *runtime));
  std::vector<Reading> readings;
  for (const ReadPair& pair : golden_.Pairs()) {
    ASSERT_OK_AND_ASSIGN(std::vector<Reading> one, model->Read({pair}, 2, CallContext()));
    readings.push_back(one.front());
  }
  EXPECT_LE(LargestDifference(readings, golden_.readings), kTolerance);
}

TEST_P(ReaderGolden, ChangedFactsShow) {
  auto runtime = NewRuntime(ComputeType::kFloat32);
  for (const auto& [from, to] : testing::Perturbations(GetParam())) {
    SCOPED_TRACE(from + " -> " + to);
    EditedModel changed(GetParam());
    changed.Edit("config.json", from, to);
    ASSERT_OK_AND_ASSIGN(auto model, Reader::Load(changed.path(), *runtime));
    ASSERT_OK_AND_ASSIGN(std::vector<Reading> readings, model->Read(golden_.Pairs(), 2, CallContext()));
    EXPECT_GT(LargestDifference(readings, golden_.readings), 1e-3);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, ReaderGolden, ::testing::ValuesIn(Folders()),
                         [](const auto& info) { return testing::TestName(info.param); });

TEST(ReaderTest, SpansAreBytesOfThePassage) {
  auto runtime = NewRuntime();
  ASSERT_OK_AND_ASSIGN(auto model, Reader::Load(testing::GoldenPath("bert-reader"), *runtime));
  EXPECT_TRUE(model->info().tells_relevance);
  const std::string passage = "caf\xc3\xa9 river \xe2\x82\xac cat, the cat and the river and the cat and the river";
  ASSERT_OK_AND_ASSIGN(std::vector<Reading> readings, model->Read({{"the cat?", passage}}, 8, CallContext()));
  const std::vector<ReadSpan>& spans = readings.front().spans;
  ASSERT_GT(spans.size(), 1u);
  for (size_t i = 0; i < spans.size(); ++i) {
    EXPECT_LT(spans[i].begin, spans[i].end);
    EXPECT_LE(spans[i].end, passage.size());
    for (const uint32_t at : {spans[i].begin, spans[i].end}) {  // between characters
      EXPECT_TRUE(at == passage.size() || (static_cast<unsigned char>(passage[at]) & 0xc0) != 0x80);
    }
    for (size_t k = 0; k < i; ++k) {
      EXPECT_GE(spans[k].score, spans[i].score);
      EXPECT_TRUE(spans[i].end <= spans[k].begin || spans[k].end <= spans[i].begin);
    }
  }
}

TEST(ReaderTest, EmptySidesAndLongQuestions) {
  auto runtime = NewRuntime();
  ASSERT_OK_AND_ASSIGN(auto model, Reader::Load(testing::GoldenPath("bert-reader"), *runtime));
  EXPECT_THAT(model->Read({{"cat", "river"}, {"cat", " \n"}}, 1, CallContext()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("passage 1 has no tokens")));
  std::string question;
  for (int i = 0; i < model->info().question_tokens; ++i) question += "cat ";
  ASSERT_OK_AND_ASSIGN(std::vector<Reading> whole, model->Read({{question, "the river"}}, 1, CallContext()));
  ASSERT_OK_AND_ASSIGN(std::vector<Reading> cut, model->Read({{question + "river", "the river"}}, 1, CallContext()));
  EXPECT_EQ(whole.front().relevance, cut.front().relevance);
  ASSERT_OK_AND_ASSIGN(std::vector<Reading> none, model->Read({}, 1, CallContext()));
  EXPECT_TRUE(none.empty());
}

// The relevance of a passage that fits a window is the score that the same folder gives as a reranker.
TEST(ReaderTest, RelevanceIsTheClassifiers) {
  auto runtime = NewRuntime();
  const std::string folder = testing::GoldenPath("bert-reader");
  ASSERT_OK_AND_ASSIGN(auto reader, Reader::Load(folder, *runtime));
  ASSERT_OK_AND_ASSIGN(auto classifier, SequenceClassifier::Load(folder, *runtime));
  ASSERT_OK_AND_ASSIGN(std::vector<Reading> readings, reader->Read({{"the cat", "the river"}}, 1, CallContext()));
  ASSERT_OK_AND_ASSIGN(ClassifierScores scores, classifier->Score({{"the cat", "the river"}}, false, CallContext()));
  EXPECT_NEAR(readings.front().relevance, scores.logits.front(), 1e-5);
}

TEST(ReaderTest, RefusesModelsThatPointAtNothing) {
  auto runtime = NewRuntime();
  EXPECT_THAT(Reader::Load(testing::GoldenPath("bert-pairs"), *runtime),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no tensor qa_outputs.weight")));
  EditedModel narrow("bert-reader");
  narrow.Edit("config.json", "\"window_tokens\": 32", "\"window_tokens\": 23");
  EXPECT_THAT(Reader::Load(narrow.path(), *runtime),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("a window of 23 tokens has no room"), HasSubstr("an overlap of 8"))));
  EditedModel wide("bert-reader");
  wide.Edit("config.json", "\"window_tokens\": 32", "\"window_tokens\": 100000");
  EXPECT_THAT(Reader::Load(wide.path(), *runtime),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("window_tokens")));
}

}  // namespace
}  // namespace lastro::engine
