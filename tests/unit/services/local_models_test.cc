// The components that run models, on tiny checkpoints with random weights.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>

#include "services/local/local_services.h"
#include "tests/test_util.h"

namespace lastro::services {
namespace {

using lastro::testing::IsOk;
using lastro::testing::kInvalid;
using lastro::testing::StatusIs;
using lastro::testing::TempFolder;
using ::testing::HasSubstr;

constexpr char kDecoder[] = LASTRO_SOURCE_DIR "/tests/golden/models/llama-gqa";
constexpr char kEmbedder[] = LASTRO_SOURCE_DIR "/tests/golden/models/bert-mean";

class LocalModelsTest : public ::testing::Test {
 protected:
  static engine::RuntimeOptions Options() { return {1, engine::ComputeType::kFloat32, "cpu"}; }

  ModelProvider models_{{.decoder = kDecoder, .embedders = {kEmbedder}}, Options()};
  std::unique_ptr<EmbeddingApi> embedding_ = MakeLocalEmbedding(&models_, nullptr);
  std::unique_ptr<GenerationApi> generation_ = MakeLocalGeneration(&models_);
  std::unique_ptr<InspectApi> inspect_ = MakeLocalInspect(&models_);
  const CallContext context_;
};

v1::Prompt Text(const std::string& text) {
  v1::Prompt prompt;
  prompt.set_text(text);
  return prompt;
}

TEST_F(LocalModelsTest, EmbedGivesUnitVectorsInOrder) {
  v1::EmbedRequest request;
  for (const char* text : {"the cat", "a dog", "the cat"}) request.add_texts(text);
  ASSERT_OK_AND_ASSIGN(v1::EmbedResponse response, embedding_->Embed(request, context_));
  ASSERT_EQ(response.vectors_size(), 3);
  for (const v1::Vector& vector : response.vectors()) {
    ASSERT_EQ(vector.values_size(), response.dimension());
    double square = 0;
    for (float value : vector.values()) square += static_cast<double>(value) * value;
    EXPECT_NEAR(square, 1.0, 1e-4);
  }
  for (int i = 0; i < response.dimension(); ++i) {
    EXPECT_NEAR(response.vectors(0).values(i), response.vectors(2).values(i), 1e-5);
  }
  EXPECT_EQ(response.model(), "bert-mean");
  EXPECT_EQ(response.fingerprint().size(), 64u);
  EXPECT_GT(response.max_tokens(), 0);
  EXPECT_GT(response.usage().prompt_tokens(), 6);
}

TEST_F(LocalModelsTest, LongTextsAreCutOnlyWhenAskedFor) {
  std::string text;
  for (int i = 0; i < 5'000; ++i) text += "cat ";
  v1::EmbedRequest request;
  request.add_texts("cat");
  request.add_texts(text);
  EXPECT_THAT(embedding_->Embed(request, context_), StatusIs(kInvalid, HasSubstr("1")));
  request.set_truncate(true);
  ASSERT_OK_AND_ASSIGN(v1::EmbedResponse response, embedding_->Embed(request, context_));
  ASSERT_EQ(response.truncated_size(), 1);
  EXPECT_EQ(response.truncated(0), 1);
  EXPECT_LE(response.usage().prompt_tokens(), 2 * response.max_tokens());
}

// A model that was trained with "query: " and "passage: ".
TEST(LocalEmbeddingRoles, PrefixesAreWhatTheModelSees) {
  const std::string folder = LASTRO_SOURCE_DIR "/tests/golden/models/roberta-mean";
  ModelProvider models({.embedders = {folder}}, {1, engine::ComputeType::kFloat32, "cpu"});
  std::unique_ptr<EmbeddingApi> embedding = MakeLocalEmbedding(&models, nullptr);
  auto embed = [&](const std::string& text, v1::TextRole role) {
    v1::EmbedRequest request;
    request.add_texts(text);
    request.set_role(role);
    absl::StatusOr<v1::EmbedResponse> response = embedding->Embed(request, CallContext());
    EXPECT_THAT(response, IsOk());
    return *response;
  };
  auto values = [](const v1::EmbedResponse& response) {
    return std::vector<float>(response.vectors(0).values().begin(), response.vectors(0).values().end());
  };
  const v1::EmbedResponse plain = embed("the cat", v1::TEXT_ROLE_UNSPECIFIED);
  const v1::EmbedResponse query = embed("the cat", v1::QUERY), document = embed("the cat", v1::DOCUMENT);
  EXPECT_EQ(values(query), values(embed("query: the cat", v1::TEXT_ROLE_UNSPECIFIED)));
  EXPECT_EQ(values(document), values(embed("passage: the cat", v1::TEXT_ROLE_UNSPECIFIED)));
  EXPECT_NE(values(query), values(document));
  EXPECT_NE(values(query), values(plain));
  // What a prefix takes is no longer there for the text.
  const int taken = plain.max_tokens() - query.max_tokens();
  EXPECT_GT(taken, 0);
  EXPECT_GT(query.usage().prompt_tokens(), plain.usage().prompt_tokens());
  EXPECT_LE(query.usage().prompt_tokens(), plain.usage().prompt_tokens() + taken);
}

TEST_F(LocalModelsTest, ModelsWithoutPrefixesEmbedAllRolesAlike) {
  v1::EmbedRequest request;
  request.add_texts("the cat");
  ASSERT_OK_AND_ASSIGN(v1::EmbedResponse plain, embedding_->Embed(request, context_));
  for (v1::TextRole role : {v1::QUERY, v1::DOCUMENT}) {
    request.set_role(role);
    ASSERT_OK_AND_ASSIGN(v1::EmbedResponse response, embedding_->Embed(request, context_));
    EXPECT_EQ(response.SerializeAsString(), plain.SerializeAsString());
  }
  request.set_role(static_cast<v1::TextRole>(9));
  EXPECT_THAT(embedding_->Embed(request, context_), StatusIs(kInvalid, HasSubstr("role 9")));
}

TEST_F(LocalModelsTest, EmbedLimits) {
  v1::EmbedRequest request;
  EXPECT_THAT(embedding_->Embed(request, context_), StatusIs(kInvalid, HasSubstr("texts is empty")));
  for (int i = 0; i < 1'025; ++i) request.add_texts("x");
  EXPECT_THAT(embedding_->Embed(request, context_), StatusIs(kInvalid, HasSubstr("1025 entries; the limit is 1024")));
  v1::TokenizeTextsRequest tokenize;
  tokenize.add_texts(std::string((4u << 20) + 1, 'x'));
  EXPECT_THAT(embedding_->Tokenize(tokenize, context_), StatusIs(kInvalid, HasSubstr("the limit is 4194304")));
}

TEST_F(LocalModelsTest, CancelledCallsDoNotCompute) {
  CallContext cancelled;
  cancelled.Cancel();
  CallContext late = CallContext::Until(absl::Now() - absl::Seconds(1));
  v1::EmbedRequest embed;
  embed.add_texts("x");
  EXPECT_THAT(embedding_->Embed(embed, cancelled), StatusIs(absl::StatusCode::kCancelled, ::testing::_));
  v1::GenerateRequest generate;
  *generate.mutable_prompt() = Text("x");
  EXPECT_THAT(generation_->Generate(generate, late), StatusIs(absl::StatusCode::kDeadlineExceeded, ::testing::_));
}

TEST_F(LocalModelsTest, TokenizeGivesBytesOfTheText) {
  v1::TokenizeTextsRequest request;
  request.add_texts("the cat");
  request.add_texts("");
  ASSERT_OK_AND_ASSIGN(v1::TokenizeTextsResponse response, embedding_->Tokenize(request, context_));
  ASSERT_EQ(response.texts_size(), 2);
  ASSERT_GT(response.texts(0).begins_size(), 0);
  EXPECT_EQ(response.texts(0).begins(0), 0u);
  EXPECT_EQ(response.texts(0).ends(response.texts(0).ends_size() - 1), 7u);
  EXPECT_EQ(response.texts(1).begins_size(), 0);
}

TEST_F(LocalModelsTest, ClusterOfTexts) {
  v1::ClusterRequest request;
  EXPECT_THAT(embedding_->Cluster(request, context_), StatusIs(kInvalid, HasSubstr("input is not set")));
  for (const char* text : {"cat", "dog", "cat", "dog"}) request.mutable_input()->mutable_texts()->add_texts(text);
  request.set_clusters(2);
  ASSERT_OK_AND_ASSIGN(v1::ClusterResponse response, embedding_->Cluster(request, context_));
  ASSERT_EQ(response.assignments_size(), 4);
  EXPECT_EQ(response.assignments(0), response.assignments(2));
  EXPECT_EQ(response.assignments(1), response.assignments(3));
  EXPECT_NE(response.assignments(0), response.assignments(1));
  request.set_clusters(5);
  EXPECT_THAT(embedding_->Cluster(request, context_), StatusIs(kInvalid, ::testing::_));
}

TEST_F(LocalModelsTest, GenerateStreamsWhatItReturns) {
  v1::GenerateRequest request;
  *request.mutable_prompt() = Text("the cat");
  request.set_max_new_tokens(8);
  request.set_top_logprobs(2);
  std::string streamed;
  int tokens = 0;
  auto sink = [&](const v1::GeneratedToken& token) {
    streamed += token.text();
    ++tokens;
    EXPECT_TRUE(token.has_logprob());
    EXPECT_EQ(token.top_size(), 2);
    return absl::OkStatus();
  };
  ASSERT_OK_AND_ASSIGN(v1::GenerateResponse response, generation_->Generate(request, context_, sink));
  EXPECT_EQ(streamed, response.text());
  EXPECT_EQ(tokens, response.tokens_size());
  EXPECT_EQ(response.usage().completion_tokens(), tokens);
  EXPECT_NE(response.finish_reason(), v1::FINISH_REASON_UNSPECIFIED);
  EXPECT_EQ(response.model(), "llama-gqa");
  ASSERT_OK_AND_ASSIGN(v1::GenerateResponse again, generation_->Generate(request, context_));
  EXPECT_EQ(again.text(), response.text());
}

TEST_F(LocalModelsTest, PromptsOfAScopeAreReused) {
  v1::GenerateRequest request;
  for (int i = 0; i < 60; ++i) request.mutable_prompt()->mutable_tokens()->add_ids(3 + i);
  request.set_max_new_tokens(8);
  ASSERT_OK_AND_ASSIGN(v1::GenerateResponse plain, generation_->Generate(request, context_));
  request.mutable_prompt()->mutable_reuse()->set_name("notes");
  for (int reused : {0, 48, 48}) {
    ASSERT_OK_AND_ASSIGN(v1::GenerateResponse response, generation_->Generate(request, context_));
    EXPECT_EQ(response.usage().reused_tokens(), reused);
    EXPECT_EQ(response.usage().prompt_tokens(), 60);
    EXPECT_EQ(response.text(), plain.text());
  }
  v1::ScoreRequest score;
  *score.mutable_prompt() = request.prompt();
  score.add_continuations("cat");
  ASSERT_OK_AND_ASSIGN(v1::ScoreResponse scored, generation_->Score(score, context_));
  EXPECT_EQ(scored.usage().reused_tokens(), 48);
  score.mutable_prompt()->mutable_reuse()->set_version(1);  // something was removed
  ASSERT_OK_AND_ASSIGN(scored, generation_->Score(score, context_));
  EXPECT_EQ(scored.usage().reused_tokens(), 0);
  request.mutable_prompt()->mutable_reuse()->set_name(std::string(1025, 'x'));
  EXPECT_THAT(generation_->Generate(request, context_),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("reuse.name has 1025 bytes")));
}

TEST_F(LocalModelsTest, DraftsAreOnUnlessTurnedOffAndCounted) {
  v1::GenerateRequest request;
  for (int i = 0; i < 30; ++i) request.mutable_prompt()->mutable_tokens()->add_ids(9);
  (*request.mutable_sampling()->mutable_logit_bias())[9] = 100;
  request.set_max_new_tokens(24);
  ASSERT_OK_AND_ASSIGN(v1::GenerateResponse drafted, generation_->Generate(request, context_));
  request.set_draft_tokens(0);
  ASSERT_OK_AND_ASSIGN(v1::GenerateResponse plain, generation_->Generate(request, context_));
  EXPECT_EQ(drafted.text(), plain.text());
  EXPECT_EQ(plain.usage().decoding_steps(), 23);
  EXPECT_EQ(plain.usage().drafted_tokens(), 0);
  EXPECT_GT(drafted.usage().accepted_tokens(), 8);
  EXPECT_GE(drafted.usage().drafted_tokens(), drafted.usage().accepted_tokens());
  EXPECT_EQ(drafted.usage().decoding_steps(), 23 - drafted.usage().accepted_tokens());
}

TEST_F(LocalModelsTest, ASinkEndsTheGeneration) {
  v1::GenerateRequest request;
  *request.mutable_prompt() = Text("the cat");
  auto refuse = [](const v1::GeneratedToken&) { return absl::DataLossError("enough"); };
  EXPECT_THAT(generation_->Generate(request, context_, refuse), StatusIs(absl::StatusCode::kDataLoss, "enough"));
}

TEST_F(LocalModelsTest, GenerateLimits) {
  auto with = [this](auto change) {
    v1::GenerateRequest request;
    *request.mutable_prompt() = Text("the cat");
    change(&request);
    return generation_->Generate(request, context_);
  };
  using Request = v1::GenerateRequest;
  EXPECT_THAT(with([](Request* r) { r->clear_prompt(); }), StatusIs(kInvalid, HasSubstr("prompt is not set")));
  EXPECT_THAT(with([](Request* r) { r->set_max_new_tokens(-1); }),
              StatusIs(kInvalid, HasSubstr("max_new_tokens is -1")));
  EXPECT_THAT(with([](Request* r) { r->set_max_new_tokens(512); }), StatusIs(kInvalid, HasSubstr("512")));
  EXPECT_THAT(with([](Request* r) { r->set_top_logprobs(21); }), StatusIs(kInvalid, HasSubstr("top_logprobs is 21")));
  EXPECT_THAT(with([](Request* r) { r->set_draft_tokens(4); }), StatusIs(kInvalid, HasSubstr("draft_tokens is 4")));
  EXPECT_THAT(with([](Request* r) { r->set_draft_tokens(-1); }), StatusIs(kInvalid, HasSubstr("draft_tokens is -1")));
  EXPECT_THAT(with([](Request* r) {
                r->set_draft_tokens(3);
                r->mutable_beams()->set_width(2);
              }),
              StatusIs(kInvalid, HasSubstr("draft_tokens cannot be combined with beams")));
  EXPECT_THAT(with([](Request* r) { r->mutable_sampling()->set_temperature(11); }),
              StatusIs(kInvalid, HasSubstr("temperature is 11")));
  EXPECT_THAT(with([](Request* r) { r->mutable_sampling()->set_temperature(std::nan("")); }),
              StatusIs(kInvalid, HasSubstr("temperature")));
  EXPECT_THAT(with([](Request* r) { r->mutable_sampling()->set_top_p(-0.5); }), StatusIs(kInvalid, HasSubstr("top_p")));
  EXPECT_THAT(with([](Request* r) {
                for (int i = 0; i < 17; ++i) r->add_stop("x");
              }),
              StatusIs(kInvalid, HasSubstr("17 entries; the limit is 16")));
  EXPECT_THAT(with([](Request* r) { r->add_stop(""); }), StatusIs(kInvalid, HasSubstr("stop string has 0 bytes")));
  EXPECT_THAT(with([](Request* r) { r->add_stop(std::string(257, 'x')); }), StatusIs(kInvalid, HasSubstr("257 bytes")));
}

TEST_F(LocalModelsTest, ScoresAreSumsOfInspectedLogprobs) {
  v1::ScoreRequest request;
  *request.mutable_prompt() = Text("the cat");
  request.add_continuations(" sat");
  request.add_continuations(" ran away");
  request.set_include_none(true);
  ASSERT_OK_AND_ASSIGN(v1::ScoreResponse scores, generation_->Score(request, context_));
  ASSERT_EQ(scores.scores_size(), 2);
  EXPECT_FALSE(scores.has_none_logprob());  // this format has no such token
  ASSERT_OK_AND_ASSIGN(const Lease<LoadedDecoder> decoder, models_.Decoder());
  ASSERT_OK_AND_ASSIGN(std::vector<int32_t> prompt, decoder->format->Render(request.prompt()));
  for (int i = 0; i < 2; ++i) {
    std::vector<int32_t> continuation = decoder->format->Continuation(request.prompt(), request.continuations(i));
    v1::InspectPromptRequest inspect;
    for (int32_t id : prompt) inspect.mutable_prompt()->mutable_tokens()->add_ids(id);
    for (int32_t id : continuation) inspect.mutable_prompt()->mutable_tokens()->add_ids(id);
    ASSERT_OK_AND_ASSIGN(v1::InspectPromptResponse inspected, inspect_->InspectPrompt(inspect, context_));
    double sum = 0;
    for (int at = static_cast<int>(prompt.size()); at < inspected.positions_size(); ++at) {
      sum += inspected.positions(at).logprob();
    }
    EXPECT_NEAR(scores.scores(i).logprob(), sum, 1e-3);
    EXPECT_EQ(scores.scores(i).tokens(), static_cast<int>(continuation.size()));
  }
}

TEST_F(LocalModelsTest, ScoreLimits) {
  v1::ScoreRequest request;
  *request.mutable_prompt() = Text("x");
  for (int i = 0; i < 257; ++i) request.add_continuations("y");
  EXPECT_THAT(generation_->Score(request, context_), StatusIs(kInvalid, HasSubstr("257 entries; the limit is 256")));
}

TEST_F(LocalModelsTest, CountTokensDoesNotRunTheModel) {
  v1::CountTokensRequest request;
  request.add_texts("the cat");
  request.add_texts("");
  ASSERT_OK_AND_ASSIGN(v1::CountTokensResponse response, generation_->CountTokens(request, context_));
  ASSERT_EQ(response.text_tokens_size(), 2);
  EXPECT_GT(response.text_tokens(0), 0);
  EXPECT_EQ(response.text_tokens(1), 0);
  EXPECT_EQ(response.prompt_tokens(), 0);
  EXPECT_EQ(response.max_context_tokens(), 512);
  *request.mutable_prompt() = Text("the cat");
  ASSERT_OK_AND_ASSIGN(response, generation_->CountTokens(request, context_));
  EXPECT_EQ(response.prompt_tokens(), response.text_tokens(0) + 1);  // after the begin token
  for (int i = 0; i < 1'024; ++i) request.add_texts("");
  EXPECT_THAT(generation_->CountTokens(request, context_), StatusIs(kInvalid, HasSubstr("1026 entries")));
}

TEST_F(LocalModelsTest, InspectTokens) {
  for (v1::ModelRole role : {v1::MODEL_ROLE_UNSPECIFIED, v1::MODEL_ROLE_EMBEDDER}) {
    v1::TokenizeTextRequest request;
    request.set_text("the cat");
    request.set_model(role);
    ASSERT_OK_AND_ASSIGN(v1::TokenizeTextResponse response, inspect_->TokenizeText(request, context_));
    EXPECT_EQ(response.model(), role == v1::MODEL_ROLE_EMBEDDER ? "bert-mean" : "llama-gqa");
    ASSERT_GT(response.tokens_size(), 0);
    EXPECT_EQ(response.tokens(response.tokens_size() - 1).end(), 7u);
  }
  v1::TokenizeTextRequest request;
  request.set_model(static_cast<v1::ModelRole>(9));
  EXPECT_THAT(inspect_->TokenizeText(request, context_), StatusIs(kInvalid, HasSubstr("model 9")));
  request.set_text(std::string((1u << 20) + 1, 'x'));
  EXPECT_THAT(inspect_->TokenizeText(request, context_), StatusIs(kInvalid, HasSubstr("the limit is 1048576")));
}

TEST_F(LocalModelsTest, InspectPromptGivesEveryPosition) {
  v1::InspectPromptRequest request;
  *request.mutable_prompt() = Text("the cat sat on the mat");
  request.set_top(3);
  request.set_include_logits(true);
  ASSERT_OK_AND_ASSIGN(v1::InspectPromptResponse response, inspect_->InspectPrompt(request, context_));
  const int positions = response.positions_size();
  ASSERT_GT(positions, 2);
  EXPECT_FALSE(response.positions(0).has_logprob());
  EXPECT_EQ(response.positions(0).token().end(), 0u);  // the begin token is of no text
  EXPECT_EQ(response.positions(positions - 1).token().end(), 22u);
  ASSERT_EQ(response.logits().size(), static_cast<size_t>(positions * response.vocab_size()) * sizeof(float));
  for (int at = 0; at < positions; ++at) {
    const v1::InspectPromptResponse::Position& position = response.positions(at);
    ASSERT_EQ(position.next_size(), 3);
    EXPECT_GE(position.next(0).logprob(), position.next(1).logprob());
    EXPECT_LE(position.logprob(), 0);
    std::vector<float> row(static_cast<size_t>(response.vocab_size()));
    std::memcpy(row.data(), response.logits().data() + static_cast<size_t>(at) * row.size() * sizeof(float),
                row.size() * sizeof(float));
    EXPECT_EQ(std::max_element(row.begin(), row.end()) - row.begin(), position.next(0).id());
  }
}

TEST_F(LocalModelsTest, InspectPromptLimits) {
  v1::InspectPromptRequest request;
  *request.mutable_prompt() = Text("x");
  request.set_top(21);
  EXPECT_THAT(inspect_->InspectPrompt(request, context_), StatusIs(kInvalid, HasSubstr("top is 21")));
  request.set_top(0);
  for (int i = 0; i < 513; ++i) request.mutable_prompt()->mutable_tokens()->add_ids(5);
  EXPECT_THAT(inspect_->InspectPrompt(request, context_), StatusIs(kInvalid, HasSubstr("513 tokens")));
  request.mutable_prompt()->mutable_tokens()->clear_ids();
  EXPECT_THAT(inspect_->InspectPrompt(request, context_), StatusIs(kInvalid, HasSubstr("no tokens")));
}

TEST_F(LocalModelsTest, ListModels) {
  ASSERT_OK_AND_ASSIGN(v1::ListModelsResponse response,
                       MakeLocalModels(&models_)->ListModels(v1::ListModelsRequest(), context_));
  ASSERT_EQ(response.models_size(), 2);
  EXPECT_EQ(response.models(0).role(), v1::MODEL_ROLE_DECODER);
  EXPECT_EQ(response.models(0).max_tokens(), 512);
  EXPECT_EQ(response.models(1).role(), v1::MODEL_ROLE_EMBEDDER);
  EXPECT_GT(response.models(1).dimension(), 0);
  EXPECT_THAT(response.models(1).device(), HasSubstr("cpu"));
}

TEST_F(LocalModelsTest, ModelsThatAreNotThere) {
  ModelProvider none({}, Options());
  v1::EmbedRequest embed;
  embed.add_texts("x");
  EXPECT_THAT(MakeLocalEmbedding(&none, nullptr)->Embed(embed, context_),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("--embedder")));
  v1::GenerateRequest generate;
  *generate.mutable_prompt() = Text("x");
  EXPECT_THAT(MakeLocalGeneration(&none)->Generate(generate, context_),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("--decoder")));
  ModelProvider missing({.decoder = "/no/such/decoder", .embedders = {"/no/such/embedder"}}, Options());
  EXPECT_THAT(missing.Decoder(), StatusIs(absl::StatusCode::kNotFound, HasSubstr("/no/such/decoder")));
  EXPECT_THAT(missing.Embedder(), StatusIs(absl::StatusCode::kNotFound, HasSubstr("/no/such/embedder")));
}

TEST(LocalAdapters, AreChosenByNameAndTold) {
  const std::string adapters = LASTRO_SOURCE_DIR "/tests/golden/lora/";
  ModelProvider models({.decoder = kDecoder,
                        .adapters = {{"all", adapters + "llama-all"}, {"patterns", adapters + "llama-rs-patterns"}}},
                       {1, engine::ComputeType::kFloat32, "cpu"});
  std::unique_ptr<GenerationApi> generation = MakeLocalGeneration(&models);
  v1::GenerateRequest request;
  *request.mutable_prompt() = Text("the cat");
  request.set_max_new_tokens(12);
  request.set_top_logprobs(0);
  std::map<std::string, std::string> texts;
  for (const char* name : {"", "all", "patterns"}) {
    request.set_adapter(name);
    ASSERT_OK_AND_ASSIGN(v1::GenerateResponse response, generation->Generate(request, CallContext()));
    EXPECT_EQ(response.adapter(), name);
    EXPECT_EQ(response.adapter_fingerprint().empty(), std::string(name).empty());
    texts[name] = response.text();
  }
  EXPECT_NE(texts[""], texts["all"]);
  EXPECT_NE(texts["all"], texts["patterns"]);
  request.set_adapter("nobody");
  EXPECT_THAT(generation->Generate(request, CallContext()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("there are: all, patterns")));
  ASSERT_OK_AND_ASSIGN(v1::ListModelsResponse listed, MakeLocalModels(&models)->ListModels({}, CallContext()));
  ASSERT_EQ(listed.models_size(), 3);
  EXPECT_EQ(listed.models(1).role(), v1::MODEL_ROLE_ADAPTER);
  EXPECT_EQ(listed.models(1).name(), "all");
}

class LocalRerankTest : public ::testing::Test {
 protected:
  static std::unique_ptr<ModelProvider> Models(const std::string& name) {
    return std::make_unique<ModelProvider>(ModelFolders{.reranker = LASTRO_SOURCE_DIR "/tests/golden/models/" + name},
                                           engine::RuntimeOptions{1, engine::ComputeType::kFloat32, "cpu"});
  }
};

TEST_F(LocalRerankTest, ScoresAreTheModelsAndOrderTheTexts) {
  for (const char* name : {"bert-pairs", "roberta-pairs-f16"}) {  // one label, two labels
    SCOPED_TRACE(name);
    auto models = Models(name);
    ASSERT_OK_AND_ASSIGN(const Lease<engine::SequenceClassifier> model, models->Reranker());
    v1::RerankRequest request;
    request.set_query("the cat");
    std::vector<engine::TextPair> pairs;
    for (const char* text : {"a dog", "the cat sat", "river", "the cat"}) {
      request.add_texts(text);
      pairs.push_back({"the cat", text});
    }
    ASSERT_OK_AND_ASSIGN(v1::RerankResponse response,
                         MakeLocalGeneration(models.get())->Rerank(request, CallContext()));
    ASSERT_OK_AND_ASSIGN(engine::ClassifierScores direct, model->Score(pairs, false, CallContext()));
    ASSERT_EQ(response.order_size(), 4);
    for (int i = 0; i < 4; ++i) {
      const float* row = &direct.logits[static_cast<size_t>(i * model->info().labels)];
      EXPECT_NEAR(response.scores(i), model->info().labels == 1 ? row[0] : row[1] - row[0], 1e-5);
      EXPECT_NEAR(response.probabilities(i), 1 / (1 + std::exp(-response.scores(i))), 1e-9);
      if (i > 0) {
        EXPECT_GE(response.scores(response.order(i - 1)), response.scores(response.order(i)));
      }
    }
    EXPECT_EQ(response.usage().prompt_tokens(), direct.tokens);
    request.set_top_n(2);
    ASSERT_OK_AND_ASSIGN(v1::RerankResponse best, MakeLocalGeneration(models.get())->Rerank(request, CallContext()));
    EXPECT_EQ(best.order_size(), 2);
    EXPECT_EQ(best.scores_size(), 4);
  }
}

class LocalReadTest : public ::testing::Test {
 protected:
  static std::string Folder(const std::string& name) { return LASTRO_SOURCE_DIR "/tests/golden/models/" + name; }
  static std::unique_ptr<ModelProvider> Models(const std::string& folder) {
    return std::make_unique<ModelProvider>(ModelFolders{.reader = folder},
                                           engine::RuntimeOptions{1, engine::ComputeType::kFloat32, "cpu"});
  }
  // What a reader says whose folder's lastro_reader has `field` too.
  static absl::StatusOr<v1::ReadResponse> ReadWith(const std::string& field) {
    TempFolder copy;
    const std::string folder = copy / "reader";
    std::filesystem::copy(Folder("bert-reader"), folder);
    std::ifstream in(folder + "/config.json");
    std::string config((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    const std::string bias = "\"bias\": -0.125";
    std::ofstream(folder + "/config.json") << config.replace(config.find(bias), bias.size(), bias + ", " + field);
    auto models = Models(folder);
    return MakeLocalGeneration(models.get())->Read(Request(), CallContext());
  }
  static v1::ReadRequest Request() {
    v1::ReadRequest request;
    request.set_question("the cat");
    for (const char* text : {"a dog", "the cat sat on the river boat", "river stone"}) request.add_passages(text);
    return request;
  }
};

TEST_F(LocalReadTest, ReadingsAreTheModels) {
  auto models = Models(Folder("bert-reader"));
  ASSERT_OK_AND_ASSIGN(const Lease<engine::Reader> model, models->Reader());
  v1::ReadRequest request = Request();
  request.set_max_spans(2);
  ASSERT_OK_AND_ASSIGN(v1::ReadResponse response, MakeLocalGeneration(models.get())->Read(request, CallContext()));
  std::vector<engine::ReadPair> pairs;
  for (const std::string& passage : request.passages()) pairs.push_back({request.question(), passage});
  ASSERT_OK_AND_ASSIGN(std::vector<engine::Reading> direct, model->Read(pairs, 2, CallContext()));
  ASSERT_EQ(response.readings_size(), 3);
  for (int i = 0; i < 3; ++i) {
    const v1::ReadResponse::Reading& reading = response.readings(i);
    const engine::Reading& expected = direct[static_cast<size_t>(i)];
    EXPECT_EQ(reading.relevance(), expected.relevance);
    ASSERT_EQ(reading.spans_size(), static_cast<int>(expected.spans.size()));
    for (int k = 0; k < reading.spans_size(); ++k) {
      const engine::ReadSpan& span = expected.spans[static_cast<size_t>(k)];
      EXPECT_EQ(reading.spans(k).range().begin(), span.begin);
      EXPECT_EQ(reading.spans(k).range().end(), span.end);
      EXPECT_EQ(reading.spans(k).score(), span.score);
      // The weights of the folder's config.json.
      const double logit = 0.5 * expected.relevance + 0.25 * span.score - 0.125;
      EXPECT_NEAR(reading.spans(k).probability(), 1 / (1 + std::exp(-logit)), 1e-9);
    }
  }
  EXPECT_EQ(response.fingerprint(), model->info().fingerprint);
  EXPECT_THAT(response.device(), HasSubstr("cpu"));
  request.clear_max_spans();
  ASSERT_OK_AND_ASSIGN(response, MakeLocalGeneration(models.get())->Read(request, CallContext()));
  EXPECT_EQ(response.readings(1).spans_size(), 1);
  EXPECT_TRUE(response.calibration().empty());
}

TEST_F(LocalReadTest, ContextsAreReadBeforeTheirPassages) {
  auto models = Models(Folder("bert-reader"));
  ASSERT_OK_AND_ASSIGN(const Lease<engine::Reader> model, models->Reader());
  EXPECT_EQ(model->info().context_tokens, 4);
  v1::ReadRequest request = Request();
  for (const char* context : {"", "river", "the boat and the cat"}) request.add_contexts(context);
  auto generation = MakeLocalGeneration(models.get());
  ASSERT_OK_AND_ASSIGN(v1::ReadResponse response, generation->Read(request, CallContext()));
  for (int i = 0; i < 3; ++i) {
    ASSERT_OK_AND_ASSIGN(std::vector<engine::Reading> direct,
                         model->Read({{request.question(), request.passages(i), request.contexts(i)}}, 1, {}));
    EXPECT_NEAR(response.readings(i).relevance(), direct[0].relevance, 1e-5) << i;
    ASSERT_OK_AND_ASSIGN(direct, model->Read({{request.question(), request.passages(i)}}, 1, {}));
    EXPECT_EQ(std::abs(response.readings(i).relevance() - direct[0].relevance) < 1e-5, i == 0);
    EXPECT_LE(response.readings(i).spans(0).range().end(), static_cast<int64_t>(request.passages(i).size()));
  }
  request.mutable_contexts()->RemoveLast();
  EXPECT_THAT(generation->Read(request, {}), StatusIs(kInvalid, HasSubstr("contexts has 2 entries; passages 3")));
  request.add_contexts(std::string(65'537, 'x'));
  EXPECT_THAT(generation->Read(request, {}), StatusIs(kInvalid, HasSubstr("context 2 has 65537 bytes")));
}

TEST_F(LocalReadTest, GivesTheWeightsOfTheFolder) {
  auto with = [](const std::string& weights) { return ReadWith("\"answer_weights\": " + weights); };
  ASSERT_OK_AND_ASSIGN(v1::ReadResponse response,
                       with("{\"bias\": 1, \"relevance\": 2, \"span_score\": 3, \"sentence_cosine\": 4, "
                            "\"passage_cosine\": 5, \"word_overlap\": 6, \"search_distance\": -7}"));
  const v1::ReadResponse::AnswerWeights& weights = response.answer_weights();
  EXPECT_EQ((std::vector<double>{weights.bias(), weights.relevance(), weights.span_score(), weights.sentence_cosine(),
                                 weights.passage_cosine(), weights.word_overlap(), weights.search_distance()}),
            (std::vector<double>{1, 2, 3, 4, 5, 6, -7}));
  EXPECT_FALSE(response.has_probability_weights());
  ASSERT_OK_AND_ASSIGN(response, ReadWith("\"probability_weights\": {\"span_score\": 0.5}"));
  EXPECT_FALSE(response.has_answer_weights());
  EXPECT_EQ(response.probability_weights().span_score(), 0.5);
  for (const char* bad : {"7", "{\"relevance\": \"x\"}", "{\"bias\": 1e300}"}) {
    EXPECT_THAT(with(bad), StatusIs(kInvalid, HasSubstr("answer_weights"))) << bad;
    EXPECT_THAT(ReadWith(absl::StrCat("\"probability_weights\": ", bad)),
                StatusIs(kInvalid, HasSubstr("probability_weights")))
        << bad;
  }
}

TEST_F(LocalReadTest, GivesTheCalibrationOfTheFolder) {
  auto with = [](const std::string& table) { return ReadWith("\"calibration\": " + table); };
  ASSERT_OK_AND_ASSIGN(v1::ReadResponse response, with("[[0.9, 0.05, 0.2], [0.5, 0.25, 0.75]]"));
  ASSERT_EQ(response.calibration_size(), 2);
  EXPECT_EQ(response.calibration(1).threshold(), 0.5);
  EXPECT_EQ(response.calibration(1).risk(), 0.25);
  EXPECT_EQ(response.calibration(1).coverage(), 0.75);
  for (const char* bad : {"7", "[[0.5, 0.5]]", "[[0.5, 0.5, 1.5]]", "[[0.5, 0.5, -0.1]]", "[[0.5, \"x\", 1]]",
                          "[[0.5, 0.1, 0.2], [0.5, 0.1, 0.3]]", "[[0.5, 0.1, 0.2, 0.3]]"}) {
    EXPECT_THAT(with(bad), StatusIs(kInvalid, HasSubstr("calibration"))) << bad;
  }
}

TEST_F(LocalReadTest, LimitsAndMissingReaders) {
  auto models = Models(Folder("bert-reader"));
  std::unique_ptr<GenerationApi> generation = MakeLocalGeneration(models.get());
  auto refuses = [&](const std::function<void(v1::ReadRequest*)>& spoil, const std::string& message) {
    v1::ReadRequest request = Request();
    spoil(&request);
    EXPECT_THAT(generation->Read(request, CallContext()), StatusIs(kInvalid, HasSubstr(message)));
  };
  refuses([](v1::ReadRequest* r) { r->clear_question(); }, "question is empty");
  refuses([](v1::ReadRequest* r) { r->set_question(" "); }, "question 0 has no tokens");
  refuses([](v1::ReadRequest* r) { r->clear_passages(); }, "passages is empty");
  refuses([](v1::ReadRequest* r) { r->set_passages(1, "\n"); }, "passage 1 has no tokens");
  refuses([](v1::ReadRequest* r) { r->set_passages(2, std::string(65'537, 'x')); }, "passage 2 has 65537 bytes");
  refuses([](v1::ReadRequest* r) { r->set_max_spans(17); }, "max_spans is 17");
  refuses([](v1::ReadRequest* r) { r->set_max_spans(-1); }, "max_spans is -1");
  refuses(
      [](v1::ReadRequest* r) {
        while (r->passages_size() < 257) r->add_passages("x");
      },
      "257 entries");
  refuses(
      [](v1::ReadRequest* r) {
        while (r->passages_size() < 70) r->add_passages(std::string(65'000, 'x'));
      },
      "the limit is 4194304");
  EXPECT_THAT(generation->Read(Request(), CallContext::Until(absl::InfinitePast())),
              StatusIs(absl::StatusCode::kDeadlineExceeded, ::testing::_));

  auto none = Models("");
  EXPECT_THAT(MakeLocalGeneration(none.get())->Read(Request(), CallContext()),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("--reader")));
  // Only that is UNIMPLEMENTED: a reader that cannot be loaded must not look like none.
  TempFolder copy;
  const std::string folder = copy / "reader";
  std::filesystem::copy(Folder("bert-reader"), folder);
  std::ofstream(folder + "/config.json") << R"({"model_type": "unheard-of"})";
  auto other = Models(folder);
  EXPECT_THAT(MakeLocalGeneration(other.get())->Read(Request(), CallContext()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("unheard-of")));
}

TEST_F(LocalRerankTest, LimitsAndWrongModels) {
  auto models = Models("bert-pairs");
  std::unique_ptr<GenerationApi> generation = MakeLocalGeneration(models.get());
  v1::RerankRequest request;
  request.add_texts("x");
  EXPECT_THAT(generation->Rerank(request, CallContext()), StatusIs(kInvalid, HasSubstr("query is empty")));
  request.set_query("q");
  request.clear_texts();
  EXPECT_THAT(generation->Rerank(request, CallContext()), StatusIs(kInvalid, HasSubstr("texts is empty")));
  std::string text;
  for (int i = 0; i < 5'000; ++i) text += "cat ";
  request.add_texts("cat");
  request.add_texts(text);
  EXPECT_THAT(generation->Rerank(request, CallContext()), StatusIs(kInvalid, HasSubstr("pair 1")));
  request.set_truncate(true);
  ASSERT_OK_AND_ASSIGN(v1::RerankResponse cut, generation->Rerank(request, CallContext()));
  ASSERT_EQ(cut.truncated_size(), 1);
  EXPECT_EQ(cut.truncated(0), 1);
  for (int i = 0; i < 1'025; ++i) request.add_texts("x");
  EXPECT_THAT(generation->Rerank(request, CallContext()),
              StatusIs(kInvalid, HasSubstr("1027 entries; the limit is 1024")));

  auto labels = Models("bert-labels");
  v1::RerankRequest small;
  small.set_query("q");
  small.add_texts("x");
  EXPECT_THAT(MakeLocalGeneration(labels.get())->Rerank(small, CallContext()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("3 labels")));
  ModelProvider none({}, {1, engine::ComputeType::kFloat32, "cpu"});
  EXPECT_THAT(MakeLocalGeneration(&none)->Rerank(small, CallContext()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("--reranker")));
}

}  // namespace
}  // namespace lastro::services
