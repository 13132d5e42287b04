#include "engine/constrained/json_constraint.h"

#include <cmath>
#include <random>
#include <string>

#include "absl/strings/match.h"
#include "engine/constrained/schema_compiler.h"
#include "engine/decoder_model.h"
#include "engine/generator.h"
#include "tests/unit/engine/constrained/constrained_test_util.h"
#include "tests/unit/engine/model_test_util.h"

namespace lastro::engine::constrained {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using testing::kUnimplemented;
using testing::StatusIs;

struct SchemaCase {
  const char* schema;
  std::vector<const char*> accepted;
  std::vector<const char*> refused;
};

const std::vector<SchemaCase>& Cases() {
  static const auto* const kCases = new std::vector<SchemaCase>{
      {R"({})",
       {"1", "\"x\"", "[]", "{}", "null", "[1, {\"a\":[true]}]", "-0.5e-7"},
       {"", "01", "1.", "[1,]", "{\"a\"}", "tru", "\"\n\"", "\"\\x\"", "\"\xFF\"", "\"\xC3\"", "\"\xED\xA0\x80\"",
        "\"\\ud800\"", "[1 ,2]", " 1", "+1", ".5", "nan", "{\"a\":1,}", "'a'"}},
      {R"({"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
           "required": ["name"], "additionalProperties": false})",
       {"{\"name\":\"x\"}", "{\"name\": \"é\", \"age\": -3}", "{\"name\":\"\\u00e9\\n\",\"age\":0}"},
       {"{}", "{\"age\":1}", "{\"name\":1}", "{\"name\":\"x\",\"name\":\"y\"}", "{\"name\":\"x\",\"b\":1}",
        "{\"name\":\"x\",}", "{,\"name\":\"x\"}", "{\"name\":\"x\"\"age\":1}", "{\"name\":\"x\",\"age\":1.5}"}},
      {R"({"type": "object", "properties": {"a": {"type": "integer"}, "ab\"c": {"type": "null"}},
           "additionalProperties": {"type": "boolean"}, "required": ["z"]})",
       {"{\"z\":true}", "{\"a\":1,\"z\":false}", "{\"a\":1,\"ab\\\"c\":null,\"z\":true,\"b\":true,\"ab\":false}",
        "{\"z\":true,\"é\":true,\"\":false,\"aa\":true,\"\\\"\":true}"},
       {"{}", "{\"z\":1}", "{\"z\":true,\"a\":true}", "{\"z\":true,\"ab\\\"c\":true}", "{\"z\":true,\"b\":1}",
        "{\"z\":true,\"\\u0061\":true}"}},
      {R"({"type": "array", "items": {"enum": ["a", "ab", 1, 12, null, {"k": [1]}]}, "minItems": 1, "maxItems": 3})",
       {"[\"a\"]", "[\"ab\",12, 1]", "[{\"k\":[1]},null]"},
       {"[]", "[\"b\"]", "[1,1,1,1]", "[2]", "[121]", "[\"a\""}},
      {R"({"anyOf": [{"type": "string", "maxLength": 2}, {"type": "integer", "minimum": -12, "exclusiveMaximum": 105}]})",
       {"\"\"", "\"é€\"", "\"\\ud83d\\ude00x\"", "-12", "0", "9", "99", "104"},
       {"\"abc\"", "\"\\u0061bc\"", "-13", "105", "1000", "00", "-0", "1.0"}},
      {R"({"$ref": "#/$defs/node", "$defs": {"node": {"type": "object", "properties":
           {"v": {"type": "number"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
           "required": ["v", "next"], "additionalProperties": false}}})",
       {"{\"v\":1,\"next\":null}", "{\"v\": 1.5e3, \"next\": {\"v\": 0, \"next\": {\"v\":-1,\"next\":null}}}"},
       {"{\"v\":1}", "{\"v\":1,\"next\":{}}", "{\"v\":1,\"next\":{\"v\":1}}"}},
      {R"({"oneOf": [{"type": "object", "properties": {"kind": {"const": "a"}, "x": {"type": "integer"}},
             "required": ["kind"], "additionalProperties": false},
           {"type": "object", "properties": {"kind": {"enum": ["b", "c"]}}, "required": ["kind"],
            "additionalProperties": false}, {"type": "boolean"}]})",
       {"{\"kind\":\"a\"}", "{\"kind\":\"a\",\"x\":7}", "{\"kind\":\"c\"}", "true"},
       {"{\"kind\":\"b\",\"x\":7}", "{}"}},
      {R"({"type": ["string", "null"], "minLength": 1})", {"null", "\"a\""}, {"\"\"", "1"}},
      {R"({"type": ["integer", "string"], "enum": [1, 2.5, "x", true]})", {"1", "\"x\""}, {"2.5", "true"}},
      {R"({"type": "array", "items": false})", {"[]"}, {"[1]"}},
  };
  return *kCases;
}

TEST(JsonSchemaTest, AcceptsWhatSatisfiesAndNothingElse) {
  for (const SchemaCase& c : Cases()) {
    SCOPED_TRACE(c.schema);
    ASSERT_OK_AND_ASSIGN(JsonSchema schema, JsonSchema::Parse(c.schema));
    for (const char* text : c.accepted) EXPECT_TRUE(schema.Matches(text)) << text;
    for (const char* text : c.refused) EXPECT_FALSE(schema.Matches(text)) << text;
  }
  ASSERT_OK_AND_ASSIGN(JsonSchema object, JsonSchema::AnyObject());
  EXPECT_TRUE(object.Matches("{\"a\": [1, {}]}"));
  EXPECT_FALSE(object.Matches("[]"));
}

TEST(JsonSchemaTest, IntegerBounds) {
  auto random = testing::SeededRandom(5);
  for (int round = 0; round < 60; ++round) {
    const int64_t scale = round % 3 == 0 ? 30 : round % 3 == 1 ? 2000 : 1'000'000;
    int64_t low = static_cast<int64_t>(random() % (2 * scale)) - scale,
            high = low + static_cast<int64_t>(random() % scale);
    ASSERT_OK_AND_ASSIGN(JsonSchema schema, JsonSchema::Parse(absl::StrFormat(
                                                R"({"type":"integer","minimum":%d,"maximum":%d})", low, high)));
    for (int64_t value : {low - 1, low, low + 1, high - 1, high, high + 1, int64_t{0}, -low, low * 10, high / 10}) {
      EXPECT_EQ(schema.Matches(absl::StrCat(value)), low <= value && value <= high)
          << low << " " << high << " " << value;
    }
    for (int i = 0; i < 50; ++i) {
      const int64_t value = low - 40 + static_cast<int64_t>(random() % static_cast<uint64_t>(high - low + 80));
      EXPECT_EQ(schema.Matches(absl::StrCat(value)), low <= value && value <= high)
          << low << " " << high << " " << value;
    }
  }
}

// As wide as integers go, and still a small automaton.
TEST(JsonSchemaTest, WideIntegerBounds) {
  ASSERT_OK_AND_ASSIGN(JsonSchema schema, JsonSchema::Parse(R"({"type": "integer", "minimum": -123456789012345678})"));
  EXPECT_TRUE(schema.Matches("-123456789012345678"));
  EXPECT_FALSE(schema.Matches("-123456789012345679"));
  EXPECT_TRUE(schema.Matches("999999999999999999"));
  ASSERT_OK_AND_ASSIGN(JsonDocument document, JsonDocument::Parse(R"({"type": "integer", "maximum": 40})", "schema"));
  ASSERT_OK_AND_ASSIGN(Automaton automaton, CompileSchema(document.root()));
  EXPECT_LT(automaton.size(), 2000u);
}

TEST(JsonSchemaTest, WhatIsNotObeyedIsRefusedByName) {
  const std::pair<const char*, const char*> unsupported[] = {
      {R"({"type": "string", "pattern": "a"})", "\"pattern\""},
      {R"({"not": {}})", "\"not\""},
      {R"({"type": "object", "properties": {"a": {"allOf": []}}})", "properties.a: the keyword \"allOf\""},
      {R"({"type": "number", "minimum": 1})", "\"minimum\""},
      {R"({"anyOf": [{}], "type": "string"})", "\"anyOf\" together with \"type\""},
      {R"({"oneOf": [{"type": "string"}, {"enum": ["a"]}]})", "both 0 and 1"},
      {R"({"oneOf": [{"type": "number"}, {"type": "integer"}]})", "both 0 and 1"},
      {R"({"$ref": "other.json#/a"})", "other.json"},
      {R"({"uniqueItems": true})", "\"uniqueItems\""},
      {R"({"enum": ["a"], "minLength": 1})", "\"minLength\""},
  };
  for (const auto& [schema, message] : unsupported) {
    EXPECT_THAT(JsonSchema::Parse(schema), StatusIs(kUnimplemented, HasSubstr(message))) << schema;
  }
  const std::pair<const char*, const char*> invalid[] = {
      {R"([])", "must be an object"},
      {R"({"type": "text"})", "no type"},
      {R"({"$ref": "#/$defs/x"})", "not there"},
      {R"({"$ref": "#"})", "no text satisfies it"},
      {R"({"anyOf": [{"$ref": "#"}, {"type": "null"}]})", "refers to itself"},
      {R"({"enum": []})", "no text satisfies it"},
      {R"(false)", "no text satisfies it"},
      {R"({"type": "object", "required": ["a"], "additionalProperties": false})", "no text satisfies it"},
      {R"({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]})", "no text satisfies it"},
      {R"({"type": "array", "minItems": 5000})", "minItems"},
      {R"({"type": "string", "maxLength": -5})", "maxLength"},
      {R"({"type": "array", "minItems": 2, "maxItems": 1})", "no text satisfies it"},
      {R"({"type": "integer", "minimum": 2, "maximum": 1})", "no text satisfies it"},
  };
  for (const auto& [schema, message] : invalid) {
    EXPECT_THAT(JsonSchema::Parse(schema), StatusIs(kInvalid, HasSubstr(message))) << schema;
  }
}

TEST(TokenTrieTest, BytesOfTokens) {
  auto tokenizer = ByteTokenizer({"ab", " x", "\xF0\x9F", "\n\n"});
  TokenTrie trie(*tokenizer);
  for (int byte = 0; byte < 256; ++byte) EXPECT_EQ(trie.BytesOf(byte), std::string(1, static_cast<char>(byte)));
  EXPECT_EQ(trie.BytesOf(256), "ab");
  EXPECT_EQ(trie.BytesOf(257), " x");
  EXPECT_EQ(trie.BytesOf(258), "\xF0\x9F");
  EXPECT_EQ(trie.BytesOf(260), "");  // special
  EXPECT_EQ(trie.tokens().size(), 260u);
}

// SentencePiece-like: a leading space that decoding drops at the start of a text, and byte tokens.
TEST(TokenTrieTest, BytesOfMetaspaceAndFallbackTokens) {
  const char* const kJson = R"({"model": {"type": "BPE", "byte_fallback": true, "unk_token": "<unk>", "vocab":
      {"<unk>": 0, "<0xC3>": 1, "<0x41>": 2, "a": 3, "▁the": 4}, "merges": []},
      "added_tokens": [{"id": 0, "content": "<unk>", "special": true}],
      "decoder": {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}})";
  ASSERT_OK_AND_ASSIGN(auto document, JsonDocument::Parse(kJson, "test"));
  ASSERT_OK_AND_ASSIGN(auto tokenizer, tokenizers::ParseTokenizer(document));
  TokenTrie trie(*tokenizer);
  EXPECT_EQ(trie.BytesOf(0), "");
  EXPECT_EQ(trie.BytesOf(1), "\xC3");
  EXPECT_EQ(trie.BytesOf(2), "A");
  EXPECT_EQ(trie.BytesOf(3), "a");
  EXPECT_EQ(trie.BytesOf(4), " the");
}

class JsonConstraintTest : public ::testing::Test {
 protected:
  std::unique_ptr<Tokenizer> tokenizer_ = ByteTokenizer(AwkwardPieces());
  TokenTrie trie_{*tokenizer_};
  const int32_t end_id_ = tokenizer_->vocab_size() - 1;

  std::vector<int32_t> AllowedBy(TokenConstraint& constraint) const {
    std::vector<float> logits(static_cast<size_t>(tokenizer_->vocab_size()));
    EXPECT_THAT(constraint.Mask({end_id_}, absl::MakeSpan(logits)), IsOk());
    std::vector<int32_t> allowed;
    for (size_t id = 0; id < logits.size(); ++id) {
      if (std::isfinite(logits[id])) allowed.push_back(static_cast<int32_t>(id));
    }
    return allowed;
  }

  // A text of random allowed tokens; "" when it did not end. After `patience` tokens those that close are preferred.
  std::string RandomText(const JsonSchema& schema, int patience, std::mt19937_64* random) const {
    auto constraint = schema.NewConstraint(trie_);
    std::string text;
    for (int step = 0; step < 400; ++step) {
      std::vector<int32_t> allowed = AllowedBy(*constraint);
      EXPECT_EQ(std::count(allowed.begin(), allowed.end(), end_id_), constraint->MayEnd() ? 1 : 0);
      if (allowed.empty()) return "";
      int32_t id = allowed[(*random)() % allowed.size()];
      if (step > patience) {
        for (int32_t closing : {static_cast<int32_t>('1'), static_cast<int32_t>('"'), static_cast<int32_t>('n'),
                                static_cast<int32_t>('}'), static_cast<int32_t>(']'), end_id_}) {
          if (std::count(allowed.begin(), allowed.end(), closing) > 0 && (*random)() % 4 != 0) id = closing;
        }
      }
      if (id == end_id_) return text;
      EXPECT_THAT(constraint->Accept(id), IsOk());
      text += trie_.BytesOf(id);
      if (constraint->MustEnd()) return text;
    }
    return "";
  }
};

TEST_F(JsonConstraintTest, EveryGeneratedTextParsesAndValidates) {
  auto random = testing::SeededRandom(7);
  int whole = 0;
  for (const SchemaCase& c : Cases()) {
    SCOPED_TRACE(c.schema);
    ASSERT_OK_AND_ASSIGN(JsonSchema schema, JsonSchema::Parse(c.schema));
    ASSERT_OK_AND_ASSIGN(JsonDocument schema_document, JsonDocument::Parse(c.schema, "schema"));
    for (int round = 0; round < 25; ++round) {
      const std::string text = RandomText(schema, 5 + round, &random);
      if (text.empty()) continue;
      ++whole;
      auto document = JsonDocument::Parse(text, "text");
      ASSERT_THAT(document, IsOk()) << text;
      EXPECT_TRUE(Validates(document->root(), schema_document.root(), schema_document.root())) << text;
    }
  }
  EXPECT_GT(whole, 150);
}

// Whatever tokens a valid document is cut into, each is allowed.
TEST_F(JsonConstraintTest, EveryValidTextIsReachableByAnyTokens) {
  auto random = testing::SeededRandom(8);
  for (const SchemaCase& c : Cases()) {
    ASSERT_OK_AND_ASSIGN(JsonSchema schema, JsonSchema::Parse(c.schema));
    for (const char* text : c.accepted) {
      for (int round = 0; round < 8; ++round) {
        auto constraint = schema.NewConstraint(trie_);
        absl::string_view rest = text;
        while (!rest.empty()) {
          std::vector<int32_t> fitting;
          for (int32_t id : trie_.tokens()) {
            if (absl::StartsWith(rest, trie_.BytesOf(id))) fitting.push_back(id);
          }
          const int32_t id = fitting[random() % fitting.size()];
          const std::vector<int32_t> allowed = AllowedBy(*constraint);
          ASSERT_EQ(std::count(allowed.begin(), allowed.end(), id), 1) << text << " at " << rest;
          ASSERT_THAT(constraint->Accept(id), IsOk());
          rest.remove_prefix(trie_.BytesOf(id).size());
        }
        EXPECT_TRUE(constraint->MayEnd()) << text;
      }
    }
  }
}

// The mask is exactly the tokens that Accept takes.
TEST_F(JsonConstraintTest, MaskAndAcceptAgree) {
  auto random = testing::SeededRandom(9);
  ASSERT_OK_AND_ASSIGN(JsonSchema schema, JsonSchema::Parse(Cases()[2].schema));
  std::vector<int32_t> taken;
  for (int step = 0; step < 40; ++step) {
    auto constraint = schema.NewConstraint(trie_);
    for (int32_t id : taken) ASSERT_THAT(constraint->Accept(id), IsOk());
    const std::vector<int32_t> allowed = AllowedBy(*constraint);
    for (int32_t id : trie_.tokens()) {
      auto fresh = schema.NewConstraint(trie_);
      for (int32_t before : taken) ASSERT_THAT(fresh->Accept(before), IsOk());
      EXPECT_EQ(fresh->Accept(id).ok(), std::count(allowed.begin(), allowed.end(), id) == 1);
    }
    if (constraint->MustEnd()) break;
    taken.push_back(allowed[random() % allowed.size()]);
    if (taken.back() == end_id_) break;
  }
}

TEST_F(JsonConstraintTest, NothingCanFollowInANarrowVocabulary) {
  ASSERT_OK_AND_ASSIGN(JsonSchema schema, JsonSchema::Parse(R"({"const": "\u20ac"})"));
  auto narrow = *Tokenizer::Load(TinyModel("llama-gqa") + "/tokenizer.json");  // lacks most lead bytes
  TokenTrie trie(*narrow);
  auto constraint = schema.NewConstraint(trie);
  ASSERT_THAT(constraint->Accept(*narrow->TokenToId("\"")), IsOk());
  std::vector<float> logits(176);
  EXPECT_THAT(constraint->Mask({}, absl::MakeSpan(logits)),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no token")));
  EXPECT_THAT(constraint->Accept(-1), StatusIs(kInvalid, HasSubstr("cannot follow")));
  EXPECT_THAT(constraint->Accept(1), StatusIs(kInvalid, HasSubstr("cannot follow")));
}

TEST(ConstrainedGenerateTest, AModelWritesWhatTheSchemaSays) {
  auto runtime = NewRuntime();
  auto model = *DecoderModel::Load(TinyModel("llama-scaled-tied"), *runtime);
  TokenTrie trie(model->tokenizer());
  const std::string schema_json = R"({"type": "object", "properties": {"ok": {"type": "boolean"},
      "n": {"type": "integer", "minimum": 0, "maximum": 99}, "tag": {"type": "string", "maxLength": 6}},
      "required": ["ok", "n", "tag"], "additionalProperties": false})";
  ASSERT_OK_AND_ASSIGN(JsonSchema schema, JsonSchema::Parse(schema_json));
  ASSERT_OK_AND_ASSIGN(JsonDocument schema_document, JsonDocument::Parse(schema_json, "schema"));
  for (uint64_t seed = 0; seed < 8; ++seed) {
    auto constraint = schema.NewConstraint(trie);
    GenerateOptions options;
    options.max_new_tokens = 120;
    options.sampling.temperature = seed == 0 ? 0 : 1.5f;
    options.sampling.seed = seed;
    options.ignore_eos = seed % 2 == 0;
    options.constraint = constraint.get();
    ASSERT_OK_AND_ASSIGN(GenerateResult result,
                         Generate(*model, model->tokenizer().Encode("The keel is"), options, CallContext()));
    EXPECT_EQ(result.finish, FinishReason::kEndOfText);
    ASSERT_OK_AND_ASSIGN(JsonDocument document, JsonDocument::Parse(result.text, "text"));
    EXPECT_TRUE(Validates(document.root(), schema_document.root(), schema_document.root())) << result.text;
  }
}

}  // namespace
}  // namespace lastro::engine::constrained
