#include "services/answer/answerer.h"
#include "services/answer/citation.h"
#include "services/answer/cited_text.h"
#include "services/answer/evidence.h"
#include "services/answer/quote_answer.h"
#include "services/answer/receipt.h"
#include "services/answer/support.h"
#include "tests/test_util.h"
#include "tests/unit/services/answer_fakes.h"

namespace lastro::services {
namespace {

using ::lastro::testing::IsOk;
using ::lastro::testing::StatusIs;
using ::testing::HasSubstr;

constexpr char kBunkering[] =
    "Bunkering stops when the wind reaches 25 knots. The chief engineer signs the form. Hoses are kept in locker nine.";
constexpr char kRefunds[] =
    "A full refund is paid until seven days before departure. Later requests get half the fare.";

class AnswererTest : public ::testing::Test {
 protected:
  AnswererTest() : answerer_(MakeAnswerer(&retrieval_, &embedding_, &generation_)) {
    retrieval_.Add("bunkering.txt", kBunkering, std::string("# Bunkering\n\n") + kBunkering, 13);
    retrieval_.Add("refunds.txt", kRefunds, kRefunds);
  }

  v1::AskRequest Question(const std::string& question, double min_evidence = 0.2) {
    v1::AskRequest request;
    request.set_question(question);
    request.set_min_evidence(min_evidence);
    return request;
  }

  testing::FakeRetrieval retrieval_;
  testing::FakeEmbedding embedding_;
  testing::FakeGeneration generation_;
  std::unique_ptr<AskApi> answerer_;
};

TEST_F(AnswererTest, QuotesTheSentenceThatAnswersWithItsBytes) {
  ASSERT_OK_AND_ASSIGN(v1::Answer answer, answerer_->Ask(Question("When does bunkering stop in the wind?"), {}));
  EXPECT_EQ(answer.answerability(), v1::ANSWERED);
  EXPECT_THAT(answer.text(), HasSubstr("Bunkering stops when the wind reaches 25 knots."));
  ASSERT_GE(answer.claims_size(), 1);
  const v1::Citation& citation = answer.claims(0).citations(0);
  const std::string& source = retrieval_.sources[citation.document_uri()];
  EXPECT_EQ(
      source.substr(citation.source_range().begin(), citation.source_range().end() - citation.source_range().begin()),
      citation.quote());
  EXPECT_EQ(citation.source_range().begin(), 13);
  EXPECT_EQ(answer.text().substr(citation.answer_range().begin(),
                                 citation.answer_range().end() - citation.answer_range().begin()),
            citation.quote());
  EXPECT_EQ(answer.receipt().store_commit(), 42);
  EXPECT_FALSE(answer.receipt().chunk_sha256().empty());
}

TEST_F(AnswererTest, AReceiptMakesTheSameAnswerAgain) {
  const v1::AskRequest request = Question("When does bunkering stop in the wind?");
  ASSERT_OK_AND_ASSIGN(const v1::Answer first, answerer_->Ask(request, {}));
  const v1::Receipt& receipt = first.receipt();
  EXPECT_EQ(receipt.request().SerializeAsString(), request.SerializeAsString());
  EXPECT_EQ(receipt.answer_sha256().size(), 64u);
  EXPECT_GT(receipt.passages_size(), 0);
  EXPECT_TRUE(receipt.passages(0).used());
  ASSERT_OK_AND_ASSIGN(v1::Answer again, answerer_->Ask(receipt.request(), {}));
  v1::ReplayReport report = answer::CompareReceipts(receipt, std::move(again));
  EXPECT_TRUE(report.same());
  EXPECT_EQ(report.changes_size(), 0) << report.changes(0);

  // What changed is named, whether the answer is another one or not.
  const std::string sentence = "Bunkering stops when the wind reaches 30 knots.";
  retrieval_.Add("newer.txt", sentence, sentence);
  generation_.favourite = sentence;
  ASSERT_OK_AND_ASSIGN(again, answerer_->Ask(receipt.request(), {}));
  report = answer::CompareReceipts(receipt, std::move(again));
  EXPECT_FALSE(report.same());
  EXPECT_THAT(report.changes(), ::testing::Contains(HasSubstr("newer.txt is retrieved and was not")));
}

TEST(AnswerSha256, IsOfWhatTheAnswerSays) {
  v1::Answer answer;
  answer.set_text("Yes.");
  answer.set_answerability(v1::ANSWERED);
  v1::Citation* citation = answer.add_claims()->add_citations();
  citation->set_source_sha256("a");
  const std::string hash = answer::AnswerSha256(answer);
  citation->set_chunk_id(7);
  answer.mutable_receipt()->set_store_commit(9);
  EXPECT_EQ(answer::AnswerSha256(answer), hash);
  citation->mutable_source_range()->set_end(1);
  EXPECT_NE(answer::AnswerSha256(answer), hash);
  citation->clear_source_range();
  answer.mutable_claims(0)->set_supported(true);
  EXPECT_NE(answer::AnswerSha256(answer), hash);
}

TEST_F(AnswererTest, AFollowUpIsAnsweredWithWhatWasSaidBefore) {
  v1::AskRequest request = Question("And when does it stop?");
  v1::Turn* turn = request.add_history();
  turn->set_role(v1::Turn::USER);
  turn->set_text("What is said about bunkering in the wind?");
  ASSERT_OK_AND_ASSIGN(v1::Answer answer, answerer_->Ask(request, {}));
  EXPECT_EQ(answer.standalone_question(), "And when does it stop? (said bunkering wind)");
  EXPECT_THAT(answer.text(), HasSubstr("Bunkering stops when the wind reaches 25 knots."));
  EXPECT_EQ(answer.receipt().request().question(), "And when does it stop?");
  request.clear_history();
  ASSERT_OK_AND_ASSIGN(answer, answerer_->Ask(request, {}));
  EXPECT_EQ(answer.standalone_question(), "");
}

TEST_F(AnswererTest, QuestionsAreEmbeddedAsQueriesAndSentencesAsDocuments) {
  const std::string question = "When does bunkering stop in the wind?";
  ASSERT_THAT(answerer_->Ask(Question(question), {}), IsOk());
  EXPECT_EQ(embedding_.roles[question], v1::QUERY);
  EXPECT_EQ(embedding_.roles["Bunkering stops when the wind reaches 25 knots."], v1::DOCUMENT);
}

TEST_F(AnswererTest, TheDecoderDecidesBetweenNearEquals) {
  retrieval_.Add("other.txt", "Bunkering stops when the wind reaches 30 knots.",
                 "Bunkering stops when the wind reaches 30 knots.");
  v1::AskRequest request = Question("When does bunkering stop in the wind?");
  request.set_max_sentences(1);
  for (const char* favourite :
       {"Bunkering stops when the wind reaches 25 knots.", "Bunkering stops when the wind reaches 30 knots."}) {
    generation_.favourite = favourite;
    ASSERT_OK_AND_ASSIGN(v1::Answer answer, answerer_->Ask(request, {}));
    EXPECT_EQ(answer.text(), favourite);
  }
}

TEST_F(AnswererTest, AbstainsWithAReasonInTheQuestionsLanguage) {
  ASSERT_OK_AND_ASSIGN(v1::Answer weak, answerer_->Ask(Question("Qual é a capital da Austrália, por favor?", 0.5), {}));
  EXPECT_EQ(weak.answerability(), v1::WEAK_EVIDENCE);
  EXPECT_THAT(weak.text(), HasSubstr("documentos"));
  EXPECT_EQ(weak.claims_size(), 0);
  EXPECT_LT(weak.evidence(), weak.evidence_threshold());

  retrieval_.hits.clear();
  ASSERT_OK_AND_ASSIGN(v1::Answer none, answerer_->Ask(Question("When does bunkering stop?"), {}));
  EXPECT_EQ(none.answerability(), v1::NO_HIT);
  EXPECT_THAT(none.text(), HasSubstr("No document"));
}

TEST_F(AnswererTest, SaysWhenThePromptBudgetHoldsNoPassage) {
  v1::AskRequest request = Question("When does bunkering stop in the wind?");
  request.set_max_prompt_tokens(12);
  ASSERT_OK_AND_ASSIGN(v1::Answer answer, answerer_->Ask(request, {}));
  EXPECT_EQ(answer.answerability(), v1::OVER_BUDGET);
  EXPECT_EQ(answer.claims_size(), 0);
}

TEST_F(AnswererTest, SaysWhenTheContextOfTheModelHoldsNoPassage) {
  generation_.context_tokens = 512 + 12;
  v1::AskRequest request = Question("When does bunkering stop in the wind?");
  request.set_mode(v1::ANSWER_MODE_GENERATE);
  request.set_max_new_tokens(512);
  ASSERT_OK_AND_ASSIGN(v1::Answer answer, answerer_->Ask(request, {}));
  EXPECT_EQ(answer.answerability(), v1::OVER_BUDGET);
  EXPECT_EQ(answer.claims_size(), 0);
}

TEST_F(AnswererTest, PassagesThatDoNotFitStayOutOfThePrompt) {
  v1::AskRequest request = Question("When does bunkering stop in the wind?");
  request.set_max_prompt_tokens(45);
  ASSERT_THAT(answerer_->Ask(request, {}), IsOk());
  ASSERT_EQ(generation_.last_prompt.grounded().passages_size(), 1);
  EXPECT_EQ(generation_.last_prompt.grounded().passages(0), kBunkering);
}

TEST_F(AnswererTest, PromptsOfTheSamePassagesBeginAlike) {
  v1::AskRequest request = Question("When does bunkering stop in the wind?");
  request.set_collection("notes");
  ASSERT_THAT(answerer_->Ask(request, {}), IsOk());
  const v1::Prompt first = generation_.last_prompt;
  request.set_question("Until when is a full refund paid?");
  ASSERT_THAT(answerer_->Ask(request, {}), IsOk());
  const v1::Prompt second = generation_.last_prompt;
  ASSERT_EQ(first.grounded().passages_size(), 2);
  EXPECT_EQ(std::vector<std::string>(first.grounded().passages().begin(), first.grounded().passages().end()),
            std::vector<std::string>(second.grounded().passages().begin(), second.grounded().passages().end()));
  EXPECT_EQ(first.reuse().name(), second.reuse().name());
  EXPECT_EQ(first.reuse().version(), 7);
  request.set_collection("mail");
  ++retrieval_.removed_documents;
  ASSERT_THAT(answerer_->Ask(request, {}), IsOk());
  EXPECT_NE(generation_.last_prompt.reuse().name(), first.reuse().name());
  EXPECT_EQ(generation_.last_prompt.reuse().version(), 8);
}

TEST_F(AnswererTest, NeverSendsACitationOfChangedBytes) {
  retrieval_.sources["bunkering.txt"] = "# Bunkering\n\nBunkering stops when the wind reaches 99 knots.";
  retrieval_.sources["refunds.txt"] = "x";
  EXPECT_THAT(answerer_->Ask(Question("When does bunkering stop in the wind?"), {}),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("replaced or deleted")));
}

TEST_F(AnswererTest, AsksAgainWhenADocumentIsReplacedMeanwhile) {
  int searches = 0;
  retrieval_.after_search = [&] {
    if (++searches == 1) {
      retrieval_.Add("bunkering.txt", "Bunkering stops when the wind reaches 20 knots.",
                     "Bunkering stops when the wind reaches 20 knots.");
    }
  };
  ASSERT_OK_AND_ASSIGN(v1::Answer answer, answerer_->Ask(Question("When does bunkering stop in the wind?"), {}));
  EXPECT_EQ(searches, 2);
  EXPECT_THAT(answer.text(), HasSubstr("20 knots"));
}

TEST_F(AnswererTest, GeneratedTextIsCitedOnlyWhereItStandsInTheSources) {
  generation_.generated = "Bunkering stops when the wind reaches 25 knots. The captain dances at midnight on deck.";
  v1::AskRequest request = Question("When does bunkering stop in the wind?");
  request.set_mode(v1::ANSWER_MODE_GENERATE);
  ASSERT_OK_AND_ASSIGN(v1::Answer answer, answerer_->Ask(request, {}));
  ASSERT_EQ(answer.claims_size(), 2);
  EXPECT_TRUE(answer.claims(0).supported());
  ASSERT_EQ(answer.claims(0).citations_size(), 1);
  EXPECT_EQ(answer.claims(0).citations(0).quote(), "Bunkering stops when the wind reaches 25 knots");
  EXPECT_FALSE(answer.claims(1).supported());
  EXPECT_EQ(answer.claims(1).citations_size(), 0);
}

TEST_F(AnswererTest, WhatTheDecoderNamesIsHeldAgainstWhatIsFound) {
  generation_.generated =
      "Bunkering stops when the wind reaches 25 knots [1]. Later requests get half the fare. [1][9] The captain dances "
      "at midnight on deck [2].";
  v1::AskRequest request = Question("When does bunkering stop in the wind?");
  request.set_mode(v1::ANSWER_MODE_GENERATE);
  std::string streamed;
  auto sink = [&](const v1::AskStreamResponse& event) {
    streamed += event.text_delta();
    return absl::OkStatus();
  };
  ASSERT_OK_AND_ASSIGN(v1::Answer answer, answerer_->Ask(request, {}, sink));
  EXPECT_EQ(answer.text(),
            "Bunkering stops when the wind reaches 25 knots. Later requests get half the fare. The captain dances at "
            "midnight on deck.");
  EXPECT_EQ(streamed, answer.text());
  ASSERT_EQ(answer.claims_size(), 3);
  EXPECT_EQ(answer.claims(0).citations(0).document_uri(), "bunkering.txt");
  EXPECT_TRUE(answer.claims(0).refused_passages().empty());
  EXPECT_EQ(answer.claims(1).citations(0).document_uri(), "refunds.txt");
  EXPECT_THAT(answer.claims(1).refused_passages(), ::testing::ElementsAre(1)) << "9 is no passage";
  EXPECT_FALSE(answer.claims(2).supported());
  EXPECT_THAT(answer.claims(2).refused_passages(), ::testing::ElementsAre(2));
  EXPECT_TRUE(generation_.last_generate.response_format().cited_text().verbatim_quotes());
  request.set_verbatim_quotes(false);
  ASSERT_OK_AND_ASSIGN(answer, answerer_->Ask(request, {}));
  EXPECT_TRUE(generation_.last_generate.response_format().has_cited_text());
  EXPECT_FALSE(generation_.last_generate.response_format().cited_text().verbatim_quotes());
}

TEST_F(AnswererTest, OfTwoSourcesTheOneThatWasNamedIsCited) {
  retrieval_.Add("copy.txt", kBunkering, kBunkering);
  v1::AskRequest request = Question("When does bunkering stop in the wind?");
  request.set_mode(v1::ANSWER_MODE_GENERATE);
  const std::string said = "Bunkering stops when the wind reaches 25 knots";
  for (const auto& [generated, cited] : std::vector<std::pair<std::string, std::string>>{
           {said + ".", "bunkering.txt"}, {said + " [1].", "bunkering.txt"}, {said + " [2].", "copy.txt"}}) {
    generation_.generated = generated;
    ASSERT_OK_AND_ASSIGN(v1::Answer answer, answerer_->Ask(request, {}));
    ASSERT_EQ(answer.claims_size(), 1);
    EXPECT_EQ(answer.claims(0).citations(0).document_uri(), cited) << generated;
    EXPECT_TRUE(answer.claims(0).refused_passages().empty()) << generated;
  }
}

TEST_F(AnswererTest, AModelThatOnlyNamesPassagesSaysNothing) {
  generation_.generated = " [1] [2] [";
  v1::AskRequest request = Question("When does bunkering stop in the wind?");
  request.set_mode(v1::ANSWER_MODE_GENERATE);
  ASSERT_OK_AND_ASSIGN(v1::Answer answer, answerer_->Ask(request, {}));
  EXPECT_EQ(answer.answerability(), v1::WEAK_EVIDENCE);
}

TEST(CitationFilter, TakesOutCitationsHoweverTheTextIsCut) {
  const std::pair<const char*, const char*> cases[] = {
      {"A b [1]. C [2][1] d", "A b. C d"}, {" \n[1] A", "A"},
      {"A [sic] [x1] [", "A [sic] [x1]"},  {"A [12", "A"},
      {"A [7] b [0] c", "A b c"},          {"A [1234567] b", "A [1234567] b"},
      {"A  [1]  b [[1]]", "A  b []"},      {"[]A[1 ]", "[]A[1 ]"},
      {"A \"b [1]\"", "A \"b\""}};
  for (const auto& [text, expected] : cases) {
    const std::string whole(text);
    for (size_t first = 0; first <= whole.size(); ++first) {
      for (size_t second = first; second <= whole.size(); ++second) {
        answer::CitationFilter filter(2);
        std::string shown = filter.Push(whole.substr(0, first));
        shown += filter.Push(whole.substr(first, second - first));
        shown += filter.Push(whole.substr(second));
        ASSERT_EQ(shown, expected) << text << " cut at " << first << " and " << second;
      }
    }
  }
  answer::CitationFilter filter(2);
  EXPECT_EQ(filter.Push("[2] A b [1]. C [3]"), "A b. C");
  ASSERT_EQ(filter.named().size(), 2u);
  EXPECT_EQ(filter.named()[0].at, 0u);
  EXPECT_EQ(filter.named()[0].passage, 1);
  EXPECT_EQ(filter.named()[1].at, 3u);
  EXPECT_EQ(filter.named()[1].passage, 0);
}

TEST_F(AnswererTest, AModelThatDeclinesIsAnAbstention) {
  generation_.generated = " ";
  v1::AskRequest request = Question("When does bunkering stop in the wind?");
  request.set_mode(v1::ANSWER_MODE_GENERATE);
  ASSERT_OK_AND_ASSIGN(v1::Answer answer, answerer_->Ask(request, {}));
  EXPECT_EQ(answer.answerability(), v1::WEAK_EVIDENCE);
}

TEST_F(AnswererTest, StreamsSourcesThenText) {
  std::vector<v1::AskStreamResponse> events;
  ASSERT_OK_AND_ASSIGN(v1::Answer answer, answerer_->Ask(Question("When does bunkering stop in the wind?"), {},
                                                         [&](const v1::AskStreamResponse& event) {
                                                           events.push_back(event);
                                                           return absl::OkStatus();
                                                         }));
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].sources().passages_size(), 2);
  EXPECT_EQ(events[1].text_delta(), answer.text());
}

TEST_F(AnswererTest, ASinkThatFailsEndsTheCall) {
  EXPECT_THAT(answerer_->Ask(Question("When does bunkering stop?"), {},
                             [](const v1::AskStreamResponse&) { return absl::CancelledError("client gone"); }),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("client gone")));
}

TEST_F(AnswererTest, RefusesWhatIsOutOfRange) {
  struct Case {
    std::function<void(v1::AskRequest*)> spoil;
    absl::StatusCode code;
    std::string message;
  };
  const std::vector<Case> cases = {
      {[](v1::AskRequest* r) { r->set_question(" \n"); }, absl::StatusCode::kInvalidArgument, "question is empty"},
      {[](v1::AskRequest* r) { r->set_question(std::string(9'000, 'x')); }, absl::StatusCode::kInvalidArgument, "8192"},
      {[](v1::AskRequest* r) { r->set_max_passages(51); }, absl::StatusCode::kInvalidArgument, "max_passages is 51"},
      {[](v1::AskRequest* r) { r->set_max_sentences(-1); }, absl::StatusCode::kInvalidArgument, "max_sentences is -1"},
      {[](v1::AskRequest* r) { r->set_min_evidence(std::nan("")); }, absl::StatusCode::kInvalidArgument,
       "min_evidence"},
      {[](v1::AskRequest* r) { r->set_mode(static_cast<v1::AnswerMode>(9)); }, absl::StatusCode::kInvalidArgument,
       "mode 9"},
      {[](v1::AskRequest* r) { r->add_history(); }, absl::StatusCode::kInvalidArgument, "history"},
      {[](v1::AskRequest* r) { r->set_collection("nowhere"); }, absl::StatusCode::kNotFound, "nowhere"},
  };
  for (const Case& c : cases) {
    v1::AskRequest request = Question("When does bunkering stop?");
    c.spoil(&request);
    EXPECT_THAT(answerer_->Ask(request, {}), StatusIs(c.code, HasSubstr(c.message)));
  }
}

TEST(Evidence, RareWordsCountMoreThanCommonOnes) {
  std::vector<v1::SearchHit> passages(1);
  std::vector<answer::Candidate> candidates = {{0, 0, 0, "The valve is opened by hand."},
                                               {0, 0, 0, "The pump is opened by key seventeen."},
                                               {0, 0, 0, "The door is opened by the mate."}};
  std::vector<double> overlap =
      answer::WordOverlap("Which key is opened for the valve?", candidates, candidates, passages);
  EXPECT_NEAR(overlap[0], overlap[1], 1e-9);  // one rare word each
  EXPECT_GT(overlap[0], overlap[2]);
  EXPECT_LE(overlap[0], 1.0);
}

TEST(Evidence, InflectedWordsMatch) {
  std::vector<v1::SearchHit> passages(1);
  std::vector<answer::Candidate> candidates = {{0, 0, 0, "A citação foi verificada."},
                                               {0, 0, 0, "O porto está fechado."}};
  std::vector<double> overlap = answer::WordOverlap("Como se verificam as citações?", candidates, candidates, passages);
  EXPECT_GT(overlap[0], 0.0);
  EXPECT_EQ(overlap[1], 0.0);
}

TEST(Support, FindsRunsAcrossCaseAndSpaces) {
  std::vector<v1::SearchHit> passages(1);
  passages[0].mutable_chunk()->set_text("First: the  Master orders the pilot\nfour hours ahead, always.");
  std::vector<answer::SupportedSentence> sentences =
      answer::FindSupport("The master orders the pilot four hours ahead.", passages);
  ASSERT_EQ(sentences.size(), 1u);
  EXPECT_TRUE(sentences[0].supported);
  ASSERT_EQ(sentences[0].runs.size(), 1u);
  EXPECT_EQ(passages[0].chunk().text().substr(sentences[0].runs[0].text_begin,
                                              sentences[0].runs[0].text_end - sentences[0].runs[0].text_begin),
            "the  Master orders the pilot\nfour hours ahead");
}

TEST(Support, ShortChanceRunsAreNoSupport) {
  std::vector<v1::SearchHit> passages(1);
  passages[0].mutable_chunk()->set_text("The master orders the pilot.");
  std::vector<answer::SupportedSentence> sentences =
      answer::FindSupport("The master sleeps in the pilot room.", passages);
  ASSERT_EQ(sentences.size(), 1u);
  EXPECT_FALSE(sentences[0].supported);
  EXPECT_TRUE(sentences[0].runs.empty());
}

TEST(Citation, ComparesEveryVerbatimPiece) {
  v1::Chunk chunk;
  chunk.set_text("a & b");
  auto add = [&chunk](int64_t text, int64_t text_length, int64_t source, int64_t source_length, bool verbatim) {
    v1::SourceSegment* segment = chunk.add_segments();
    segment->set_text_begin(text);
    segment->set_text_length(text_length);
    segment->set_source_begin(source);
    segment->set_source_length(source_length);
    segment->set_verbatim(verbatim);
  };
  add(0, 2, 3, 2, true);   // "a "
  add(2, 1, 5, 5, false);  // "&" from "&amp;"
  add(3, 2, 10, 2, true);  // " b"
  EXPECT_TRUE(answer::SourceMatchesText(chunk, 0, 5, "a &amp; b", 3));
  EXPECT_FALSE(answer::SourceMatchesText(chunk, 0, 5, "a &amp; c", 3));
  EXPECT_FALSE(answer::SourceMatchesText(chunk, 0, 5, "a &amp;", 3));
  EXPECT_FALSE(answer::SourceMatchesText(chunk, 2, 3, "&amp;", 5)) << "nothing verbatim is no proof";
}

TEST(ChooseSentences, KeepsTheBestAndOthersNearlyAsGoodThatSaySomethingElse) {
  auto scored = [](int passage, uint64_t begin, const std::string& text, double score) {
    answer::ScoredCandidate candidate{{passage, begin, begin + text.size(), text}, {}};
    candidate.evidence.evidence = candidate.evidence.rank_score = score;
    return candidate;
  };
  std::vector<answer::ScoredCandidate> candidates = {
      scored(1, 50, "The office opens at nine.", 0.9), scored(0, 0, "The office opens at nine!", 0.89),
      scored(1, 0, "Bring the signed paper form.", 0.88), scored(0, 90, "Nothing to do with it at all.", 0.5)};
  EXPECT_THAT(answer::ChooseSentences(candidates, 3, 0.4), ::testing::ElementsAre(2, 0));  // in reading order
  EXPECT_THAT(answer::ChooseSentences(candidates, 1, 0.4), ::testing::ElementsAre(0));
}

}  // namespace
}  // namespace lastro::services
