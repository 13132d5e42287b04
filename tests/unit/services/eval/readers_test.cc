// Readers of evaluation data: what they read, and that hostile files end in an error that says where.
#include "services/eval/readers.h"

#include <zstd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <random>

#include "services/eval/input_file.h"
#include "tests/test_util.h"

namespace lastro::services::eval {
namespace {

using lastro::testing::kInvalid;
using lastro::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string Zstd(const std::string& text) {
  std::string frame(ZSTD_compressBound(text.size()), '\0');
  frame.resize(ZSTD_compress(frame.data(), frame.size(), text.data(), text.size(), 3));
  return frame;
}

class ReadersTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& content) {
    const std::filesystem::path path = std::filesystem::path(folder_.path()) / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << content;
    return path.string();
  }
  absl::StatusOr<Dataset> Read(const std::string& name, const std::string& content) {
    return ReadDataset(Write(name, content), {});
  }
  void WriteBeir() {
    Write("beir/corpus.jsonl",
          "{\"_id\":\"d1\",\"title\":\"T\",\"text\":\"one\"}\n\n{\"_id\":\"d2\",\"text\":\"two\"}\r\n");
    Write("beir/queries.jsonl",
          "{\"_id\":\"q1\",\"text\":\"first?\",\"answer\":\"one\"}\n{\"_id\":\"q2\",\"text\":\"second?\"}\n");
    Write("beir/qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\n");
  }
  absl::StatusOr<Dataset> ReadFolder() { return ReadDataset(folder_.path() + std::string("/beir/"), {}); }

  lastro::testing::TempFolder folder_;
};

TEST_F(ReadersTest, Beir) {
  WriteBeir();
  ASSERT_OK_AND_ASSIGN(Dataset dataset, ReadFolder());
  ASSERT_EQ(dataset.passages.size(), 2u);
  EXPECT_EQ(dataset.passages[0].title, "T");
  EXPECT_EQ(dataset.passages[1].text, "two");
  ASSERT_EQ(dataset.questions.size(), 1u);  // q2 has no judgement
  EXPECT_EQ(dataset.questions[0].text, "first?");
  EXPECT_THAT(dataset.questions[0].answers, ElementsAre("one"));
  ASSERT_EQ(dataset.questions[0].judgements.size(), 1u);
  EXPECT_EQ(dataset.questions[0].judgements[0].passage, "d1");
  EXPECT_EQ(dataset.questions[0].judgements[0].gain, 2);
}

TEST_F(ReadersTest, BeirErrorsNameFileAndLine) {
  EXPECT_THAT(ReadDataset("/nowhere/at/all", {}), StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nowhere/at/all")));
  std::filesystem::create_directories(std::filesystem::path(folder_.path()) / "beir");
  EXPECT_THAT(ReadFolder(), StatusIs(absl::StatusCode::kNotFound, HasSubstr("corpus.jsonl")));
  WriteBeir();
  for (const auto& [file, content, message] : std::vector<std::array<std::string, 3>>{
           {"corpus.jsonl", "{\"_id\":\"d1\",\"text\":\"x\"}\n{\"_id\":\"d1\",\"text\":\"y\"}\n",
            "line 2: the passage d1 was"},
           {"corpus.jsonl", "{\"_id\":\"d1\"}\n", "text is missing"},
           {"corpus.jsonl", "{\"_id\":\"d1\",\"text\":\"x\"\n", "line 1: not valid JSON"},
           {"corpus.jsonl", "[]\n", "line 1 is no JSON object"},
           {"corpus.jsonl", "{\"_id\":\"\",\"text\":\"x\"}\n", "an id must have 1 to 512 bytes"},
           {"corpus.jsonl", "\xFF\n", "line 1 is no UTF-8"},
           {"queries.jsonl", "{\"_id\":\"q1\",\"text\":\" \"}\n", "the question is empty"},
           {"queries.jsonl", "{\"_id\":\"q1\",\"text\":\"" + std::string(9000, 'x') + "\"}\n", "up to 8192"},
           {"queries.jsonl", "", "queries.jsonl has no query q1"},
           {"qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\td9\t1\n", "line 2: corpus.jsonl has no passage d9"},
           {"qrels/test.tsv", "q9\td1\t1\n", "line 1: queries.jsonl has no query q9"},
           {"qrels/test.tsv", "q1\td1\t1\nq1\td1\t1\n", "line 2: this pair was judged already"},
           {"qrels/test.tsv", "q1\td1\t1\nq1 d2 1\n", "line 2: expected query-id"},
           {"qrels/test.tsv", "q1\td1\tnan\nq1\td1\tnan\n", "line 2: expected query-id"},
           {"qrels/test.tsv", "q1\td1\t0\n", "no query has a judgement above 0"}}) {
    WriteBeir();
    Write("beir/" + file, content);
    absl::StatusOr<Dataset> dataset = ReadFolder();
    ASSERT_FALSE(dataset.ok()) << message;
    EXPECT_THAT(std::string(dataset.status().message()), HasSubstr(message));
  }
}

constexpr char kSquad[] = R"({"version": "v2.0", "data": [{"title": "Super_Bowl_50", "paragraphs": [
  {"context": "Denver won.", "qas": [
    {"id": "1", "question": "Who won?", "answers": [{"text": "Denver", "answer_start": 0},
                                                   {"text": "Denver", "answer_start": 0}], "is_impossible": false},
    {"id": "2", "question": "Who lost?", "answers": [], "is_impossible": true}]},
  {"context": "Denver won.", "qas": [{"id": "3", "question": "Won who?", "answers": []}]}]}]})";

TEST_F(ReadersTest, Squad) {
  ASSERT_OK_AND_ASSIGN(Dataset dataset, Read("dev.json", kSquad));
  ASSERT_EQ(dataset.passages.size(), 1u);  // the same text twice
  EXPECT_EQ(dataset.passages[0].title, "Super Bowl 50");
  ASSERT_EQ(dataset.questions.size(), 3u);
  EXPECT_THAT(dataset.questions[0].answers, ElementsAre("Denver"));
  EXPECT_EQ(dataset.questions[0].judgements.at(0).passage, dataset.passages[0].id);
  EXPECT_TRUE(dataset.questions[0].answerable);
  EXPECT_FALSE(dataset.questions[1].answerable);
  EXPECT_THAT(dataset.questions[1].judgements, IsEmpty());
  std::string one_line = kSquad;
  std::replace(one_line.begin(), one_line.end(), '\n', ' ');
  ASSERT_OK_AND_ASSIGN(dataset, Read("line.json", one_line));
  EXPECT_EQ(dataset.questions.size(), 3u);
  EXPECT_THAT(Read("bad.json", "{\"data\": [{\"paragraphs\": [{\"qas\": [{\"id\": 5}]}]}]}"),
              StatusIs(kInvalid, HasSubstr("data[0].paragraphs[0].qas[0].id must be a string")));
}

TEST_F(ReadersTest, Lines) {
  ASSERT_OK_AND_ASSIGN(Dataset dataset,
                       Read("qa.jsonl",
                            "{\"question\":\"Qual?\",\"answers\":[\"um\",\"dois\"],\"context\":\"um "
                            "texto\",\"lang\":\"pt-BR\",\"source\":\"s\"}\n"
                            "{\"question\":\"What?\",\"answers\":[],\"context\":\"um texto\",\"answerable\":false}\n"));
  ASSERT_EQ(dataset.passages.size(), 1u);
  EXPECT_EQ(dataset.questions[0].language, "pt");
  EXPECT_EQ(dataset.questions[0].group, "s");
  EXPECT_EQ(dataset.questions[0].id, "q1");
  EXPECT_FALSE(dataset.questions[1].answerable);
  EXPECT_THAT(Read("mixed.jsonl", "{\"question\":\"a\",\"context\":\"x\"}\n{\"question\":\"b\"}\n"),
              StatusIs(kInvalid, AllOf(HasSubstr("line 2"), HasSubstr("context"))));
}

TEST_F(ReadersTest, FilesWithoutQuestions) {
  EXPECT_THAT(ReadLines("\n \n", "empty", {}), StatusIs(kInvalid, HasSubstr("empty: there is no question")));
  EXPECT_THAT(ReadSquad("{\"data\": []}", "empty", {}), StatusIs(kInvalid, HasSubstr("there is no question")));
}

TEST_F(ReadersTest, LinesAboutDocumentsThatThereAre) {
  ASSERT_OK_AND_ASSIGN(Dataset dataset,
                       Read("own.jsonl", "{\"question\":\"a?\",\"answer\":\"b\",\"document\":\"en/rules.md\"}\n"));
  EXPECT_THAT(dataset.passages, IsEmpty());
  EXPECT_EQ(dataset.questions[0].judgements.at(0).passage, "en/rules.md");
}

TEST_F(ReadersTest, CompressedFiles) {
  WriteBeir();
  const std::string corpus = folder_.path() + std::string("/beir/corpus.jsonl");
  ASSERT_OK_AND_ASSIGN(std::string text, ReadInput(corpus));
  std::filesystem::remove(corpus);
  const std::string half = text.substr(0, text.find('\n') + 1);
  Write("beir/corpus.jsonl.zst", Zstd(half) + Zstd(text.substr(half.size())));  // two frames
  ASSERT_OK_AND_ASSIGN(Dataset dataset, ReadFolder());
  EXPECT_EQ(dataset.passages.size(), 2u);
}

TEST_F(ReadersTest, DamagedCompressedFiles) {
  const std::string frame = Zstd(std::string(100'000, 'x') + "end");
  EXPECT_THAT(ReadInput(Write("cut", frame.substr(0, frame.size() - 3))), StatusIs(kInvalid, HasSubstr("zstd")));
  EXPECT_THAT(ReadInput(Write("bomb", frame), 1000), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("1000")));
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {  // any damage is an error or another text, never a crash
    std::string damaged = frame;
    for (int i = 0; i < 3; ++i) damaged[4 + random() % (damaged.size() - 4)] = static_cast<char>(random());
    absl::StatusOr<std::string> read = ReadInput(Write("damaged", damaged), 1 << 20);
    EXPECT_TRUE(!read.ok() || read->size() <= 1u << 20);
  }
}

TEST_F(ReadersTest, MutatedSquadFilesNeverCrash) {
  std::mt19937 random(2);
  int read = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string text = kSquad;
    for (uint32_t i = 0; i < 1 + random() % 4; ++i) {
      const size_t at = random() % text.size();
      if (random() % 2 == 0) {
        text[at] = "{}[]\",:0x"[random() % 9];
      } else {
        text.erase(at, random() % 20);
      }
    }
    read += ReadSquad(text, "mutated", {}).ok();
    read += ReadLines(text, "mutated", {}).ok();
  }
  EXPECT_GT(read, 0);
  EXPECT_LT(read, 2000);
}

}  // namespace
}  // namespace lastro::services::eval
