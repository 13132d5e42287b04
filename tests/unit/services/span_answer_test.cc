// Answers that a reader points at: the words and their sentence, sentences, abstentions and contradictions; free text
// held against the passages.
#include "services/answer/span_answer.h"

#include <limits>

#include "base/status_macros.h"
#include "services/answer/answerer.h"
#include "services/answer/candidates.h"
#include "services/answer/claim_check.h"
#include "services/answer/receipt.h"
#include "tests/test_util.h"
#include "tests/unit/services/answer_fakes.h"

namespace lastro::services {
namespace {

using ::lastro::testing::IsOk;
using ::lastro::testing::StatusIs;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kBunkering[] =
    "The chief engineer signs the form. Bunkering stops when the wind reaches 25 knots. Hoses are kept in locker nine.";
constexpr char kRefunds[] =
    "A full refund is paid until seven days before departure. Later requests get half the fare, less the cost of the "
    "ticket.";

class SpanAnswerTest : public ::testing::Test {
 protected:
  SpanAnswerTest() : answerer_(MakeAnswerer(&retrieval_, &embedding_, &generation_)) {
    retrieval_.Add("bunkering.txt", kBunkering, std::string("# Bunkering\n\n") + kBunkering, 13);
    retrieval_.Add("refunds.txt", kRefunds, kRefunds);
  }

  v1::Answer Ask(const std::string& question, const std::function<void(v1::AskRequest*)>& change = nullptr) {
    v1::AskRequest request;
    request.set_question(question);
    if (change) change(&request);
    absl::StatusOr<v1::Answer> answer = answerer_->Ask(request, {});
    EXPECT_THAT(answer, IsOk());
    return answer.ok() ? *std::move(answer) : v1::Answer();
  }
  v1::Answer Generate(const std::string& text, v1::UnsupportedText unsupported = v1::UNSUPPORTED_TEXT_UNSPECIFIED) {
    generation_.generated = text;
    generation_.reader = {{"25 knots", 0.9}};
    return Ask("When does bunkering stop?", [&](v1::AskRequest* request) {
      request->set_mode(v1::ANSWER_MODE_GENERATE);
      request->set_unsupported(unsupported);
    });
  }
  // The bytes of the source that a citation names.
  std::string SourceOf(const v1::Citation& citation) {
    const v1::ByteRange& range = citation.source_range();
    return retrieval_.sources[citation.document_uri()].substr(range.begin(), range.end() - range.begin());
  }
  static std::string AnswerInQuote(const v1::Citation& citation) {
    const v1::ByteRange& range = citation.answer_in_quote();
    return citation.quote().substr(range.begin(), range.end() - range.begin());
  }

  testing::FakeRetrieval retrieval_;
  testing::FakeEmbedding embedding_;
  testing::FakeGeneration generation_;
  std::unique_ptr<AskApi> answerer_;
  v1::Answer answer_;
};

TEST_F(SpanAnswerTest, AFactIsItsWordsCitedByTheirSentence) {
  generation_.reader = {{"25 knots", 0.9}};
  const v1::Answer answer = Ask("At what wind speed does bunkering stop?");
  EXPECT_EQ(answer.answerability(), v1::ANSWERED);
  EXPECT_EQ(answer.text(), "25 knots");
  EXPECT_EQ(answer.evidence(), 0.9);
  ASSERT_EQ(answer.claims_size(), 1);
  EXPECT_EQ(answer.claims(0).range().end(), 8);
  EXPECT_EQ(answer.claims(0).support(), v1::Claim::VERBATIM);
  ASSERT_EQ(answer.claims(0).citations_size(), 1);
  const v1::Citation& citation = answer.claims(0).citations(0);
  EXPECT_EQ(citation.quote(), "Bunkering stops when the wind reaches 25 knots.");
  EXPECT_EQ(SourceOf(citation), citation.quote());
  EXPECT_EQ(AnswerInQuote(citation), "25 knots");
  EXPECT_EQ(citation.answer_range().end(), 8);
  EXPECT_TRUE(embedding_.roles.empty()) << "no sentence is embedded";
  EXPECT_FALSE(generation_.last_prompt.has_grounded()) << "and no decoder asked";
}

// Two rows of a table whose columns have names.
void AddTable(testing::FakeRetrieval* retrieval) {
  const std::string text = "Office | City\nSouth | Faro\nEast | Braga. Norte";
  retrieval->Add("offices.md", text, text);
  for (const auto& [begin, end, column] : std::vector<std::tuple<int, int, std::string>>{
           {0, 6, ""}, {9, 13, ""}, {14, 19, "Office"}, {22, 26, "City"}, {27, 31, "Office"}, {34, 46, "City"}}) {
    v1::NamedCell* cell = retrieval->hits["offices.md"].mutable_chunk()->add_cells();
    cell->set_begin(begin);
    cell->set_end(end);
    cell->set_column(column);
  }
}

TEST_F(SpanAnswerTest, ACellIsReadWithTheNameOfItsColumnAndCitedByItsRow) {
  AddTable(&retrieval_);
  generation_.reader = {{"City: Faro", 0.9}, {"City: Braga", 0.8}};
  v1::Answer answer = Ask("Where is the South office?");
  ASSERT_FALSE(generation_.read_requests.empty());
  const auto& read = generation_.read_requests[0].passages();
  EXPECT_THAT(std::vector<std::string>(read.begin(), read.end()), Contains("Office: South | City: Faro"));
  EXPECT_EQ(answer.text(), "Faro");
  ASSERT_EQ(answer.claims_size(), 1);
  ASSERT_EQ(answer.claims(0).citations_size(), 1);
  EXPECT_EQ(answer.claims(0).citations(0).quote(), "South | Faro");
  EXPECT_EQ(SourceOf(answer.claims(0).citations(0)), "South | Faro");
  EXPECT_EQ(AnswerInQuote(answer.claims(0).citations(0)), "Faro");
  generation_.reader = {{"Braga", 0.9}};
  answer = Ask("Where is the East office?");
  EXPECT_EQ(answer.text(), "Braga. Norte") << "all of the cell";
  EXPECT_EQ(answer.claims(0).citations(0).quote(), "East | Braga. Norte") << "a row is no sentence";
}

TEST_F(SpanAnswerTest, TheNameOfAColumnIsNoAnswer) {
  AddTable(&retrieval_);
  generation_.reader = {{"Office", 0.99}, {"City", 0.98}, {"25 knots", 0.9}};
  EXPECT_EQ(Ask("Who stops?").text(), "25 knots");
}

// What speaks for a cell is its row as it was read: there the question's words are.

TEST_F(SpanAnswerTest, ARowIsWeighedWithTheNamesOfItsColumns) {
  AddTable(&retrieval_);
  generation_.reader = {{"Faro", 0.9}};
  generation_.answer_weights.emplace();
  generation_.answer_weights->set_word_overlap(4);
  const v1::Answer answer =
      Ask("Which city has the South office?", [](auto* request) { request->set_include_passages(true); });
  EXPECT_EQ(answer.text(), "Faro");
  const auto of_table = [](const v1::Passage& passage) { return passage.document_uri() == "offices.md"; };
  const auto found = std::find_if(answer.passages().begin(), answer.passages().end(), of_table);
  ASSERT_NE(found, answer.passages().end());
  EXPECT_EQ(found->answer_evidence().word_overlap(), 1);
}

TEST_F(SpanAnswerTest, TheLikeliestPassageAnswersWhereverItWasFound) {
  generation_.reader = {{"25 knots", 0.7}, {"seven days", 0.8}};
  EXPECT_EQ(Ask("How many days before?").text(), "seven days");  // refunds.txt is found last
}

TEST_F(SpanAnswerTest, WhatSearchThinksCountsBesideTheReader) {
  retrieval_.hits["bunkering.txt"].set_score(0.9);
  retrieval_.hits["refunds.txt"].set_score(0.3);
  generation_.reader = {{"25 knots", 0.7}, {"seven days", 0.8}};
  EXPECT_EQ(Ask("How many days before?").text(), "25 knots");
  generation_.reader = {{"25 knots", 0.05}, {"seven days", 0.8}};
  const v1::Answer answer = Ask("How many days before?", [](v1::AskRequest* request) { request->set_min_evidence(0); });
  EXPECT_EQ(answer.text(), "seven days");
  EXPECT_NEAR(answer.evidence(), 0.2175, 0.001) << "log odds of 0.8, less 4 by two thirds";
}

// The reader's folder says how what speaks for an answer is weighed: here the question's words in its sentence alone.

TEST_F(SpanAnswerTest, AnswersAreWeighedAsTheReaderSays) {
  generation_.reader = {{"25 knots", 0.9}, {"seven days", 0.1}, {"chief engineer", 0.8}};
  generation_.answer_weights.emplace();
  generation_.answer_weights->set_bias(-1);
  generation_.answer_weights->set_word_overlap(4);
  const v1::Answer answer = Ask("Who signs the form?", [](auto* request) { request->set_include_passages(true); });
  EXPECT_EQ(answer.text(), "chief engineer");
  const v1::Passage& first = answer.passages(0);
  EXPECT_EQ(first.answer_probability(), answer.evidence());
  const double overlap = first.answer_evidence().word_overlap();
  EXPECT_GT(overlap, 0.9) << "all of the question's words that say something";
  EXPECT_NEAR(answer.evidence(), 1 / (1 + std::exp(1 - 4 * overlap)), 1e-9);
  EXPECT_EQ(first.answer_evidence().relevance(), 1);
  EXPECT_EQ(first.answer_evidence().span_score(), 0.8);
  EXPECT_GT(first.answer_evidence().sentence_cosine(), 0.3);
  EXPECT_LT(answer.passages(1).answer_evidence().word_overlap(), overlap);
  for (const auto& [text, role] : embedding_.roles) {
    EXPECT_EQ(role, text == "Who signs the form?" ? v1::QUERY : v1::DOCUMENT) << text;
  }
  EXPECT_LE(embedding_.roles.size(), 5u) << "the question, and the sentences of what was pointed at";
}

// One set of weights tells which answer is the likeliest, another how likely that is.

TEST_F(SpanAnswerTest, HowLikelyTheLikeliestIsMayBeWeighedByItself) {
  generation_.reader = {{"25 knots", 0.7}, {"seven days", 0.8}};
  generation_.answer_weights.emplace();
  generation_.answer_weights->set_span_score(10);
  generation_.probability_weights.emplace();
  generation_.probability_weights->set_bias(3);
  generation_.probability_weights->set_span_score(-2);  // by which the other one would be the likeliest
  const v1::Answer answer = Ask("How many days before?", [](auto* request) { request->set_include_passages(true); });
  EXPECT_EQ(answer.text(), "seven days");
  EXPECT_NEAR(answer.evidence(), 1 / (1 + std::exp(-3 + 2 * 0.8)), 1e-6);
  EXPECT_NEAR(answer.passages(0).answer_probability(), 1 / (1 + std::exp(-3 + 2 * 0.7)), 1e-6);
  generation_.probability_weights->set_bias(-2);
  EXPECT_EQ(Ask("How many days before?").answerability(), v1::WEAK_EVIDENCE);
}

TEST_F(SpanAnswerTest, PassagesFarBelowTheBestHitAreWeighedDown) {
  retrieval_.hits["bunkering.txt"].set_score(0.9);
  retrieval_.hits["refunds.txt"].set_score(0.3);
  generation_.reader = {{"25 knots", 0.7}, {"seven days", 0.8}};
  generation_.answer_weights.emplace();
  generation_.answer_weights->set_span_score(10);
  EXPECT_EQ(Ask("How many days before?").text(), "seven days");
  generation_.answer_weights->set_search_distance(-3);
  EXPECT_EQ(Ask("How many days before?").text(), "25 knots");
}

// The best three passages first; the others where these do not settle the question, and wherever more than a few words
// are wanted.

TEST_F(SpanAnswerTest, WhatThePassagesBeforeHaveSettledIsNotRead) {
  for (const char* name : {"a", "b", "c", "d"}) {
    retrieval_.Add(absl::StrCat(name, ".txt"), "Eleven crates of tea.", "Eleven crates of tea.");
  }
  retrieval_.hits["bunkering.txt"].set_score(0.9);
  for (auto& [uri, hit] : retrieval_.hits) {
    if (uri != "bunkering.txt") hit.set_score(0.5);
  }
  const auto reads = [&](const std::string& question, const std::function<void(v1::AskRequest*)>& change = nullptr) {
    generation_.read_requests.clear();
    answer_ = Ask(question, change);
    std::vector<int> passages;
    for (const v1::ReadRequest& request : generation_.read_requests) passages.push_back(request.passages_size());
    return passages;
  };
  generation_.reader = {{"25 knots", 0.9}, {"Eleven", 0.2}};
  EXPECT_THAT(reads("When does bunkering stop?"), ElementsAre(3));
  EXPECT_EQ(answer_.text(), "25 knots");
  int used = 0;
  for (const v1::ReceiptPassage& passage : answer_.receipt().passages()) used += passage.used();
  EXPECT_EQ(used, 3);
  EXPECT_EQ(answer_.receipt().passages_size(), 6);
  // Not likely enough in itself, or for what is asked.
  generation_.reader = {{"25 knots", 0.3}, {"Eleven", 0.2}};
  EXPECT_THAT(reads("When does bunkering stop?"), ElementsAre(3, 3));
  generation_.reader = {{"25 knots", 0.8}, {"Eleven", 0.2}};
  EXPECT_THAT(reads("When does bunkering stop?", [](auto* request) { request->set_min_evidence(0.85); }),
              ElementsAre(3, 3));
  // More than a few words.
  generation_.reader = {{"25 knots", 0.9}, {"Eleven", 0.2}};
  EXPECT_THAT(reads("Why does bunkering stop?"), ElementsAre(6));
  EXPECT_THAT(reads("May bunkering go on?"), ElementsAre(6));
  // Whoever writes the answer: the decoder is shown what was read.
  const auto generate = [](auto* request) { request->set_mode(v1::ANSWER_MODE_GENERATE); };
  EXPECT_THAT(reads("When does bunkering stop?", generate), ElementsAre(3));
  EXPECT_EQ(generation_.last_prompt.grounded().passages_size(), 3);
  EXPECT_THAT(reads("Why does bunkering stop?", generate), ElementsAre(6));
  EXPECT_EQ(generation_.last_prompt.grounded().passages_size(), 6);
  // A passage that search thinks nearly as much of may say something else.
  retrieval_.hits["d.txt"].set_score(0.8);
  EXPECT_THAT(reads("When does bunkering stop?"), ElementsAre(3, 3));
}

TEST_F(SpanAnswerTest, TheReaderIsToldWhatPassagesStandUnder) {
  generation_.reader = {{"25 knots", 0.9}};
  retrieval_.hits["bunkering.txt"].mutable_document()->set_title("Fuel");
  for (const char* heading : {"Fuel", "Weather"}) {
    retrieval_.hits["bunkering.txt"].mutable_chunk()->add_headings(heading);
  }
  Ask("At what wind speed does bunkering stop?");
  const v1::ReadRequest& request = generation_.read_requests.at(0);
  ASSERT_EQ(request.contexts_size(), request.passages_size());
  EXPECT_EQ(request.contexts(0), "Fuel, Weather");
  std::string heading = "Wind";
  while (heading.size() < 5'000) heading.insert(0, "\xc3\xa1");
  retrieval_.hits["bunkering.txt"].mutable_chunk()->set_headings(1, heading);
  Ask("At what wind speed does bunkering stop?");
  EXPECT_EQ(generation_.read_requests.at(1).contexts(0), heading.substr(heading.size() - 1'024));
}

TEST_F(SpanAnswerTest, ExplanationsAreSentences) {
  generation_.reader = {{"when the wind reaches 25 knots", 0.9}};
  EXPECT_EQ(Ask("When does bunkering stop?").text(), "when the wind reaches 25 knots");
  for (const char* question : {"Why does bunkering stop?", "Por que para o abastecimento?"}) {
    const v1::Answer answer = Ask(question);
    EXPECT_EQ(answer.text(), "Bunkering stops when the wind reaches 25 knots.");
    EXPECT_EQ(answer.claims(0).citations(0).quote(), answer.text());
    EXPECT_FALSE(answer.claims(0).citations(0).has_answer_in_quote());
  }
  constexpr char kLong[] = "paid until seven days before departure. Later requests get half the fare, less the cost";
  generation_.reader = {{kLong, 0.9}};
  EXPECT_EQ(Ask("Why is it paid?").text(), kRefunds) << "both sentences that it lies in";
  EXPECT_EQ(Ask("What is paid?").text(), kLong) << "what was pointed at, however long";
  generation_.reader = {{"knots", 0.9}};
  EXPECT_EQ(Ask("How is wind measured?").text(), "knots") << "a word may be the whole explanation";
}

TEST_F(SpanAnswerTest, ExplanationsHaveNoMoreSentencesThanAsked) {
  generation_.reader = {{"when the wind reaches 25 knots", 0.90},
                        {"is paid until seven days before departure", 0.88},
                        {"chief engineer signs the form", 0.5}};
  EXPECT_EQ(Ask("Why?").claims_size(), 2) << "those nearly as likely as the best";
  EXPECT_EQ(Ask("Why?", [](v1::AskRequest* request) { request->set_max_sentences(1); }).text(),
            "Bunkering stops when the wind reaches 25 knots.");
}

TEST_F(SpanAnswerTest, RiskChoosesTheThresholdByTheCalibration) {
  generation_.reader = {{"25 knots", 0.6}};
  generation_.calibration = {{0.9, 0.02, 0.1}, {0.7, 0.1, 0.3}, {0.5, 0.25, 0.6}, {0.2, 0.5, 0.9}};
  auto with_risk = [](double risk) { return [risk](v1::AskRequest* request) { request->set_max_risk(risk); }; };
  EXPECT_EQ(Ask("At what wind speed?").evidence_threshold(), 0.5) << "by default at most 0.38 are wrong";
  EXPECT_EQ(Ask("At what wind speed?").answerability(), v1::ANSWERED);
  const v1::Answer careful = Ask("At what wind speed?", with_risk(0.1));
  EXPECT_EQ(careful.evidence_threshold(), 0.7);
  EXPECT_EQ(careful.answerability(), v1::WEAK_EVIDENCE);
  EXPECT_EQ(careful.claims_size(), 0);
  EXPECT_EQ(Ask("At what wind speed?", with_risk(1)).evidence_threshold(), 0.2);
  EXPECT_EQ(Ask("At what wind speed?", with_risk(0.01)).evidence_threshold(), 0.99) << "below all that was measured";
  generation_.calibration.clear();
  EXPECT_EQ(Ask("At what wind speed?", with_risk(0.25)).evidence_threshold(), 0.75);
  const v1::Answer told = Ask("At what wind speed?", [](v1::AskRequest* request) {
    request->set_max_risk(0);
    request->set_min_evidence(0.6);
  });
  EXPECT_EQ(told.evidence_threshold(), 0.6) << "what is asked for outright wins";
  EXPECT_EQ(told.answerability(), v1::ANSWERED);
}

TEST_F(SpanAnswerTest, DocumentsThatContradictEachOtherAreBothCited) {
  const std::string other = "Bunkering stops when the wind reaches 30 miles an hour.";
  retrieval_.Add("older.txt", other, other);
  generation_.reader = {{"25 knots", 0.9}, {"30 miles an hour", 0.85}};
  v1::Answer answer = Ask("At what wind speed does bunkering stop?");
  EXPECT_EQ(answer.answerability(), v1::CONFLICTING);
  EXPECT_EQ(answer.text(), "The documents contradict each other: 25 knots; 30 miles an hour");
  ASSERT_EQ(answer.claims_size(), 2);
  for (const v1::Claim& claim : answer.claims()) {
    const v1::Citation& citation = claim.citations(0);
    EXPECT_EQ(SourceOf(citation), citation.quote());
    EXPECT_EQ(answer.text().substr(claim.range().begin(), claim.range().end() - claim.range().begin()),
              AnswerInQuote(citation));
  }
  answer = Ask("At what wind speed?", [](v1::AskRequest* request) { request->set_min_evidence(0); });
  EXPECT_EQ(answer.answerability(), v1::ANSWERED) << "who wants an answer at any evidence gets the likeliest";
  EXPECT_EQ(answer.text(), "25 knots");
}

TEST_F(SpanAnswerTest, OnlySureAndDifferentAnswersOfDifferentDocumentsConflict) {
  const std::string other =
      "Bunkering stops when the wind reaches 30 miles an hour, at 25 knots, or at night. Ana Reis is told it. "
      "Rules of the port apply; rules are kept.";
  retrieval_.Add("older.txt", other, other);
  const std::string third = "Rui Lima is told it as well.";  // among the three that are read first
  retrieval_.Add("a.txt", third, third);
  auto answerability = [&](std::vector<testing::FakeGeneration::Found> found) {
    generation_.reader = std::move(found);
    return Ask("At what wind speed does bunkering stop?").answerability();
  };
  EXPECT_EQ(answerability({{"reaches 25 knots", 0.9}, {"30 miles an hour", 0.89}}), v1::CONFLICTING);
  EXPECT_EQ(answerability({{"reaches 25 knots", 0.9}, {"30 miles an hour", 0.75}}), v1::ANSWERED) << "less sure";
  EXPECT_EQ(answerability({{"reaches 25 knots", 0.9}, {"at 25 knots", 0.89}}), v1::ANSWERED) << "the same";
  EXPECT_EQ(answerability({{"reaches 25 knots", 0.9}, {"at night", 0.89}}), v1::ANSWERED) << "of another kind";
  EXPECT_EQ(answerability({{"stops when", 0.9}, {"at night", 0.89}}), v1::ANSWERED) << "may both be so";
  EXPECT_EQ(answerability({{"Rui Lima", 0.9}, {"Ana Reis", 0.89}}), v1::CONFLICTING) << "first words, and names";
  EXPECT_EQ(answerability({{"The chief engineer", 0.9}, {"Ana Reis", 0.89}}), v1::ANSWERED) << "may be her";
  EXPECT_EQ(answerability({{"Rui Lima", 0.9}, {"Rules of the port", 0.89}}), v1::ANSWERED) << "the sentence's capital";
  EXPECT_EQ(answerability({{"30 miles an hour", 0.9}, {"at 25 knots", 0.89}}), v1::ANSWERED) << "of one document";
}

TEST_F(SpanAnswerTest, AbstentionsTellWhy) {
  generation_.reader = {{"25 knots", 0.2}};
  EXPECT_EQ(Ask("Who signs?").answerability(), v1::WEAK_EVIDENCE);
  generation_.reader = {{"25 knots", 0.01}};
  EXPECT_EQ(Ask("Who signs?").answerability(), v1::WEAK_EVIDENCE) << "the passages are about it";
  for (auto& [uri, hit] : retrieval_.hits) hit.set_dense_score(0.05);
  const v1::Answer answer = Ask("Qual é a capital da Austrália?");
  EXPECT_EQ(answer.answerability(), v1::OUT_OF_SCOPE);
  EXPECT_THAT(answer.text(), HasSubstr("não é sobre os documentos"));
  EXPECT_EQ(answer.claims_size(), 0);
  retrieval_.hits.clear();
  EXPECT_EQ(Ask("Who signs?").answerability(), v1::NO_HIT);
}

TEST_F(SpanAnswerTest, ReceiptsHoldTheReaderAndItsScores) {
  generation_.reader = {{"25 knots", 0.9}};
  v1::AskRequest request;
  request.set_question("At what wind speed does bunkering stop?");
  ASSERT_OK_AND_ASSIGN(const v1::Answer first, answerer_->Ask(request, {}));
  EXPECT_EQ(first.receipt().reader_fingerprint(), "reader 1");
  EXPECT_EQ(first.receipt().decoder_fingerprint(), "");
  ASSERT_EQ(first.receipt().passages_size(), 2);
  EXPECT_EQ(first.receipt().passages(0).relevance(), 1);
  EXPECT_EQ(first.receipt().passages(0).answer_score(), 0.9);
  EXPECT_TRUE(first.receipt().passages(0).used());
  EXPECT_THAT(first.receipt().chunk_sha256(), ElementsAre(Sha256Hex(kBunkering), Sha256Hex(kRefunds)));
  auto replay = [&] { return answer::CompareReceipts(first.receipt(), Ask(request.question())); };
  EXPECT_EQ(replay().changes_size(), 0);
  EXPECT_TRUE(replay().same());
  generation_.relevance = 2;
  EXPECT_THAT(replay().changes(), ElementsAre(HasSubstr("the reader's scores")));
  generation_.reader_fingerprint = "reader 2";
  EXPECT_THAT(replay().changes(), Contains("the reader was reader 1 and is reader 2"));
  generation_.reader.reset();
  EXPECT_THAT(replay().changes(), Contains("the reader was reader 1 and is none"));
}

TEST_F(SpanAnswerTest, WithoutAReaderSentencesAreQuotedAsBefore) {
  v1::Answer answer = Ask("When does bunkering stop in the wind?");
  EXPECT_EQ(answer.answerability(), v1::ANSWERED);
  EXPECT_THAT(answer.text(), HasSubstr("Bunkering stops when the wind reaches 25 knots."));
  EXPECT_EQ(answer.evidence_threshold(), 0.4);
  EXPECT_EQ(answer.receipt().reader_fingerprint(), "");
}

TEST_F(SpanAnswerTest, AReaderThatFailsIsNoMissingReader) {
  generation_.read_status = absl::UnavailableError("the generation role is away");
  v1::AskRequest request;
  request.set_question("When?");
  EXPECT_THAT(answerer_->Ask(request, {}), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("is away")));
}

// A reader in another process may be anything.

TEST_F(SpanAnswerTest, SpansOutsideTheirPassageAreRefused) {
  class Hostile : public testing::FakeGeneration {
   public:
    int64_t begin = 0, end = 0;
    int readings = 2;
    absl::StatusOr<v1::ReadResponse> Read(const v1::ReadRequest&, const CallContext&) override {
      v1::ReadResponse response;
      for (int i = 0; i < readings; ++i) {
        v1::ReadResponse::Span* span = response.add_readings()->add_spans();
        span->mutable_range()->set_begin(begin);
        span->mutable_range()->set_end(end);
        span->set_probability(1);
      }
      return response;
    }
  } hostile;
  auto answerer = MakeAnswerer(&retrieval_, &embedding_, &hostile);
  v1::AskRequest request;
  request.set_question("When?");
  for (const auto& [begin, end] : {std::pair{-1, 4}, std::pair{4, 4}, std::pair{5, 4}, std::pair{0, 1'000'000}}) {
    hostile.begin = begin;
    hostile.end = end;
    EXPECT_THAT(answerer->Ask(request, {}), StatusIs(absl::StatusCode::kInternal, HasSubstr("outside its passage")));
  }
  hostile.readings = 1;
  EXPECT_THAT(answerer->Ask(request, {}), StatusIs(absl::StatusCode::kInternal, HasSubstr("1 readings of 2")));
}

TEST_F(SpanAnswerTest, NonsenseOfAReaderIsRefused) {
  class Hostile : public testing::FakeGeneration {
   public:
    std::function<void(v1::ReadResponse*)> spoil;
    absl::StatusOr<v1::ReadResponse> Read(const v1::ReadRequest& request, const CallContext& context) override {
      LASTRO_ASSIGN_OR_RETURN(v1::ReadResponse response, FakeGeneration::Read(request, context));
      spoil(&response);
      return response;
    }
  } hostile;
  hostile.reader = {{"25 knots", 0.9}};
  hostile.generated = "Bunkering must stop when wind reaches 25 knots.";
  retrieval_.Add("a.txt", "Água na ponte.", "Água na ponte.");
  auto answerer = MakeAnswerer(&retrieval_, &embedding_, &hostile);
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  auto refusal = [&](std::function<void(v1::ReadResponse*)> spoil) {
    hostile.spoil = std::move(spoil);
    v1::AskRequest request;
    request.set_question("When does bunkering stop?");
    const absl::Status status = answerer->Ask(request, {}).status();
    return absl::IsInternal(status) ? std::string(status.message()) : status.ToString();
  };
  for (double probability : {nan, -0.1, 1.1, infinity}) {
    EXPECT_THAT(
        refusal([&](auto* response) { response->mutable_readings(1)->mutable_spans(0)->set_probability(probability); }),
        HasSubstr("the probability"));
  }
  EXPECT_THAT(refusal([&](auto* response) { response->mutable_readings(0)->set_relevance(nan); }),
              HasSubstr("relevance"));
  EXPECT_THAT(refusal([](auto* response) {
                for (int i = 0; i < 3; ++i)
                  *response->mutable_readings(1)->add_spans() = response->readings(1).spans(0);
              }),
              HasSubstr("4 spans where 3"));
  EXPECT_THAT(
      refusal([](auto* response) { response->mutable_readings(0)->mutable_spans(0)->mutable_range()->set_begin(1); }),
      HasSubstr("cuts a character"));
  for (const auto& [threshold, risk] : {std::pair{-1.0, 0.1}, std::pair{0.5, nan}, std::pair{2.0, 0.1}}) {
    EXPECT_THAT(refusal([&](auto* response) {
                  response->add_calibration()->set_threshold(threshold);
                  response->mutable_calibration(0)->set_risk(risk);
                }),
                HasSubstr("calibration"));
  }
  EXPECT_THAT(refusal([&](auto* response) { response->mutable_answer_weights()->set_bias(nan); }), HasSubstr("weight"));
  EXPECT_THAT(refusal([&](auto* response) { response->mutable_probability_weights()->set_relevance(nan); }),
              HasSubstr("weight"));
  // As a claim is checked: the second time that it reads.
  int read = 0;
  hostile.spoil = [&](v1::ReadResponse* response) {
    if (++read == 2) response->mutable_readings(0)->set_relevance(nan);
  };
  v1::AskRequest request;
  request.set_question("When does bunkering stop?");
  request.set_mode(v1::ANSWER_MODE_GENERATE);
  EXPECT_THAT(answerer->Ask(request, {}), StatusIs(absl::StatusCode::kInternal, HasSubstr("relevance")));
}

// As scores of other stores may be.

TEST_F(SpanAnswerTest, ScoresOfSearchMayBeNegative) {
  generation_.reader = {{"25 knots", 0.7}, {"seven days", 0.8}};
  retrieval_.hits["bunkering.txt"].set_score(-0.1);
  retrieval_.hits["refunds.txt"].set_score(-0.2);
  const v1::Answer answer = Ask("How many days before?");
  EXPECT_EQ(answer.text(), "seven days");
  EXPECT_EQ(answer.evidence(), 0.8);
}

// A text without letters may have no tokens, which the reader refuses: it must not spoil the others.

TEST_F(SpanAnswerTest, WhatHasNothingToReadIsLeftOut) {
  const std::string invisible = "\xe2\x80\x8b\xe2\x80\x8b -- \xcc\x81";
  retrieval_.Add("a.txt", invisible, invisible);
  const std::string giant = "Bunkering stops at 25 knots. " + std::string(70'000, 'x');
  retrieval_.Add("b.txt", giant, giant);
  generation_.reader = {{"25 knots", 0.9}};
  const v1::Answer answer = Ask("At what wind speed does bunkering stop?");
  EXPECT_EQ(answer.text(), "25 knots");
  ASSERT_EQ(generation_.read_requests.size(), 1u);
  for (const std::string& passage : generation_.read_requests[0].passages()) {
    EXPECT_NE(passage, invisible);
    EXPECT_LE(passage.size(), 65'536u);
  }
  EXPECT_FALSE(answer.receipt().passages(0).used());
  retrieval_.hits.clear();
  retrieval_.Add("a.txt", invisible, invisible);
  EXPECT_EQ(Ask("At what wind speed?").answerability(), v1::NO_HIT);
}

TEST_F(SpanAnswerTest, NeverSendsAnAnswerOfChangedBytes) {
  generation_.reader = {{"25 knots", 0.9}};
  retrieval_.sources["bunkering.txt"][60] ^= 1;
  v1::AskRequest request;
  request.set_question("At what wind speed?");
  EXPECT_THAT(answerer_->Ask(request, {}), StatusIs(absl::StatusCode::kAborted, HasSubstr("replaced or deleted")));
}

TEST_F(SpanAnswerTest, PassagesShowWhatWasFoundInThem) {
  generation_.reader = {{"25 knots", 0.9}};
  const v1::Answer answer = Ask("At what wind speed?", [](auto* request) { request->set_include_passages(true); });
  ASSERT_EQ(answer.passages_size(), 2);
  const v1::Passage& passage = answer.passages(0);
  EXPECT_EQ(passage.text().substr(passage.answer_range().begin(),
                                  passage.answer_range().end() - passage.answer_range().begin()),
            "25 knots");
  EXPECT_EQ(passage.answer_probability(), 0.9);
}

TEST_F(SpanAnswerTest, RefusesRisksAndChoicesThereAreNot) {
  v1::AskRequest request;
  request.set_question("When?");
  for (double risk : {-0.1, 1.1, std::nan("")}) {
    request.set_max_risk(risk);
    EXPECT_THAT(answerer_->Ask(request, {}), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("max_risk is")));
  }
  request.clear_max_risk();
  request.set_unsupported(static_cast<v1::UnsupportedText>(7));
  EXPECT_THAT(answerer_->Ask(request, {}), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("unsupported 7")));
}

TEST_F(SpanAnswerTest, WrittenTextIsSupportedByWhatSaysTheSame) {
  const v1::Answer answer =
      Generate("Bunkering must stop when wind reaches 25 knots. It stops at 30 knots. The captain dances at midnight.");
  ASSERT_EQ(answer.claims_size(), 3);
  EXPECT_TRUE(answer.claims(0).supported());
  EXPECT_EQ(answer.claims(0).support(), v1::Claim::PARAPHRASE);
  ASSERT_EQ(answer.claims(0).citations_size(), 1);
  EXPECT_EQ(answer.claims(0).citations(0).quote(), "Bunkering stops when the wind reaches 25 knots.");
  EXPECT_EQ(SourceOf(answer.claims(0).citations(0)), answer.claims(0).citations(0).quote());
  EXPECT_FALSE(answer.claims(1).supported());
  EXPECT_FALSE(answer.claims(2).supported());
  generation_.relevance = -1;  // the reader holds that it does not say so
  EXPECT_FALSE(Generate("Bunkering must stop when wind reaches 25 knots.").claims(0).supported());
}

TEST_F(SpanAnswerTest, ADecoderThatQuotesIsShownTheLikeliestSentences) {
  generation_.answers_by_quoting = true;
  generation_.generated = "Bunkering stops when the wind reaches 25 knots.";
  // Two answers stand in one sentence.
  generation_.reader = {{"25 knots", 0.9}, {"half the fare", 0.6}, {"Bunkering", 0.5}};
  const v1::Answer answer =
      Ask("When does bunkering stop?", [](v1::AskRequest* request) { request->set_mode(v1::ANSWER_MODE_GENERATE); });
  EXPECT_THAT(generation_.last_prompt.grounded().passages(),
              ElementsAre("Bunkering stops when the wind reaches 25 knots.",
                          "Later requests get half the fare, less the cost of the ticket."));
  ASSERT_EQ(answer.claims_size(), 1);
  EXPECT_TRUE(answer.claims(0).supported());
  ASSERT_EQ(answer.claims(0).citations_size(), 1);
  EXPECT_EQ(SourceOf(answer.claims(0).citations(0)), "Bunkering stops when the wind reaches 25 knots");
  EXPECT_EQ(answer.receipt().chunk_sha256_size(), 2);
}

TEST_F(SpanAnswerTest, UnsupportedSentencesAreWithheldWhereAsked) {
  const std::string text =
      "The captain dances at midnight. Bunkering stops when the wind reaches 25 knots. Nobody sings. Hoses are kept in "
      "locker nine.";
  EXPECT_EQ(Generate(text).text(), text);
  const v1::Answer answer = Generate(text, v1::UNSUPPORTED_TEXT_WITHHOLD);
  EXPECT_EQ(answer.text(), "Bunkering stops when the wind reaches 25 knots. Hoses are kept in locker nine.");
  ASSERT_EQ(answer.claims_size(), 2);
  for (const v1::Claim& claim : answer.claims()) {
    EXPECT_TRUE(claim.supported());
    const v1::ByteRange& range = claim.citations(0).answer_range();
    EXPECT_EQ(answer.text().substr(range.begin(), range.end() - range.begin()), claim.citations(0).quote());
  }
  EXPECT_EQ(Generate("The captain dances at midnight.", v1::UNSUPPORTED_TEXT_WITHHOLD).answerability(),
            v1::WEAK_EVIDENCE);
}

TEST_F(SpanAnswerTest, WhatIsWithheldIsNotStreamedEither) {
  generation_.generated = "The captain dances at midnight. Bunkering stops when the wind reaches 25 knots.";
  generation_.reader = {{"25 knots", 0.9}};
  v1::AskRequest request;
  request.set_question("When does bunkering stop?");
  request.set_mode(v1::ANSWER_MODE_GENERATE);
  request.set_unsupported(v1::UNSUPPORTED_TEXT_WITHHOLD);
  std::string streamed;
  ASSERT_OK_AND_ASSIGN(v1::Answer answer, answerer_->Ask(request, {}, [&](const v1::AskStreamResponse& event) {
    streamed += event.text_delta();
    return absl::OkStatus();
  }));
  EXPECT_EQ(streamed, "Bunkering stops when the wind reaches 25 knots.");
}

TEST(ClaimCheck, NumbersNamesNegationAndOrderMustBeThere) {
  const std::string source = "Anna pays the harbour fee of 300 euros to Bruno before the ship leaves.";
  EXPECT_TRUE(answer::MaySay(source, "Anna pays a harbour fee of 300 euros to Bruno."));
  EXPECT_TRUE(answer::MaySay(source, "The harbour fee is paid before ships leave."));
  EXPECT_FALSE(answer::MaySay(source, "Bruno pays the harbour fee of 300 euros to Anna."));
  EXPECT_FALSE(answer::MaySay(source, "Anna pays the harbour fee of 400 euros to Bruno."));
  EXPECT_FALSE(answer::MaySay(source, "Anna pays the harbour fee of 300 euros to Carlos."));
  EXPECT_FALSE(answer::MaySay(source, "Anna never pays the harbour fee to Bruno."));
  EXPECT_FALSE(answer::MaySay(source, "Anna doesn't pay the harbour fee to Bruno."));
  EXPECT_FALSE(answer::MaySay(source, "The pilot eats fish on Fridays."));
  EXPECT_FALSE(answer::MaySay(source, "It is."));
  EXPECT_FALSE(answer::MaySay(source, "Until 300."));  // too little to be a claim
  EXPECT_TRUE(answer::MaySay("O navio não sai sem o prático.", "Um navio não sai sem prático."));
  EXPECT_FALSE(answer::MaySay("O navio não sai de noite.", "O navio sai de noite."));
}

TEST(FindCandidates, ASentenceWithAColonHasTheParagraphBehindIt) {
  testing::FakeRetrieval retrieval;
  const std::string text = "You may bring these things:\n\n- a form\n- a pen\n\nThe last one counts. It really does.";
  retrieval.Add("a", text, text);
  std::vector<std::string> found;
  for (const answer::Candidate& candidate : answer::FindCandidates({retrieval.hits["a"]})) {
    found.push_back(candidate.text);
  }
  EXPECT_THAT(found, ElementsAre("You may bring these things:\n\n- a form\n- a pen", "The last one counts.",
                                 "It really does."));
}

TEST(SentenceAround, TakesInWhatTheWordsLieIn) {
  v1::Chunk chunk;
  chunk.set_text("First one. Bring these:\n\n- a form\n- a pen\n\nLast one. In the end:\n\nNothing. At all.");
  v1::SourceSegment* segment = chunk.add_segments();
  segment->set_text_length(static_cast<int64_t>(chunk.text().size()));
  segment->set_source_length(static_cast<int64_t>(chunk.text().size()));
  segment->set_verbatim(true);
  auto around = [&](const std::string& words, const answer::CandidateLimits& limits = {}) {
    const size_t begin = chunk.text().find(words);
    return answer::SentenceAround(3, chunk, begin, begin + words.size(), limits).text;
  };
  EXPECT_EQ(around("First"), "First one.");
  EXPECT_EQ(around("these"), "Bring these:\n\n- a form\n- a pen") << "and what it announces, no more";
  EXPECT_EQ(around("end"), "In the end:\n\nNothing. At all.");
  EXPECT_EQ(around("a pen"), "a pen");
  EXPECT_EQ(around("one. Bring", {.max_announced_bytes = 0}), "First one. Bring these:");
  EXPECT_EQ(around("Last one", {.max_bytes = 9}), "Last one.");
  EXPECT_EQ(around("Last one", {.max_bytes = 8}), "Last one") << "the words alone where the sentence is too long";
}

TEST_F(SpanAnswerTest, AnAnswerThatWouldSayTheContraryIsItsSentence) {
  retrieval_.Add("names.md", "Names are short. They may not contain uppercase letters.",
                 "Names are short. They may not contain uppercase letters.");
  generation_.reader = {{"uppercase letters", 0.9}};
  const v1::Answer answer = Ask("Which letters may names contain?");
  EXPECT_EQ(answer.answerability(), v1::ANSWERED);
  EXPECT_EQ(answer.text(), "They may not contain uppercase letters.");
  EXPECT_EQ(answer.claims(0).citations(0).quote(), answer.text());
  EXPECT_FALSE(answer.claims(0).citations(0).has_answer_in_quote()) << "all of it is the answer";
  EXPECT_EQ(Ask("Which letters may names not contain?").text(), "uppercase letters");
}

TEST_F(SpanAnswerTest, YesOrNoIsAnsweredBySentences) {
  const std::string text = "Windows is not supported. Linux is.";
  retrieval_.Add("widget.txt", text, text);
  generation_.reader = {{"supported", 0.9}};
  EXPECT_EQ(Ask("Does it run on Windows?").text(), "Windows is not supported.");
  EXPECT_EQ(Ask("Corre em Windows, não é?").text(), "Windows is not supported.");
  EXPECT_EQ(Ask("What is Windows?").text(), "Windows is not supported.") << "it is not \"supported\"";
  generation_.reader = {{"Linux", 0.9}};
  EXPECT_EQ(Ask("What is supported?").text(), "Linux");
}

TEST_F(SpanAnswerTest, AnAnswerIsAWholeNumber) {
  const std::string text = "A renda é de 1 480,00 € por mês.";
  retrieval_.Add("renda.txt", text, text);
  generation_.reader = {{"1 480", 0.9}};
  const v1::Answer answer = Ask("Qual é o valor da renda?");
  EXPECT_EQ(answer.text(), "1 480,00 €");
  EXPECT_EQ(answer.claims(0).citations(0).quote(), text);
  EXPECT_EQ(AnswerInQuote(answer.claims(0).citations(0)), answer.text());
}

TEST_F(SpanAnswerTest, WordsOfTheQuestionAreNoAnswer) {
  const std::string text = "Follow these steps to buy software of under 100 €. Ana approves it.";
  retrieval_.Add("buying.txt", text, text);
  generation_.reader = {{"software", 0.9}, {"Ana", 0.85}};
  EXPECT_EQ(Ask("Who approves software of under 100 €?").text(), "Ana");
  EXPECT_EQ(Ask("Is it the SOFTWARE, or the steps?").text(), "software");
  generation_.reader = {{"software", 0.9}};
  EXPECT_EQ(Ask("Who approves software?").answerability(), v1::WEAK_EVIDENCE);
  // Of a question that a sentence answers the words only tell which sentence.
  EXPECT_EQ(Ask("How do I buy software?").text(), "Follow these steps to buy software of under 100 €.");
}

TEST_F(SpanAnswerTest, AShortQuestionIsRefusedInItsLanguage) {
  generation_.reader = {{"25 knots", 0.2}};
  EXPECT_THAT(Ask("Posso subarrendar o apartamento?").text(), HasSubstr("Os documentos"));
  EXPECT_THAT(Ask("May I sublet?").text(), HasSubstr("The documents"));
}

}  // namespace
}  // namespace lastro::services
