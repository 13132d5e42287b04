// Tokenizers of GGUF metadata: each kind, what is left out, and hostile keys.
#include "engine/gguf_tokenizer.h"

#include "base/file.h"
#include "engine/gguf_writer.h"
#include "tests/test_util.h"

namespace lastro::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using testing::StatusIs;
using tokenizers::VocabularySpec;

// A file with the keys that `fill` adds.
class Metadata {
 public:
  template <class Fill>
  explicit Metadata(Fill fill) {
    GgufWriter writer;
    fill(writer);
    EXPECT_THAT(writer.Write(folder_ / "m.gguf"), IsOk());
    bytes_ = *ReadFile(folder_ / "m.gguf", 1 << 24);
    contents_ = *ParseGguf({reinterpret_cast<const uint8_t*>(bytes_.data()), bytes_.size()}, "m.gguf");
  }
  const GgufMetadata& get() const { return contents_->metadata; }

 private:
  testing::TempFolder folder_;
  std::string bytes_;
  std::optional<GgufContents> contents_;
};

void AddSentencePiece(GgufWriter& writer) {
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>"};
  std::vector<float> scores = {0, 0, 0};
  std::vector<int32_t> types = {2, 3, 3};
  for (int byte = 0; byte < 256; ++byte) {
    char text[8];
    std::snprintf(text, sizeof(text), "<0x%02X>", static_cast<unsigned>(byte));
    tokens.push_back(text);
    scores.push_back(0);
    types.push_back(6);
  }
  for (const char* piece : {"a", "b", "\u2581", "ab",
                            "\u2581"
                            "ab"}) {
    tokens.push_back(piece);
    scores.push_back(-static_cast<float>(tokens.size()));
    types.push_back(1);
  }
  writer.AddString("tokenizer.ggml.model", "llama");
  writer.AddStrings("tokenizer.ggml.tokens", tokens);
  writer.AddFloats("tokenizer.ggml.scores", scores);
  writer.AddInts("tokenizer.ggml.token_type", types);
}

TEST(GgufTokenizerTest, SentencePieceWithTheDefaultsOfItsKind) {
  const Metadata metadata(AddSentencePiece);
  ASSERT_OK_AND_ASSIGN(VocabularySpec spec, ReadGgufVocabulary(metadata.get()));
  EXPECT_EQ(spec.kind, VocabularySpec::Kind::kMergedPieces);
  EXPECT_EQ(spec.bos, 1);
  EXPECT_EQ(spec.eos, 2);
  EXPECT_TRUE(spec.add_bos);
  EXPECT_FALSE(spec.add_eos);
  EXPECT_TRUE(spec.byte_fallback);
  ASSERT_OK_AND_ASSIGN(auto tokenizer, LoadGgufTokenizer(metadata.get()));
  EncodeOptions options;
  options.add_special = true;
  EXPECT_THAT(tokenizer->Encode("ab", options), ElementsAre(1, 263));
  EXPECT_THAT(tokenizer->Encode("abz"), ElementsAre(263, 3 + 'z'));
}

TEST(GgufTokenizerTest, ByteLevelWithItsSplittingRule) {
  auto fill = [](GgufWriter& writer) {
    writer.AddString("tokenizer.ggml.model", "gpt2");
    writer.AddString("tokenizer.ggml.pre", "llama-bpe");
    writer.AddStrings("tokenizer.ggml.tokens", {"a", "b", "\u0120", "ab", "<|begin|>"});
    writer.AddInts("tokenizer.ggml.token_type", {1, 1, 1, 1, 3});
    writer.AddStrings("tokenizer.ggml.merges", {"a b"});
    writer.AddUint("tokenizer.ggml.bos_token_id", 4);
  };
  const Metadata metadata(fill);
  ASSERT_OK_AND_ASSIGN(VocabularySpec spec, ReadGgufVocabulary(metadata.get()));
  EXPECT_TRUE(spec.add_bos);
  ASSERT_OK_AND_ASSIGN(auto tokenizer, LoadGgufTokenizer(metadata.get()));
  EXPECT_THAT(tokenizer->Encode("ab a"), ElementsAre(3, 2, 0));
  EXPECT_TRUE(tokenizer->IsSpecial(4));
  const Metadata without([&fill](GgufWriter& writer) {
    fill(writer);
    writer.AddBool("tokenizer.ggml.add_bos_token", false);
  });
  EXPECT_FALSE(ReadGgufVocabulary(without.get())->add_bos);
}

TEST(GgufTokenizerTest, WordPieceFramesItsTexts) {
  const Metadata metadata([](GgufWriter& writer) {
    writer.AddString("tokenizer.ggml.model", "bert");
    writer.AddStrings("tokenizer.ggml.tokens", {"[PAD]", "[UNK]", "[CLS]", "[SEP]",
                                                "\u2581"
                                                "boat",
                                                "s"});
    writer.AddInts("tokenizer.ggml.token_type", {3, 3, 3, 3, 1, 1});
    writer.AddUint("tokenizer.ggml.cls_token_id", 2);
    writer.AddUint("tokenizer.ggml.seperator_token_id", 3);
    writer.AddUint("tokenizer.ggml.unknown_token_id", 1);
  });
  ASSERT_OK_AND_ASSIGN(auto tokenizer, LoadGgufTokenizer(metadata.get()));
  EncodeOptions options;
  options.add_special = true;
  EXPECT_THAT(tokenizer->Encode("Boats", options), ElementsAre(2, 4, 5, 3));
}

TEST(GgufTokenizerTest, HostileKeysAreRefused) {
  const Metadata bytes_as_scores([](GgufWriter& writer) {
    writer.AddString("tokenizer.ggml.model", "llama");
    writer.AddStrings("tokenizer.ggml.tokens", {"<unk>", "a", "b", "c"});
    writer.AddRaw("tokenizer.ggml.scores", absl::string_view("\x09\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0abcd", 20));
  });
  EXPECT_THAT(LoadGgufTokenizer(bytes_as_scores.get()), StatusIs(kInvalid, HasSubstr("tokenizer.ggml.scores")));
  const Metadata few_scores([](GgufWriter& writer) {
    writer.AddString("tokenizer.ggml.model", "llama");
    writer.AddStrings("tokenizer.ggml.tokens", {"<unk>", "a", "b", "c"});
    writer.AddFloats("tokenizer.ggml.scores", {1.0f});
  });
  EXPECT_THAT(LoadGgufTokenizer(few_scores.get()), StatusIs(kInvalid, HasSubstr("1 scores for 4 tokens")));
  const Metadata negative_byte([](GgufWriter& writer) {
    writer.AddString("tokenizer.ggml.model", "llama");
    writer.AddStrings("tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "<0x-1>"});
    writer.AddFloats("tokenizer.ggml.scores", {0, 0, 0, 0});
    writer.AddInts("tokenizer.ggml.token_type", {2, 3, 3, 6});
  });
  EXPECT_THAT(LoadGgufTokenizer(negative_byte.get()), StatusIs(kInvalid, HasSubstr("0x")));
  const Metadata far_id([](GgufWriter& writer) {
    AddSentencePiece(writer);
    writer.AddUint("tokenizer.ggml.bos_token_id", 0xFFFFFFFF);
  });
  EXPECT_THAT(LoadGgufTokenizer(far_id.get()), StatusIs(kInvalid, HasSubstr("BOS")));
  const Metadata unknown_kind([](GgufWriter& writer) { writer.AddString("tokenizer.ggml.model", "rwkv"); });
  EXPECT_THAT(LoadGgufTokenizer(unknown_kind.get()), StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("rwkv")));
}

}  // namespace
}  // namespace lastro::engine
