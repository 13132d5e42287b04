#include "base/file.h"
#include "tests/test_util.h"
#include "tests/unit/services/cli_fake_node.h"

namespace lastro::services {
namespace {

using lastro::testing::IsOk;
using ::testing::HasSubstr;
using ::testing::Not;

class CliGenerateTest : public ::testing::Test, protected testing::CliRunner {
 protected:
  // The reply "Good day.", in two tokens.
  void SetUp() override {
    for (const char* text : {"Good ", "day."}) state.generated_tokens.emplace_back().set_text(text);
    state.generated.set_text("Good day.");
    state.generated.set_finish_reason(v1::END_OF_TEXT);
    state.generated.mutable_message()->set_role("assistant");
    state.generated.mutable_message()->set_content("Good day.");
  }
  const v1::GenerateRequest& Asked() const { return state.generate_requests.back(); }
};

TEST_F(CliGenerateTest, FlagsReachTheRequest) {
  ASSERT_EQ(Lastro({"generate", "Once", "--temperature", "0.5", "--top-k", "3", "--seed", "7", "--max-new-tokens", "9",
                    "--stop", "a", "--stop", "b", "--frequency-penalty", "0.25", "--draft-tokens", "0"}),
            0)
      << err;
  EXPECT_EQ(out, "Good day.\n");
  EXPECT_EQ(Asked().prompt().text(), "Once");
  EXPECT_EQ(Asked().sampling().temperature(), 0.5);
  EXPECT_EQ(Asked().sampling().top_k(), 3);
  EXPECT_EQ(Asked().sampling().seed(), 7u);
  EXPECT_EQ(Asked().sampling().frequency_penalty(), 0.25);
  EXPECT_EQ(Asked().max_new_tokens(), 9);
  EXPECT_EQ(Asked().stop_size(), 2);
  EXPECT_TRUE(Asked().has_draft_tokens());
  EXPECT_EQ(Asked().draft_tokens(), 0);
  EXPECT_FALSE(Asked().has_beams());
  ASSERT_EQ(Lastro({"generate", "Once"}), 0) << err;
  EXPECT_FALSE(Asked().has_draft_tokens());
}

TEST_F(CliGenerateTest, SchemaComesFromAFile) {
  lastro::testing::TempFolder folder;
  ASSERT_THAT(WriteFileAtomically(folder / "s.json", "{\"type\": \"object\"}"), IsOk());
  ASSERT_EQ(Lastro({"generate", "x", "--schema", folder / "s.json"}), 0) << err;
  EXPECT_EQ(Asked().response_format().json_schema(), "{\"type\": \"object\"}");
  EXPECT_NE(Lastro({"generate", "x", "--schema", folder / "none.json"}), 0);
  EXPECT_THAT(err, HasSubstr("none.json"));
}

TEST_F(CliGenerateTest, BeamsComeWholeWithTheirScores) {
  for (double score : {-0.5, -0.75}) {
    v1::GenerateResponse::Candidate* candidate = state.generated.add_candidates();
    candidate->set_text("text");
    candidate->set_score(score);
  }
  ASSERT_EQ(Lastro({"generate", "x", "--beams", "2"}), 0) << err;
  EXPECT_EQ(Asked().beams().width(), 2);
  EXPECT_THAT(out, HasSubstr("-0.750  text"));
  EXPECT_THAT(out, Not(HasSubstr("Good")));  // nothing was streamed
}

TEST_F(CliGenerateTest, CutTextsAreTold) {
  state.generated.set_finish_reason(v1::MAX_TOKENS);
  ASSERT_EQ(Lastro({"generate", "x"}), 0);
  EXPECT_THAT(err, HasSubstr("--max-new-tokens"));
}

TEST_F(CliGenerateTest, OneMessageWithASystemsAndVariables) {
  ASSERT_EQ(Lastro({"chat", "Hello", "--system", "Be brief.", "--var", "enable_thinking=false"}), 0) << err;
  const v1::Chat& chat = Asked().prompt().chat();
  ASSERT_EQ(chat.messages_size(), 2);
  EXPECT_EQ(chat.messages(0).role(), "system");
  EXPECT_EQ(chat.messages(1).content(), "Hello");
  EXPECT_EQ(chat.variables().at("enable_thinking"), "false");
  EXPECT_EQ(out, "Good day.\n");
  EXPECT_EQ(Lastro({"chat", "Hello", "--var", "nonsense"}), 2);
  EXPECT_THAT(err, HasSubstr("NAME=JSON"));
}

TEST_F(CliGenerateTest, AMessageALineKeepsTheConversation) {
  input = "Hello\n\nAnd then?\n/quit\nnever\n";
  ASSERT_EQ(Lastro({"chat"}), 0) << err;
  ASSERT_EQ(state.generate_requests.size(), 2u);
  const v1::Chat& second = Asked().prompt().chat();
  ASSERT_EQ(second.messages_size(), 3);
  EXPECT_EQ(second.messages(1).role(), "assistant");
  EXPECT_EQ(second.messages(1).content(), "Good day.");
  EXPECT_EQ(second.messages(2).content(), "And then?");
}

TEST_F(CliGenerateTest, ConversationsFromFiles) {
  lastro::testing::TempFolder folder;
  ASSERT_THAT(WriteFileAtomically(folder / "c.json", R"({"messages": [{"role": "user", "content": "Hi"}]})"), IsOk());
  ASSERT_EQ(Lastro({"chat", "--file", folder / "c.json", "--json"}), 0) << err;
  EXPECT_EQ(Asked().prompt().chat().messages(0).content(), "Hi");
  EXPECT_THAT(out, HasSubstr("\"content\":\"Good day.\""));
  ASSERT_THAT(WriteFileAtomically(folder / "c.json", "{\"massages\": []}"), IsOk());
  EXPECT_EQ(Lastro({"chat", "--file", folder / "c.json"}), 2);
  EXPECT_THAT(err, HasSubstr("massages"));
}

TEST_F(CliGenerateTest, ReasoningAndCallsOnATerminal) {
  state.generated_tokens[0].set_reasoning("hm");
  state.generated_tokens[0].clear_text();
  state.generated_tokens[1].set_text("\x1b[2Jday.");
  v1::ToolCall* call = state.generated.mutable_message()->add_tool_calls();
  call->set_name("ferry");
  call->set_arguments("{}");
  terminal.is_terminal = true;
  ASSERT_EQ(Lastro({"chat", "Hello"}), 0) << err;
  EXPECT_THAT(out, HasSubstr("hm"));
  EXPECT_THAT(out, HasSubstr("ferry({})"));
  EXPECT_THAT(out, Not(HasSubstr("\x1b[2J")));
  terminal.is_terminal = false;
  ASSERT_EQ(Lastro({"chat", "Hello"}), 0) << err;
  EXPECT_THAT(out, Not(HasSubstr("hm")));
}

TEST_F(CliGenerateTest, AdaptersByName) {
  ASSERT_EQ(Lastro({"--lora", "legal=/a/legal", "--lora", "fun=/a/fun", "generate", "x", "--adapter", "legal"}), 0)
      << err;
  EXPECT_EQ(Asked().adapter(), "legal");
  EXPECT_EQ(options_seen.adapters, (std::vector<std::string>{"legal=/a/legal", "fun=/a/fun"}));
}

TEST_F(CliGenerateTest, RerankShowsTheBestFirst) {
  input = "a long passage\nshort\n";
  ASSERT_EQ(Lastro({"rerank", "query", "in between", "--file", "-"}), 0) << err;
  EXPECT_EQ(state.rerank_request.texts_size(), 3);
  EXPECT_LT(out.find("short"), out.find("in between"));
  EXPECT_LT(out.find("in between"), out.find("a long passage"));
  ASSERT_EQ(Lastro({"--json", "rerank", "query", "a", "--truncate", "--top", "2"}), 0) << err;
  EXPECT_TRUE(state.rerank_request.truncate());
  EXPECT_EQ(state.rerank_request.top_n(), 2);
  EXPECT_THAT(out, HasSubstr("\"scores\":[-1"));
}

}  // namespace
}  // namespace lastro::services
