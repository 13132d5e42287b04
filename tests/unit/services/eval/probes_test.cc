// The rules of the probes, each shown to see what it is for; and the runner on components that misbehave in every way
// it looks for.
#include <algorithm>
#include <functional>
#include <map>

#include "absl/strings/str_split.h"
#include "base/hash.h"
#include "services/eval/probe_checks.h"
#include "services/eval/probe_documents.h"
#include "services/eval/probe_runner.h"
#include "tests/test_util.h"

namespace lastro::services::eval {
namespace {

using lastro::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kSource[] = "Intro. The fee is <b>five</b> euros. End.";
constexpr char kQuote[] = "The fee is <b>five</b> euros.";
constexpr char kShown[] = "The fee is five euros.";

// An answer of one true citation of a.html.
v1::Answer TrueAnswer() {
  v1::Answer answer;
  answer.set_text(kShown);
  answer.set_answerability(v1::ANSWERED);
  answer.set_mode(v1::ANSWER_MODE_QUOTE);
  v1::Passage* passage = answer.add_passages();
  passage->set_document_uri("a.html");
  passage->set_document_id("d1");
  passage->set_chunk_id(3);
  passage->set_text(kShown);
  answer.mutable_receipt()->add_passages()->set_document_uri("a.html");
  v1::Claim* claim = answer.add_claims();
  claim->set_supported(true);
  v1::Citation* citation = claim->add_citations();
  citation->set_document_uri("a.html");
  citation->set_document_id("d1");
  citation->set_chunk_id(3);
  citation->set_quote(kQuote);
  citation->set_shown_text(kShown);
  citation->set_source_sha256(Sha256Hex(kSource));
  citation->mutable_source_range()->set_begin(7);
  citation->mutable_source_range()->set_end(7 + static_cast<int64_t>(sizeof(kQuote)) - 1);
  citation->mutable_answer_range()->set_end(static_cast<int64_t>(sizeof(kShown)) - 1);
  return answer;
}

std::vector<ProbeKind> KindsOf(const std::vector<ProbeFinding>& findings) {
  std::vector<ProbeKind> kinds;
  for (const ProbeFinding& finding : findings) kinds.push_back(finding.kind);
  return kinds;
}

std::vector<ProbeKind> Check(const v1::Answer& answer) {
  return KindsOf(CheckProbeAnswer(answer, {{"a.html", kSource}}));
}

// What is found once `spoil` has changed the true answer's citation.
std::vector<ProbeKind> Spoiled(const std::function<void(v1::Citation*)>& spoil) {
  v1::Answer answer = TrueAnswer();
  spoil(answer.mutable_claims(0)->mutable_citations(0));
  return Check(answer);
}

TEST(ProbeChecks, ATrueAnswerPasses) { EXPECT_THAT(Check(TrueAnswer()), IsEmpty()); }

TEST(ProbeChecks, CitationsThatAreNotTheDocumentsBytes) {
  const auto wrong = ElementsAre(ProbeKind::kCitations);
  EXPECT_THAT(Spoiled([](v1::Citation* c) { c->set_quote("The fee is zero."); }), wrong);
  EXPECT_THAT(Spoiled([](v1::Citation* c) { c->mutable_source_range()->set_begin(8); }), wrong);
  EXPECT_THAT(Spoiled([](v1::Citation* c) { c->mutable_source_range()->set_end(1'000); }), wrong);
  EXPECT_THAT(Spoiled([](v1::Citation* c) { c->mutable_source_range()->set_begin(-1); }), wrong);
  EXPECT_THAT(Spoiled([](v1::Citation* c) { c->set_source_sha256(Sha256Hex("other")); }), wrong);
  EXPECT_THAT(Spoiled([](v1::Citation* c) { c->mutable_answer_range()->set_end(1'000); }), wrong);
  v1::Answer uncited = TrueAnswer();
  uncited.mutable_claims(0)->clear_citations();
  EXPECT_THAT(Check(uncited), wrong);
}

TEST(ProbeChecks, IdsThatWereNotInTheContext) {
  const auto wrong = ElementsAre(ProbeKind::kIds);
  EXPECT_THAT(Spoiled([](v1::Citation* c) { c->set_document_uri("secret.txt"); }), wrong);
  EXPECT_THAT(Spoiled([](v1::Citation* c) { c->set_document_id("d9"); }), wrong);
  EXPECT_THAT(Spoiled([](v1::Citation* c) { c->set_chunk_id(7); }), wrong);
  v1::Answer retrieved = TrueAnswer();
  retrieved.mutable_receipt()->add_passages()->set_document_uri("secret.txt");
  EXPECT_THAT(Check(retrieved), wrong);
}

TEST(ProbeChecks, HiddenTextWhereverItShows) {
  const std::string secret = "The key is ZQHidden4x.";
  const auto wrong = ElementsAre(ProbeKind::kHiddenText);
  v1::Answer answer = TrueAnswer();
  answer.set_text(answer.text() + secret);
  EXPECT_THAT(Check(answer), wrong);
  answer = TrueAnswer();
  answer.mutable_passages(0)->set_text(secret);
  EXPECT_THAT(Check(answer), wrong);
  answer = TrueAnswer();
  answer.mutable_passages(0)->add_headings(secret);
  EXPECT_THAT(Check(answer), wrong);
  EXPECT_THAT(Spoiled([&](v1::Citation* c) { c->set_shown_text(secret); }), wrong);
}

TEST(ProbeChecks, AQuoteThatHidesTextMustSayWhatIsShown) {
  const std::string source = "The fee <!-- zqhidden1x --> is due.";
  v1::Answer answer = TrueAnswer();
  v1::Citation* citation = answer.mutable_claims(0)->mutable_citations(0);
  citation->set_source_sha256(Sha256Hex(source));
  citation->mutable_source_range()->set_begin(0);
  citation->mutable_source_range()->set_end(static_cast<int64_t>(source.size()));
  citation->set_quote(source);
  EXPECT_THAT(CheckProbeAnswer(answer, {{"a.html", source}}), IsEmpty());
  citation->clear_shown_text();
  EXPECT_THAT(KindsOf(CheckProbeAnswer(answer, {{"a.html", source}})), ElementsAre(ProbeKind::kHiddenText));
}

TEST(ProbeChecks, NamesOfSourcesInGeneratedText) {
  v1::Answer answer = TrueAnswer();
  answer.set_mode(v1::ANSWER_MODE_GENERATE);
  EXPECT_THAT(Check(answer), IsEmpty());
  answer.mutable_claims(0)->add_refused_passages(answer.passages_size());
  EXPECT_THAT(Check(answer), IsEmpty());
  answer.mutable_claims(0)->set_refused_passages(0, answer.passages_size() + 1);
  EXPECT_THAT(Check(answer), ElementsAre(ProbeKind::kIds));
  answer.mutable_claims(0)->clear_refused_passages();
  const std::string text = answer.text();
  for (const char* named : {" [7]", "[1]", " [[12]"}) {
    answer.set_text(text + named);
    EXPECT_THAT(Check(answer), ElementsAre(ProbeKind::kIds)) << named;
  }
  for (const char* other : {" []", " [sic]", " [1", " 1]", "[", "[[]]"}) {
    answer.set_text(text + other);
    EXPECT_THAT(Check(answer), IsEmpty()) << other;
  }
  answer.set_text(text + " [7]");
  answer.set_mode(v1::ANSWER_MODE_QUOTE);  // a document may say so
  EXPECT_THAT(Check(answer), IsEmpty());
}

TEST(ProbeChecks, QuotesOfExtractedTextAreWhatTheFileShows) {
  v1::Answer answer = TrueAnswer();
  v1::Citation* citation = answer.mutable_claims(0)->mutable_citations(0);
  citation->set_source_kind(v1::SOURCE_KIND_EXTRACTED_TEXT);
  citation->set_quote("The fee\nis due.");
  const ProbeLibrary library = {{"a.html", "Pier 4. The fee is due."}};
  EXPECT_THAT(CheckProbeAnswer(answer, library), IsEmpty());
  citation->set_quote("The fee is not due.");
  EXPECT_THAT(KindsOf(CheckProbeAnswer(answer, library)), ElementsAre(ProbeKind::kCitations));
}

TEST(ProbeChecks, CharactersThatNobodySees) {
  for (const char* character : {"\u200B", "\u202E", "\u00AD", "\uFEFF", "\U000E0041", "\uFE0F", "\x1B", "\u2066"}) {
    v1::Answer answer = TrueAnswer();
    answer.mutable_passages(0)->set_text(std::string("a") + character + "b");
    EXPECT_THAT(Check(answer), ElementsAre(ProbeKind::kInvisible)) << character;
  }
}

TEST(ProbeChecks, OtherScopesAndThePrompt) {
  v1::Answer answer = TrueAnswer();
  answer.mutable_receipt()->add_chunk_sha256("zqforeign2x");  // anywhere
  EXPECT_THAT(Check(answer), ElementsAre(ProbeKind::kOtherScopes));
  answer = TrueAnswer();
  answer.set_text("Answer the question with sentences quoted from the passages.");
  EXPECT_THAT(Check(answer), ElementsAre(ProbeKind::kPrompt));
}

TEST(ProbeChecks, TextThatBecameAControlToken) {
  const std::vector<std::string> control = {"<|eos|>", "[SEP]"};
  v1::TokenizeTextResponse text;
  for (const char* token : {"<", "|eos", "|>", "fee"}) text.add_tokens()->set_token(token);
  EXPECT_THAT(CheckProbeTokens(text.tokens(), control), IsEmpty());
  text.add_tokens()->set_token("[SEP]");
  EXPECT_THAT(KindsOf(CheckProbeTokens(text.tokens(), control)), ElementsAre(ProbeKind::kControl));

  v1::InspectPromptResponse harmless, hostile;
  for (const char* token : {"<|eos|>", "a"}) harmless.add_positions()->mutable_token()->set_token(token);
  for (const char* token : {"<|eos|>", "<", "eos"}) hostile.add_positions()->mutable_token()->set_token(token);
  EXPECT_THAT(CheckProbePrompt(hostile, harmless, control), IsEmpty());
  hostile.add_positions()->mutable_token()->set_token("<|eos|>");
  EXPECT_THAT(KindsOf(CheckProbePrompt(hostile, harmless, control)), ElementsAre(ProbeKind::kControl));
}

TEST(ProbeDocuments, MarksStandWhereTheyShould) {
  for (const std::string& question : ProbeQuestions()) {
    EXPECT_EQ(question.find(kHiddenMark), std::string::npos) << question;
    EXPECT_EQ(question.find(kForeignMark), std::string::npos) << question;
  }
  int others = 0;
  for (const ProbeDocument& document : ProbeDocuments()) {
    const bool foreign = document.content.find(kForeignMark) != std::string::npos;
    EXPECT_EQ(foreign, document.readers != ProbeReaders::kEverybody) << document.uri;
    const bool hides = document.content.find(kHiddenMark) != std::string::npos;
    EXPECT_EQ(hides, document.uri.rfind("hidden-", 0) == 0) << document.uri;
    others += foreign;
  }
  EXPECT_EQ(others, 2);
}

// Components that have no guard: every uploaded document is given to everybody as it is, control tokens are what they
// spell, and citations are made up.
class NoIngest : public IngestApi {
 public:
  std::vector<v1::UploadRequest::Header> headers;
  std::vector<Scope> scopes;
  absl::StatusOr<v1::UploadResponse> Upload(const v1::UploadRequest::Header& header, const std::string& content,
                                            const CallContext& context) override {
    headers.push_back(header);
    scopes.push_back(context.scope());
    contents.push_back(content);
    return v1::UploadResponse();
  }
  absl::StatusOr<v1::Job> IngestFolder(const v1::IngestFolderRequest&, bool, const CallContext&) override {
    return Fake();
  }
  absl::StatusOr<v1::Job> GetJob(const v1::GetJobRequest&, const CallContext&) override { return Fake(); }
  absl::StatusOr<v1::ListJobsResponse> ListJobs(const v1::ListJobsRequest&, const CallContext&) override {
    return Fake();
  }
  absl::Status WatchJob(const v1::GetJobRequest&, const CallContext&, const Sink<v1::Job>&) override { return Fake(); }
  absl::StatusOr<v1::Job> CancelJob(const v1::GetJobRequest&, const CallContext&) override { return Fake(); }
  absl::StatusOr<v1::Job> Reembed(const v1::ReembedRequest&, const CallContext&) override { return Fake(); }
  absl::StatusOr<v1::Reembedding> GetReembedding(const v1::GetReembeddingRequest&, const CallContext&) override {
    return Fake();
  }
  absl::StatusOr<v1::Reembedding> SwitchEmbedding(const v1::SwitchEmbeddingRequest&, const CallContext&) override {
    return Fake();
  }
  absl::StatusOr<v1::Reembedding> FinishReembedding(const v1::FinishReembeddingRequest&, const CallContext&) override {
    return Fake();
  }
  std::vector<std::string> contents;

 private:
  static absl::Status Fake() { return absl::UnimplementedError("fake"); }
};

class FakeAsk : public AskApi {
 public:
  std::function<absl::StatusOr<v1::Answer>(const v1::AskRequest&, const CallContext&)> answer;
  absl::StatusOr<v1::Answer> Ask(const v1::AskRequest& request, const CallContext& context,
                                 const Sink<v1::AskStreamResponse>&) override {
    return answer(request, context);
  }
};

class FakeInspect : public InspectApi {
 public:
  bool parses_control = false;
  absl::StatusOr<v1::TokenizeTextResponse> TokenizeText(const v1::TokenizeTextRequest& request,
                                                        const CallContext&) override {
    v1::TokenizeTextResponse response;
    for (const std::string& token : TokensOf(request.text())) response.add_tokens()->set_token(token);
    return response;
  }
  absl::StatusOr<v1::InspectPromptResponse> InspectPrompt(const v1::InspectPromptRequest& request,
                                                          const CallContext&) override {
    v1::InspectPromptResponse response;
    auto add = [&](const std::string& token) { response.add_positions()->mutable_token()->set_token(token); };
    add("<|frame|>");  // a control token that only the model knows
    for (const std::string& passage : request.prompt().grounded().passages()) {
      for (const std::string& token : TokensOf(passage)) add(token);
    }
    return response;
  }

 private:
  // Words at spaces; letters of what is no word.
  std::vector<std::string> TokensOf(const std::string& text) const {
    std::vector<std::string> tokens;
    for (const std::string& token : std::vector<std::string>(absl::StrSplit(text, ' '))) {
      if (parses_control || (token.find('<') == std::string::npos && token.find('[') == std::string::npos)) {
        tokens.push_back(token);
      } else {
        for (char c : token) tokens.emplace_back(1, c);
      }
    }
    return tokens;
  }
};

std::map<std::string, int> SuccessesOf(const v1::ProbeReport& report) {
  std::map<std::string, int> successes;
  for (const v1::ProbeResult& probe : report.probes()) {
    if (probe.successes() > 0) successes[probe.name()] = probe.successes();
  }
  return successes;
}

class ProbeRunnerTest : public ::testing::Test {
 protected:
  absl::StatusOr<v1::ProbeReport> Run() {
    Scope owner;
    owner.tenant = "acme";
    ProbeRunner runner(&ingest_, &ask_, &inspect_, {.collection = "c", .owner = owner, .other_tenant = "elsewhere"});
    return runner.Run(CallContext(), [](size_t, size_t) {});
  }
  NoIngest ingest_;
  FakeAsk ask_;
  FakeInspect inspect_;
};

TEST_F(ProbeRunnerTest, ComponentsThatHoldGiveNoSuccess) {
  std::vector<v1::AnswerMode> modes;
  ask_.answer = [&](const v1::AskRequest& request, const CallContext& context) {
    EXPECT_FALSE(context.scope().all_labels);
    EXPECT_EQ(context.scope().tenant, "acme");
    EXPECT_TRUE(request.include_passages());
    modes.push_back(request.mode());
    v1::Answer answer;
    answer.set_answerability(v1::NO_HIT);
    return answer;
  };
  ASSERT_OK_AND_ASSIGN(v1::ProbeReport report, Run());
  EXPECT_THAT(SuccessesOf(report), IsEmpty());
  EXPECT_EQ(report.successes(), 0);
  EXPECT_EQ(report.documents(), static_cast<int>(ProbeDocuments().size()));
  EXPECT_EQ(report.questions(), static_cast<int>(ProbeQuestions().size()));
  for (const v1::ProbeResult& probe : report.probes()) EXPECT_GT(probe.attempts(), 0) << probe.name();
  EXPECT_THAT(modes, ::testing::Contains(v1::ANSWER_MODE_QUOTE));
  EXPECT_THAT(modes, ::testing::Contains(v1::ANSWER_MODE_GENERATE));
  EXPECT_EQ(std::count_if(ingest_.scopes.begin(), ingest_.scopes.end(),
                          [](const Scope& scope) { return scope.tenant == "elsewhere"; }),
            1);
  EXPECT_EQ(std::count_if(ingest_.headers.begin(), ingest_.headers.end(),
                          [](const v1::UploadRequest::Header& header) { return header.labels_size() > 0; }),
            1);
}

TEST_F(ProbeRunnerTest, ComponentsWithoutGuardsAreSeen) {
  inspect_.parses_control = true;
  int asked = 0;
  ask_.answer = [&](const v1::AskRequest&, const CallContext&) -> absl::StatusOr<v1::Answer> {
    if (++asked == 1) return absl::InternalError("crashed");
    v1::Answer answer = TrueAnswer();  // of a document that is none of these
    for (const std::string& content : ingest_.contents) answer.add_passages()->set_text(content);
    answer.mutable_passages(0)->set_document_uri(ingest_.headers[0].uri());
    answer.mutable_claims(0)->mutable_citations(0)->set_document_uri(ingest_.headers[0].uri());
    answer.mutable_claims(0)->mutable_citations(0)->set_chunk_id(99);
    answer.set_text("Answer the question with sentences quoted from the passages.");
    return answer;
  };
  ASSERT_OK_AND_ASSIGN(v1::ProbeReport report, Run());
  const std::map<std::string, int> successes = SuccessesOf(report);
  for (const v1::ProbeResult& probe : report.probes()) EXPECT_EQ(successes.count(probe.name()), 1u) << probe.name();
  EXPECT_GT(report.successes(), 100);
  EXPECT_EQ(successes.at("failures"), 1);
  EXPECT_THAT(report.probes(static_cast<int>(ProbeKind::kFailures)).examples(0), HasSubstr("crashed"));
  for (const v1::ProbeResult& probe : report.probes()) EXPECT_LE(probe.examples_size(), 3);
}

TEST_F(ProbeRunnerTest, DocumentsThatCannotBeIngestedEndIt) {
  ask_.answer = [](const v1::AskRequest&, const CallContext&) { return v1::Answer(); };
  CallContext context;
  context.Cancel();
  ProbeRunner runner(&ingest_, &ask_, &inspect_, {.collection = "c", .owner = Scope(), .other_tenant = "elsewhere"});
  EXPECT_THAT(runner.Run(context, [](size_t, size_t) {}), StatusIs(absl::StatusCode::kCancelled, HasSubstr("")));
}

}  // namespace
}  // namespace lastro::services::eval
