#include "engine/constrained/cited_text_constraint.h"

#include <cmath>
#include <filesystem>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "base/file.h"
#include "engine/decoder_model.h"
#include "engine/generator.h"
#include "tests/test_util.h"
#include "tests/unit/engine/constrained/cited_text_checker.h"
#include "tests/unit/engine/constrained/constrained_test_util.h"
#include "tests/unit/engine/model_test_util.h"

namespace lastro::engine::constrained {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

using testing::FaultOf;

using Passages = std::vector<std::string>;

// Three passages, so that "[4]", "[12]" and "[0]" are of none.
const Passages& Hostile() {
  static const auto* const passages =
      new Passages({"The bilge pump \"runs\" [9] at 25.5 knots, the “sea” is «mau» and „tief“.",
                    "[4] See [12] a b c d e f \"a b\" </s><|im_end|><s>[INST] said: \"[1]\" [",
                    "Ação à vista: 1,000 euros \xF0\x9F\x98\x80 e\xCC\x81t\xC3\xA9. ab abc abcd aab \xFF” end"});
  return *passages;
}

// A vocabulary of `pieces` and "<end>" alone.
std::unique_ptr<Tokenizer> NarrowTokenizer(const std::vector<std::string>& pieces) {
  std::string vocabulary;
  int id = 0;
  for (const std::string& piece : pieces) {
    std::string token;
    for (char byte : piece) token += ByteLevelChar(static_cast<uint8_t>(byte));
    absl::StrAppend(&vocabulary, id == 0 ? "" : ",", JsonString(token), ":", id);
    ++id;
  }
  const std::string json = absl::StrCat(R"({"added_tokens": [{"special": true, "content": "<end>", "id": )", id,
                                        R"(}], "model": {"type": "BPE", "merges": [], "vocab": {)", vocabulary,
                                        R"(}}, "decoder": {"type": "ByteLevel"},
      "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}})");
  return *tokenizers::ParseTokenizer(*JsonDocument::Parse(json, "test"));
}

// Tokens that span words, marks and citations, and pieces of characters.
std::vector<std::string> CitingPieces() {
  return {" [",           "[1",     "[1]",   "[9]",      "1]",    "2].",  "] [",  "[4]", ". [2", " \"",    "\"a",
          "b\"",          "\".",    "\" [",  ",\"",      "The",   " b",   "ilge", "a b", "ab",   " the",   "\xE2\x80",
          "\x80\x9C",     "\x9D.",  "“s",    "a”",       " «m",   "au»",  "«",    "»",   "25",   ".5",     "1,",
          "\xF0\x9F\x98", "\x80 e", "A\xC3", "\xA7\xC3", "\xA3o", "</s>", "\"\"", "[]",  "[[",   "\"[1]\""};
}

class CitedTextTest : public ::testing::Test {
 protected:
  static std::unique_ptr<TokenConstraint> New(const CitedVocabulary& vocabulary, const Passages& passages,
                                              bool quotes = true) {
    return NewCitedTextConstraint(vocabulary, {static_cast<int>(passages.size()), quotes, passages});
  }

  // The ids that may follow; the one behind the vocabulary ends the text.
  static std::vector<int32_t> AllowedBy(TokenConstraint& constraint, const TokenTrie& trie) {
    std::vector<float> logits(static_cast<size_t>(trie.vocab_size()) + 3);  // as of a padded model
    const absl::Status status = constraint.Mask({trie.vocab_size()}, absl::MakeSpan(logits));
    EXPECT_THAT(status, IsOk());
    std::vector<int32_t> allowed;
    for (size_t id = 0; id < logits.size(); ++id) {
      if (std::isfinite(logits[id])) allowed.push_back(static_cast<int32_t>(id));
    }
    return allowed;
  }

  // A text of random tokens, those with marks preferred; checks it at its end and counts.
  void Walk(const CitedVocabulary& vocabulary, const Passages& passages, bool quotes, int steps) {
    const TokenTrie& trie = vocabulary.trie();
    auto constraint = New(vocabulary, passages, quotes);
    std::string text;
    for (int step = 0; step < steps; ++step) {
      const std::vector<int32_t> allowed = AllowedBy(*constraint, trie);
      ASSERT_FALSE(allowed.empty()) << text;
      ASSERT_EQ(allowed.back() == trie.vocab_size(), constraint->MayEnd()) << text;
      int32_t id = allowed[random_() % allowed.size()];
      for (int tries = 0; tries < 12 && random_() % 8 != 0; ++tries) {
        const int32_t other = allowed[random_() % allowed.size()];
        if (other == trie.vocab_size()) continue;
        if (trie.BytesOf(other).find_first_of("[]\"\xE2\xC2") != std::string::npos) id = other;
      }
      if (id == trie.vocab_size()) break;
      ASSERT_THAT(constraint->Accept(id), IsOk());
      text += trie.BytesOf(id);
      ASSERT_EQ(FaultOf(text.substr(0, CompleteUtf8Prefix(text)), passages, quotes), "") << text;
    }
    EXPECT_TRUE(IsValidUtf8(text.substr(0, CompleteUtf8Prefix(text)))) << text;
    citations_ += absl::StrContains(text, ']');
    quotes_ += text.find('"') != text.rfind('"');
  }

  std::mt19937_64 random_ = testing::SeededRandom(31);
  int citations_ = 0, quotes_ = 0;  // texts with one
};

TEST_F(CitedTextTest, EveryTextCitesAndQuotesItsPassagesOnly) {
  const auto tokenizer = ByteTokenizer(CitingPieces());
  const TokenTrie trie(*tokenizer);
  const CitedVocabulary vocabulary(trie);
  for (int round = 0; round < 600; ++round) {
    Walk(vocabulary, Hostile(), round % 5 > 0, 40);
    if (HasFailure()) return;
  }
  EXPECT_GT(citations_, 200);
  EXPECT_GT(quotes_, 100);
}

// Of random tokens, whatever they are: all that is written is sentences or lines of one passage, and nothing is a dead
// end. Each inner list is what stands between two places that no text crosses.
TEST_F(CitedTextTest, ATextThatIsAllQuoteIsWholeSentences) {
  const Passages passages = {"At 25.5 knots it stops. “Does it?” Yes!  (The sea is “mau”.)\n| a | b. c |\nEnd",
                             "See [12]. Or not… Ação à vista."};
  const std::vector<std::vector<std::string>> parts = {
      {"At 25.5 knots it stops.", " “Does it?”", " Yes!", "  (The sea is “mau”.)", "\n| a | b.", " c |", "\nEnd"},
      {"See "},
      {"12].", " Or not…", " Ação à vista."}};
  std::set<std::string> allowed_texts;
  for (const std::vector<std::string>& part : parts) {
    for (size_t first = 0; first < part.size(); ++first) {
      std::string text;
      for (size_t last = first; last < part.size(); ++last) {
        text += part[last];
        allowed_texts.insert(std::string(absl::StripLeadingAsciiWhitespace(text)));
      }
    }
  }
  const auto tokenizer = ByteTokenizer(CitingPieces());
  const TokenTrie trie(*tokenizer);
  const CitedVocabulary vocabulary(trie);
  std::set<std::string> texts;
  for (int round = 0; round < 600; ++round) {
    const auto constraint = NewCitedTextConstraint(vocabulary, {2, true, passages, /*all_quote=*/true});
    std::string text;
    EXPECT_TRUE(constraint->MayEnd());  // without a text
    for (;;) {
      const std::vector<int32_t> allowed = AllowedBy(*constraint, trie);
      ASSERT_FALSE(allowed.empty()) << text;
      const bool may_end = allowed.back() == trie.vocab_size();
      // An empty text is one of many here, all equally likely.
      ASSERT_EQ(may_end, !text.empty() && constraint->MayEnd()) << text;
      const std::string written = text.substr(text.empty() || text[0] != ' ' ? 0 : 1);
      ASSERT_EQ(may_end, allowed_texts.contains(written)) << text;
      if (may_end) texts.insert(written);
      if (may_end && (allowed.size() == 1 || round % 3 == 0)) break;
      const int32_t id = allowed[random_() % (allowed.size() - may_end)];
      ASSERT_THAT(constraint->Accept(id), IsOk());
      text += trie.BytesOf(id);
    }
  }
  EXPECT_EQ(texts, allowed_texts);
  // An empty text that is ten times likelier than all others together.
  const auto constraint = NewCitedTextConstraint(vocabulary, {2, true, passages, /*all_quote=*/true});
  for (const auto& [logit, empty] : {std::pair(4.0f, false), {10.0f, true}}) {
    std::vector<float> logits(static_cast<size_t>(trie.vocab_size()) + 1);
    logits.back() = logit;
    ASSERT_THAT(constraint->Mask({trie.vocab_size()}, absl::MakeSpan(logits)), IsOk());
    EXPECT_EQ(std::isfinite(logits.back()), empty);
  }
  // No token of it can be written: it stays empty.
  const auto narrow = NarrowTokenizer({"x", " "});
  const TokenTrie narrow_trie(*narrow);
  const CitedVocabulary narrow_vocabulary(narrow_trie);
  const auto none = NewCitedTextConstraint(narrow_vocabulary, {2, true, passages, /*all_quote=*/true});
  EXPECT_EQ(AllowedBy(*none, narrow_trie), std::vector<int32_t>{narrow_trie.vocab_size()});
}

TEST_F(CitedTextTest, HoldsForSentencePiecesAndForByteLevels) {
  for (const bool sentence_pieces : {false, true}) {
    ASSERT_OK_AND_ASSIGN(const auto tokenizer, Tokenizer::Parse(CitingTokenizerJson(sentence_pieces), "test"));
    const TokenTrie trie(*tokenizer);
    const CitedVocabulary vocabulary(trie);
    citations_ = quotes_ = 0;
    for (int round = 0; round < 300; ++round) {
      Walk(vocabulary, Hostile(), true, 40);
      if (HasFailure()) return;
    }
    EXPECT_GT(citations_, 100);
    EXPECT_GT(quotes_, 50);
  }
}

// Vocabularies that lack most bytes: what they cannot close they do not open, and nothing is a dead end.
TEST_F(CitedTextTest, NoVocabularyComesToADeadEnd) {
  std::vector<std::string> all = CitingPieces();
  for (int byte = 0; byte < 256; ++byte) all.emplace_back(1, static_cast<char>(byte));
  for (const char* piece : {"”", "“", "„", "bilge", "pump", "euros", "1,000", "\xF0\x9F\x98\x80", "\xFF"}) {
    all.emplace_back(piece);
  }
  for (int round = 0; round < 300; ++round) {
    std::shuffle(all.begin(), all.end(), random_);
    std::vector<std::string> some(all.begin(), all.begin() + static_cast<ptrdiff_t>(20 + random_() % 260));
    if (round % 2 == 0)
      some.insert(some.end(), {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "]", "\"", "[", "a"});
    std::sort(some.begin(), some.end());
    some.erase(std::unique(some.begin(), some.end()), some.end());
    const auto tokenizer = NarrowTokenizer(some);
    const TokenTrie trie(*tokenizer);
    const CitedVocabulary vocabulary(trie);
    Walk(vocabulary, Hostile(), true, 40);
    if (HasFailure()) return;
  }
  EXPECT_GT(citations_, 20);
  EXPECT_GT(quotes_, 20);
}

// Whatever tokens a right text is cut into, each is allowed.
TEST_F(CitedTextTest, EveryRightTextIsReachableByAnyTokens) {
  const auto tokenizer = ByteTokenizer(CitingPieces());
  const TokenTrie trie(*tokenizer);
  const CitedVocabulary vocabulary(trie);
  for (const char* text : {"The pump is off [1]. It says \"The bilge pump\" [1][2], \"25.5 knots\".", "“\"runs\"” [3]",
                           "It is «Ação à vista: 1,000 euros», é „\xF0\x9F\x98\x80“.", "no “sea” [2] ’tis",
                           "\"</s><|im_end|><s>\" and “said: \"” 25] ]", "\"abcd\" \"ab\" \"aab\""}) {
    ASSERT_EQ(FaultOf(text, Hostile(), true), "") << text;
    for (int round = 0; round < 20; ++round) {
      auto constraint = New(vocabulary, Hostile());
      for (absl::string_view rest = text; !rest.empty();) {
        std::vector<int32_t> fitting;
        for (int32_t id : trie.tokens()) {
          if (absl::StartsWith(rest, trie.BytesOf(id))) fitting.push_back(id);
        }
        const int32_t id = fitting[random_() % fitting.size()];
        const std::vector<int32_t> allowed = AllowedBy(*constraint, trie);
        ASSERT_EQ(std::count(allowed.begin(), allowed.end(), id), 1) << text << " at " << rest;
        ASSERT_THAT(constraint->Accept(id), IsOk());
        rest.remove_prefix(trie.BytesOf(id).size());
      }
      EXPECT_TRUE(constraint->MayEnd()) << text;
      EXPECT_FALSE(constraint->MustEnd());
    }
  }
}

// The mask is exactly the tokens that Accept takes.
TEST_F(CitedTextTest, MaskAndAcceptAgree) {
  const auto tokenizer = ByteTokenizer(CitingPieces());
  const TokenTrie trie(*tokenizer);
  const CitedVocabulary vocabulary(trie);
  for (int round = 0; round < 4; ++round) {
    std::vector<int32_t> taken;
    for (int step = 0; step < 8; ++step) {
      auto replayed = [&] {
        auto constraint = New(vocabulary, Hostile());
        for (int32_t id : taken) EXPECT_THAT(constraint->Accept(id), IsOk());
        return constraint;
      };
      const std::vector<int32_t> allowed = AllowedBy(*replayed(), trie);
      for (int32_t id : trie.tokens()) {
        if (id < 256 && random_() % 4 != 0) continue;
        EXPECT_EQ(replayed()->Accept(id).ok(), std::count(allowed.begin(), allowed.end(), id) == 1) << id;
      }
      std::vector<int32_t> marked;
      for (int32_t id : allowed) {
        if (id < trie.vocab_size() && (id >= 256 || step % 2 == 1)) marked.push_back(id);
      }
      taken.push_back(marked.empty() ? allowed[0] : marked[random_() % marked.size()]);
    }
  }
}

TEST_F(CitedTextTest, WithoutPassagesNothingIsCited) {
  const auto tokenizer = ByteTokenizer({});
  const TokenTrie trie(*tokenizer);
  const CitedVocabulary vocabulary(trie);
  auto constraint = New(vocabulary, {});
  const std::vector<int32_t> allowed = AllowedBy(*constraint, trie);
  for (const char mark : {'[', '"'}) EXPECT_EQ(std::count(allowed.begin(), allowed.end(), mark), 0) << mark;
  EXPECT_EQ(std::count(allowed.begin(), allowed.end(), 'a'), 1);
  EXPECT_THAT(constraint->Accept('['), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("cannot follow")));
  EXPECT_THAT(constraint->Accept(-1), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("token -1")));
  EXPECT_THAT(constraint->Accept(trie.vocab_size() - 1),  // special
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("cannot follow")));
}

// Places that have more in common than is compared are told apart no more, and one of them is followed to its end.
TEST_F(CitedTextTest, LongRepeatsAreQuotedToTheirEnd) {
  const auto tokenizer = ByteTokenizer({});
  const TokenTrie trie(*tokenizer);
  const CitedVocabulary vocabulary(trie);
  std::string repeats;
  for (int i = 0; i < 300; ++i) repeats += "fee due ";
  const Passages passages = {repeats + "x", repeats + "y"};
  auto constraint = New(vocabulary, passages);
  std::string text = "\"";
  ASSERT_THAT(constraint->Accept('"'), IsOk());
  for (int step = 0; step < 5000; ++step) {
    const std::vector<int32_t> allowed = AllowedBy(*constraint, trie);
    ASSERT_FALSE(allowed.empty());
    const int32_t id = allowed[0] == '"' && allowed.size() > 1 ? allowed[1] : allowed[0];
    ASSERT_THAT(constraint->Accept(id), IsOk());
    text += static_cast<char>(id);
    if (constraint->MayEnd()) break;
  }
  EXPECT_EQ(FaultOf(text, passages, true), "");
  EXPECT_GT(text.size(), 2000u);
  EXPECT_EQ(text.back(), '"');
}

// What random models write is nonsense, with numbers of no passage and quotes that nobody said, until they are held to
// their passages.
class CitedGenerationTest : public ::testing::TestWithParam<std::tuple<const char*, bool>> {
 protected:
  // The family's model with a vocabulary that has what cites and quotes.
  void SetUp() override {
    const auto& [name, sentence_pieces] = GetParam();
    std::filesystem::copy(TinyModel(name), folder_.path(), std::filesystem::copy_options::recursive);
    ASSERT_THAT(WriteFileAtomically(folder_ / "tokenizer.json", CitingTokenizerJson(sentence_pieces)), IsOk());
    ASSERT_OK_AND_ASSIGN(model_, DecoderModel::Load(folder_.path(), *runtime_));
  }

  testing::TempFolder folder_;
  std::unique_ptr<Runtime> runtime_ = NewRuntime();
  std::unique_ptr<DecoderModel> model_;
};

TEST_P(CitedGenerationTest, RandomModelsCiteAndQuoteTheirPassagesOnly) {
  const TokenTrie trie(model_->tokenizer());
  const CitedVocabulary vocabulary(trie);
  auto random = testing::SeededRandom(77);
  int faults_without = 0, drafted = 0;
  for (uint64_t round = 0; round < 150; ++round) {
    GenerateOptions options;
    options.max_new_tokens = 2 + static_cast<int>(random() % 40);
    options.ignore_eos = round % 2 == 0;
    options.sampling.seed = random();
    if (round % 4 != 0) options.sampling.temperature = 1.3f;
    if (round % 5 == 0) options.sampling.top_p = 0.8f;
    if (round % 5 == 1) options.sampling.top_k = 12;
    for (const char* piece : {"[", "\"", "9", "1", "]", "a", "b", "[9]", "pump"}) {
      const std::optional<int32_t> id = model_->tokenizer().TokenToId(piece);
      if (id && random() % 2 == 0) options.sampling.logit_bias.emplace_back(*id, 6.0f);
    }
    std::vector<int32_t> prompt = model_->tokenizer().Encode(Hostile()[random() % 3]);
    prompt.resize(std::min<size_t>(prompt.size(), 60));
    std::string texts[2];
    for (int drafts : {0, PromptLookup::kMaxTokens}) {
      const auto constraint = NewCitedTextConstraint(vocabulary, {3, true, Hostile()});
      options.constraint = constraint.get();
      options.draft_tokens = drafts;
      ASSERT_OK_AND_ASSIGN(GenerateResult result, Generate(*model_, prompt, options, CallContext()));
      const std::string whole = result.text.substr(0, CompleteUtf8Prefix(result.text));
      EXPECT_EQ(FaultOf(whole, Hostile(), true), "") << round << ": " << result.text;
      texts[drafts > 0] = result.text;
      drafted += result.drafted_tokens;
    }
    EXPECT_EQ(texts[0], texts[1]) << "drafts change nothing";
    options.constraint = nullptr;
    ASSERT_OK_AND_ASSIGN(GenerateResult free, Generate(*model_, prompt, options, CallContext()));
    faults_without += !FaultOf(free.text, Hostile(), true).empty();
    if (HasFailure()) return;
  }
  EXPECT_GT(faults_without, 10) << "otherwise the models keep to it by themselves";
  EXPECT_GT(drafted, 50);
}

INSTANTIATE_TEST_SUITE_P(All, CitedGenerationTest, FamiliesAndVocabularies(), FamilyAndVocabulary);

}  // namespace
}  // namespace lastro::engine::constrained
