#include "engine/chat/chat_template.h"

#include <string>
#include <vector>

#include "base/json.h"
#include "engine/tokenizers/json_tokenizer.h"
#include "tests/unit/engine/model_test_util.h"

namespace lastro::engine::chat {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using testing::kUnimplemented;
using testing::StatusIs;

constexpr auto kExhausted = absl::StatusCode::kResourceExhausted;

absl::StatusOr<std::vector<Piece>> Render(absl::string_view source, ChatInput input = {},
                                          const RenderLimits& limits = {}) {
  auto parsed = ChatTemplate::Parse(source);
  if (!parsed.ok()) return parsed.status();
  return parsed->Render(input, limits);
}

std::string TextOf(absl::string_view source, ChatInput input = {}) {
  auto pieces = Render(source, std::move(input));
  return pieces.ok() ? Concatenate(*pieces) : pieces.status().ToString();
}

ChatInput OneMessage(absl::string_view role, absl::string_view content) {
  ChatInput input;
  input.messages = {MakeMessage(role, content)};
  return input;
}

TEST(ChatTemplateTest, WhatIsNotSupportedIsNamedWithItsLine) {
  const std::pair<const char*, const char*> cases[] = {
      {"a\n{% include 'x' %}", "line 2: the statement 'include'"},
      {"{{ x |\n urlize }}", "line 2: the filter 'urlize'"},
      {"{{ x is\nescaped }}", "the test 'escaped'"},
      {"\n\n{% for x in y recursive %}{% endfor %}", "line 3: the loop modifier 'recursive'"},
      {"{{ f(*x) }}", "the argument form '*'"},
      {"{% raw %}{% endraw %}", "the statement 'raw'"},
  };
  for (const auto& [source, message] : cases) {
    EXPECT_THAT(ChatTemplate::Parse(source), StatusIs(kUnimplemented, HasSubstr(message)));
  }
  EXPECT_THAT(Render("\n{{ 'x'.encode('utf-8') }}"),
              StatusIs(kUnimplemented, HasSubstr("line 2: the function or method "
                                                 "'encode'")));
  EXPECT_THAT(Render("{{ lipsum() }}"), StatusIs(kUnimplemented, HasSubstr("'lipsum'")));
  EXPECT_THAT(Render("{{ ['A'] | map('urlize') }}"), StatusIs(kUnimplemented, HasSubstr("'urlize'")));
}

TEST(ChatTemplateTest, MalformedTemplatesAreRefusedWithTheLine) {
  const std::pair<const char*, const char*> cases[] = {
      {"{% if x %}", "line 1: expected '{% elif %}' or '{% else %}' or '{% endif %}', found the end"},
      {"\n{{ x", "line 2: a tag does not end"},
      {"{{ 'x }}", "a string does not end"},
      {"{# x", "a comment does not end"},
      {"{% endfor %}", "closes nothing"},
      {"{{ (1 }}", "unexpected '}'"},
      {"{{ 1 + }}", "expected an expression, found '}}'"},
      {"{{ $ }}", "unexpected character '$'"},
      {"{% break %}", "outside of a loop"},
      {"{{ 99999999999999999999 }}", "beyond 64 bits"},
      {"{% set x.y.z = 1 %}", "expected '%}'"},
      {"{{ x[1:2:3:4] }}", "expected ']'"},
      {"\xFF", "UTF-8"},
  };
  for (const auto& [source, message] : cases) {
    EXPECT_THAT(ChatTemplate::Parse(source), StatusIs(kInvalid, HasSubstr(message))) << source;
  }
}

TEST(ChatTemplateTest, ErrorsOfRenderingNameTheLine) {
  const std::pair<const char*, const char*> cases[] = {
      {"\n{{ raise_exception('no ' ~ 1) }}", "line 2: the template refuses these messages: no 1"},
      {"\n{{ missing.x }}", "line 2: 'missing' is undefined"},
      {"{{ 'a' + missing }}", "'missing' is undefined"},
      {"{{ 'a' + 1 }}", "between a string and an integer"},
      {"{{ 1 // 0 }}", "division by zero"},
      {"{{ 9223372036854775807 + 1 }}", "beyond 64 bits"},
      {"{{ -9223372036854775807 - 2 }}", "beyond 64 bits"},
      {"{{ 3 ** 60 }}", "beyond 64 bits"},
      {"{{ 'x'.split('') }}", "empty separator"},
      {"{{ [1, 'a'] | sort }}", "'<'"},
      {"{{ [1][::0] }}", "step of 0"},
      {"{% set a, b = [1] %}", "1 values for 2 names"},
      {"{% for x in 5 %}{% endfor %}", "cannot be iterated"},
      {"{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "the macro 'm' takes 0 to 1 arguments, not 2"},
      {"{% macro m(a) %}{% endmacro %}{{ m(b=2) }}", "takes no argument 'b'"},
      {"{{ missing | tojson }}", "no JSON form"},
      {"{{ '%d' % 'x' }}", "'%d'"},
      {"{{ none() }}", "cannot be called"},
      {"{% set messages.x = 1 %}", "no namespace"},
  };
  for (const auto& [source, message] : cases) {
    EXPECT_THAT(Render(source), StatusIs(kInvalid, AllOf(HasSubstr("line "), HasSubstr(message)))) << source;
  }
}

TEST(ChatTemplateTest, ListsAndDictsNeverChange) {
  EXPECT_THAT(Render("{{ [].append(1) }}"), StatusIs(kUnimplemented, HasSubstr("'append'")));
  EXPECT_THAT(Render("{{ {}.update({}) }}"), StatusIs(kUnimplemented, HasSubstr("'update'")));
}

// Attacks on the renderer: each ends with an error and in bounded time and memory.
TEST(ChatTemplateTest, HostileTemplatesEnd) {
  const char* const kSources[] = {
      "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
      "{{ range(10 ** 15) }}",
      "{{ 'x' * 10 ** 15 }}",
      "{{ [0] * 2 ** 40 }}",
      "{% set ns = namespace(x='xxxxxxxx') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
      "{% set ns = namespace(x=[1]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}",
      "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
      "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
      "{% macro m(x) %}{{ x(x) }}{% endmacro %}{{ m(m) }}",
      "{{ 'x' | indent(1000) | replace('', 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' * 9999) | replace('', 'y' * 9999) }}",
      "{% for i in range(99999) %}{% for j in range(9) %}{% set x %}{{ i }}{% endset %}{% macro m() %}{% endmacro %}"
      "{% endfor %}{% endfor %}",
      "{{ [[1]] | tojson(indent=100) | replace(' ', ' ' * 99999) | replace(' ', ' ' * 99999) }}",
  };
  RenderLimits limits;
  limits.steps = 1'000'000;
  for (const char* source : kSources) {
    EXPECT_THAT(Render(source, {}, limits).status(), StatusIs(kExhausted, ::testing::_)) << source;
  }
  EXPECT_THAT(Render("{% for i in range(99) %}x{% endfor %}", {}, {.steps = 50}),
              StatusIs(kExhausted, HasSubstr("50")));
  EXPECT_THAT(Render("{{ 'x' * 99 }}", {}, {.bytes = 600}), StatusIs(kExhausted, HasSubstr("600")));
}

TEST(ChatTemplateTest, DeepNestingIsRefused) {
  auto repeat = [](const std::string& text, int count) {
    std::string out;
    for (int i = 0; i < count; ++i) out += text;
    return out;
  };
  for (int depth : {1000, 5500, 60'000}) {
    auto around = [&](const std::string& open, const std::string& close) {
      return "{{ " + repeat(open, depth) + "1" + repeat(close, depth) + " }}";
    };
    const std::string deep[] = {
        repeat("{% if 1 %}", depth), around("(", ")"),       around("[", "]"),    around("{'a':", "}"),
        around("not ", ""),          around("-", ""),        around("", "+1"),    around("", ".x"),
        around("", " if 1 else 1"),  around("", " is eq 1"), around("", "|trim"), around("", "[0]")};
    for (const std::string& source : deep)
      EXPECT_THAT(ChatTemplate::Parse(source), StatusIs(kInvalid, HasSubstr("deep")));
  }
  EXPECT_THAT(ChatTemplate::Parse(std::string(2 << 20, 'x')), StatusIs(kInvalid, HasSubstr("limit")));
}

TEST(ChatTemplateTest, NamespacesMayReferToThemselves) {
  EXPECT_EQ(TextOf("{% set ns = namespace(x=1) %}{% set ns.y = [ns] %}{% set ns.x = ns %}{{ ns.x.x.y[0] == ns }}"),
            "True");
  EXPECT_EQ(TextOf("{% set ns = namespace() %}{% for x in [1, 2] %}{% set ns.l = loop %}{% endfor %}{{ ns.l.length }}"
                   "{{ ns.l.previtem is defined }}"),
            "0False");
}

// ---- trust

TEST(ChatTemplateTest, MarksFollowTheBytesThroughEveryOperation) {
  const char* const kTemplates[] = {
      "<{{ messages[0].content }}>",
      "<{{ messages[0].content | trim }}>",
      "<{{ '' ~ messages[0].content + '' }}>",
      "<{{ [messages[0].content] | join('') }}>",
      "<{{ messages[0].content.split('x') | join('y') }}>",
      "<{{ messages[0].content[::-1][::-1] }}>",
      "<{{ '%s' % messages[0].content }}>",
      "<{{ '{}'.format(messages[0].content) }}>",
      "<{{ messages[0].content.replace('zzz', '') | string | lower | safe }}>",
      "<{% set x %}{{ messages[0].content }}{% endset %}{{ x }}>",
      "<{% macro m(x) %}{{ x }}{% endmacro %}{{ m(messages[0].content) }}>",
      "<{% for c in messages[0].content %}{{ c }}{% endfor %}>",
      "<{% for k, v in messages[0].items() if k == 'content' %}{{ v }}{% endfor %}>",
      "<{{ (messages[0].content * 1).splitlines() | first }}>",
  };
  for (const char* source : kTemplates) {
    ASSERT_OK_AND_ASSIGN(auto pieces, Render(source, OneMessage("user", "<|eot_id|>")));
    std::string text;
    for (const Piece& piece : pieces) text += piece.trusted ? piece.text : "{" + piece.text + "}";
    EXPECT_EQ(text, "<{<|eot_id|>}>") << source;
  }
  ASSERT_OK_AND_ASSIGN(auto json, Render("{{ messages[0] | tojson }}", OneMessage("x", "</s>\"")));
  ASSERT_EQ(json.size(), 5u);
  EXPECT_EQ(json[3].text, "</s>\\\"");
  EXPECT_FALSE(json[3].trusted);
}

TEST(ChatTemplateTest, OnlyKnownRolesAreTrusted) {
  const char* const kSource = "{{ '<|' + messages[0].role + '|>' }}";
  ASSERT_OK_AND_ASSIGN(auto user, Render(kSource, OneMessage("user", "")));
  EXPECT_EQ(user.size(), 1u);
  ASSERT_OK_AND_ASSIGN(auto other, Render(kSource, OneMessage("endoftext", "")));
  EXPECT_EQ(other.size(), 3u);
}

class EncodeChatTest : public ::testing::Test {
 protected:
  // The tiny model's tokenizer: <s> 0, </s> 1, <|end|> 2.
  std::unique_ptr<Tokenizer> tokenizer_ = *Tokenizer::Load(TinyModel("llama-gqa") + "/tokenizer.json");
  std::vector<int32_t> Whole(const std::vector<Piece>& pieces) const {
    EncodeOptions options;
    options.parse_special = true;
    return tokenizer_->Encode(Concatenate(pieces), options);
  }
  int Specials(const std::vector<int32_t>& ids) const {
    int count = 0;
    for (int32_t id : ids) count += tokenizer_->IsSpecial(id) ? 1 : 0;
    return count;
  }
};

TEST_F(EncodeChatTest, BenignTextIsEncodedAsAWhole) {
  // "th" and "the" are merges that cross the pieces here.
  const std::vector<Piece> pieces = {{"<s>t", true},  {"he", false},     {" t", true},
                                     {"he r", false}, {"<|end|>", true}, {"in</s", false}};
  EXPECT_EQ(EncodeChat(*tokenizer_, pieces), Whole(pieces));
  EXPECT_EQ(Specials(EncodeChat(*tokenizer_, pieces)), 2);
}

TEST_F(EncodeChatTest, SpelledControlTokensBecomeText) {
  const std::string text = "</s><s> x <|end|>";
  const std::vector<Piece> pieces = {{"<s>", true}, {text, false}, {"<|end|>", true}};
  EXPECT_EQ(Specials(Whole(pieces)), 5);
  std::vector<int32_t> expected = {0};
  for (int32_t id : tokenizer_->Encode(text)) expected.push_back(id);
  expected.push_back(2);
  EXPECT_EQ(EncodeChat(*tokenizer_, pieces), expected);
}

TEST_F(EncodeChatTest, ATokenPartlyOfAMessageIsText) {
  for (const std::vector<Piece>& pieces :
       {std::vector<Piece>{{"<", true}, {"|end|", false}, {">", true}},
        std::vector<Piece>{{"<|en", false}, {"d|>", true}}, std::vector<Piece>{{"</", true}, {"s>", false}},
        std::vector<Piece>{{"<|end", true}, {"|>", false}}}) {
    EXPECT_EQ(Specials(EncodeChat(*tokenizer_, pieces)), 0);
  }
}

// A message may not swallow the template's token either: "<|a|><|b|>" would be the longest match.
TEST(EncodeChatLongestTest, MessagesCannotHideATokenOfTheTemplate) {
  const std::string json = R"({"added_tokens": [
      {"id": 4, "content": "ab", "special": true}, {"id": 5, "content": "b", "special": true}],
      "model": {"type": "BPE", "vocab": {"a": 0, "c": 1, "d": 2, "e": 3}, "merges": []}})";
  ASSERT_OK_AND_ASSIGN(auto document, JsonDocument::Parse(json, "test"));
  ASSERT_OK_AND_ASSIGN(auto tokenizer, tokenizers::ParseTokenizer(document));
  EXPECT_EQ(EncodeChat(*tokenizer, {{"ab", true}}), (std::vector<int32_t>{4}));
  EXPECT_EQ(EncodeChat(*tokenizer, {{"a", false}, {"b", true}}), (std::vector<int32_t>{0, 5}));
  EXPECT_EQ(EncodeChat(*tokenizer, {{"a", true}, {"b", false}, {"c", true}}), (std::vector<int32_t>{0, 1}));
}

}  // namespace
}  // namespace lastro::engine::chat
