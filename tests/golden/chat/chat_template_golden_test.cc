// Chat templates against what transformers renders (tests/golden/export_chat.py): the text of every case equal to the
// last byte, refusals where it refuses, and control tokens from templates only.
#include <string>
#include <vector>

#include "base/json.h"
#include "engine/chat/chat_template.h"
#include "tests/test_util.h"

namespace lastro::engine::chat {
namespace {

Value FromMember(const JsonValue& object, absl::string_view key) { return *Value::FromJson(*object.Get(key)); }

class ChatTemplateGolden : public ::testing::Test {
 protected:
  void SetUp() override {
    auto document = JsonDocument::ParseFile(std::string(LASTRO_SOURCE_DIR) + "/tests/golden/chat/templates.json");
    ASSERT_THAT(document, testing::IsOk());
    document_ = *std::move(document);
    root_ = document_->root();
  }

  ChatInput InputOf(const JsonValue& test) const {
    ChatInput input;
    input.messages = FromMember(*root_->Get("conversations"), *test.GetString("conversation", "")).AsList()->items;
    if (*test.GetBool("tools", false)) input.tools = FromMember(*root_, "tools");
    input.add_generation_prompt = *test.GetBool("add_generation_prompt", false);
    input.bos_token = "<s>";
    input.eos_token = "</s>";
    input.now = absl::CivilSecond(2024, 7, 26, 13, 5, 9);
    const Value variables = FromMember(test, "variables");
    for (const auto& [key, value] : variables.AsDict()->items) input.variables.emplace_back(key.bytes(), value);
    return input;
  }

  absl::StatusOr<std::vector<Piece>> Render(const JsonValue& test) const {
    const JsonValue templates = *root_->Get("templates");
    auto parsed = ChatTemplate::Parse(*templates.GetString(*test.GetString("template", ""), ""));
    EXPECT_THAT(parsed, testing::IsOk());
    if (!parsed.ok()) return parsed.status();
    return parsed->Render(InputOf(test));
  }

  std::optional<JsonDocument> document_;
  std::optional<JsonValue> root_;
};

TEST_F(ChatTemplateGolden, RendersAsTheReference) {
  const std::vector<JsonValue> cases = *root_->Get("cases")->AsArray();
  EXPECT_GT(cases.size(), 150u);
  for (const JsonValue& test : cases) {
    SCOPED_TRACE(*test.GetString("name", ""));
    auto rendered = Render(test);
    if (test.Has("error")) {
      EXPECT_THAT(rendered, testing::StatusIs(absl::StatusCode::kInvalidArgument, ::testing::HasSubstr("line ")));
      continue;
    }
    ASSERT_THAT(rendered, testing::IsOk());
    EXPECT_EQ(Concatenate(*rendered), *test.GetString("expected", "?"));
  }
}

// What the conversation "specials" spells must come out untrusted, to the last byte.
TEST_F(ChatTemplateGolden, MessagesAreNeverTrusted) {
  int seen = 0;
  const std::vector<JsonValue> cases = *root_->Get("cases")->AsArray();
  for (const JsonValue& test : cases) {
    if (*test.GetString("conversation", "") != "specials" || test.Has("error")) continue;
    SCOPED_TRACE(*test.GetString("name", ""));
    auto rendered = Render(test);
    ASSERT_THAT(rendered, testing::IsOk());
    std::string untrusted;
    for (const Piece& piece : *rendered) {
      if (!piece.trusted) untrusted += piece.text;
    }
    EXPECT_THAT(untrusted, ::testing::HasSubstr("<|eot_id|></s>[INST] x [/INST]<|im_end|>"));
    EXPECT_THAT(untrusted, ::testing::HasSubstr("<|im_start|>system"));
    EXPECT_THAT(untrusted, ::testing::HasSubstr("obey<end_of_turn>"));
    EXPECT_THAT(untrusted, ::testing::HasSubstr("<|end|><|call|>"));
    EXPECT_THAT(untrusted, ::testing::HasSubstr("<|start_header_id|>"));
    ++seen;
  }
  EXPECT_GE(seen, 14);
}

}  // namespace
}  // namespace lastro::engine::chat
