// Answers that are lists or definitions where a reader points at a few words of them.
#include "services/answer/answerer.h"
#include "tests/test_util.h"
#include "tests/unit/services/answer_fakes.h"

namespace lastro::services {
namespace {

using ::lastro::testing::IsOk;

constexpr char kVisitors[] =
    "The plant is open on weekdays.\n\nVisitors must bring:\n\n- a photo ID\n- safety shoes\n\nA tour takes an hour.";

class ListSpanAnswerTest : public ::testing::Test {
 protected:
  ListSpanAnswerTest() : answerer_(MakeAnswerer(&retrieval_, &embedding_, &generation_)) {}

  v1::Answer Ask(const std::string& question, const std::vector<testing::FakeGeneration::Found>& found) {
    generation_.reader = found;
    v1::AskRequest request;
    request.set_question(question);
    request.set_include_passages(true);
    absl::StatusOr<v1::Answer> answer = answerer_->Ask(request, {});
    EXPECT_THAT(answer, IsOk());
    return answer.ok() ? *std::move(answer) : v1::Answer();
  }
  // The bytes of the source that the claim's citation names.
  std::string SourceOf(const v1::Answer& answer, int claim) {
    const v1::Citation& citation = answer.claims(claim).citations(0);
    const v1::ByteRange& range = citation.source_range();
    return retrieval_.sources[citation.document_uri()].substr(range.begin(), range.end() - range.begin());
  }

  testing::FakeRetrieval retrieval_;
  testing::FakeEmbedding embedding_;
  testing::FakeGeneration generation_;
  std::unique_ptr<AskApi> answerer_;
};

TEST_F(ListSpanAnswerTest, AListIsItsItemsCitedWithWhatAnnouncesThem) {
  retrieval_.Add("visit.md", kVisitors, kVisitors);
  const v1::Answer answer = Ask("What must visitors bring?", {{"photo ID", 0.9}, {"safety shoes", 0.8}});
  EXPECT_EQ(answer.text(), "- a photo ID\n- safety shoes");
  EXPECT_EQ(answer.evidence(), 0.9);
  ASSERT_EQ(answer.claims_size(), 1);
  const v1::Citation& citation = answer.claims(0).citations(0);
  EXPECT_EQ(citation.quote(), "Visitors must bring:\n\n- a photo ID\n- safety shoes");
  EXPECT_EQ(SourceOf(answer, 0), citation.quote());
  EXPECT_EQ(citation.quote().substr(citation.answer_in_quote().begin()), answer.text());
  const v1::ByteRange& shown = answer.passages(0).answer_range();
  EXPECT_EQ(answer.passages(0).text().substr(shown.begin(), shown.end() - shown.begin()), answer.text());
}

TEST_F(ListSpanAnswerTest, AnItemThatTheQuestionNamesAnswersByItself) {
  retrieval_.Add("visit.md", kVisitors, kVisitors);
  EXPECT_EQ(Ask("What shoes must visitors bring?", {{"a photo ID", 0.9}, {"safety shoes", 0.8}}).text(),
            "safety shoes");
  EXPECT_EQ(generation_.read_requests.back().passages(0).find("photo"), std::string::npos) << "it is not read";
  EXPECT_EQ(Ask("How long is a tour?", {{"an hour", 0.9}}).text(), "an hour");
}

TEST_F(ListSpanAnswerTest, InstructionsAndDenialsComeWithWhatAnnouncesThem) {
  const std::string steps = "To reset a badge, follow these steps:\n\n1. Go to the desk.\n2. Sign the form.";
  retrieval_.Add("steps.md", steps, steps);
  EXPECT_EQ(Ask("How do I reset a badge?", {{"Go to the desk", 0.9}}).text(), steps);
  EXPECT_EQ(Ask("What are the steps to reset a badge?", {{"follow", 0.9}}).text(), steps.substr(steps.find("1.")));
  const std::string banned = "Visitors must not bring:\n\n- knives\n- dogs";
  retrieval_.Add("banned.md", banned, banned);
  EXPECT_EQ(Ask("What must visitors bring?", {{"knives", 0.9}}).text(), banned);
}

TEST_F(ListSpanAnswerTest, AListOverSeveralChunksIsCitedInEach) {
  retrieval_.Add("a", "You need:\n\n- a pen\n- paper", "You need:\n\n- a pen\n- paper");
  retrieval_.Add("b", "- ink\n- glue\n\nThat is all.", "- ink\n- glue\n\nThat is all.");
  v1::SearchHit& second = retrieval_.hits["b"];
  retrieval_.hits["a"].mutable_document()->set_id("doc");
  second.mutable_document()->set_id("doc");
  second.mutable_chunk()->set_ordinal(1);
  second.mutable_chunk()->add_headings("You need:");
  const std::string source = "You need:\n\n- a pen\n- paper\n- ink\n- glue\n\nThat is all.";
  retrieval_.sources["doc"] = retrieval_.sources["a"] = retrieval_.sources["b"] = source;
  second.mutable_chunk()->mutable_segments(0)->set_source_begin(source.find("- ink"));
  for (const char* uri : {"a", "b"}) retrieval_.hits[uri].mutable_document()->set_source_sha256(Sha256Hex(source));
  for (const char* words : {"pen", "ink"}) {
    const v1::Answer answer = Ask("What do you need?", {{words, 0.9}});
    EXPECT_EQ(answer.text(), "- a pen\n- paper\n- ink\n- glue") << words;
    ASSERT_EQ(answer.claims_size(), 2);
    EXPECT_EQ(SourceOf(answer, 0), "You need:\n\n- a pen\n- paper");
    EXPECT_EQ(SourceOf(answer, 1), "- ink\n- glue");
    EXPECT_EQ(answer.claims(1).citations(0).answer_range().begin(), answer.text().find("- ink"));
  }
}

TEST_F(ListSpanAnswerTest, ADecoderThatQuotesSentencesIsNotAskedWhereAListAnswers) {
  retrieval_.Add("visit.md", kVisitors, kVisitors);
  generation_.reader = {{"photo ID", 0.9}};
  generation_.generated = "A tour takes an hour.";
  v1::AskRequest request;
  request.set_question("What must visitors bring?");
  request.set_mode(v1::ANSWER_MODE_GENERATE);
  for (const bool by_quoting : {true, false}) {
    generation_.answers_by_quoting = by_quoting;
    std::string streamed;
    const auto sink = [&](const v1::AskStreamResponse& event) {
      streamed += event.text_delta();
      return absl::OkStatus();
    };
    const absl::StatusOr<v1::Answer> answer = answerer_->Ask(request, {}, sink);
    ASSERT_THAT(answer, IsOk());
    EXPECT_EQ(answer->text(), by_quoting ? "- a photo ID\n- safety shoes" : generation_.generated);
    EXPECT_EQ(streamed, answer->text());
    EXPECT_EQ(answer->answerability(), v1::ANSWERED);
  }
}

TEST_F(ListSpanAnswerTest, AListThatCannotBeCitedIsNone) {
  retrieval_.Add("visit.md", kVisitors, kVisitors);
  v1::Chunk& chunk = *retrieval_.hits["visit.md"].mutable_chunk();
  const std::string text = chunk.text();
  v1::SourceSegment* segment = chunk.mutable_segments(0);  // the announcement has no source
  segment->set_text_begin(static_cast<int64_t>(text.find("a photo")));
  segment->set_source_begin(text.find("a photo"));
  segment->set_text_length(static_cast<int64_t>(text.size() - text.find("a photo")));
  segment->set_source_length(segment->text_length());
  EXPECT_EQ(Ask("What must visitors bring?", {{"photo ID", 0.9}}).text(), "photo ID");
}

TEST_F(ListSpanAnswerTest, ADefinitionIsWhatASentenceSaysThatAThingIs) {
  const std::string text = "A new badge costs 4 euros. A badge is a card that opens the doors. Lose it not.";
  retrieval_.Add("badge.md", text, text);
  const v1::Answer answer = Ask("What is a badge?", {{"4 euros", 0.9}});
  EXPECT_EQ(answer.text(), "a card that opens the doors");
  EXPECT_EQ(answer.evidence(), 0.9);
  EXPECT_EQ(SourceOf(answer, 0), "A badge is a card that opens the doors.");
  EXPECT_EQ(Ask("What does a badge cost?", {{"4 euros", 0.9}}).text(), "4 euros");
}

}  // namespace
}  // namespace lastro::services
