// Vocabularies written for other programs: what they say encodes as the tokenizer.json does, and where it cannot,
// nothing is written.
#include "engine/gguf_vocabulary.h"

#include "base/file.h"
#include "engine/gguf.h"
#include "engine/gguf_config.h"
#include "engine/gguf_tokenizer.h"
#include "engine/quantize.h"
#include "tests/unit/engine/model_test_util.h"

namespace lastro::engine {
namespace {

using tokenizers::VocabularySpec;

// A byte-level tokenizer.json of a few words.
std::string Json(const std::string& pre_tokenizer, const std::string& more = "") {
  return R"({"added_tokens":[{"id":4,"content":"<s>","special":true},{"id":5,"content":"<u>","special":false}],)" +
         more + R"("pre_tokenizer":)" + pre_tokenizer +
         R"(,"decoder":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2,"\u0120":3},)" +
         R"("merges":[["a","b"]]}})";
}

Architecture Sized(int64_t vocab) {
  Architecture architecture;
  architecture.vocab_size = vocab;
  architecture.bos_id = 4;
  return architecture;
}

constexpr char kGpt2[] = R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":true})";

TEST(GgufVocabulary, SaysWhatTheFileSays) {
  ASSERT_OK_AND_ASSIGN(auto spec, ToGgufVocabulary(Json(kGpt2), "t", Sized(8)));
  ASSERT_TRUE(spec.has_value());
  EXPECT_EQ(spec->pre_tokenizer, "gpt-2");
  EXPECT_EQ(spec->tokens, (std::vector<std::string>{"a", "b", "ab", "\u0120", "<s>", "<u>", "[PAD6]", "[PAD7]"}));
  EXPECT_EQ(spec->types[2], VocabularySpec::Type::kNormal);
  EXPECT_EQ(spec->types[4], VocabularySpec::Type::kControl);
  EXPECT_EQ(spec->types[5], VocabularySpec::Type::kUserDefined);
  EXPECT_EQ(spec->types[7], VocabularySpec::Type::kUnused);
  EXPECT_EQ(spec->merges, std::vector<std::string>{"a b"});
  EXPECT_FALSE(spec->add_bos);
}

TEST(GgufVocabulary, ExpressionsAreKnownByName) {
  const std::string digits =
      R"({"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},)" + std::string(kGpt2) + "]}";
  ASSERT_OK_AND_ASSIGN(auto spec, ToGgufVocabulary(Json(digits), "t", Sized(6)));
  ASSERT_TRUE(spec.has_value());
  EXPECT_EQ(spec->pre_tokenizer, "starcoder");
}

TEST(GgufVocabulary, NothingWhereThereAreNoWords) {
  const std::string cases[] = {
      Json(R"({"type":"ByteLevel","add_prefix_space":true})"),
      Json(R"({"type":"Whitespace"})"),
      Json(kGpt2, R"("normalizer":{"type":"Lowercase"},)"),
      Json(R"({"type":"Split","behavior":"Removed","pattern":{"Regex":"x"}})"),
  };
  for (const std::string& json : cases) {
    ASSERT_OK_AND_ASSIGN(auto spec, ToGgufVocabulary(json, "t", Sized(6)));
    EXPECT_FALSE(spec.has_value()) << json;
  }
  ASSERT_OK_AND_ASSIGN(auto larger, ToGgufVocabulary(Json(kGpt2), "t", Sized(5)));  // than the model's vocabulary
  EXPECT_FALSE(larger.has_value());
}

// Written and read again without the tokenizer.json: the same ids.
TEST(GgufVocabulary, AWrittenFileEncodesAlike) {
  const testing::TempFolder folder;
  const std::string path = folder / "m.gguf";
  QuantizeOptions options;
  options.type = "bf16";
  ASSERT_OK_AND_ASSIGN(QuantizeSummary summary, QuantizeModel(TinyModel("llama-gqa"), path, options, CallContext()));
  EXPECT_GT(summary.parameters_of_type["BF16"], 0);
  ASSERT_OK_AND_ASSIGN(std::string bytes, ReadFile(path, 1 << 24));
  ASSERT_OK_AND_ASSIGN(GgufContents contents,
                       ParseGguf({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, path));
  ASSERT_OK_AND_ASSIGN(auto whole, LoadGgufTokenizer(contents.metadata));
  ASSERT_OK_AND_ASSIGN(VocabularySpec spec, ReadGgufVocabulary(contents.metadata));
  ASSERT_OK_AND_ASSIGN(auto words, tokenizers::BuildTokenizer(spec));
  for (const char* text : {"The keel is 12 m.", " two  spaces\n", "ação"}) {
    EXPECT_EQ(words->Encode(text), whole->Encode(text));
    EXPECT_EQ(words->Encode(text, {true, false, {}}), whole->Encode(text, {true, false, {}}));
  }
}

}  // namespace
}  // namespace lastro::engine
