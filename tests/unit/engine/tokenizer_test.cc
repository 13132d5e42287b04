#include "engine/tokenizer.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/file.h"
#include "base/utf8.h"
#include "engine/tokenizers/json_tokenizer.h"
#include "tests/test_util.h"

namespace lastro::engine {
namespace {

using lastro::testing::kInvalid;
using lastro::testing::kUnimplemented;
using lastro::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

absl::StatusOr<std::unique_ptr<Tokenizer>> Parse(const std::string& json) {
  auto document = JsonDocument::Parse(json, "tokenizer.json");
  if (!document.ok()) return document.status();
  return tokenizers::ParseTokenizer(*document);
}

// A file with these sections; the rest is null.
std::string File(const std::string& model, const std::string& sections = "") {
  return "{\"added_tokens\":[{\"id\":0,\"content\":\"<|eos|>\",\"special\":true}]" + sections + ",\"model\":" + model +
         "}";
}

// Byte-level BPE over all 256 bytes; ids 1 to 256 in the alphabet's order of bytes, then "he", "ll", "hell".
std::string ByteLevelBpe(const std::string& options = "", const std::string& more_merges = "") {
  std::string vocabulary = "\"<|eos|>\":0";
  char32_t stand_in = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    std::string token;
    AppendRune(printable ? static_cast<char32_t>(byte) : stand_in++, &token);
    if (token == "\"" || token == "\\") token = "\\" + token;
    absl::StrAppend(&vocabulary, ",\"", token, "\":", byte + 1);
  }
  absl::StrAppend(&vocabulary, R"(,"he":257,"ll":258,"hell":259)");
  return absl::StrCat(R"({"type":"BPE")", options, R"(,"vocab":{)", vocabulary,
                      R"(},"merges":["h e",["l","l"],"he ll")", more_merges, "]}");
}

constexpr char kByteLevel[] =
    R"(,"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"decoder":{"type":"ByteLevel"})";

TEST(TokenizerTest, MergesBytesAndKeepsOffsets) {
  ASSERT_OK_AND_ASSIGN(auto tokenizer, Parse(File(ByteLevelBpe(), kByteLevel)));
  std::vector<Token> tokens = tokenizer->EncodeWithOffsets("hello é");
  ASSERT_EQ(tokens.size(), 5u);
  EXPECT_EQ(tokenizer->IdToToken(tokens[0].id), "hell");
  EXPECT_EQ(tokens[0].end, 4u);
  EXPECT_EQ(tokens[3].begin, 6u);  // both bytes of é stand for the whole character
  EXPECT_EQ(tokens[3].end, 8u);
  EXPECT_EQ(tokens[4].begin, 6u);
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode("hello é")), "hello é");
  EXPECT_EQ(tokenizer->vocab_size(), 260);
  EXPECT_EQ(tokenizer->TokenToId("<|eos|>"), 0);
  EXPECT_EQ(tokenizer->IdToToken(260), "");
  EXPECT_EQ(tokenizer->IdToToken(-1), "");
}

TEST(TokenizerTest, SpelledSpecialTokensStayTextUnlessAskedFor) {
  ASSERT_OK_AND_ASSIGN(auto tokenizer, Parse(File(ByteLevelBpe(), kByteLevel)));
  std::vector<int32_t> plain = tokenizer->Encode("a<|eos|>");
  EXPECT_EQ(std::count(plain.begin(), plain.end(), 0), 0);
  EXPECT_EQ(tokenizer->Decode(plain), "a<|eos|>");
  EXPECT_THAT(tokenizer->Encode("a<|eos|>", {.parse_special = true}), ElementsAre('a' + 1, 0));
}

// The reference lets these two files turn text into a control token; here text never becomes one.
TEST(TokenizerTest, NeitherMergesNorWholeWordsYieldSpecialTokens) {
  const std::string special = R"({"added_tokens":[{"id":3,"content":"ab","special":true}],"model":)";
  ASSERT_OK_AND_ASSIGN(auto merged,
                       Parse(special + R"({"type":"BPE","vocab":{"a":0,"b":1,"c":2,"ab":3},"merges":["a b"]}})"));
  EXPECT_THAT(merged->Encode("ab"), ElementsAre(0, 1));
  ASSERT_OK_AND_ASSIGN(
      auto whole,
      Parse(special + R"({"type":"BPE","ignore_merges":true,"vocab":{"a":0,"b":1,"c":2,"ab":3},"merges":[]}})"));
  EXPECT_THAT(whole->Encode("ab"), ElementsAre(0, 1));
  ASSERT_OK_AND_ASSIGN(
      auto pieces, Parse(special + R"({"type":"WordPiece","unk_token":"c","vocab":{"a":0,"##b":1,"c":2,"ab":3}}})"));
  EXPECT_THAT(pieces->Encode("ab"), ElementsAre(0, 1));
  EXPECT_THAT(pieces->Encode("ab", {.parse_special = true}), ElementsAre(3));
}

// Each maximal ill-formed sequence becomes one U+FFFD, whose offsets are the sequence's own bytes.
TEST(TokenizerTest, MalformedUtf8IsReplaced) {
  ASSERT_OK_AND_ASSIGN(auto tokenizer, Parse(File(ByteLevelBpe(), kByteLevel)));
  const std::map<std::string, std::string> cases = {
      {"a\xFFz", "a\uFFFDz"},       {"a\xC3", "a\uFFFD"},
      {"\xE2\x82", "\uFFFD"},       {"\xE2\x82\x41", "\uFFFDA"},
      {"\xC0\x80", "\uFFFD\uFFFD"}, {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
      {"\xF0\x9F\x98", "\uFFFD"},   {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
      {"\x80\x80", "\uFFFD\uFFFD"}};
  for (const auto& [input, expected] : cases) {
    EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(input)), expected);
    EXPECT_EQ(tokenizer->Encode(input), tokenizer->Encode(ReplaceInvalidUtf8(input)));
  }
  std::vector<Token> tokens = tokenizer->EncodeWithOffsets("a\xE2\x82z");
  ASSERT_EQ(tokens.size(), 5u);
  for (int i = 1; i <= 3; ++i) {
    EXPECT_EQ(tokens[i].begin, 1u);
    EXPECT_EQ(tokens[i].end, 3u);
  }
  EXPECT_EQ(tokens[4].begin, 3u);
}

TEST(TokenizerTest, TemplateTokensHaveEmptyOffsets) {
  const std::string post = R"(,"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"E"}},)"
                           R"({"Sequence":{"id":"A"}}],"special_tokens":{"E":{"ids":[0]}}})";
  ASSERT_OK_AND_ASSIGN(auto tokenizer, Parse(File(ByteLevelBpe(), kByteLevel + post)));
  EXPECT_THAT(tokenizer->Encode("a"), ElementsAre('a' + 1));
  std::vector<Token> tokens = tokenizer->EncodeWithOffsets("a", {.add_special = true});
  ASSERT_EQ(tokens.size(), 2u);
  EXPECT_EQ(tokens[0].id, 0);
  EXPECT_EQ(tokens[0].begin, tokens[0].end);
  EXPECT_THAT(tokenizer->Encode("", {.add_special = true}), ElementsAre(0));
  EXPECT_THAT(tokenizer->Encode(""), IsEmpty());
}

TEST(TokenizerTest, LongWordsMergeAsShortOnesDo) {
  ASSERT_OK_AND_ASSIGN(
      auto tokenizer,
      Parse(
          File(ByteLevelBpe(), R"(,"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":false})")));
  std::mt19937_64 random = lastro::testing::SeededRandom(11);
  std::string word;
  for (int i = 0; i < 50'000; ++i) word += "hel"[random() % 3];
  // An obvious version: one rank after the other, over the whole word.
  std::string expected = absl::StrReplaceAll(word, {{"he", "(he)"}});
  expected = absl::StrReplaceAll(expected, {{"ll", "(ll)"}});
  expected = absl::StrReplaceAll(expected, {{"(he)(ll)", "(hell)"}});
  std::string got;
  for (int32_t id : tokenizer->Encode(word)) {
    std::string token = tokenizer->IdToToken(id);
    absl::StrAppend(&got, token.size() > 1 ? "(" : "", token, token.size() > 1 ? ")" : "");
  }
  EXPECT_EQ(got, expected);
}

TEST(TokenizerTest, HostileExpressionEndsInsteadOfHanging) {
  const std::string split =
      R"(,"pre_tokenizer":{"type":"Split","pattern":{"Regex":"(?:a|a)*b|(?:(?:a+)+)+c"},"behavior":"Isolated"})";
  ASSERT_OK_AND_ASSIGN(auto tokenizer, Parse(File(R"({"type":"BPE","vocab":{"<|eos|>":0,"a":1},"merges":[]})", split)));
  EXPECT_EQ(tokenizer->Encode(std::string(5000, 'a')).size(), 5000u);
}

struct BadFile {
  const char* name;
  std::string json;
  absl::StatusCode code;
  const char* message;
};

class BadTokenizerTest : public ::testing::TestWithParam<BadFile> {};

TEST_P(BadTokenizerTest, IsRefusedWithAReason) {
  EXPECT_THAT(Parse(GetParam().json), StatusIs(GetParam().code, HasSubstr(GetParam().message)));
}

const std::string kTiny = R"({"type":"BPE","vocab":{"<|eos|>":0,"a":1},"merges":[]})";

std::string WithVocabulary(const std::string& vocabulary) {
  return "{\"model\":{\"type\":\"BPE\",\"vocab\":{" + vocabulary + "},\"merges\":[]}}";
}
std::string WithNormalizer(const std::string& json) { return File(kTiny, ",\"normalizer\":" + json); }
std::string WithRegex(const std::string& regex) {
  return File(kTiny, R"(,"pre_tokenizer":{"type":"Split","behavior":"Removed","pattern":{"Regex":")" + regex + "\"}}");
}

INSTANTIATE_TEST_SUITE_P(
    All, BadTokenizerTest,
    ::testing::Values(
        BadFile{"NotJson", "{", kInvalid, "not valid JSON"},
        BadFile{"NoModel", "{}", absl::StatusCode::kNotFound, "model is missing"},
        BadFile{"UnknownModel", R"({"model":{"type":"Morphemes","vocab":{}}})", kUnimplemented, "Morphemes"},
        BadFile{"UnigramScore", R"({"model":{"type":"Unigram","vocab":[["a","b"]]}})", kInvalid, "score"},
        BadFile{"UnigramUnknown", R"({"model":{"type":"Unigram","unk_id":1,"vocab":[["a",0.0]]}})", kInvalid, "unk_id"},
        BadFile{"NegativeId", WithVocabulary(R"("a":-1)"), kInvalid, "token id"},
        BadFile{"HugeId", WithVocabulary(R"("a":4194304)"), kInvalid, "token id"},
        BadFile{"SparseIds", WithVocabulary(R"("a":0,"b":2)"), kInvalid, "dense"},
        BadFile{"SharedId", WithVocabulary(R"("a":0,"b":0)"), kInvalid, "shares it"},
        BadFile{"TokenTwice", WithVocabulary(R"("a":0,"a":1)"), kInvalid, "occurs twice"},
        BadFile{"LongToken", WithVocabulary("\"" + std::string(5000, 'x') + "\":0"), kInvalid, "5000 bytes"},
        BadFile{"MergeOfUnknown", File(R"({"type":"BPE","vocab":{"<|eos|>":0,"a":1},"merges":["a b"]})"), kInvalid,
                "merges[0]"},
        BadFile{"MergeOfThree", File(R"({"type":"BPE","vocab":{"<|eos|>":0,"a":1},"merges":["a a a"]})"), kInvalid,
                "merges[0]"},
        BadFile{"Dropout", File(R"({"type":"BPE","dropout":0.1,"vocab":{"<|eos|>":0},"merges":[]})"), kUnimplemented,
                "dropout"},
        BadFile{"UnknownMissing", File(R"({"type":"WordPiece","vocab":{"<|eos|>":0},"unk_token":"?"})"), kInvalid,
                "unk_token"},
        BadFile{"AddedIdTaken", File(R"({"type":"BPE","vocab":{"a":0},"merges":[]})"), kInvalid, "shares it"},
        BadFile{"Precompiled", WithNormalizer(R"({"type":"Precompiled"})"), kInvalid, "4-byte header"},
        BadFile{"CharsMapNotBase64", WithNormalizer(R"({"type":"Precompiled","precompiled_charsmap":"*"})"), kInvalid,
                "base64"},
        BadFile{"LongReplacement", WithNormalizer(R"({"type":"Prepend","prepend":")" + std::string(2000, 'x') + "\"}"),
                kInvalid, "2000 bytes"},
        BadFile{"EmptyPattern", WithNormalizer(R"({"type":"Replace","pattern":{"String":""},"content":"x"})"), kInvalid,
                "pattern"},
        BadFile{"BadRegex", WithRegex("(a"), kInvalid, "regular expression"},
        BadFile{"VerbInRegex", WithRegex("(*UCP)a"), kUnimplemented, "(*"},
        BadFile{"NestedClass", WithRegex("[a[^b]]"), kUnimplemented, "class within"},
        BadFile{"BackReference", WithRegex("(a)\\\\1"), kUnimplemented, "\\1"},
        BadFile{
            "ByteLevelTwice",
            File(kTiny,
                 R"(,"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"ByteLevel"},{"type":"ByteLevel"}]})"),
            kInvalid, "twice"},
        BadFile{"EmptyDelimiter", File(kTiny, R"(,"pre_tokenizer":{"type":"CharDelimiterSplit"})"), kInvalid,
                "delimiter"},
        BadFile{"TemplateIdOutOfRange",
                File(kTiny, R"(,"post_processor":{"type":"BertProcessing","cls":["a",7],"sep":["a",1]})"), kInvalid,
                "7"},
        BadFile{"UnknownDecoder", File(kTiny, R"(,"decoder":{"type":"Telepathy"})"), kUnimplemented, "Telepathy"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(TokenizerTest, LoadNamesTheFile) {
  lastro::testing::TempFolder folder;
  EXPECT_THAT(Tokenizer::Load(folder / "none.json"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("none.json")));
}

TEST(StreamDecoderTest, EmitsWholeCharactersOnly) {
  ASSERT_OK_AND_ASSIGN(auto tokenizer, Parse(File(ByteLevelBpe(), kByteLevel)));
  StreamDecoder stream(*tokenizer);
  EXPECT_EQ(stream.Push('a' + 1), "a");
  EXPECT_EQ(stream.Push(0xE2 + 1), "");
  EXPECT_EQ(stream.Push(0), "");  // special tokens yield nothing
  EXPECT_EQ(stream.Push(0x82 + 1), "");
  EXPECT_EQ(stream.Push(0xAC + 1), "€");
  EXPECT_EQ(stream.Push(0xFF + 1), "\uFFFD");
  EXPECT_EQ(stream.Push(0xC3 + 1), "");
  EXPECT_EQ(stream.Finish(), "\uFFFD");
  EXPECT_EQ(stream.Finish(), "");
  for (int byte : {0x62, 0xE2, 0x82}) stream.Push(byte + 1);
  EXPECT_EQ(stream.FinishWhole(), "");  // "b" was given
  EXPECT_EQ(stream.Push('c' + 1), "c");
  EXPECT_EQ(stream.FinishWhole(), "");
}

}  // namespace
}  // namespace lastro::engine
