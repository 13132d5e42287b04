// Which cells of which rows answer, by what a reader pointed at and what the question says.
#include "services/answer/view_answers.h"

#include <deque>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/test_util.h"

namespace lastro::services::answer {
namespace {

using ::testing::ElementsAre;

// Passages whose lines are rows of a table ("South|Faro|9:00"), but for those without a bar, which are prose.
class ViewAnswersTest : public ::testing::Test {
 protected:
  void AddPassage(const std::string& document, const std::vector<std::string>& columns,
                  const std::vector<std::string>& lines) {
    v1::SearchHit hit;
    hit.mutable_document()->set_id(document);
    v1::Chunk& chunk = *hit.mutable_chunk();
    for (const std::string& line : lines) {
      if (!chunk.text().empty()) absl::StrAppend(chunk.mutable_text(), "\n");
      const std::vector<std::string> cells = absl::StrSplit(line, '|');
      for (size_t i = 0; i < cells.size(); ++i) {
        if (i > 0) absl::StrAppend(chunk.mutable_text(), " | ");
        const auto begin = static_cast<int64_t>(chunk.text().size());
        absl::StrAppend(chunk.mutable_text(), cells[i]);
        if (cells.size() == 1) continue;
        v1::NamedCell* cell = chunk.add_cells();
        cell->set_begin(begin);
        cell->set_end(static_cast<int64_t>(chunk.text().size()));
        cell->set_column(columns[i]);
      }
    }
    for (PassageView& view : ViewsOf(chunk, 65'536, 100)) {
      views_.push_back({static_cast<int>(passages_.size()), std::move(view)});
    }
    passages_.push_back(std::move(hit));
  }

  // The reader points at `words` in every view that has them, the first ones the likeliest.
  void Find(const std::string& question, const std::vector<std::string>& words, size_t max_spans = 3) {
    std::deque<v1::ReadResponse::Reading> readings;
    std::vector<const v1::ReadResponse::Reading*> pointers;
    for (const ReadView& read : views_) {
      v1::ReadResponse::Reading& reading = readings.emplace_back();
      reading.set_relevance(static_cast<double>(readings.size()));
      double score = static_cast<double>(words.size());
      for (const std::string& some : words) AddSpan(read.view.text.find(some), some.size(), score--, &reading);
      if (reading.spans().empty()) AddSpan(0, 1, -9, &reading);
      pointers.push_back(&reading);
    }
    FindAnswers(question, passages_, pointers, max_spans, &views_);
  }

  // What was found in each view as "text score".
  std::vector<std::vector<std::string>> Found() const {
    std::vector<std::vector<std::string>> found;
    for (const ReadView& read : views_) {
      found.emplace_back();
      const std::string& text = passages_[static_cast<size_t>(read.passage)].chunk().text();
      for (const FoundSpan& span : read.found) {
        found.back().push_back(
            absl::StrCat(text.substr(span.range.begin, span.range.end - span.range.begin), " ", span.score));
      }
    }
    return found;
  }
  std::vector<int> Doubts() const {
    std::vector<int> doubts;
    for (const ReadView& read : views_) doubts.push_back(read.doubts);
    return doubts;
  }

  std::vector<v1::SearchHit> passages_;
  std::vector<ReadView> views_;

 private:
  static void AddSpan(size_t begin, size_t size, double score, v1::ReadResponse::Reading* reading) {
    if (begin == std::string::npos) return;
    v1::ReadResponse::Span* span = reading->add_spans();
    span->mutable_range()->set_begin(static_cast<int64_t>(begin));
    span->mutable_range()->set_end(static_cast<int64_t>(begin + size));
    span->set_score(score);
    span->set_probability(score / 10);
  }
};

const std::vector<std::string> kColumns = {"City", "First bus", "Last bus"};

TEST_F(ViewAnswersTest, ProseIsAnsweredAsTheReaderSays) {
  AddPassage("a", {}, {"The bus leaves at nine from Porto."});
  Find("When does the bus to Lisbon leave?", {"at nine", "nine", "Porto"}, 2);
  EXPECT_THAT(Found(), ElementsAre(ElementsAre("at nine 3", "nine 2")));
  EXPECT_THAT(Doubts(), ElementsAre(0)) << "names are doubted beside tables only";
  EXPECT_EQ(views_[0].relevance, 1);
}

TEST_F(ViewAnswersTest, AShortCellAnswersAsAWhole) {
  AddPassage("a", {"Name", "Note"}, {"juno|Debian 12", "atlas|one two three four five six seven eight nine"});
  Find("Which system?", {"Debian", "12", "three four"});
  EXPECT_THAT(Found(), ElementsAre(ElementsAre("Debian 12 3"), ElementsAre("three four 1")));
}

TEST_F(ViewAnswersTest, TheColumnThatTheQuestionNamesAnswers) {
  AddPassage("a", kColumns, {"Porto|07:10|21:40"});
  Find("When does the last bus to Porto leave?", {"07:10", "Porto", "21"});
  EXPECT_THAT(Found(), ElementsAre(ElementsAre("21:40 3"))) << "with the score of the row";
  EXPECT_EQ(views_[0].found[0].probability, 0.3);
  Find("When do buses leave?", {"07:10", "Porto", "21"});
  EXPECT_THAT(Found(), ElementsAre(ElementsAre("07:10 3", "Porto 2", "21:40 1"))) << "no column is named in full";
  Find("Is 21:40 the last bus?", {"07:10", "21"});
  EXPECT_THAT(Found(), ElementsAre(ElementsAre("07:10 2", "21:40 1"))) << "what the question says is not asked for";
  Find("When does the last bus to Porto leave?", {"07:10"});
  EXPECT_THAT(Found(), ElementsAre(ElementsAre("07:10 1"))) << "the reader did not look there";
}

TEST_F(ViewAnswersTest, RowsThatSayLessThanAnotherOfTheDocumentAreNotRead) {
  AddPassage("a", kColumns, {"Buses, also to Bragança.", "Braga|07:10|21:40", "Bragança|08:10|22:40"});
  AddPassage("a", kColumns, {"Beja|07:30|21:50", "Vila Bragança|08:10|22:50"});
  AddPassage("b", kColumns, {"Chaves|09:10|23:40"});
  const auto left = [&](const std::string& question) {
    std::vector<ReadView> views = views_;
    DropOutdoneRows(question, passages_, &views);
    std::vector<std::string> shown;
    for (const ReadView& read : views) shown.push_back(read.view.text.substr(0, read.view.text.find(" |")));
    return shown;
  };
  EXPECT_THAT(left("When does the last bus to Bragança leave?"),
              ElementsAre("Buses, also to Bragança.\n\n", "City: Bragança", "City: Vila Bragança", "City: Chaves"));
  EXPECT_THAT(left("When does the last bus to Vila Bragança leave?"),
              ElementsAre("Buses, also to Bragança.\n\n", "City: Vila Bragança", "City: Chaves"));
  EXPECT_THAT(left("Braga or Beja?"),
              ElementsAre("Buses, also to Bragança.\n\n", "City: Braga", "City: Beja", "City: Chaves"))
      << "neither says all that the other does";
  EXPECT_EQ(left("When do buses leave?").size(), 6u);
}

TEST_F(ViewAnswersTest, NamesThatNeitherRowNorSurroundingsSayAreDoubts) {
  AddPassage("a", kColumns, {"Buses of Rede Norte.", "Porto|07:10|21:40", "Vila Real|08:10|22:40"});
  Find("When does the last Rede Norte bus to Porto leave?", {"21", "22"});
  EXPECT_THAT(Doubts(), ElementsAre(1, 0, 1));
  Find("When does the last bus to Castro Marim leave in 2019?", {"21", "22"});
  EXPECT_THAT(Doubts(), ElementsAre(3, 3, 3));
  Find("When does the last bus to Vila Franca leave?", {"21", "22"});
  EXPECT_THAT(Doubts(), ElementsAre(2, 2, 1));
}

TEST_F(ViewAnswersTest, ARowThatSaysNothingOfWhatTellsRowsIsADoubt) {
  AddPassage("a", {"Type of leave", "Days"}, {"Leave is granted yearly.", "annual leave|25", "study leave|10"});
  Find("how many days of parental leave are there?", {"25", "10"});
  EXPECT_THAT(Doubts(), ElementsAre(0, 1, 1)) << "'leave' is said of all rows";
  Find("how many days of study leave are granted?", {"25", "10"});
  EXPECT_THAT(Doubts(), ElementsAre(0, 1, 0));
  Find("how many days of leave are granted?", {"25", "10"});
  EXPECT_THAT(Doubts(), ElementsAre(0, 0, 0)) << "nothing tells one row from another";
}

TEST_F(ViewAnswersTest, CellsWithoutANameTellRowsToo) {
  AddPassage("a", {"", "Monday", "Sunday"}, {"north pool|8:00|9:00", "south pool|7:00|closed"});
  ASSERT_EQ(views_.size(), 2u);
  EXPECT_EQ(views_[0].view.text, "north pool | Monday: 8:00 | Sunday: 9:00");
  Find("when does the south pool open on Monday?", {"7:00", "9:00"});
  EXPECT_THAT(Doubts(), ElementsAre(0, 0)) << "'pool' is said by both";
  Find("when does the south one open on Monday?", {"7:00", "9:00"});
  EXPECT_THAT(Doubts(), ElementsAre(1, 0));
  EXPECT_THAT(Found()[1], ElementsAre("7:00 2"));
}

TEST_F(ViewAnswersTest, WhatOtherPassagesOfTheDocumentSayIsSaidAroundItsTables) {
  AddPassage("a", {}, {"Timetable of Rede Norte."});
  AddPassage("a", kColumns, {"Porto|07:10|21:40"});
  AddPassage("b", kColumns, {"Porto|07:20|21:50"});
  Find("When does the last Rede Norte bus to Porto leave?", {"21"});
  EXPECT_THAT(Doubts(), ElementsAre(0, 0, 2));
}

}  // namespace
}  // namespace lastro::services::answer
