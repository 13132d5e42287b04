// The subcommands of `lastro` on fake components: what they ask for, what they print, and their exit codes.
#include <algorithm>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/json.h"
#include "services/cli/engine_bench.h"
#include "services/cli/text_width.h"
#include "services/cli/uploads.h"
#include "tests/test_util.h"
#include "tests/unit/services/cli_fake_node.h"

namespace lastro::services {
namespace {

using ::lastro::testing::IsOk;
using ::lastro::testing::TempFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

class CliTest : public ::testing::Test, public testing::CliRunner {
 protected:
  // An answer of two claims that both stand on lines 2 and 3 of leave.md.
  void SetAnswer() {
    const std::string source = "# Leave\nStaff have 25 days\nof leave.\nMore.\n";
    state.sources["d1"] = source;
    v1::Answer& answer = state.answer;
    answer.set_text("Staff have 25 days of leave. More.");
    answer.set_answerability(v1::ANSWERED);
    answer.set_evidence(0.9);
    AddClaim(0, 28, 8, 36);
    AddClaim(29, 34, 37, 42);
  }

  void AddClaim(int64_t begin, int64_t end, int64_t source_begin, int64_t source_end) {
    v1::Claim* claim = state.answer.add_claims();
    claim->mutable_range()->set_begin(begin);
    claim->mutable_range()->set_end(end);
    claim->set_supported(true);
    v1::Citation* citation = claim->add_citations();
    citation->set_document_id("d1");
    citation->set_document_uri("leave.md");
    citation->add_headings("Leave");
    citation->set_source_sha256("sha-d1");
    citation->mutable_source_range()->set_begin(source_begin);
    citation->mutable_source_range()->set_end(source_end);
    citation->set_quote(state.sources["d1"].substr(source_begin, source_end - source_begin));
  }

  void AddDocument(const std::string& id, const std::string& uri) {
    v1::Document document;
    document.set_id(id);
    document.set_uri(uri);
    document.set_source_sha256("sha-" + id);
    state.documents.push_back(document);
  }
};

TEST_F(CliTest, AskPrintsTheAnswerWithNumberedSources) {
  SetAnswer();
  EXPECT_EQ(Lastro({"ask", "How many days?"}), kExitOk);
  EXPECT_EQ(out,
            "Staff have 25 days of leave. [1] More. [2]\n"
            "\n"
            "Sources\n"
            "[1] leave.md:2-3  Leave  bytes 8-36\n"
            "    \"Staff have 25 days of leave.\"\n"
            "[2] leave.md:4  Leave  bytes 37-42\n"
            "    \"More.\"\n");
  EXPECT_THAT(err, IsEmpty());
}

TEST_F(CliTest, AskPassesItsOptionsOn) {
  Lastro({"--collection", "hr", "ask", "Q?", "--mode", "generate", "--top", "5", "--min-evidence", "0.25", "--filter",
          "year >= 2020", "--show-passages"});
  EXPECT_EQ(state.ask_request.question(), "Q?");
  EXPECT_EQ(state.ask_request.collection(), "hr");
  EXPECT_EQ(state.ask_request.mode(), v1::ANSWER_MODE_GENERATE);
  EXPECT_EQ(state.ask_request.max_passages(), 5);
  EXPECT_EQ(state.ask_request.min_evidence(), 0.25);
  EXPECT_TRUE(state.ask_request.include_passages());
  EXPECT_EQ(state.ask_request.filter().comparison().field(), "year");
}

TEST_F(CliTest, AskPassesRiskAndWhatBecomesOfUnsupportedText) {
  Lastro({"ask", "Q?"});
  EXPECT_FALSE(state.ask_request.has_max_risk());
  EXPECT_EQ(state.ask_request.unsupported(), v1::UNSUPPORTED_TEXT_UNSPECIFIED);
  Lastro({"ask", "Q?", "--max-risk", "0.1", "--unsupported", "withhold"});
  EXPECT_EQ(state.ask_request.max_risk(), 0.1);
  EXPECT_EQ(state.ask_request.unsupported(), v1::UNSUPPORTED_TEXT_WITHHOLD);
  EXPECT_EQ(Lastro({"ask", "Q?", "--max-risk", "2"}), kExitUsage);
}

// A few words are the answer; the sentence that they stand in is the source.
TEST_F(CliTest, TheAnswerStandsOutInItsSentence) {
  SetAnswer();
  state.answer.clear_claims();
  state.answer.set_text("25 days");
  AddClaim(0, 7, 8, 36);  // "Staff have 25 days\nof leave."
  v1::ByteRange* range = state.answer.mutable_claims(0)->mutable_citations(0)->mutable_answer_in_quote();
  range->set_begin(11);
  range->set_end(18);
  Lastro({"ask", "Q?"});
  EXPECT_THAT(out, StartsWith("25 days [1]\n\nSources\n"));
  EXPECT_THAT(out, HasSubstr("    \"Staff have 25 days of leave.\"\n"));
  terminal.is_terminal = terminal.colours = true;
  Lastro({"ask", "Q?"});
  EXPECT_THAT(out, HasSubstr("    \"Staff have \x1b[1m25 days\x1b[0m of leave.\"\n"));
  terminal.columns = 20;  // it breaks within the answer
  range->set_end(21);
  Lastro({"ask", "Q?"});
  EXPECT_THAT(out, HasSubstr("\x1b[1m25 days\x1b[0m\n    \x1b[1mof\x1b[0m leave.\""));
  for (const auto& [begin, end] : {std::pair{-1, 5}, std::pair{5, 99}, std::pair{9, 3}}) {  // of a hostile server
    range = state.answer.mutable_claims(0)->mutable_citations(0)->mutable_answer_in_quote();
    range->set_begin(begin);
    range->set_end(end);
    Lastro({"ask", "Q?"});
    EXPECT_THAT(out, HasSubstr("leave.\""));
  }
}

TEST_F(CliTest, AnAnswerThatMayWellBeWrongSaysSo) {
  SetAnswer();
  state.answer.set_evidence(0.5);
  EXPECT_EQ(Lastro({"ask", "Q?"}), kExitOk);
  EXPECT_THAT(out, StartsWith("Staff have 25 days of leave. [1] More. [2]\n\nSources\n"));
  state.answer.set_evidence(0.344);
  EXPECT_EQ(Lastro({"ask", "Q?"}), kExitOk);
  EXPECT_THAT(out, StartsWith("Staff have 25 days of leave. [1] More. [2]\n"
                              "Unsure: evidence 0.34 of 1; read the source.\n\nSources\n"));
}

TEST_F(CliTest, AnswersThatContradictEachOtherAreShownWithTheirSources) {
  SetAnswer();
  state.answer.set_answerability(v1::CONFLICTING);
  Lastro({"ask", "Q?"});
  EXPECT_THAT(out, StartsWith("No answer.\nStaff have 25 days of leave. [1] More. [2]\nReason: CONFLICTING"));
  EXPECT_THAT(out, HasSubstr("Sources\n[1] leave.md:2-3"));
}

TEST_F(CliTest, AskWithoutMinEvidenceLeavesItUnset) {
  Lastro({"ask", "Q?"});
  EXPECT_FALSE(state.ask_request.has_min_evidence());
}

TEST_F(CliTest, AskReadsTheQuestionFromStandardInput) {
  input = "From a pipe?";
  Lastro({"ask", "-"});
  EXPECT_EQ(state.ask_request.question(), "From a pipe?");
}

TEST_F(CliTest, AQuestionMayBeTheNameOfACommand) {
  EXPECT_EQ(Lastro({"ask", "models"}), kExitOk);
  EXPECT_EQ(state.ask_request.question(), "models");
}

TEST_F(CliTest, AskAsJsonIsOneObjectWithProtoFieldNames) {
  SetAnswer();
  EXPECT_EQ(Lastro({"ask", "Q?", "--json"}), kExitOk);
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 1);
  ASSERT_OK_AND_ASSIGN(JsonDocument document, JsonDocument::Parse(out, "output"));
  ASSERT_OK_AND_ASSIGN(JsonValue answerability, document.root().Get("answerability"));
  EXPECT_EQ(*answerability.AsString(), "ANSWERED");
  EXPECT_TRUE(document.root().Has("evidence_threshold"));  // zero, and printed all the same
  ASSERT_OK_AND_ASSIGN(JsonValue claims, document.root().Get("claims"));
  EXPECT_EQ(claims.AsArray()->size(), 2u);
}

TEST_F(CliTest, ReplayTellsWhetherAnAnswerIsTheSame) {
  SetAnswer();
  v1::Receipt& receipt = *state.answer.mutable_receipt();
  receipt.mutable_request()->set_question("How many days?");
  receipt.set_answer_sha256("first");
  receipt.set_store_commit(3);
  ASSERT_EQ(Lastro({"ask", "How many days?", "--json"}), kExitOk) << err;
  TempFolder folder;
  std::ofstream(folder / "answer.json") << out;
  EXPECT_EQ(Lastro({"replay", folder / "answer.json"}), kExitOk) << err;
  EXPECT_THAT(out, HasSubstr("same     How many days?"));
  EXPECT_EQ(state.ask_request.question(), "How many days?");
  receipt.set_answer_sha256("second");
  receipt.set_store_commit(4);
  EXPECT_EQ(Lastro({"replay", folder / "answer.json"}), kExitChanged) << err;
  EXPECT_THAT(out, HasSubstr("changed  How many days?"));
  EXPECT_THAT(out, HasSubstr("the store's commit was 3 and is 4"));
  EXPECT_THAT(out, HasSubstr("it says now: Staff have 25 days of leave."));
  EXPECT_EQ(Lastro({"replay", folder / "answer.json", "--json"}), kExitChanged) << err;
  EXPECT_THAT(out, HasSubstr("\"same\":false"));
}

TEST_F(CliTest, ReplayRefusesWhatIsNoReceipt) {
  TempFolder folder;
  for (const char* text : {"", "{", "{}", "[]", "{\"receipt\": {}}", "{\"receipt\": 3}"}) {
    std::ofstream(folder / "bad.json") << text;
    EXPECT_EQ(Lastro({"replay", folder / "bad.json"}), kExitUsage) << text;
    EXPECT_THAT(err, HasSubstr("bad.json")) << text;
  }
  EXPECT_EQ(Lastro({"replay", folder / "none.json"}), kExitFailure);
}

TEST_F(CliTest, AbstentionIsTold) {
  state.answer.set_text("The documents do not say.");
  state.answer.set_answerability(v1::WEAK_EVIDENCE);
  state.answer.set_evidence(0.31);
  state.answer.set_evidence_threshold(0.5);
  EXPECT_EQ(Lastro({"ask", "Q?"}), kExitOk);
  EXPECT_THAT(out, StartsWith("No answer.\nThe documents do not say.\n"));
  EXPECT_THAT(out, HasSubstr("WEAK_EVIDENCE"));
  EXPECT_THAT(out, HasSubstr("0.31, needed 0.50"));
  EXPECT_EQ(Lastro({"ask", "Q?", "--fail-on-abstain"}), kExitAbstained);
  state.answer.set_answerability(v1::NO_HIT);
  Lastro({"ask", "Q?"});
  EXPECT_THAT(out, HasSubstr("NO_HIT (no document matches the question)."));
  EXPECT_THAT(out, Not(HasSubstr("needed"))) << "there was nothing to weigh";
  state.answer.set_answerability(v1::WEAK_EVIDENCE);
  state.answer.set_evidence(0.4973);
  Lastro({"ask", "Q?"});
  EXPECT_THAT(out, HasSubstr("0.4973, needed 0.5000"));
  state.answer.set_evidence(0.62);
  Lastro({"ask", "--mode", "generate", "Q?"});
  EXPECT_THAT(out, HasSubstr("WEAK_EVIDENCE (the decoder wrote nothing that the sources support)."));
}

TEST_F(CliTest, UnsupportedClaimsAreMarked) {
  SetAnswer();
  state.answer.mutable_claims(1)->set_supported(false);
  Lastro({"ask", "Q?", "--mode", "generate"});
  EXPECT_THAT(out, HasSubstr("More. [?]\n[?] no source says this"));
}

TEST_F(CliTest, LiveTextIsReplacedByTheAnswerOnATerminal) {
  SetAnswer();
  terminal.is_terminal = true;
  state.deltas = {"Staff ", "have"};
  Lastro({"ask", "Q?"});
  EXPECT_THAT(out, StartsWith("Staff have\r\x1b[JStaff have 25 days of leave. [1]"));
}

TEST_F(CliTest, DocumentsCannotCommandTheTerminal) {
  SetAnswer();
  state.answer.set_text("Staff have 25 \x1b]0;days of leave. More");
  state.answer.mutable_claims(0)->mutable_citations(0)->set_quote("a\x1b[2Jb");
  state.answer.mutable_claims(0)->mutable_citations(0)->set_document_uri("x\x1b[31m.md");
  Lastro({"ask", "Q?"});
  EXPECT_THAT(out, Not(HasSubstr("\x1b")));
}

TEST_F(CliTest, HostileClaimRangesAreIgnored) {
  SetAnswer();
  state.answer.mutable_claims(0)->mutable_range()->set_end(int64_t{1} << 62);
  state.answer.mutable_claims(1)->mutable_range()->set_end(-5);
  state.answer.mutable_claims(1)->mutable_citations(0)->mutable_source_range()->set_begin(-1);
  EXPECT_EQ(Lastro({"ask", "Q?"}), kExitOk);
  EXPECT_THAT(out, StartsWith("Staff have 25 days of leave. More.\n"));
}

TEST_F(CliTest, ChangedSourcesHaveNoLines) {
  SetAnswer();
  for (v1::Claim& claim : *state.answer.mutable_claims()) claim.mutable_citations(0)->set_source_sha256("other");
  Lastro({"ask", "Q?"});
  EXPECT_THAT(out, HasSubstr("[1] leave.md  Leave"));
}

TEST_F(CliTest, ErrorsAreOneLineWithAdviceAndAnExitCode) {
  state.ask_status = absl::UnavailableError("cannot reach localhost:1\nconnection refused");
  EXPECT_EQ(Lastro({"ask", "Q?"}), kExitUnavailable);
  EXPECT_EQ(err, "lastro: cannot reach localhost:1 connection refused; check --server and that lastrod is running\n");
  EXPECT_THAT(out, IsEmpty());
  state.ask_status = absl::InvalidArgumentError("too long; shorten it");
  EXPECT_EQ(Lastro({"ask", "Q?"}), kExitUsage);
  EXPECT_EQ(err, "lastro: too long; shorten it\n");
  state.ask_status = absl::NotFoundError("no collection x");
  EXPECT_EQ(Lastro({"ask", "Q?"}), kExitFailure);
}

TEST_F(CliTest, CtrlCExitsWith130) {
  interrupted = true;
  EXPECT_EQ(Lastro({"ask", "Q?"}), kExitInterrupted);
  EXPECT_EQ(err, "lastro: interrupted\n");
}

TEST_F(CliTest, TimeoutEndsTheCall) {
  EXPECT_EQ(Lastro({"ask", "Q?", "--timeout", "0.000001"}), kExitUnavailable);
  EXPECT_THAT(err, HasSubstr("--timeout"));
}

TEST_F(CliTest, WrongUsageExitsWith2) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"ask"},
                                             {"nonsense"},
                                             {"ask", "Q?", "--mode", "poem"},
                                             {"ask", "Q?", "--top", "many"},
                                             {"docs"},
                                             {"--threads", "-1", "models"},
                                             {"ask", "Q?", "--filter", "year >"},
                                             {"ask", "a", "b"}}) {
    EXPECT_EQ(Lastro(arguments), kExitUsage);
    EXPECT_THAT(err, HasSubstr("lastro"));
  }
}

TEST_F(CliTest, WhatNoCommandKnowsIsNamed) {
  EXPECT_EQ(Lastro({"aks", "Q?"}), kExitUsage);
  EXPECT_EQ(err, "lastro: there is no command aks; see 'lastro --help'\n");
  EXPECT_EQ(Lastro({"docs", "lst"}), kExitUsage);
  EXPECT_EQ(err, "lastro: there is no command lst; see 'lastro docs --help'\n");
  EXPECT_EQ(Lastro({"ask", "--tpo", "3", "Q?"}), kExitUsage);
  EXPECT_EQ(err, "lastro: there is no option --tpo; see 'lastro ask --help'\n");
  EXPECT_EQ(Lastro({"ingest", "--recursive"}), kExitUsage);
  EXPECT_EQ(err, "lastro: there is no option --recursive; see 'lastro ingest --help'\n");
  EXPECT_EQ(Lastro({"ingest"}), kExitUsage);
  EXPECT_THAT(err, HasSubstr("target is required"));
}

TEST_F(CliTest, InvalidUtf8IsRefused) {
  EXPECT_EQ(Lastro({"ask", "caf\xe9"}), kExitUsage);
  EXPECT_THAT(err, HasSubstr("not valid UTF-8"));
}

TEST_F(CliTest, EveryCommandHasExamples) {
  for (std::string command : {"ingest",
                              "ask",
                              "search",
                              "docs",
                              "docs list",
                              "docs show",
                              "docs delete",
                              "collections",
                              "collections list",
                              "collections show",
                              "collections delete",
                              "jobs",
                              "jobs list",
                              "jobs show",
                              "jobs watch",
                              "jobs cancel",
                              "embed",
                              "eval",
                              "eval compare",
                              "cluster",
                              "tokenize",
                              "inspect",
                              "models",
                              "bench",
                              "quantize",
                              "perplexity",
                              "replay"}) {
    std::vector<std::string> arguments = absl::StrSplit(command, ' ');
    arguments.push_back("--help");
    EXPECT_EQ(Lastro(arguments), kExitOk) << command;
    size_t examples = out.find("Examples:");
    ASSERT_NE(examples, std::string::npos) << command;
    for (absl::string_view line : absl::StrSplit(out.substr(0, examples), '\n')) {
      EXPECT_LE(DisplayWidth(line), 80) << command << ": " << line;
    }
    std::vector<std::string> lines = absl::StrSplit(out.substr(examples), '\n', absl::SkipWhitespace());
    EXPECT_GE(lines.size(), 3u) << command;
    for (size_t i = 1; i < lines.size(); ++i) EXPECT_THAT(lines[i], StartsWith("  lastro ")) << command;
  }
}

TEST_F(CliTest, HelpTellsExitCodesAndVersionIsPrinted) {
  EXPECT_EQ(Lastro({"--help"}), kExitOk);
  EXPECT_THAT(out, HasSubstr("Exit codes:"));
  for (absl::string_view line : absl::StrSplit(out, '\n')) EXPECT_LE(DisplayWidth(line), 80) << line;
  EXPECT_EQ(Lastro({"--version"}), kExitOk);
  EXPECT_THAT(out, StartsWith("lastro "));
}

TEST_F(CliTest, GlobalOptionsMayComeAfterTheCommand) {
  Lastro({"models", "--server", "host:1", "--threads", "3", "--compute-type", "bf16", "--kv-memory", "512MiB"});
  EXPECT_EQ(options_seen.server, "host:1");
  EXPECT_EQ(options_seen.compute.threads, 3);
  EXPECT_EQ(options_seen.compute.compute_type, "bf16");
  EXPECT_EQ(options_seen.compute.kv_bytes, 512 << 20);
  EXPECT_THAT(out, HasSubstr("fake-model"));
}

TEST_F(CliTest, SearchExplains) {
  v1::SearchHit* hit = state.search_response.add_hits();
  hit->mutable_document()->set_uri("a.md");
  hit->mutable_chunk()->set_text("some\ntext");
  hit->set_dense_rank(1);
  EXPECT_EQ(Lastro({"search", "q", "--mode", "dense", "--limit", "3", "--explain"}), kExitOk);
  EXPECT_EQ(state.search_request.mode(), v1::SearchRequest::DENSE);
  EXPECT_EQ(state.search_request.limit(), 3);
  EXPECT_FALSE(state.search_request.has_dense_weight());
  EXPECT_THAT(out, HasSubstr("1. a.md"));
  EXPECT_THAT(out, HasSubstr("meaning #1"));
  EXPECT_THAT(out, HasSubstr("words -"));
  EXPECT_THAT(out, HasSubstr("    some text\n"));
}

TEST_F(CliTest, SearchTakesEveryStageFromTheCommandLine) {
  v1::SearchHit* hit = state.search_response.add_hits();
  hit->mutable_chunk()->set_text("the hit");
  hit->add_before()->set_text("what comes before");
  hit->add_after()->set_text("what comes after");
  hit->set_rerank_rank(1);
  hit->set_rerank_score(4.25);
  state.search_response.mutable_explanation()->set_lexical_query("\"port\" OR \"fees\"");
  state.search_response.mutable_explanation()->set_reranked(30);
  EXPECT_EQ(Lastro({"search", "q", "--fusion", "rrf", "--rrf-k", "20", "--rerank", "--rerank-candidates", "40",
                    "--rerank-weight", "0.6", "--mmr", "0.7", "--context", "1", "--explain"}),
            kExitOk);
  EXPECT_EQ(state.search_request.fusion(), v1::SearchRequest::RRF);
  EXPECT_EQ(state.search_request.rrf_k(), 20);
  EXPECT_TRUE(state.search_request.rerank());
  EXPECT_EQ(state.search_request.rerank_candidates(), 40);
  EXPECT_EQ(state.search_request.rerank_weight(), 0.6);
  EXPECT_EQ(state.search_request.mmr_lambda(), 0.7);
  EXPECT_EQ(state.search_request.context_chunks(), 1);
  EXPECT_TRUE(state.search_request.explain());
  EXPECT_THAT(out, HasSubstr("    what comes before\n    the hit\n    what comes after\n"));
  EXPECT_THAT(out, HasSubstr("reranked #1 4.250"));
  EXPECT_THAT(out, HasSubstr("\"port\" OR \"fees\""));
  EXPECT_EQ(Lastro({"search", "q", "--no-rerank", "--top", "4"}), kExitOk);
  EXPECT_EQ(state.search_request.limit(), 4);
  EXPECT_TRUE(state.search_request.has_rerank());
  EXPECT_FALSE(state.search_request.rerank());
  EXPECT_EQ(Lastro({"search", "q"}), kExitOk);
  EXPECT_FALSE(state.search_request.has_rerank());
  EXPECT_FALSE(state.search_request.has_rerank_weight());
  EXPECT_FALSE(state.search_request.has_mmr_lambda());
}

TEST_F(CliTest, DocsListReadsAllPages) {
  for (int i = 0; i < 5; ++i) AddDocument(absl::StrCat("id", i), absl::StrCat("doc", i, ".md"));
  EXPECT_EQ(Lastro({"docs", "list"}), kExitOk);
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 6);
  Lastro({"docs", "list", "--limit", "3"});
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 4);
}

TEST_F(CliTest, DocsShowFindsByUriOrIdAndPrintsTheSource) {
  AddDocument("id1", "a.md");
  state.sources["id1"] = "twelve bytes";
  EXPECT_EQ(Lastro({"docs", "show", "a.md", "--text"}), kExitOk);
  EXPECT_EQ(out, "twelve bytes");
  EXPECT_EQ(Lastro({"docs", "show", "id1"}), kExitOk);
  EXPECT_THAT(out, HasSubstr("a.md"));
  EXPECT_EQ(Lastro({"docs", "show", "other"}), kExitFailure);
  EXPECT_EQ(Lastro({"docs", "show", "a.md", "--text", "--chunks"}), kExitUsage);
}

TEST_F(CliTest, DocsShowNoticesAChangedSource) {
  AddDocument("id1", "a.md");
  state.documents[0].set_source_sha256("older");
  state.sources["id1"] = "text";
  EXPECT_EQ(Lastro({"docs", "show", "a.md", "--text"}), kExitFailure);
  EXPECT_THAT(err, HasSubstr("changed"));
}

TEST_F(CliTest, DocsDeleteResolvesAllNamesFirst) {
  AddDocument("id1", "a.md");
  EXPECT_EQ(Lastro({"docs", "delete", "a.md", "missing.md"}), kExitFailure);
  EXPECT_THAT(state.deleted, IsEmpty());
  EXPECT_EQ(Lastro({"docs", "delete", "a.md"}), kExitOk);
  EXPECT_THAT(state.deleted, ElementsAre("id1"));
}

TEST_F(CliTest, DeletingACollectionMustBeConfirmed) {
  EXPECT_EQ(Lastro({"collections", "delete", "old"}), kExitUsage);
  in_is_terminal = true;
  input = "n\n";
  EXPECT_EQ(Lastro({"collections", "delete", "old"}), kExitFailure);
  EXPECT_THAT(state.deleted, IsEmpty());
  input = "y\n";
  EXPECT_EQ(Lastro({"collections", "delete", "old"}), kExitOk);
  EXPECT_THAT(state.deleted, ElementsAre("old"));
}

TEST_F(CliTest, TokenizeIdsPrintsIdsOnly) {
  for (int id : {5, 42, 7}) state.tokens.add_tokens()->set_id(id);
  EXPECT_EQ(Lastro({"tokenize", "text", "--ids", "--model", "embedder", "--add-special"}), kExitOk);
  EXPECT_EQ(out, "5 42 7\n");
  EXPECT_EQ(state.tokenize_request.model(), v1::MODEL_ROLE_EMBEDDER);
  EXPECT_TRUE(state.tokenize_request.add_special());
}

TEST_F(CliTest, EmbedReadsLinesAndWritesNpy) {
  TempFolder folder;
  input = "one\nthree\n";
  EXPECT_EQ(Lastro({"embed", "-", "--npy", folder / "v.npy"}), kExitOk);
  ASSERT_OK_AND_ASSIGN(std::string file, ReadFile(folder / "v.npy", 1 << 20));
  EXPECT_EQ(file.size() % 64, 16u);  // a header of whole 64 bytes, then four floats
  EXPECT_THAT(file, HasSubstr("'shape': (2, 2)"));
  float first = 0;
  std::copy_n(file.end() - 16, 4, reinterpret_cast<char*>(&first));
  EXPECT_EQ(first, 3.0f);
}

TEST_F(CliTest, EmbedSendsBatches) {
  for (int i = 0; i < 300; ++i) absl::StrAppend(&input, "text ", i, "\n");
  EXPECT_EQ(Lastro({"embed", "-", "--json"}), kExitOk);
  EXPECT_THAT(state.embed_batches, ElementsAre(256, 44));
  ASSERT_OK_AND_ASSIGN(JsonDocument document, JsonDocument::Parse(out, "output"));
  ASSERT_OK_AND_ASSIGN(JsonValue vectors, document.root().Get("vectors"));
  EXPECT_EQ(vectors.AsArray()->size(), 300u);
}

TEST_F(CliTest, InspectTakesIdsAndWritesLogits) {
  TempFolder folder;
  state.inspection.add_positions()->mutable_token()->set_id(4);
  state.inspection.set_vocab_size(3);
  state.inspection.set_logits(std::string(12, '\0'));
  EXPECT_EQ(Lastro({"inspect", "4, 5", "--ids", "--logits", folder / "l.npy", "--json"}), kExitOk);
  EXPECT_THAT(state.inspect_request.prompt().tokens().ids(), ElementsAre(4, 5));
  EXPECT_TRUE(state.inspect_request.include_logits());
  ASSERT_OK_AND_ASSIGN(std::string file, ReadFile(folder / "l.npy", 1 << 20));
  EXPECT_THAT(file, HasSubstr("'shape': (1, 3)"));
  EXPECT_EQ(Lastro({"inspect", "4 x", "--ids"}), kExitUsage);
}

TEST_F(CliTest, InspectRefusesLogitsOfTheWrongSize) {
  TempFolder folder;
  state.inspection.add_positions();
  state.inspection.set_vocab_size(3);
  state.inspection.set_logits("four");
  EXPECT_NE(Lastro({"inspect", "x", "--logits", folder / "l.npy"}), kExitOk);
}

TEST_F(CliTest, ClusterOfTextsSendsTheLines) {
  TempFolder folder;
  std::ofstream(folder / "t.txt") << "one\n\n  \ntwo\r\n";
  v1::ClusterResponse::Cluster* cluster = state.clusters.add_clusters();
  cluster->set_size(2);
  cluster->add_terms("ship");
  EXPECT_EQ(Lastro({"cluster", "--texts", folder / "t.txt", "-k", "1"}), kExitOk);
  EXPECT_THAT(state.cluster_request.input().texts().texts(), ElementsAre("one", "two"));
  EXPECT_EQ(state.cluster_request.clusters(), 1);
  EXPECT_THAT(out, HasSubstr("ship"));
  EXPECT_EQ(Lastro({"cluster", "--collection", "hr"}), kExitOk);
  EXPECT_EQ(state.cluster_request.input().chunks().collection(), "hr");
}

class IngestCliTest : public CliTest {
 protected:
  IngestCliTest() {
    state.job.set_id("j1");
    state.job.set_state(v1::Job::SUCCEEDED);
    state.job.set_files_found(3);
    state.job.set_files_added(2);
  }
  void AddProblem() {
    state.job.set_files_failed(1);
    state.job.add_problems()->set_uri("bad.pdf");
    state.job.mutable_problems(0)->set_reason("no text");
  }
  TempFolder folder;
};

TEST_F(IngestCliTest, FoldersAreJobsInProcess) {
  EXPECT_EQ(Lastro({"ingest", folder.path(), "--sync", "--include", "*.md", "--exclude", "a/**", "--exclude", "b/**",
                    "--meta", "year=2024", "--meta", "team=\"7\"", "--meta", "final=true", "--collection", "hr"}),
            kExitOk);
  EXPECT_TRUE(state.sync);
  EXPECT_EQ(state.folder_request.collection(), "hr");
  EXPECT_THAT(state.folder_request.include(), ElementsAre("*.md"));
  EXPECT_THAT(state.folder_request.exclude(), ElementsAre("a/**", "b/**"));
  EXPECT_EQ(state.folder_request.metadata().at("year").number_value(), 2024);
  EXPECT_EQ(state.folder_request.metadata().at("team").string_value(), "7");
  EXPECT_TRUE(state.folder_request.metadata().at("final").bool_value());
}

TEST_F(IngestCliTest, ProblemsAreListedAndStrictTellsThem) {
  AddProblem();
  EXPECT_EQ(Lastro({"ingest", folder.path()}), kExitOk);
  EXPECT_THAT(out, HasSubstr("bad.pdf: no text"));
  EXPECT_EQ(Lastro({"ingest", folder.path(), "--strict"}), kExitProblems);
}

TEST_F(IngestCliTest, JsonIsOneJob) {
  AddProblem();
  EXPECT_EQ(Lastro({"ingest", folder.path(), folder.path(), "--json"}), kExitOk);
  ASSERT_OK_AND_ASSIGN(JsonDocument document, JsonDocument::Parse(out, "output"));
  ASSERT_OK_AND_ASSIGN(JsonValue found, document.root().Get("files_found"));
  EXPECT_EQ(*found.AsString(), "6");  // both folders; 64-bit numbers are strings in proto JSON
  ASSERT_OK_AND_ASSIGN(JsonValue problems, document.root().Get("problems"));
  EXPECT_EQ(problems.AsArray()->size(), 2u);
}

TEST_F(IngestCliTest, FailedJobsFail) {
  state.job.set_state(v1::Job::FAILED);
  state.job.set_error("disk full");
  EXPECT_EQ(Lastro({"ingest", folder.path()}), kExitFailure);
  EXPECT_THAT(out, HasSubstr("disk full"));
  EXPECT_THAT(err, StartsWith("lastro: ingestion failed: disk full; "));
}

TEST_F(IngestCliTest, InterruptionCancelsTheJob) {
  state.watch_status = absl::CancelledError("cancelled");
  interrupted = true;
  EXPECT_EQ(Lastro({"ingest", folder.path()}), kExitInterrupted);
  EXPECT_EQ(state.cancels, 1);
}

TEST_F(IngestCliTest, JobsOfServersGoOnAfterATimeout) {
  state.watch_status = absl::DeadlineExceededError("time ran out");
  EXPECT_EQ(Lastro({"ingest", "--server", "h:1", "--on-server", "/srv"}), kExitUnavailable);
  EXPECT_EQ(state.cancels, 0);
  EXPECT_THAT(err, HasSubstr("lastro jobs watch j1"));
}

TEST_F(IngestCliTest, FoldersAreUploadedToServers) {
  std::filesystem::create_directories(folder / "sub");
  std::ofstream(folder / "a.md") << "text";
  std::ofstream(folder / "sub/b.txt") << "text";
  std::ofstream(folder / "sub/c.md") << "bad";
  std::ofstream(folder / "d.xyz") << "unsupported";
  AddDocument("id1", "a.md");
  state.documents[0].set_content_sha256("older");
  EXPECT_EQ(Lastro({"ingest", "--server", "h:1", folder.path(), "--meta", "x=1", "--json"}), kExitOk);
  ASSERT_EQ(state.uploads.size(), 2u);
  EXPECT_EQ(state.uploads[0].uri(), "a.md");
  EXPECT_EQ(state.uploads[1].uri(), "sub/b.txt");
  EXPECT_EQ(state.uploads[0].metadata().at("x").number_value(), 1);
  v1::Job job;
  ASSERT_OK_AND_ASSIGN(JsonDocument document, JsonDocument::Parse(out, "output"));
  EXPECT_EQ(*document.root().GetString("files_found", ""), "4");
  EXPECT_EQ(*document.root().GetString("files_updated", ""), "1");
  EXPECT_EQ(*document.root().GetString("files_added", ""), "1");
  EXPECT_EQ(*document.root().GetString("files_failed", ""), "2")
      << "one that is bad, one that is no format, as in process";
  EXPECT_THAT(out, HasSubstr("the format .xyz is not supported"));
  EXPECT_EQ(*document.root().GetString("state", ""), "SUCCEEDED");
}

TEST_F(IngestCliTest, OtherTextIsUploadedWhereItIsNamedOrIncluded) {
  std::ofstream(folder / "a.csv") << "x,y";
  std::ofstream(folder / "b.md") << "text";
  EXPECT_EQ(Lastro({"ingest", folder / "a.csv"}), kExitOk);
  EXPECT_EQ(Lastro({"ingest", "--server", "h:1", folder.path(), "--include", "*.csv"}), kExitOk);
  EXPECT_EQ(Lastro({"ingest", folder / "b.md"}), kExitOk);
  ASSERT_EQ(state.uploads.size(), 3u);
  for (int i : {0, 1}) {
    EXPECT_EQ(state.uploads[i].uri(), "a.csv");
    EXPECT_EQ(state.uploads[i].media_type(), "text/plain");
  }
  EXPECT_EQ(state.uploads[2].media_type(), "") << "its extension tells";
}

TEST_F(IngestCliTest, SingleFilesAreUploaded) {
  std::ofstream(folder / "a.md") << "text";
  EXPECT_EQ(Lastro({"ingest", folder / "a.md"}), kExitOk);
  ASSERT_EQ(state.uploads.size(), 1u);
  EXPECT_EQ(state.uploads[0].uri(), "a.md");
  EXPECT_EQ(Lastro({"ingest", folder / "a.md", "--sync"}), kExitUsage);
  EXPECT_EQ(Lastro({"ingest", folder / "missing.md"}), kExitFailure);
  EXPECT_EQ(Lastro({"ingest", folder / "a.md", "--meta", "=x"}), kExitUsage);
}

TEST_F(CliTest, QuantizeAndPerplexityWorkOnModelFiles) {
  TempFolder folder;
  const std::string model = std::string(LASTRO_SOURCE_DIR) + "/tests/golden/models/llama-gqa";
  EXPECT_EQ(Lastro({"quantize", "--json", model, folder / "small.gguf", "--type", "q8_0"}), kExitOk) << err;
  ASSERT_OK_AND_ASSIGN(JsonDocument summary, JsonDocument::Parse(out, "quantize"));
  EXPECT_GT(*summary.root().GetInt("bytes_before", 0), *summary.root().GetInt("bytes_after", 0));
  ASSERT_THAT(WriteFileAtomically(folder / "text.txt", std::string(100, 'a') + " text that is in the end there"),
              IsOk());
  EXPECT_EQ(Lastro({"perplexity", "--json", folder / "small.gguf", folder / "text.txt", "--baseline", model, "--window",
                    "32", "--stride", "16"}),
            kExitOk)
      << err;
  ASSERT_OK_AND_ASSIGN(JsonDocument result, JsonDocument::Parse(out, "perplexity"));
  EXPECT_GT(*result.root().GetInt("tokens", 0), 50);
  EXPECT_LT(*result.root().GetDouble("mean_divergence", 1), 0.01);
  EXPECT_EQ(Lastro({"quantize", model, folder / "small.bin"}), kExitUsage);
  EXPECT_THAT(err, HasSubstr("must end in .gguf"));
  EXPECT_EQ(Lastro({"quantize", model, folder / "x.gguf", "--type", "q1"}), kExitUsage);
  EXPECT_THAT(err, HasSubstr("q4_k_m"));
  EXPECT_EQ(Lastro({"perplexity", folder / "small.gguf", folder / "none.txt"}), kExitFailure);
}

TEST(UriOfFile, IsThePathAsGiven) {
  EXPECT_EQ(UriOfFile("./docs//a.md"), "docs/a.md");
  EXPECT_EQ(UriOfFile("docs/../a.md"), "a.md");
  EXPECT_EQ(UriOfFile("/home/me/a.md"), "a.md");
  EXPECT_EQ(UriOfFile("../a.md"), "a.md");
}

TEST(BenchResult, IsJsonWhateverTheModelIsCalled) {
  BenchResult result;
  result.model = "a \"model\"\n";
  result.rates = {{"prompt_tokens_per_s", 12.5}};
  ASSERT_OK_AND_ASSIGN(JsonDocument document, JsonDocument::Parse(BenchJson(result), "bench"));
  EXPECT_EQ(*document.root().GetString("model", ""), "a \"model\"\n");
  EXPECT_EQ(*document.root().GetDouble("prompt_tokens_per_s", 0), 12.5);
  EXPECT_EQ(Median({3, 1, 2}), 2);
  EXPECT_EQ(Median({4, 1, 2, 3}), 2.5);
}

}  // namespace
}  // namespace lastro::services
