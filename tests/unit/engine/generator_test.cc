#include "engine/generator.h"

#include <algorithm>
#include <climits>
#include <cmath>

#include "base/utf8.h"
#include "engine/constrained/json_constraint.h"
#include "engine/decoder_model.h"
#include "engine/seq2seq_model.h"
#include "tests/unit/engine/model_test_util.h"

namespace lastro::engine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using testing::StatusIs;

class GeneratorTest : public ::testing::Test {
 protected:
  std::unique_ptr<Runtime> runtime_ = NewRuntime();
  std::unique_ptr<DecoderModel> model_ = *DecoderModel::Load(TinyModel("llama-scaled-tied"), *runtime_);
  const std::vector<int32_t> prompt_ = model_->tokenizer().Encode("The keel is");

  static GenerateOptions Sampled(int tokens, uint64_t seed = 3) {
    GenerateOptions options;
    options.max_new_tokens = tokens;
    options.sampling.temperature = 1.0f;
    options.sampling.seed = seed;
    options.ignore_eos = true;
    return options;
  }
  GenerateResult Generated(const GenerateOptions& options) {
    auto result = Generate(*model_, prompt_, options, CallContext());
    EXPECT_THAT(result, IsOk());
    return result.ok() ? *std::move(result) : GenerateResult();
  }
  static std::vector<int32_t> IdsOf(const GenerateResult& result) {
    std::vector<int32_t> ids;
    for (const GeneratedToken& token : result.tokens) ids.push_back(token.id);
    return ids;
  }
};

TEST_F(GeneratorTest, GreedyIsTheArgmaxOfTheModel) {
  GenerateOptions options;
  options.max_new_tokens = 12;
  options.ignore_eos = true;
  const GenerateResult result = Generated(options);
  ASSERT_EQ(result.tokens.size(), 12u);
  EXPECT_EQ(result.finish, FinishReason::kMaxTokens);
  EXPECT_EQ(result.prompt_tokens, static_cast<int>(prompt_.size()));
  auto session = *model_->NewSession(100);
  std::vector<int32_t> next = prompt_;
  for (const GeneratedToken& token : result.tokens) {
    std::vector<float> logits;
    ASSERT_THAT(session->Extend(next, LogitsOf::kLast, CallContext(), &logits), IsOk());
    EXPECT_EQ(token.id, std::max_element(logits.begin(), logits.end()) - logits.begin());
    next = {token.id};
  }
}

TEST_F(GeneratorTest, SeedDecides) {
  EXPECT_EQ(IdsOf(Generated(Sampled(40, 1))), IdsOf(Generated(Sampled(40, 1))));
  EXPECT_NE(IdsOf(Generated(Sampled(40, 1))), IdsOf(Generated(Sampled(40, 2))));
}

TEST_F(GeneratorTest, TextIsTheTokensTextAndAlwaysWholeUtf8) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    std::string streamed;
    auto sink = [&](const GeneratedToken& token) {
      streamed += token.text;
      EXPECT_EQ(streamed.size(), CompleteUtf8Prefix(streamed));
      return absl::OkStatus();
    };
    ASSERT_OK_AND_ASSIGN(GenerateResult result, Generate(*model_, prompt_, Sampled(60, seed), CallContext(), sink));
    EXPECT_EQ(streamed, result.text);
    EXPECT_TRUE(IsValidUtf8(result.text));
    EXPECT_EQ(result.text, ReplaceInvalidUtf8(model_->tokenizer().Decode(IdsOf(result))));
  }
}

// Every substring of what a seed generates, as a stop string: the text ends before it, also where it spans tokens.
TEST_F(GeneratorTest, StopStringsEndTheTextWhereverTheyLie) {
  const std::string whole = Generated(Sampled(40)).text;
  ASSERT_GE(whole.size(), 30u);
  for (size_t begin = 0; begin + 5 < whole.size(); begin += 3) {
    const std::string stop = whole.substr(begin, 1 + begin % 5);
    if (!IsValidUtf8(stop)) continue;
    GenerateOptions options = Sampled(40);
    options.stop = {"never to be found", stop};
    const GenerateResult result = Generated(options);
    EXPECT_EQ(result.text, whole.substr(0, whole.find(stop))) << stop;
    EXPECT_EQ(result.finish, FinishReason::kStopString);
    std::string streamed;
    for (const GeneratedToken& token : result.tokens) streamed += token.text;
    EXPECT_EQ(streamed, result.text);
  }
}

TEST_F(GeneratorTest, EndOfTextAndStopIdsEndWithoutShowingThemselves) {
  const std::vector<int32_t> ids = IdsOf(Generated(Sampled(30)));
  GenerateOptions options = Sampled(30);
  options.stop_ids = {ids[10]};
  const GenerateResult result = Generated(options);
  const size_t first = static_cast<size_t>(std::find(ids.begin(), ids.end(), ids[10]) - ids.begin());
  ASSERT_EQ(result.tokens.size(), first + 1);
  EXPECT_EQ(result.finish, FinishReason::kEndOfText);
  EXPECT_EQ(result.text, ReplaceInvalidUtf8(model_->tokenizer().Decode({ids.data(), first})));
  // The model's own end of text, forced by a bias.
  options = Sampled(30);
  options.sampling.logit_bias = {{1, 1000.0f}};
  EXPECT_EQ(Generated(options).tokens.size(), 30u);
  options.ignore_eos = false;
  EXPECT_EQ(Generated(options).tokens.size(), 1u);
  EXPECT_EQ(Generated(options).text, "");
}

TEST_F(GeneratorTest, Logprobs) {
  GenerateOptions options = Sampled(5);
  options.top_logprobs = 3;
  for (const GeneratedToken& token : Generated(options).tokens) {
    ASSERT_EQ(token.top.size(), 3u);
    EXPECT_LE(token.logprob, token.top[0].logprob + 1e-6);
    EXPECT_LE(token.logprob, 0.0f);
  }
  options.top_logprobs = 0;
  for (const GeneratedToken& token : Generated(options).tokens) EXPECT_TRUE(token.top.empty() && token.logprob < 0);
}

TEST_F(GeneratorTest, RefusesBadOptionsAndOverlongPrompts) {
  auto status = [&](auto edit) {
    GenerateOptions options = Sampled(4);
    edit(options);
    return Generate(*model_, prompt_, options, CallContext()).status();
  };
  EXPECT_THAT(status([](auto& o) { o.max_new_tokens = 0; }), StatusIs(kInvalid, HasSubstr("max_new_tokens")));
  EXPECT_THAT(status([](auto& o) { o.stop = {""}; }), StatusIs(kInvalid, HasSubstr("stop")));
  EXPECT_THAT(status([](auto& o) { o.stop.assign(65, "x"); }), StatusIs(kInvalid, HasSubstr("stop")));
  EXPECT_THAT(status([](auto& o) { o.draft_tokens = -1; }), StatusIs(kInvalid, HasSubstr("draft_tokens")));
  EXPECT_THAT(status([](auto& o) { o.draft_tokens = 4; }), StatusIs(kInvalid, HasSubstr("[0, 3]")));
  EXPECT_THAT(status([](auto& o) { o.top_logprobs = -2; }), StatusIs(kInvalid, HasSubstr("top_logprobs")));
  EXPECT_THAT(status([](auto& o) { o.sampling.top_p = 2; }), StatusIs(kInvalid, HasSubstr("top_p")));
  EXPECT_THAT(status([](auto& o) { o.max_new_tokens = 510; }),
              StatusIs(kInvalid, AllOf(HasSubstr(std::to_string(prompt_.size()) + " tokens"), HasSubstr("510"),
                                       HasSubstr("512"))));
  EXPECT_THAT(Generate(*model_, {}, Sampled(4), CallContext()), StatusIs(kInvalid, HasSubstr("empty")));
  EXPECT_THAT(status([](auto& o) { o.max_new_tokens = INT_MAX; }), StatusIs(kInvalid, HasSubstr("exceed")));
}

TEST_F(GeneratorTest, SinkErrorsAndCancellationEndIt) {
  int tokens = 0;
  auto sink = [&](const GeneratedToken&) { return ++tokens == 3 ? absl::UnavailableError("gone") : absl::OkStatus(); };
  EXPECT_THAT(Generate(*model_, prompt_, Sampled(50), CallContext(), sink),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("gone")));
  EXPECT_EQ(tokens, 3);
  CallContext context;
  auto cancelling = [&](const GeneratedToken&) {
    if (++tokens == 8) context.Cancel();
    return absl::OkStatus();
  };
  EXPECT_THAT(Generate(*model_, prompt_, Sampled(50), context, cancelling),
              StatusIs(absl::StatusCode::kCancelled, ::testing::_));
  EXPECT_EQ(tokens, 8);
}

// The bits of everything a text is made of.
void ExpectSameText(const GenerateResult& got, const GenerateResult& want) {
  EXPECT_EQ(got.text, want.text);
  EXPECT_EQ(got.finish, want.finish);
  EXPECT_EQ(got.prompt_tokens, want.prompt_tokens);
  ASSERT_EQ(got.tokens.size(), want.tokens.size());
  for (size_t i = 0; i < want.tokens.size(); ++i) {
    ASSERT_EQ(got.tokens[i].id, want.tokens[i].id) << i;
    ASSERT_EQ(got.tokens[i].text, want.tokens[i].text) << i;
    ASSERT_EQ(got.tokens[i].logprob, want.tokens[i].logprob) << i;
    ASSERT_EQ(got.tokens[i].top.size(), want.tokens[i].top.size());
    for (size_t k = 0; k < want.tokens[i].top.size(); ++k) {
      ASSERT_EQ(got.tokens[i].top[k].id, want.tokens[i].top[k].id) << i;
      ASSERT_EQ(got.tokens[i].top[k].logprob, want.tokens[i].top[k].logprob) << i;
    }
  }
}

// Texts with drafts beside the same without.
class DraftsTest : public ::testing::Test {
 protected:
  std::vector<int32_t> RepetitivePrompt() {
    std::vector<int32_t> pattern(3 + random_() % 10), prompt;
    for (int32_t& id : pattern) id = AnyToken();
    const size_t length = 1 + random_() % 120;
    while (prompt.size() < length) {
      prompt.push_back(random_() % 12 == 0 ? AnyToken() : pattern[prompt.size() % pattern.size()]);
    }
    return prompt;
  }
  int32_t AnyToken() { return 3 + static_cast<int32_t>(random_() % static_cast<uint64_t>(vocab_ - 3)); }

  // Any of everything. Biases for a few tokens keep a text among them, so that it repeats itself.
  GenerateOptions RandomOptions() {
    GenerateOptions options;
    options.max_new_tokens = 1 + static_cast<int>(random_() % 60);
    options.ignore_eos = random_() % 4 > 0;
    options.top_logprobs = static_cast<int>(random_() % 4) - 1;
    SamplingParams& sampling = options.sampling;
    sampling.seed = random_();
    if (random_() % 3 > 0) sampling.temperature = 0.1f + 0.3f * static_cast<float>(random_() % 5);
    if (random_() % 4 == 0) sampling.top_k = 1 + static_cast<int>(random_() % 6);
    if (random_() % 4 == 0) sampling.top_p = 0.6f;
    if (random_() % 4 == 0) sampling.min_p = 0.1f;
    if (random_() % 6 == 0) sampling.repetition_penalty = 1.2f;
    if (random_() % 6 == 0) sampling.presence_penalty = 0.4f;
    if (random_() % 6 == 0) sampling.frequency_penalty = 0.1f;
    for (size_t i = random_() % 4; i > 0; --i) sampling.logit_bias.emplace_back(AnyToken(), 20.0f);
    if (random_() % 4 == 0) options.stop_ids = {AnyToken(), AnyToken()};
    return options;
  }

  // Generates with drafts and without, and counts; `schema` may be null.
  GenerateResult Compare(const LanguageModel& model, const std::vector<int32_t>& prompt, GenerateOptions options,
                         const constrained::JsonSchema* schema = nullptr,
                         const constrained::TokenTrie* trie = nullptr) {
    GenerateResult results[2];
    for (int drafts : {0, PromptLookup::kMaxTokens}) {
      std::unique_ptr<TokenConstraint> constraint = schema == nullptr ? nullptr : schema->NewConstraint(*trie);
      options.constraint = constraint.get();
      options.draft_tokens = drafts;
      auto result = Generate(model, prompt, options, CallContext());
      EXPECT_THAT(result, IsOk());
      if (!result.ok()) return {};
      EXPECT_EQ(static_cast<int>(result->tokens.size()), 1 + result->decoding_steps + result->accepted_tokens);
      EXPECT_LE(result->accepted_tokens, result->drafted_tokens);
      results[drafts > 0] = *std::move(result);
    }
    EXPECT_EQ(results[0].drafted_tokens, 0);
    ExpectSameText(results[1], results[0]);
    ++texts_;
    with_accepted_ += results[1].accepted_tokens > 0;
    with_rejected_ += results[1].accepted_tokens < results[1].drafted_tokens;
    return results[1];
  }

  // The comparison says something only where drafts were accepted, and where some were not.
  void ExpectDrafts() const {
    EXPECT_GT(with_accepted_, texts_ / 4) << "of " << texts_;
    EXPECT_GT(with_rejected_, texts_ / 4) << "of " << texts_;
  }

  std::mt19937_64 random_ = testing::SeededRandom(88);
  int vocab_ = 176;
  int texts_ = 0, with_accepted_ = 0, with_rejected_ = 0;
};

class DraftsOfAType : public DraftsTest, public ::testing::WithParamInterface<ComputeType> {};

TEST_P(DraftsOfAType, ChangeNothingWhateverTheOptions) {
  std::unique_ptr<Runtime> runtime = NewRuntime(GetParam());
  for (const char* name : {"llama-scaled-tied", "llama-linear-bf16", "gemma2-caps"}) {
    SCOPED_TRACE(name);
    auto model = *DecoderModel::Load(TinyModel(name), *runtime);
    vocab_ = model->info().vocab_size;
    for (int round = 0; round < 120; ++round) {
      SCOPED_TRACE(round);
      const std::vector<int32_t> prompt = RepetitivePrompt();
      GenerateOptions options = RandomOptions();
      const GenerateResult whole = Compare(*model, prompt, options);
      const size_t begin = whole.text.empty() ? 0 : random_() % whole.text.size();
      const std::string stop = whole.text.substr(begin, 1 + random_() % 4);
      if (!stop.empty() && IsValidUtf8(stop)) {
        options.stop = {stop};
        EXPECT_EQ(Compare(*model, prompt, options).finish, FinishReason::kStopString);
      }
      if (HasFailure()) return;
    }
  }
  ExpectDrafts();
}

INSTANTIATE_TEST_SUITE_P(, DraftsOfAType, ::testing::Values(ComputeType::kFloat32, ComputeType::kBFloat16),
                         [](const auto& info) { return info.param == ComputeType::kFloat32 ? "fp32" : "bf16"; });

TEST_F(DraftsTest, ChangeNothingUnderAConstraint) {
  std::unique_ptr<Runtime> runtime = NewRuntime();
  auto model = *DecoderModel::Load(TinyModel("llama-scaled-tied"), *runtime);
  const constrained::TokenTrie trie(model->tokenizer());
  ASSERT_OK_AND_ASSIGN(constrained::JsonSchema schema, constrained::JsonSchema::Parse(R"({"type": "array",
      "minItems": 2, "maxItems": 9, "items": {"anyOf": [{"enum": ["keel", "hull"]}, {"type": "object", "properties":
      {"knots": {"type": "integer", "minimum": 0, "maximum": 40}}, "required": ["knots"],
      "additionalProperties": false}]}})"));
  for (int round = 0; round < 60; ++round) {
    SCOPED_TRACE(round);
    GenerateOptions options = RandomOptions();
    options.max_new_tokens += 40;
    options.stop_ids.clear();
    Compare(*model, RepetitivePrompt(), options, &schema, &trie);
  }
  ExpectDrafts();
}

TEST_F(DraftsTest, EndWhereMaxNewTokensSays) {
  std::unique_ptr<Runtime> runtime = NewRuntime();
  auto model = *DecoderModel::Load(TinyModel("llama-scaled-tied"), *runtime);
  for (int tokens = 1; tokens <= 40; ++tokens) {
    GenerateOptions options;
    options.max_new_tokens = tokens;
    options.ignore_eos = true;
    options.sampling.logit_bias = {{9, 1000.0f}};
    const GenerateResult result = Compare(*model, std::vector<int32_t>(20, 9), options);
    EXPECT_EQ(result.tokens.size(), static_cast<size_t>(tokens));
    EXPECT_EQ(result.finish, FinishReason::kMaxTokens);
    EXPECT_EQ(result.accepted_tokens, result.drafted_tokens);  // never more than can be used
    EXPECT_LT(result.decoding_steps, 4 + tokens / 3);
  }
  // Up to the last token that the context holds.
  GenerateOptions options;
  options.max_new_tokens = 12;
  options.sampling.logit_bias = {{9, 1000.0f}};
  Compare(*model, std::vector<int32_t>(500, 9), options);
}

TEST_F(DraftsTest, OfAnEncodedPromptComeFromItAndFromTheText) {
  std::unique_ptr<Runtime> runtime = NewRuntime();
  for (const char* name : {"bart", "t5-tied-relu"}) {
    SCOPED_TRACE(name);
    auto model = *Seq2SeqModel::Load(TinyModel(name), *runtime);
    for (int round = 0; round < 40; ++round) {
      std::vector<int32_t> prompt;
      for (int i = 0; i < 20; ++i) prompt.push_back(3 + (i * 5 + round) % 60);
      GenerateOptions options;
      options.max_new_tokens = 30;
      options.ignore_eos = round % 2 == 0;
      options.sampling.temperature = 0.2f * static_cast<float>(round % 3);
      options.sampling.seed = static_cast<uint64_t>(round);
      // Two tokens of the source in turn with any others.
      if (round % 4 > 0) options.sampling.logit_bias = {{prompt[3], 15.0f}, {prompt[4], 15.0f}};
      Compare(*model, prompt, options);
    }
  }
  ExpectDrafts();
}

TEST_F(DraftsTest, ACancelledOrRefusedTextShowsNoTokenMore) {
  std::unique_ptr<Runtime> runtime = NewRuntime();
  auto model = *DecoderModel::Load(TinyModel("llama-scaled-tied"), *runtime);
  GenerateOptions options;
  options.max_new_tokens = 60;
  options.ignore_eos = true;
  options.sampling.logit_bias = {{9, 1000.0f}};
  const std::vector<int32_t> prompt(20, 9);
  for (int last = 1; last <= 20; ++last) {
    CallContext context;
    int tokens = 0;
    auto cancel = [&](const GeneratedToken&) {
      if (++tokens == last) context.Cancel();
      return absl::OkStatus();
    };
    EXPECT_THAT(Generate(*model, prompt, options, context, cancel),
                StatusIs(absl::StatusCode::kCancelled, ::testing::_));
    EXPECT_EQ(tokens, last);
    tokens = 0;
    auto refuse = [&](const GeneratedToken&) {
      return ++tokens == last ? absl::DataLossError("enough") : absl::OkStatus();
    };
    EXPECT_THAT(Generate(*model, prompt, options, CallContext(), refuse),
                StatusIs(absl::StatusCode::kDataLoss, "enough"));
    EXPECT_EQ(tokens, last);
  }
  Compare(*model, prompt, options);
}

// Drafts need room that the text itself may not need: where there is none it goes on without them.
TEST_F(DraftsTest, ATextGetsAsFarInFullMemoryAsWithoutThem) {
  RuntimeOptions small;
  small.compute_type = ComputeType::kFloat32;
  small.kv_bytes = 4 * 2 * 2 * 3 * 14 * 16 * 4;  // 4 blocks: layers, K and V, KV heads, width, tokens, fp32
  auto runtime = *Runtime::Create(small);
  auto model = *DecoderModel::Load(TinyModel("llama-gqa"), *runtime);
  auto other = *model->NewSession(32);
  ASSERT_THAT(other->Extend(std::vector<int32_t>(32, 5), LogitsOf::kNone, CallContext(), nullptr), IsOk());
  for (int length = 9; length <= 31; ++length) {
    GenerateOptions options;
    options.max_new_tokens = 64 - length;
    options.ignore_eos = true;
    options.sampling.logit_bias = {{9, 1000.0f}};
    for (int drafts : {0, 1, 2, 3}) {
      options.draft_tokens = drafts;
      int tokens = 0;
      auto count = [&](const GeneratedToken&) { return ++tokens, absl::OkStatus(); };
      EXPECT_THAT(Generate(*model, std::vector<int32_t>(static_cast<size_t>(length), 9), options, CallContext(), count),
                  StatusIs(absl::StatusCode::kResourceExhausted, ::testing::_));
      EXPECT_EQ(tokens, 33 - length) << drafts;
    }
  }
}

TEST_F(GeneratorTest, ScoresEqualTheSumOfLogSoftmax) {
  std::vector<std::vector<int32_t>> continuations = {{5}, {}, {7, 9, 11}, {}};
  for (int i = 0; i < 150; ++i) continuations[3].push_back(3 + i);  // more than one piece
  ASSERT_OK_AND_ASSIGN(auto scored, ScoreContinuations(*model_, prompt_, continuations, {}, CallContext()));
  const std::vector<ContinuationScore>& scores = scored.scores;
  ASSERT_EQ(scores.size(), 4u);
  for (size_t i = 0; i < continuations.size(); ++i) {
    std::vector<int32_t> all = prompt_;
    all.insert(all.end(), continuations[i].begin(), continuations[i].end());
    auto session = *model_->NewSession(static_cast<int>(all.size()));
    std::vector<float> logits;
    ASSERT_THAT(session->Extend(all, LogitsOf::kAll, CallContext(), &logits), IsOk());
    double want = 0;
    for (size_t t = prompt_.size(); t < all.size(); ++t) {
      const float* row = &logits[(t - 1) * 176];
      double total = 0;
      for (int v = 0; v < 176; ++v) total += std::exp(static_cast<double>(row[v]));
      want += row[all[t]] - std::log(total);
    }
    EXPECT_NEAR(scores[i].logprob, want, 1e-4 * (1 + static_cast<double>(continuations[i].size())));
    EXPECT_EQ(scores[i].tokens, static_cast<int>(continuations[i].size()));
  }
}

TEST_F(GeneratorTest, ScoringRefusesBadInput) {
  EXPECT_THAT(ScoreContinuations(*model_, {}, {{1}}, {}, CallContext()), StatusIs(kInvalid, HasSubstr("empty")));
  EXPECT_THAT(ScoreContinuations(*model_, prompt_, {{1, 176}}, {}, CallContext()),
              StatusIs(kInvalid, HasSubstr("176")));
  EXPECT_THAT(ScoreContinuations(*model_, prompt_, {std::vector<int32_t>(510, 5)}, {}, CallContext()),
              StatusIs(kInvalid, AllOf(HasSubstr("510"), HasSubstr("512"))));
}

}  // namespace
}  // namespace lastro::engine
