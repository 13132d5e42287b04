// Our tokenizers against the reference library: ids, offsets and decodings of 10,000 texts, equal to the last one.
// Written by ../export_tokenizers.py, which describes the files.
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "engine/hf_tokenizer.h"
#include "engine/tokenizer.h"
#include "tests/test_util.h"

namespace lastro::engine {
namespace {

using lastro::testing::IsOk;
using lastro::testing::TempFolder;

const std::string kRoot = LASTRO_SOURCE_DIR;
const std::string kFolder = kRoot + "/tests/golden/tokenizers/";

// The content of a .gz file; "" when it cannot be read.
std::string Gunzip(const std::string& path) {
  gzFile file = gzopen(path.c_str(), "rb");
  if (file == nullptr) return "";
  std::string content;
  char buffer[65536];
  for (int got; (got = gzread(file, buffer, sizeof(buffer))) > 0;) content.append(buffer, static_cast<size_t>(got));
  gzclose(file);
  return content;
}

// Reads little-endian values in order.
class Reader {
 public:
  explicit Reader(std::string bytes) : bytes_(std::move(bytes)) {}
  template <typename T>
  std::vector<T> Column(size_t count) {
    std::vector<T> values(count);
    EXPECT_LE(at_ + count * sizeof(T), bytes_.size());
    if (count == 0 || at_ + count * sizeof(T) > bytes_.size()) return values;
    std::memcpy(values.data(), bytes_.data() + at_, count * sizeof(T));
    at_ += count * sizeof(T);
    return values;
  }
  std::string String(size_t length) {
    std::vector<char> bytes = Column<char>(length);
    return std::string(bytes.begin(), bytes.end());
  }
  bool AtEnd() const { return at_ == bytes_.size(); }

 private:
  std::string bytes_;
  size_t at_ = 0;
};

std::vector<std::string> Texts() {
  Reader reader(Gunzip(kFolder + "texts.bin.gz"));
  std::vector<std::string> texts;
  while (!reader.AtEnd()) texts.push_back(reader.String(reader.Column<uint32_t>(1)[0]));
  return texts;
}

struct Expected {
  std::vector<std::vector<Token>> tokens;
  std::vector<uint32_t> decoded_crc;
};

Expected ReadExpected(const std::string& name) {
  Reader reader(Gunzip(kFolder + name + ".expected.gz"));
  const size_t texts = reader.Column<uint32_t>(1)[0];
  std::vector<uint16_t> counts = reader.Column<uint16_t>(texts);
  size_t total = 0;
  for (uint16_t count : counts) total += count;
  std::vector<uint16_t> low = reader.Column<uint16_t>(total);
  std::vector<uint8_t> high = reader.Column<uint8_t>(total);
  std::vector<int16_t> begins = reader.Column<int16_t>(total);
  std::vector<uint16_t> lengths = reader.Column<uint16_t>(total);
  Expected expected;
  expected.decoded_crc = reader.Column<uint32_t>(texts);
  EXPECT_TRUE(reader.AtEnd());
  size_t at = 0;
  for (uint16_t count : counts) {
    std::vector<Token>& tokens = expected.tokens.emplace_back();
    uint32_t end = 0;
    for (uint16_t i = 0; i < count; ++i, ++at) {
      uint32_t begin = end + static_cast<uint32_t>(static_cast<int32_t>(begins[at]));
      end = begin + lengths[at];
      tokens.push_back({low[at] | high[at] << 16, begin, end});
    }
  }
  return expected;
}

std::string Show(const Tokenizer& tokenizer, const std::vector<Token>& tokens) {
  std::string shown;
  for (const Token& token : tokens) {
    shown += tokenizer.IdToToken(token.id) + "(" + std::to_string(token.id) + " " + std::to_string(token.begin) + "-" +
             std::to_string(token.end) + ") ";
  }
  return shown;
}

bool Equal(const std::vector<Token>& a, const std::vector<Token>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Token& x, const Token& y) {
    return x.id == y.id && x.begin == y.begin && x.end == y.end;
  });
}

uint32_t Crc(const std::string& text) {
  return static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(text.data()), static_cast<uInt>(text.size())));
}

// The tokenizer file NAME.json.gz or NAME.model.gz, loaded from where it was unpacked.
absl::StatusOr<std::unique_ptr<Tokenizer>> LoadGolden(const std::string& name, const TempFolder& folder) {
  const bool json = std::filesystem::exists(kFolder + name + ".json.gz");
  const std::string file = name + (json ? ".json" : ".model");
  absl::Status written = WriteFileAtomically(folder / file, Gunzip(kFolder + file + ".gz"));
  if (!written.ok()) return written;
  return Tokenizer::Load(folder / file);
}

class TokenizersGoldenTest : public ::testing::TestWithParam<const char*> {
 protected:
  absl::StatusOr<std::unique_ptr<Tokenizer>> Load() { return LoadGolden(GetParam(), folder_); }
  TempFolder folder_;
};

TEST_P(TokenizersGoldenTest, IdsOffsetsAndDecodingsEqualTheReference) {
  ASSERT_OK_AND_ASSIGN(std::unique_ptr<Tokenizer> tokenizer, Load());
  const std::vector<std::string> texts = Texts();
  const Expected expected = ReadExpected(GetParam());
  ASSERT_EQ(texts.size(), 10'000u);
  ASSERT_EQ(expected.tokens.size(), texts.size());
  int differences = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    const bool odd = i % 2 == 1;
    std::vector<Token> tokens = tokenizer->EncodeWithOffsets(texts[i], {.add_special = odd, .parse_special = odd});
    if (!Equal(tokens, expected.tokens[i]) && ++differences <= 5) {
      ADD_FAILURE() << "text " << i << ": " << texts[i] << "\n  got      " << Show(*tokenizer, tokens)
                    << "\n  expected " << Show(*tokenizer, expected.tokens[i]);
    }
    std::vector<int32_t> ids;
    for (const Token& token : expected.tokens[i]) ids.push_back(token.id);
    std::string decoded = ReplaceInvalidUtf8(tokenizer->Decode(ids, /*skip_special=*/!odd));
    if (Crc(decoded) != expected.decoded_crc[i] && ++differences <= 5) {
      ADD_FAILURE() << "text " << i << " decodes to " << decoded;
    }
  }
  EXPECT_EQ(differences, 0);
}

class TokenizerSumsTest : public TokenizersGoldenTest {};

// CRC-32 of tokens and decoding, as the exporter packs them.
uint32_t Checksum(const std::vector<Token>& tokens, const std::string& decoded) {
  std::string packed;
  for (const Token& token : tokens) {
    const uint32_t values[] = {static_cast<uint32_t>(token.id), token.begin, token.end};
    packed.append(reinterpret_cast<const char*>(values), sizeof(values));
  }
  return Crc(packed + decoded);
}

std::vector<int32_t> IdsOf(const std::vector<Token>& tokens) {
  std::vector<int32_t> ids;
  for (const Token& token : tokens) ids.push_back(token.id);
  return ids;
}

TEST_P(TokenizerSumsTest, IdsOffsetsAndDecodingsEqualTheReference) {
  ASSERT_OK_AND_ASSIGN(std::unique_ptr<Tokenizer> tokenizer, Load());
  const bool json = std::filesystem::exists(folder_ / (std::string(GetParam()) + ".json"));
  const std::vector<std::string> texts = Texts();
  Reader reader(Gunzip(kFolder + GetParam() + ".sums.gz"));
  ASSERT_EQ(reader.Column<uint32_t>(1)[0], texts.size());
  const std::vector<uint32_t> expected = reader.Column<uint32_t>(texts.size());
  int differences = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    const bool odd = json && i % 2 == 1;
    std::vector<Token> tokens = tokenizer->EncodeWithOffsets(texts[i], {.add_special = odd, .parse_special = odd});
    std::string decoded = ReplaceInvalidUtf8(tokenizer->Decode(IdsOf(tokens), /*skip_special=*/!odd));
    if (Checksum(tokens, decoded) == expected[i] || ++differences > 5) continue;
    ADD_FAILURE() << "text " << i << ": " << texts[i] << "\n  got " << Show(*tokenizer, tokens) << "\n  decoded to "
                  << decoded;
  }
  EXPECT_EQ(differences, 0);
}

// Feeding ids one by one gives the same text as decoding them at once.
void ExpectStreamingEqualsDecoding(const Tokenizer& tokenizer) {
  const std::vector<std::string> texts = Texts();
  for (size_t i = 0; i < texts.size(); i += 7) {
    std::vector<int32_t> ids = tokenizer.Encode(texts[i]);
    StreamDecoder stream(tokenizer);
    std::string streamed;
    for (int32_t id : ids) {
      std::string piece = stream.Push(id);
      ASSERT_TRUE(IsValidUtf8(piece)) << "text " << i;
      streamed += piece;
    }
    streamed += stream.Finish();
    ASSERT_EQ(streamed, ReplaceInvalidUtf8(tokenizer.Decode(ids))) << "text " << i;
  }
}

TEST_P(TokenizersGoldenTest, StreamingEqualsDecoding) {
  ASSERT_OK_AND_ASSIGN(std::unique_ptr<Tokenizer> tokenizer, Load());
  ExpectStreamingEqualsDecoding(*tokenizer);
}

// Decoders that look ahead (BPEDecoder) or join what is far apart (CTC) cannot be streamed and are left out.
class StreamingTokenizerTest : public TokenizersGoldenTest {};

TEST_P(StreamingTokenizerTest, StreamingEqualsDecoding) {
  ASSERT_OK_AND_ASSIGN(std::unique_ptr<Tokenizer> tokenizer, Load());
  ExpectStreamingEqualsDecoding(*tokenizer);
}

INSTANTIATE_TEST_SUITE_P(All, StreamingTokenizerTest,
                         ::testing::Values("t5", "xlm_r", "albert", "mbart", "llama2", "gemma", "falcon", "bloom",
                                           "roberta", "byte_words", "sp_unigram", "sp_unigram_suffix", "sp_bpe",
                                           "sp_bpe_unused"),
                         [](const auto& info) { return std::string(info.param); });

INSTANTIATE_TEST_SUITE_P(All, TokenizersGoldenTest,
                         ::testing::Values("minilm", "gpt2", "llama3", "qwen", "o200k", "digits", "byte_fallback",
                                           "metaspace", "cased_wordpiece"),
                         [](const auto& info) { return std::string(info.param); });

INSTANTIATE_TEST_SUITE_P(All, TokenizerSumsTest,
                         ::testing::Values("t5", "xlm_r", "albert", "mbart", "llama2", "gemma", "falcon", "bloom",
                                           "roberta", "clip", "scripts", "byte_words", "sp_unigram",
                                           "sp_unigram_suffix", "sp_bpe", "sp_bpe_unused"),
                         [](const auto& info) { return std::string(info.param); });

// Rules that hold of every tokenizer whatever the reference says.
class TokenizerPropertiesTest : public TokenizersGoldenTest {};

bool IsBoundary(const std::string& text, uint32_t at) {
  return at == text.size() || (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
}

TEST_P(TokenizerPropertiesTest, OffsetsLieBetweenCharactersAndTextIsNeverControl) {
  ASSERT_OK_AND_ASSIGN(std::unique_ptr<Tokenizer> tokenizer, Load());
  // Of the special tokens only the unknown one may come out of text.
  const std::vector<std::string> unknown = {"<unk>", "[UNK]"};
  const bool clip = std::string(GetParam()) == "clip";  // its unknown token is its end of text
  for (const std::string& text : Texts()) {
    for (const Token& token : tokenizer->EncodeWithOffsets(text)) {
      ASSERT_LE(token.begin, token.end) << text;
      ASSERT_LE(token.end, text.size()) << text;
      ASSERT_TRUE(IsBoundary(text, token.begin) && IsBoundary(text, token.end)) << text;
      const std::string name = tokenizer->IdToToken(token.id);
      const bool allowed =
          std::find(unknown.begin(), unknown.end(), name) != unknown.end() || (clip && name == "<|endoftext|>");
      ASSERT_TRUE(!tokenizer->IsSpecial(token.id) || allowed) << name << " from " << text;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, TokenizerPropertiesTest,
                         ::testing::Values("minilm", "gpt2", "llama3", "qwen", "o200k", "digits", "byte_fallback",
                                           "metaspace", "cased_wordpiece", "t5", "xlm_r", "albert", "mbart", "llama2",
                                           "gemma", "falcon", "bloom", "roberta", "clip", "scripts", "byte_words",
                                           "sp_unigram", "sp_unigram_suffix", "sp_bpe", "sp_bpe_unused"),
                         [](const auto& info) { return std::string(info.param); });

// Schemes that lose nothing give back the text, and their tokens come in the order of the text.
class LosslessTokenizerTest : public TokenizersGoldenTest {};

TEST_P(LosslessTokenizerTest, DecodingGivesBackTheText) {
  ASSERT_OK_AND_ASSIGN(std::unique_ptr<Tokenizer> tokenizer, Load());
  for (const std::string& text : Texts()) {
    // These stand for a space and a byte in some schemes.
    if (text.find("\u2581") != std::string::npos || text.find("<0x41>") != std::string::npos) continue;
    const std::vector<Token> tokens = tokenizer->EncodeWithOffsets(text);
    ASSERT_EQ(tokenizer->Decode(IdsOf(tokens)), text);
    for (size_t i = 1; i < tokens.size(); ++i) ASSERT_LE(tokens[i - 1].begin, tokens[i].begin) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(All, LosslessTokenizerTest,
                         ::testing::Values("gpt2", "llama3", "o200k", "falcon", "bloom", "roberta", "gemma", "sp_bpe"),
                         [](const auto& info) { return std::string(info.param); });

TEST(DeployedTokenizersTest, EveryBuiltInModelLoadsAndRoundTrips) {
  for (const auto& entry : std::filesystem::directory_iterator(kRoot + "/deploy/models")) {
    const std::string path = entry.path().string() + "/tokenizer.json";
    if (!std::filesystem::exists(path)) continue;
    absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::Load(path);
    ASSERT_THAT(tokenizer, IsOk()) << path;
    const std::string text = "the answer is in the document";
    EXPECT_EQ((*tokenizer)->Decode((*tokenizer)->Encode(text)), text) << path;
  }
}

// A SentencePiece model in a model's folder, with what tokenizer_config.json says around it.
class HfTokenizerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(WriteFileAtomically(folder_ / "tokenizer.model", Gunzip(kFolder + "sp_bpe.model.gz")), IsOk());
    ASSERT_OK_AND_ASSIGN(plain_, Tokenizer::Load(folder_ / "tokenizer.model"));
  }
  absl::StatusOr<std::unique_ptr<Tokenizer>> Load(const std::string& config) {
    auto document = JsonDocument::Parse(config, "tokenizer_config.json");
    if (!document.ok()) return document.status();
    auto path = FindHfTokenizer(folder_.path());
    if (!path.ok()) return path.status();
    return LoadHfTokenizer(*path, document->root());
  }
  std::string Added(int offset, const std::string& token) const {
    return "\"" + std::to_string(plain_->vocab_size() + offset) + "\": " + token;
  }
  TempFolder folder_;
  std::unique_ptr<Tokenizer> plain_;
};

TEST_F(HfTokenizerTest, ClassesSayWhatIsAdded) {
  const std::vector<int32_t> ids = plain_->Encode("the cat");
  std::vector<int32_t> with_bos = ids, with_eos = ids;
  with_bos.insert(with_bos.begin(), *plain_->TokenToId("<s>"));
  with_eos.push_back(*plain_->TokenToId("</s>"));
  ASSERT_OK_AND_ASSIGN(auto llama, Load(R"({"tokenizer_class": "LlamaTokenizerFast"})"));
  EXPECT_EQ(llama->Encode("the cat"), ids);
  EXPECT_EQ(llama->Encode("the cat", {.add_special = true}), with_bos);
  ASSERT_OK_AND_ASSIGN(auto t5, Load(R"({"tokenizer_class": "T5Tokenizer"})"));
  EXPECT_EQ(t5->Encode("the cat", {.add_special = true}), with_eos);
  ASSERT_OK_AND_ASSIGN(auto neither, Load(R"({"tokenizer_class": "LlamaTokenizer", "add_bos_token": false})"));
  EXPECT_EQ(neither->Encode("the cat", {.add_special = true}), ids);
  EXPECT_THAT(Load(R"({"tokenizer_class": "XLMRobertaTokenizer"})"),
              testing::StatusIs(absl::StatusCode::kUnimplemented, ::testing::HasSubstr("XLMRobertaTokenizer")));
}

TEST_F(HfTokenizerTest, TokensBehindTheModelsOwn) {
  const std::string head = R"({"tokenizer_class": "LlamaTokenizer", "added_tokens_decoder": {)";
  ASSERT_OK_AND_ASSIGN(auto chat, Load(head + Added(1, R"({"content": "<|b|>", "special": true})") + "," +
                                       Added(0, R"({"content": "<|a|>", "special": true})") + "}}"));
  EXPECT_EQ(chat->TokenToId("<|a|>"), plain_->vocab_size());
  EXPECT_EQ(chat->TokenToId("<|b|>"), plain_->vocab_size() + 1);
  EXPECT_TRUE(chat->IsSpecial(plain_->vocab_size()));
  const std::vector<int32_t> spelled = chat->Encode("<|a|>");
  EXPECT_EQ(std::count(spelled.begin(), spelled.end(), plain_->vocab_size()), 0);
  EXPECT_THAT(Load(head + Added(1, R"({"content": "<|b|>"})") + "}}"),
              testing::StatusIs(absl::StatusCode::kInvalidArgument, ::testing::HasSubstr("none of the ids")));
  EXPECT_THAT(Load(head + R"("-1": {"content": "x"}}})"),
              testing::StatusIs(absl::StatusCode::kInvalidArgument, ::testing::HasSubstr("no token id")));
}

TEST_F(HfTokenizerTest, TokenizerJsonComesFirst) {
  ASSERT_THAT(WriteFileAtomically(folder_ / "tokenizer.json", Gunzip(kFolder + "gpt2.json.gz")), IsOk());
  ASSERT_OK_AND_ASSIGN(auto gpt2, Load("{}"));
  EXPECT_NE(gpt2->vocab_size(), plain_->vocab_size());
  TempFolder empty;
  EXPECT_THAT(FindHfTokenizer(empty.path()),
              testing::StatusIs(absl::StatusCode::kNotFound, ::testing::HasSubstr("tokenizer.model")));
}

}  // namespace
}  // namespace lastro::engine
