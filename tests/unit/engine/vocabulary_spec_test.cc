#include "engine/tokenizers/vocabulary_spec.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "base/utf8.h"
#include "engine/tokenizers/byte_level.h"
#include "engine/tokenizers/charsmap.h"
#include "engine/tokenizers/grapheme.h"
#include "engine/tokenizers/piece_trie.h"
#include "engine/tokenizers/protobuf_wire.h"
#include "engine/tokenizers/sentencepiece_model.h"
#include "tests/test_util.h"

namespace lastro::engine::tokenizers {
namespace {

using lastro::testing::kInvalid;
using lastro::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = VocabularySpec::Kind;
using Type = VocabularySpec::Type;

struct Entry {
  std::string token;
  float score = 0;
  Type type = Type::kNormal;
};

VocabularySpec Spec(Kind kind, const std::vector<Entry>& entries) {
  VocabularySpec spec;
  spec.source = "v.gguf";
  spec.kind = kind;
  for (const Entry& entry : entries) {
    spec.tokens.push_back(entry.token);
    spec.scores.push_back(entry.score);
    spec.types.push_back(entry.type);
  }
  return spec;
}

// <unk> <s> </s>, the 256 byte tokens from id 3, then `more` from id 259.
VocabularySpec LlamaLike(const std::vector<Entry>& more) {
  std::vector<Entry> entries = {{"<unk>", 0, Type::kUnknown}, {"<s>", 0, Type::kControl}, {"</s>", 0, Type::kControl}};
  for (int byte = 0; byte < 256; ++byte) entries.push_back({absl::StrFormat("<0x%02X>", byte), 0, Type::kByte});
  entries.insert(entries.end(), more.begin(), more.end());
  VocabularySpec spec = Spec(Kind::kMergedPieces, entries);
  spec.byte_fallback = true;
  spec.bos = 1;
  spec.eos = 2;
  return spec;
}

const std::vector<Entry> kLetters = {{"▁", -9}, {"a", -8}, {"b", -7}, {"ab", -1}, {"▁a", -2}, {"▁ab", -3}};

TEST(SentencePieceTokenizerTest, MergesTheBestScoreFirst) {
  ASSERT_OK_AND_ASSIGN(auto tokenizer, BuildTokenizer(LlamaLike(kLetters)));
  EXPECT_THAT(tokenizer->Encode("ab"), ElementsAre(264));       // ▁ + ab, then ▁ab
  EXPECT_THAT(tokenizer->Encode("aa"), ElementsAre(263, 260));  // ▁a, a
  EXPECT_THAT(tokenizer->Encode(""), IsEmpty());
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode("ab  a")), "ab  a");
}

TEST(SentencePieceTokenizerTest, UnknownCharactersBecomeTheirBytes) {
  ASSERT_OK_AND_ASSIGN(auto tokenizer, BuildTokenizer(LlamaLike(kLetters)));
  std::vector<Token> tokens = tokenizer->EncodeWithOffsets("aé");
  ASSERT_EQ(tokens.size(), 3u);
  EXPECT_EQ(tokens[1].id, 3 + 0xC3);
  EXPECT_EQ(tokens[1].begin, tokens[1].end);
  EXPECT_EQ(tokens[2].begin, 1u);
  EXPECT_EQ(tokens[2].end, 3u);
  EXPECT_EQ(tokenizer->Decode({tokens[0].id, tokens[1].id, tokens[2].id}), "aé");
  EXPECT_EQ(tokenizer->Decode({3 + 0xC3, 260}), "\uFFFDa");
}

TEST(SentencePieceTokenizerTest, ControlTokensComeFromTemplatesOnly) {
  VocabularySpec spec = LlamaLike(kLetters);
  spec.add_bos = spec.add_eos = true;
  ASSERT_OK_AND_ASSIGN(auto tokenizer, BuildTokenizer(spec));
  for (int32_t id : tokenizer->Encode("<s>a</s><unk>")) EXPECT_FALSE(tokenizer->IsSpecial(id)) << id;
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode("<s>a</s>")), "<s>a</s>");
  EXPECT_THAT(tokenizer->Encode("<s>a", {.parse_special = true}), ElementsAre(1, 263));
  EXPECT_THAT(tokenizer->Encode("a", {.add_special = true}), ElementsAre(1, 263, 2));
  EXPECT_EQ(tokenizer->Decode({1, 263, 2}), "a");
  EXPECT_EQ(tokenizer->Decode({1, 263, 2}, /*skip_special=*/false), "<s> a</s>");
}

TEST(SentencePieceTokenizerTest, UserDefinedPiecesAreNeverMerged) {
  std::vector<Entry> entries = kLetters;
  entries.push_back({"a", -8});
  entries[1] = {"bb", 0, Type::kUserDefined};
  ASSERT_OK_AND_ASSIGN(auto tokenizer, BuildTokenizer(LlamaLike(entries)));
  EXPECT_THAT(tokenizer->Encode("bbab"), ElementsAre(259, 260, 262));
}

TEST(SentencePieceTokenizerTest, UnusedPiecesAreCutUpAgain) {
  std::vector<Entry> entries = kLetters;
  entries[5].type = Type::kUnused;
  ASSERT_OK_AND_ASSIGN(auto tokenizer, BuildTokenizer(LlamaLike(entries)));
  EXPECT_THAT(tokenizer->Encode("ab"), ElementsAre(259, 262));
}

TEST(SentencePieceTokenizerTest, MalformedUtf8KeepsOffsets) {
  ASSERT_OK_AND_ASSIGN(auto tokenizer, BuildTokenizer(LlamaLike(kLetters)));
  std::vector<Token> tokens = tokenizer->EncodeWithOffsets(
      "a\xE2\x82"
      "b");
  ASSERT_FALSE(tokens.empty());
  EXPECT_EQ(tokens.back().begin, 3u);
  EXPECT_EQ(tokens.back().end, 4u);
}

VocabularySpec UnigramLike() {
  VocabularySpec spec = Spec(Kind::kUnigram, {{"<unk>", 0, Type::kUnknown},
                                              {"</s>", 0, Type::kControl},
                                              {"▁", -2},
                                              {"a", -3},
                                              {"b", -3},
                                              {"ab", -4},
                                              {"▁a", -10}});
  spec.remove_extra_whitespaces = true;
  return spec;
}

TEST(SentencePieceTokenizerTest, UnigramTakesTheBestPath) {
  ASSERT_OK_AND_ASSIGN(auto tokenizer, BuildTokenizer(UnigramLike()));
  EXPECT_THAT(tokenizer->Encode("  ab  a "), ElementsAre(2, 5, 2, 3));
  EXPECT_THAT(tokenizer->Encode("xyz"), ElementsAre(2, 0));  // unknown characters in a row are one token
  EXPECT_EQ(tokenizer->Decode({2, 5, 0}), "ab \u2047 ");
  EXPECT_THAT(tokenizer->Encode("  "), IsEmpty());
}

TEST(VocabularySpecTest, RefusesWhatDoesNotFit) {
  VocabularySpec spec = UnigramLike();
  spec.scores.pop_back();
  EXPECT_THAT(BuildTokenizer(spec), StatusIs(kInvalid, HasSubstr("6 scores for 7 tokens")));
  spec = UnigramLike();
  spec.types.pop_back();
  EXPECT_THAT(BuildTokenizer(spec), StatusIs(kInvalid, HasSubstr("6 token types")));
  spec = UnigramLike();
  spec.types[2] = static_cast<Type>(9);
  EXPECT_THAT(BuildTokenizer(spec), StatusIs(kInvalid, HasSubstr("type of token 2")));
  spec = UnigramLike();
  spec.scores[3] = std::nanf("");
  EXPECT_THAT(BuildTokenizer(spec), StatusIs(kInvalid, HasSubstr("not finite")));
  spec = UnigramLike();
  spec.tokens[3] = "\xFF";
  EXPECT_THAT(BuildTokenizer(spec), StatusIs(kInvalid, HasSubstr("not UTF-8")));
  spec = UnigramLike();
  spec.tokens[3] = std::string(5000, 'x');
  EXPECT_THAT(BuildTokenizer(spec), StatusIs(kInvalid, HasSubstr("token 3 has 5000 bytes")));
  spec = UnigramLike();
  spec.add_bos = true;
  EXPECT_THAT(BuildTokenizer(spec), StatusIs(kInvalid, HasSubstr("BOS")));
  spec = UnigramLike();
  spec.eos = 7;
  EXPECT_THAT(BuildTokenizer(spec), StatusIs(kInvalid, HasSubstr("EOS is 7")));
  spec = UnigramLike();
  spec.types[0] = Type::kNormal;
  EXPECT_THAT(BuildTokenizer(spec), StatusIs(kInvalid, HasSubstr("unknown")));
  spec = UnigramLike();
  spec.byte_fallback = true;
  EXPECT_THAT(BuildTokenizer(spec), StatusIs(kInvalid, HasSubstr("<0x00>")));
  spec = UnigramLike();
  spec.charsmap = "abc";
  EXPECT_THAT(BuildTokenizer(spec), StatusIs(kInvalid, HasSubstr("charsmap")));
  EXPECT_THAT(VocabularyKind("rwkv"), StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("rwkv")));
}

TEST(VocabularySpecTest, EmptyTokensAreNeverUsed) {
  VocabularySpec spec = UnigramLike();
  spec.tokens[5] = "";
  ASSERT_OK_AND_ASSIGN(auto tokenizer, BuildTokenizer(spec));
  EXPECT_EQ(tokenizer->IdToToken(5), "[EMPTY_5]");
  EXPECT_THAT(tokenizer->Encode("[EMPTY_5]"), ElementsAre(2, 0));
}

// All single bytes from id 1, then "he" (257).
VocabularySpec ByteLevelLike(const std::string& pre) {
  std::vector<Entry> entries = {{"<|eos|>", 0, Type::kControl}};
  for (int byte = 0; byte < 256; ++byte) {
    std::string token;
    AppendRune(ByteToRune(static_cast<uint8_t>(byte)), &token);
    entries.push_back({token});
  }
  entries.push_back({"he"});
  entries.push_back({"<tool>", 0, Type::kUserDefined});
  VocabularySpec spec = Spec(Kind::kByteLevelBpe, entries);
  spec.merges = {"h e"};
  spec.pre_tokenizer = pre;
  spec.eos = 0;
  spec.add_eos = true;
  return spec;
}

TEST(GgufVocabularyTest, ByteLevelMergesAndKeepsControlTokensOut) {
  ASSERT_OK_AND_ASSIGN(auto tokenizer, BuildTokenizer(ByteLevelLike("llama-bpe")));
  EXPECT_THAT(tokenizer->Encode("he", {.add_special = true}), ElementsAre(257, 0));
  EXPECT_THAT(tokenizer->Encode("<tool>he"), ElementsAre(258, 257));
  for (int32_t id : tokenizer->Encode("<|eos|>")) EXPECT_NE(id, 0);
  EXPECT_THAT(tokenizer->Encode("<|eos|>", {.parse_special = true}), ElementsAre(0));
}

TEST(GgufVocabularyTest, EveryKnownSplittingRuleCompilesAndLosesNothing) {
  const std::string text = "Hello, World's 12345 tests!\n\n  ação 中文字 한국어 αβγ (x+y) = ½\t\"quoted\" é…  ";
  for (absl::string_view name : absl::StrSplit(
           "default llama-bpe llama3 dbrx chatglm-bpe jais-2 qwen35 stablelm2 gpt-2 phi-2 mpt olmo jais starcoder "
           "refact "
           "command-r smollm gpt-4o o200k gpt-oss tekken bloom poro-chat viking falcon deepseek-llm deepseek-coder "
           "deepseek-v3",
           ' ')) {
    ASSERT_OK_AND_ASSIGN(auto tokenizer, BuildTokenizer(ByteLevelLike(std::string(name))));
    EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(text)), text) << name;
  }
  EXPECT_THAT(BuildTokenizer(ByteLevelLike("best-of-all")),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("best-of-all")));
}

// The rules differ where they should: digits in threes, one by one, or all together.
TEST(GgufVocabularyTest, RulesSplitDigitsTheirOwnWay) {
  auto words = [](const std::string& pre) {
    VocabularySpec spec = ByteLevelLike(pre);
    spec.add_eos = false;
    for (const char* token : {"12", "123", "1234", "12345"}) {
      spec.tokens.push_back(token);
      spec.types.push_back(Type::kNormal);
      spec.scores.push_back(0);
    }
    spec.merges = {"1 2", "12 3", "123 4", "1234 5"};
    auto tokenizer = BuildTokenizer(spec);
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
    std::vector<std::string> pieces;
    if (!tokenizer.ok()) return pieces;
    for (int32_t id : (*tokenizer)->Encode("12345")) pieces.push_back((*tokenizer)->IdToToken(id));
    return pieces;
  };
  EXPECT_THAT(words("gpt-2"), ElementsAre("12345"));
  EXPECT_THAT(words("llama-bpe"), ElementsAre("123", "4", "5"));
  EXPECT_THAT(words("qwen2"), ElementsAre("1", "2", "3", "4", "5"));
  EXPECT_THAT(words("falcon"), ElementsAre("123", "4", "5"));
}

TEST(GgufVocabularyTest, WordPieceIsSpelledAsBertHasIt) {
  VocabularySpec spec = Spec(Kind::kWordPiece, {{"[UNK]", 0, Type::kUnknown},
                                                {"[CLS]", 0, Type::kControl},
                                                {"[SEP]", 0, Type::kControl},
                                                {"▁play", 0},
                                                {"ing", 0},
                                                {"▁,", 0}});
  spec.bos = 1;
  spec.eos = 2;
  spec.add_bos = spec.add_eos = true;
  ASSERT_OK_AND_ASSIGN(auto tokenizer, BuildTokenizer(spec));
  EXPECT_THAT(tokenizer->Encode("Pláying, x", {.add_special = true}), ElementsAre(1, 3, 4, 5, 0, 2));
  EXPECT_EQ(tokenizer->IdToToken(4), "##ing");
  EXPECT_THAT(tokenizer->Encode("[CLS]"), ElementsAre(0, 0, 0));
}

std::string Varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes.push_back(static_cast<char>(value | 0x80));
  bytes.push_back(static_cast<char>(value));
  return bytes;
}
std::string Bytes(uint32_t tag, const std::string& content) {
  return Varint(tag << 3 | 2) + Varint(content.size()) + content;
}
std::string Number(uint32_t tag, uint64_t value) { return Varint(tag << 3) + Varint(value); }
std::string Piece(const std::string& text, uint64_t type) { return Bytes(1, Bytes(1, text) + Number(3, type)); }

TEST(SentencePieceModelTest, ReadsTheFieldsThatMatter) {
  const std::string model = Piece("<unk>", 2) + Piece("a", 1) + Piece("</s>", 3) +
                            Bytes(2, Number(3, 2) + Number(41, ~uint64_t{0})) + Bytes(3, Number(3, 0) + Number(4, 0));
  ASSERT_OK_AND_ASSIGN(VocabularySpec spec, ParseSentencePieceModel(model, "m"));
  EXPECT_EQ(spec.kind, Kind::kMergedPieces);
  EXPECT_THAT(spec.tokens, ElementsAre("<unk>", "a", "</s>"));
  EXPECT_THAT(spec.types, ElementsAre(Type::kUnknown, Type::kNormal, Type::kControl));
  EXPECT_FALSE(spec.bos.has_value());
  EXPECT_EQ(spec.eos, 2);
  EXPECT_FALSE(spec.add_dummy_prefix);
  EXPECT_FALSE(spec.remove_extra_whitespaces);
}

TEST(SentencePieceModelTest, RefusesMalformedFiles) {
  const std::string good = Piece("<unk>", 2) + Piece("a", 1);
  auto parse = [](const std::string& model) { return ParseSentencePieceModel(model, "m.model").status(); };
  EXPECT_THAT(parse("{\"model\": 1}"), StatusIs(kInvalid, HasSubstr("m.model")));
  EXPECT_THAT(parse(good + "\x0A\x7F"), StatusIs(kInvalid, HasSubstr("beyond its end")));
  EXPECT_THAT(parse(good + "\x08" + std::string(11, '\xFF')), StatusIs(kInvalid, HasSubstr("ten bytes")));
  EXPECT_THAT(parse(good + std::string(1, '\0')), StatusIs(kInvalid, HasSubstr("field number")));
  EXPECT_THAT(parse(good + "\x0B"), StatusIs(kInvalid, HasSubstr("wire type 3")));
  EXPECT_THAT(parse(good + Piece("a", 1)), StatusIs(kInvalid, HasSubstr("twice")));
  EXPECT_THAT(parse(good + Bytes(2, Number(3, 4))),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("model_type")));
  ASSERT_OK_AND_ASSIGN(VocabularySpec spec, ParseSentencePieceModel(good + Piece("b", 1'000'000), "m.model"));
  EXPECT_THAT(BuildTokenizer(spec), StatusIs(kInvalid, HasSubstr("type of token 2")));
}

TEST(CharsMapTest, RefusesMalformedBlobs) {
  auto parse = [](const std::string& blob) { return CharsMap::Parse(blob, "f").status(); };
  const std::string unit(4, '\0');
  EXPECT_THAT(parse("abc"), StatusIs(kInvalid, HasSubstr("header")));
  EXPECT_THAT(parse(std::string("\x05\0\0\0", 4) + unit + unit), StatusIs(kInvalid, HasSubstr("multiple of 4")));
  EXPECT_THAT(parse(std::string("\xFF\xFF\xFF\xFC", 4) + unit), StatusIs(kInvalid, HasSubstr("multiple of 4")));
  EXPECT_THAT(parse(std::string("\x04\0\0\0", 4) + unit + "x"), StatusIs(kInvalid, HasSubstr("without its end")));
  EXPECT_THAT(parse(std::string("\x04\0\0\0", 4) + unit + std::string("\xFF\0", 2)),
              StatusIs(kInvalid, HasSubstr("UTF-8")));
}

// Offsets that lead anywhere: no rule is found there.
TEST(CharsMapTest, TriesThatLeadAnywhereAreHarmless) {
  std::mt19937_64 random = lastro::testing::SeededRandom(5);
  for (int round = 0; round < 200; ++round) {
    std::string blob("\x00\x01\0\0", 4);
    for (int i = 0; i < 256; ++i) blob.push_back(static_cast<char>(random()));
    blob += std::string("abc\0de\0", 7);
    ASSERT_OK_AND_ASSIGN(CharsMap map, CharsMap::Parse(blob, "f"));
    for (int byte = 0; byte < 256; ++byte) {
      std::string text = {static_cast<char>(byte), 'a', 'b'};
      auto rule = map.Longest(text);
      if (rule.has_value()) {
        EXPECT_LE(rule->length, text.size());
      }
    }
  }
}

TEST(GraphemeTest, FollowsTheRules) {
  auto lengths = [](absl::string_view text) {
    std::vector<size_t> lengths;
    for (; !text.empty(); text.remove_prefix(lengths.back())) lengths.push_back(FirstGraphemeLength(text));
    return lengths;
  };
  EXPECT_THAT(lengths("ab\r\n\n"), ElementsAre(1, 1, 2, 1));
  EXPECT_THAT(lengths("e\u0301\u0323x"), ElementsAre(5, 1));
  EXPECT_THAT(lengths("\u1100\u1161\u11A8\uAC00"), ElementsAre(9, 3));
  EXPECT_THAT(lengths("🇧🇷🇵"), ElementsAre(8, 4));
  EXPECT_THAT(lengths("👩\u200D👧a\u200D👧"), ElementsAre(11, 4, 4));
  EXPECT_THAT(lengths("\u0301a"), ElementsAre(2, 1));
}

TEST(PieceTrieTest, FindsEveryPrefix) {
  PieceTrie trie({{"b", 2}, {"abc", 1}, {"a", 0}, {"", 9}, {"a", 7}, {"ab\xFF", 3}});
  std::vector<std::pair<size_t, int32_t>> found;
  trie.ForEachPrefix("abcd", [&](size_t length, int32_t id) { found.emplace_back(length, id); });
  EXPECT_THAT(found, ElementsAre(std::pair<size_t, int32_t>{1, 0}, std::pair<size_t, int32_t>{3, 1}));
  EXPECT_EQ(trie.Find("ab\xFF"), 3);
  EXPECT_EQ(trie.Find("ab"), std::nullopt);
  EXPECT_EQ(PieceTrie().Find("a"), std::nullopt);
}

}  // namespace
}  // namespace lastro::engine::tokenizers
