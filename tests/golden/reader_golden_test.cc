// Readings of questions and passages against a reader made of transformers (export_families.py), for every folder of
// tests/golden/models that has them.
#include "tests/golden/reader_golden.h"

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "engine/quantize.h"
#include "engine/reader.h"
#include "engine/sequence_classifier.h"
#include "tests/golden/golden_util.h"
#include "tests/test_util.h"
#include "tests/unit/engine/model_test_util.h"

namespace lastro::engine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

class ReaderGolden : public ::testing::TestWithParam<std::string> {
 protected:
  const testing::GoldenReadings golden_{GetParam()};
};

TEST_P(ReaderGolden, Fp32MatchesReference) {
  auto runtime = NewRuntime(ComputeType::kFloat32);
  ASSERT_OK_AND_ASSIGN(auto model, Reader::Load(testing::GoldenPath(GetParam()), *runtime));
  ASSERT_OK_AND_ASSIGN(std::vector<Reading> readings, model->Read(golden_.pairs(), 2, CallContext()));
  EXPECT_LE(golden_.LargestDifference(readings), testing::Tolerance(GetParam()));
}

// What stands in one call beside others changes nothing.
TEST_P(ReaderGolden, EachPairAloneGivesTheSame) {
  auto runtime = NewRuntime(ComputeType::kFloat32);
  ASSERT_OK_AND_ASSIGN(auto model, Reader::Load(testing::GoldenPath(GetParam()), *runtime));
  std::vector<Reading> readings;
  for (const ReadPair& pair : golden_.pairs()) {
    ASSERT_OK_AND_ASSIGN(std::vector<Reading> one, model->Read({pair}, 2, CallContext()));
    readings.push_back(one.front());
  }
  EXPECT_LE(golden_.LargestDifference(readings), testing::Tolerance(GetParam()));
}

TEST_P(ReaderGolden, ChangedFactsShow) {
  auto runtime = NewRuntime(ComputeType::kFloat32);
  for (const auto& [from, to] : testing::Perturbations(GetParam())) {
    SCOPED_TRACE(from + " -> " + to);
    EditedModel changed(GetParam());
    changed.Edit("config.json", from, to);
    ASSERT_OK_AND_ASSIGN(auto model, Reader::Load(changed.path(), *runtime));
    ASSERT_OK_AND_ASSIGN(std::vector<Reading> readings, model->Read(golden_.pairs(), 2, CallContext()));
    EXPECT_GT(golden_.LargestDifference(readings), 1e-3);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, ReaderGolden, ::testing::ValuesIn(testing::GoldenFolders("readings")),
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

TEST(ReaderTest, NoSpanCrossesALineOrACell) {
  auto runtime = NewRuntime();
  ASSERT_OK_AND_ASSIGN(auto model, Reader::Load(testing::GoldenPath("bert-reader"), *runtime));
  const std::string passage = "the cat | the river | a cat\nthe river | the cat\n\nthe river and the cat|the river";
  const std::vector<std::string> cells = {"the cat", "the river", "a cat", "the river and the cat|the river"};
  ASSERT_OK_AND_ASSIGN(std::vector<Reading> readings, model->Read({{"the cat?", passage}}, 50, CallContext()));
  EXPECT_GE(readings.front().spans.size(), 6u);
  for (const ReadSpan& span : readings.front().spans) {
    const std::string words = passage.substr(span.begin, span.end - span.begin);
    EXPECT_TRUE(words == "|" || std::any_of(cells.begin(), cells.end(),
                                            [&](const std::string& cell) { return absl::StrContains(cell, words); }))
        << words;
  }
}

TEST(ReaderTest, EmptySidesAndLongQuestions) {
  auto runtime = NewRuntime();
  ASSERT_OK_AND_ASSIGN(auto model, Reader::Load(testing::GoldenPath("bert-reader"), *runtime));
  EXPECT_THAT(model->Read({{"cat", "river"}, {"cat", " \n"}}, 1, CallContext()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("passage 1 has no tokens")));
  for (const char* question : {"", " \n"}) {
    EXPECT_THAT(model->Read({{"cat", "river"}, {question, "river"}}, 1, CallContext()),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("question 1 has no tokens")));
  }
  std::string question;
  for (int i = 0; i < model->info().question_tokens; ++i) question += "cat ";
  ASSERT_OK_AND_ASSIGN(std::vector<Reading> whole, model->Read({{question, "the river"}}, 1, CallContext()));
  ASSERT_OK_AND_ASSIGN(std::vector<Reading> cut, model->Read({{question + "river", "the river"}}, 1, CallContext()));
  EXPECT_EQ(whole.front().relevance, cut.front().relevance);
  ASSERT_OK_AND_ASSIGN(std::vector<Reading> none, model->Read({}, 1, CallContext()));
  EXPECT_TRUE(none.empty());
}

// What `lastro quantize` writes of a reader reads the same: heads, limits, weights and calibration are in the file.
TEST(ReaderTest, AGgufFileOfAReaderReadsTheSame) {
  auto runtime = NewRuntime(ComputeType::kFloat32);
  const testing::GoldenReadings golden("bert-reader");
  testing::TempFolder folder;
  EditedModel calibrated("bert-reader");
  calibrated.Edit("config.json", "\"bias\": -0.125",
                  "\"bias\": -0.125, \"calibration\": [[0.5, 0.25, 0.75]], \"answer_weights\": {\"span_score\": 0.5}");
  for (const char* type : {"f32", "f16", "q8_0"}) {  // its rows are no whole blocks: q8_0 is f16 here
    SCOPED_TRACE(type);
    const std::string file = folder / "reader.gguf";
    ASSERT_THAT(QuantizeModel(calibrated.path(), file, {.type = type, .threads = 1}, CallContext()), IsOk());
    ASSERT_OK_AND_ASSIGN(auto model, Reader::Load(file, *runtime));
    ASSERT_OK_AND_ASSIGN(std::vector<Reading> readings, model->Read(golden.pairs(), 2, CallContext()));
    EXPECT_LE(golden.LargestDifference(readings), testing::Tolerance("bert-reader"));
    ASSERT_EQ(model->info().calibration.size(), 1u);
    EXPECT_EQ(model->info().calibration[0].risk, 0.25);
    ASSERT_TRUE(model->info().answer_weights.has_value());
    EXPECT_EQ(model->info().answer_weights->span_score, 0.5);
    EXPECT_EQ(model->info().window_tokens, 32);
    ASSERT_OK_AND_ASSIGN(auto classifier, SequenceClassifier::Load(file, *runtime));
    ASSERT_OK_AND_ASSIGN(ClassifierScores scores, classifier->Score({{"the cat", "the river"}}, false, CallContext()));
    ASSERT_OK_AND_ASSIGN(readings, model->Read({{"the cat", "the river"}}, 1, CallContext()));
    EXPECT_NEAR(readings.front().relevance, scores.logits.front(), 1e-5);
  }
}

// A template that adds more than the configuration reckons with: windows that overlap by all they have never end.
TEST(ReaderTest, RefusesQuestionsThatLeaveNoRoomBesideTheOverlap) {
  auto runtime = NewRuntime();
  const std::string begin = "\"single\":[", token = "{\"SpecialToken\":{\"id\":\"[CLS]\",\"type_id\":0}},";
  const std::string question = "cat cat cat cat cat cat cat cat cat cat cat cat", passage = question + " " + question;
  for (const auto& [more, fits] : {std::pair{8, true}, std::pair{9, false}, std::pair{30, false}}) {
    EditedModel edited("bert-reader");
    std::string tokens;
    for (int i = 0; i < more; ++i) tokens += token;
    edited.Edit("tokenizer.json", begin, begin + tokens);
    ASSERT_OK_AND_ASSIGN(auto model, Reader::Load(edited.path(), *runtime));
    const auto readings = model->Read({{question, passage}}, 1, CallContext());
    if (fits) {
      EXPECT_THAT(readings, IsOk());
    } else {
      EXPECT_THAT(readings, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("leaves no room")));
    }
  }
}

// The file of a model with NaN (fp16) for the classifier's bias: every relevance is none.
TEST(ReaderTest, ARelevanceThatIsNoNumberIsAnError) {
  auto runtime = NewRuntime();
  EditedModel edited("bert-reader");
  std::string file = edited.Read("model.safetensors");
  uint64_t header = 0;
  std::memcpy(&header, file.data(), sizeof header);
  const std::string key = "\"classifier.bias\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[";
  const size_t at = file.find(key);
  ASSERT_NE(at, std::string::npos);
  file.replace(8 + header + std::stoull(file.substr(at + key.size())), 2, "\xff\x7f");
  edited.Write("model.safetensors", file);
  ASSERT_OK_AND_ASSIGN(auto model, Reader::Load(edited.path(), *runtime));
  EXPECT_THAT(model->Read({{"the cat", "the river"}}, 1, CallContext()),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("not finite")));
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
