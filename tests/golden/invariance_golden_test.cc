// RuntimeOptions::deterministic: what a sequence gives does not depend, to the last bit, on how its tokens are cut into
// steps nor on what runs beside it. On every golden decoder, in fp32 and bf16, on quantised weights, and on encoders.
// And without it: steps of up to kernels::kMaxGemvRows rows, as drafts make them (engine/prompt_lookup.h), give the
// same bits as steps of one.
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "engine/decoder_model.h"
#include "engine/embedding_model.h"
#include "engine/generator.h"
#include "engine/lora.h"
#include "engine/quantize.h"
#include "tests/golden/golden_util.h"
#include "tests/test_util.h"
#include "tests/unit/engine/model_test_util.h"

namespace lastro::engine {
namespace {

using testing::IsOk;

std::unique_ptr<Runtime> Deterministic(ComputeType type) {
  RuntimeOptions options;
  options.compute_type = type;
  options.threads = 2;
  options.deterministic = true;
  return *Runtime::Create(options);
}

std::vector<int32_t> Prompt(const DecoderModel& model, int length, uint64_t seed) {
  std::mt19937_64 random = testing::SeededRandom(seed);
  std::vector<int32_t> ids;
  for (int i = 0; i < length; ++i) {
    ids.push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(model.info().vocab_size)));
  }
  return ids;
}

// The logits of all positions, the prompt being cut into pieces of these sizes, the last of which repeats.
std::vector<float> InPieces(const DecoderModel& model, const std::vector<int32_t>& ids,
                            const std::vector<size_t>& pieces, const LoraAdapter* adapter = nullptr) {
  auto session = model.NewSession(static_cast<int>(ids.size()), adapter);
  EXPECT_THAT(session, IsOk());
  std::vector<float> all, logits;
  size_t begin = 0;
  for (size_t i = 0; begin < ids.size(); ++i) {
    const auto piece = absl::MakeConstSpan(ids).subspan(begin, pieces[std::min(i, pieces.size() - 1)]);
    EXPECT_THAT((*session)->Extend(piece, LogitsOf::kAll, CallContext(), &logits), IsOk());
    all.insert(all.end(), logits.begin(), logits.end());
    begin += piece.size();
  }
  return all;
}

// The same of several prompts in common steps, each prompt with a piece size of its own.
std::vector<std::vector<float>> Together(const DecoderModel& model, const std::vector<std::vector<int32_t>>& prompts) {
  std::vector<std::unique_ptr<DecoderSession>> sessions;
  for (const auto& ids : prompts) sessions.push_back(*model.NewSession(static_cast<int>(ids.size())));
  std::vector<std::vector<float>> all(prompts.size()), logits(prompts.size());
  std::vector<size_t> begin(prompts.size(), 0);
  for (;;) {
    std::vector<StepRequest> requests;
    for (size_t i = 0; i < prompts.size(); ++i) {
      if (begin[i] >= prompts[i].size()) continue;
      requests.push_back({sessions[i].get(), absl::MakeConstSpan(prompts[i]).subspan(begin[i], 1 + 3 * i),
                          LogitsOf::kAll, &logits[i], absl::OkStatus()});
    }
    if (requests.empty()) return all;
    Step(absl::MakeSpan(requests), CallContext());
    for (const StepRequest& request : requests) EXPECT_THAT(request.status, IsOk());
    for (size_t i = 0; i < prompts.size(); ++i) {
      if (begin[i] >= prompts[i].size()) continue;
      all[i].insert(all[i].end(), logits[i].begin(), logits[i].end());
      begin[i] += 1 + 3 * i;
    }
  }
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void ExpectInvariant(const DecoderModel& model) {
  std::vector<std::vector<int32_t>> prompts;
  for (int length : {77, 40, 1, 55}) prompts.push_back(Prompt(model, length, 700 + static_cast<uint64_t>(length)));
  const std::vector<std::vector<float>> together = Together(model, prompts);
  for (size_t i = 0; i < prompts.size(); ++i) {
    SCOPED_TRACE(prompts[i].size());
    const std::vector<float> whole = InPieces(model, prompts[i], {300});
    EXPECT_TRUE(SameBits(whole, InPieces(model, prompts[i], {1})));
    EXPECT_TRUE(SameBits(whole, InPieces(model, prompts[i], {3, 30, 5, 1, 29})));
    EXPECT_TRUE(SameBits(whole, together[i]));
  }
}

// As ExpectInvariant, of steps of few rows.
void ExpectFewRowsInvariant(const DecoderModel& model, const LoraAdapter* adapter = nullptr) {
  static_assert(PromptLookup::kMaxTokens + 1 == kernels::kMaxGemvRows);
  const std::vector<int32_t> prompt = Prompt(model, 60, 900);
  const std::vector<float> one = InPieces(model, prompt, {1}, adapter);
  for (const std::vector<size_t>& pieces : std::vector<std::vector<size_t>>{{2}, {3}, {4}, {1, 4, 2, 1, 3, 4, 1}}) {
    EXPECT_TRUE(SameBits(one, InPieces(model, prompt, pieces, adapter))) << pieces[0];
  }
}

class DeterministicDecoders : public ::testing::TestWithParam<std::string> {};

TEST_P(DeterministicDecoders, GiveTheSameBitsHoweverTheirTokensAreBatched) {
  // Rotary positions that depend on the capacity of a session are the same for sessions of one length.
  for (ComputeType type : {ComputeType::kFloat32, ComputeType::kBFloat16}) {
    SCOPED_TRACE(type == ComputeType::kFloat32 ? "fp32" : "bf16");
    auto runtime = Deterministic(type);
    ASSERT_OK_AND_ASSIGN(auto model, DecoderModel::Load(testing::GoldenPath(GetParam()), *runtime));
    ExpectInvariant(*model);
    auto plain_runtime = NewRuntime(type);
    ASSERT_OK_AND_ASSIGN(auto plain, DecoderModel::Load(testing::GoldenPath(GetParam()), *plain_runtime));
    ExpectFewRowsInvariant(*plain);
    if (type == ComputeType::kBFloat16) continue;  // rounding may choose other experts
    const std::vector<int32_t> prompt = Prompt(*model, 50, 3);
    const std::vector<float> got = InPieces(*model, prompt, {50}), want = InPieces(*plain, prompt, {50});
    for (size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got[i], want[i], 2e-4) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, DeterministicDecoders, ::testing::ValuesIn(testing::GoldenFolders("logits.17")),
                         [](const auto& info) { return testing::TestName(info.param); });

class DeterministicQuantised : public ::testing::TestWithParam<const char*> {};

TEST_P(DeterministicQuantised, GiveTheSameBitsHoweverTheirTokensAreBatched) {
  testing::TempFolder folder;
  QuantizeOptions options;
  options.type = GetParam();
  const std::string gguf = folder / "m.gguf";
  ASSERT_THAT(QuantizeModel(LASTRO_SOURCE_DIR "/deploy/models/decoder", gguf, options, CallContext()), IsOk());
  for (ComputeType type : {ComputeType::kAuto, ComputeType::kFloat32}) {
    auto runtime = Deterministic(type);
    ASSERT_OK_AND_ASSIGN(auto model, DecoderModel::Load(gguf, *runtime));
    ExpectInvariant(*model);
    auto plain_runtime = NewRuntime(type);
    ASSERT_OK_AND_ASSIGN(auto plain, DecoderModel::Load(gguf, *plain_runtime));
    ExpectFewRowsInvariant(*plain);
  }
}

INSTANTIATE_TEST_SUITE_P(Types, DeterministicQuantised, ::testing::Values("q8_0", "q4_0", "q4_k_m", "q5_k_m", "q6_k"),
                         [](const auto& info) { return std::string(info.param); });

TEST(StepsOfFewRows, GiveTheSameBitsWithAnAdapter) {
  auto runtime = NewRuntime(ComputeType::kAuto);
  ASSERT_OK_AND_ASSIGN(auto model, DecoderModel::Load(testing::GoldenPath("llama-gqa"), *runtime));
  ASSERT_OK_AND_ASSIGN(auto adapter, model->LoadAdapter(LASTRO_SOURCE_DIR "/tests/golden/lora/llama-all"));
  ExpectFewRowsInvariant(*model, adapter.get());
}

// Texts drawn with seeds, alone and while others are drawn at the same time.
TEST(DeterministicTexts, AreTheSameForASeedWhoeverElseIsServed) {
  auto runtime = Deterministic(ComputeType::kAuto);
  ASSERT_OK_AND_ASSIGN(auto model, DecoderModel::Load(LASTRO_SOURCE_DIR "/deploy/models/decoder", *runtime));
  auto draw = [&](uint64_t seed) {
    GenerateOptions options;
    options.sampling.temperature = 1.0f;
    options.sampling.seed = seed;
    options.max_new_tokens = 40;
    options.ignore_eos = true;
    auto result = Generate(*model, Prompt(*model, 10 + 7 * static_cast<int>(seed), seed), options, CallContext());
    EXPECT_THAT(result, IsOk());
    std::vector<int32_t> ids;
    for (const GeneratedToken& token : result->tokens) ids.push_back(token.id);
    return ids;
  };
  constexpr size_t kTexts = 6;
  std::vector<std::vector<int32_t>> alone, together(kTexts);
  for (size_t seed = 0; seed < kTexts; ++seed) alone.push_back(draw(seed));
  std::vector<std::thread> threads;
  for (size_t seed = 0; seed < kTexts; ++seed) threads.emplace_back([&, seed] { together[seed] = draw(seed); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(together, alone);
  EXPECT_NE(alone[1], alone[2]);
}

TEST(DeterministicEncoders, GiveATextTheSameVectorWhateverIsBesideIt) {
  for (const char* name : {"bert-mean", "roberta-mean", "modernbert-mean", "qwen3-embedding"}) {
    SCOPED_TRACE(name);
    auto runtime = Deterministic(ComputeType::kFloat32);
    ASSERT_OK_AND_ASSIGN(auto model, EmbeddingModel::Load(testing::GoldenPath(name), *runtime));
    std::vector<std::string> texts = {"the cat", "a", "river river river river", "dog", "the the the the the the the"};
    ASSERT_OK_AND_ASSIGN(std::vector<float> batch, model->Embed(texts, false, CallContext()));
    auto plain_runtime = NewRuntime();
    ASSERT_OK_AND_ASSIGN(auto plain_model, EmbeddingModel::Load(testing::GoldenPath(name), *plain_runtime));
    ASSERT_OK_AND_ASSIGN(std::vector<float> plain, plain_model->Embed(texts, false, CallContext()));
    ASSERT_EQ(plain.size(), batch.size());
    for (size_t i = 0; i < plain.size(); ++i) ASSERT_NEAR(plain[i], batch[i], 2e-5);
    const size_t dimension = static_cast<size_t>(model->info().dimension);
    for (size_t i = 0; i < texts.size(); ++i) {
      ASSERT_OK_AND_ASSIGN(std::vector<float> alone, model->Embed({texts[i]}, false, CallContext()));
      EXPECT_TRUE(SameBits(alone, {batch.begin() + static_cast<ptrdiff_t>(i * dimension),
                                   batch.begin() + static_cast<ptrdiff_t>((i + 1) * dimension)}))
          << texts[i];
    }
  }
}

}  // namespace
}  // namespace lastro::engine
