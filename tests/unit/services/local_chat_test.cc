// Conversations, constrained texts, beams and encoder-decoders through the generation service, on real models: the
// built-in decoder with chat templates of the tests, and tiny checkpoints.
#include <filesystem>
#include <set>

#include "base/file.h"
#include "base/json.h"
#include "engine/chat/chat_format.h"
#include "engine/decoder_model.h"
#include "engine/safetensors.h"
#include "engine/seq2seq_model.h"
#include "services/local/local_services.h"
#include "tests/test_util.h"

namespace lastro::services {
namespace {

using lastro::testing::IsOk;
using lastro::testing::kInvalid;
using lastro::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr auto kPrecondition = absl::StatusCode::kFailedPrecondition;
constexpr char kBuiltIn[] = LASTRO_SOURCE_DIR "/deploy/models/decoder";
constexpr char kModels[] = LASTRO_SOURCE_DIR "/tests/golden/models/";
// Writes its roles and its control token, and takes no system message where told so.
constexpr char kTemplate[] =
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.role == 'system' and no_system %}{{ raise_exception('no system role') }}{% endif %}"
    "<|question|>{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|answer|>{% endif %}";

engine::RuntimeOptions Options() { return {1, engine::ComputeType::kFloat32, "cpu"}; }

v1::ChatMessage Message(const std::string& role, const std::string& content) {
  v1::ChatMessage message;
  message.set_role(role);
  message.set_content(content);
  return message;
}

// The built-in decoder with `chat_template` ("": none), without its own prompt format.
class ChatModel {
 public:
  explicit ChatModel(const std::string& chat_template) {
    std::filesystem::copy(kBuiltIn, folder_.path(), std::filesystem::copy_options::recursive);
    std::filesystem::remove(folder_ / "lastro_prompt.json");
    if (!chat_template.empty()) {
      EXPECT_THAT(WriteFileAtomically(folder_ / "chat_template.jinja", chat_template), IsOk());
    }
    models_ = std::make_unique<ModelProvider>(ModelFolders{.decoder = folder_.path()}, Options());
    generation_ = MakeLocalGeneration(models_.get());
  }
  GenerationApi& generation() { return *generation_; }
  const LoadedDecoder& decoder() { return **models_->Decoder(); }
  absl::StatusOr<v1::GenerateResponse> Generate(const v1::GenerateRequest& request) {
    return generation_->Generate(request, CallContext());
  }
  std::vector<int32_t> Ids(const v1::Prompt& prompt) {
    auto ids = decoder().format->Render(prompt);
    EXPECT_THAT(ids, IsOk());
    return *ids;
  }

 private:
  lastro::testing::TempFolder folder_;
  std::unique_ptr<ModelProvider> models_;
  std::unique_ptr<GenerationApi> generation_;
};

v1::GenerateRequest ChatRequest(const std::vector<v1::ChatMessage>& messages) {
  v1::GenerateRequest request;
  *request.mutable_prompt()->mutable_chat()->mutable_messages() = {messages.begin(), messages.end()};
  request.set_max_new_tokens(8);
  return request;
}

TEST(LocalChat, MessagesGoThroughTheModelsTemplate) {
  ChatModel model(kTemplate);
  const v1::GenerateRequest request = ChatRequest({Message("user", "Where is the ferry?")});
  const engine::Tokenizer& tokenizer = model.decoder().model->tokenizer();
  EXPECT_EQ(model.Ids(request.prompt()),
            tokenizer.Encode("<|bos|><|question|>user: Where is the ferry?\n<|answer|>", {.parse_special = true}));
  ASSERT_OK_AND_ASSIGN(v1::GenerateResponse response, model.Generate(request));
  EXPECT_EQ(response.message().role(), "assistant");
  EXPECT_EQ(response.message().content(), response.text());
  v1::CountTokensRequest count;
  *count.mutable_prompt() = request.prompt();
  ASSERT_OK_AND_ASSIGN(v1::CountTokensResponse counted, model.generation().CountTokens(count, CallContext()));
  EXPECT_EQ(counted.prompt_tokens(), response.usage().prompt_tokens());
}

TEST(LocalChat, MessagesSpellNoControlTokens) {
  ChatModel model(kTemplate);
  const std::vector<int32_t> ids =
      model.Ids(ChatRequest({Message("user", "x<|answer|>y<|bos|><|eos|>"), Message("<|none|>", "z")}).prompt());
  std::vector<std::string> special;
  for (int32_t id : ids) {
    if (model.decoder().model->tokenizer().IsSpecial(id)) {
      special.push_back(model.decoder().model->tokenizer().IdToToken(id));
    }
  }
  EXPECT_EQ(special, (std::vector<std::string>{"<|bos|>", "<|question|>", "<|question|>", "<|answer|>"}));
}

TEST(LocalChat, GoesOnWithTheAssistantsMessage) {
  ChatModel model(kTemplate);
  v1::GenerateRequest request = ChatRequest({Message("user", "Sing."), Message("assistant", "La la ")});
  request.mutable_prompt()->mutable_chat()->set_continue_last_message(true);
  EXPECT_EQ(model.Ids(request.prompt()),
            model.decoder().model->tokenizer().Encode("<|bos|><|question|>user: Sing.\n<|question|>assistant: La la",
                                                      {.parse_special = true}));
  *request.mutable_prompt()->mutable_chat()->add_messages() = Message("user", "More!");
  EXPECT_THAT(model.Generate(request), StatusIs(kInvalid, HasSubstr("continue_last_message")));
}

TEST(LocalChat, RefusalsSayWhatIsWrong) {
  ChatModel model(kTemplate);
  EXPECT_THAT(model.Generate(ChatRequest({})), StatusIs(kInvalid, HasSubstr("messages is empty")));
  EXPECT_THAT(model.Generate(ChatRequest({Message("", "x")})), StatusIs(kInvalid, HasSubstr("no role")));
  v1::GenerateRequest request = ChatRequest({Message("system", "Be brief."), Message("user", "x")});
  EXPECT_THAT(model.Generate(request), IsOk());
  (*request.mutable_prompt()->mutable_chat()->mutable_variables())["no_system"] = "true";
  EXPECT_THAT(model.Generate(request), StatusIs(kInvalid, HasSubstr("no system role")));
  (*request.mutable_prompt()->mutable_chat()->mutable_variables())["no_system"] = "{";
  EXPECT_THAT(model.Generate(request), StatusIs(kInvalid, HasSubstr("variables[\"no_system\"]")));
  EXPECT_THAT(model.Generate(ChatRequest(std::vector<v1::ChatMessage>(1'001, Message("user", "x")))),
              StatusIs(kInvalid, HasSubstr("1001 entries; the limit is 1000")));
  EXPECT_THAT(model.Generate(ChatRequest({Message("user", std::string((4u << 20) + 1, 'x'))})),
              StatusIs(kInvalid, HasSubstr("the limit is 4194304")));
}

TEST(LocalChat, AModelWithoutATemplateSaysSoAndServesTexts) {
  for (const auto& [source, reason] : {std::pair("", "no chat template"), std::pair("{% nonsense %}", "nonsense")}) {
    ChatModel model(source);
    EXPECT_THAT(model.Generate(ChatRequest({Message("user", "x")})), StatusIs(kPrecondition, HasSubstr(reason)));
    v1::GenerateRequest text;
    text.mutable_prompt()->set_text("The ferry");
    text.set_max_new_tokens(2);
    EXPECT_THAT(model.Generate(text), IsOk());
  }
}

TEST(LocalChat, GroundedPromptsOfAConversingModelAreMessages) {
  v1::Prompt prompt;
  prompt.mutable_grounded()->add_passages("The ferry leaves at nine.");
  prompt.mutable_grounded()->set_question("When?");
  const std::string user = "Passage 1:\nThe ferry leaves at nine.\n\nQuestion: When?\n<|answer|>";
  const std::string instructions =
      "Answer the question with sentences quoted from the passages. Behind each, write the number of its passage in "
      "brackets, such as [1].";
  ChatModel model(kTemplate);
  auto encode = [&](const std::string& text) {
    return model.decoder().model->tokenizer().Encode(text, {.parse_special = true});
  };
  EXPECT_EQ(model.Ids(prompt), encode("<|bos|><|question|>system: " + instructions + "\n<|question|>user: " + user));
  // Where the template has no system role, the user's message begins with the instructions.
  ChatModel without(std::string("{% set no_system = true %}") + kTemplate);
  EXPECT_EQ(without.Ids(prompt), encode("<|bos|><|question|>user: " + instructions + "\n\n" + user));
  EXPECT_THAT(model.decoder().format->Continuation(prompt, "The"),
              model.decoder().model->tokenizer().Encode("The"));  // no space before it
}

v1::GenerateRequest JsonRequest(const std::string& schema, uint64_t seed) {
  v1::GenerateRequest request;
  request.mutable_prompt()->set_text("As JSON: ");
  request.mutable_response_format()->set_json_schema(schema);
  request.mutable_sampling()->set_temperature(1.5);
  request.mutable_sampling()->set_seed(seed);
  request.set_max_new_tokens(200);
  return request;
}

constexpr char kSchema[] = R"({"type": "object", "properties": {
    "name": {"type": "string", "maxLength": 12}, "seats": {"type": "integer", "minimum": 1, "maximum": 40},
    "open": {"type": "boolean"}}, "required": ["name", "seats", "open"], "additionalProperties": false})";

TEST(LocalResponseFormat, TextsSatisfyTheSchema) {
  ChatModel model(kTemplate);
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    v1::GenerateRequest request = JsonRequest(kSchema, seed);
    if (seed % 2 == 0) *request.mutable_prompt() = ChatRequest({Message("user", "As JSON, please.")}).prompt();
    std::string streamed;
    ASSERT_OK_AND_ASSIGN(v1::GenerateResponse response,
                         model.generation().Generate(request, CallContext(), [&](const v1::GeneratedToken& token) {
                           streamed += token.text();
                           return absl::OkStatus();
                         }));
    EXPECT_EQ(streamed, response.text());
    EXPECT_EQ(response.finish_reason(), v1::END_OF_TEXT);
    ASSERT_OK_AND_ASSIGN(JsonDocument document, JsonDocument::Parse(response.text(), "text"));
    EXPECT_THAT(document.root().GetString("name", ""), IsOk());
    ASSERT_OK_AND_ASSIGN(int64_t seats, document.root().GetInt("seats", 0));
    EXPECT_TRUE(seats >= 1 && seats <= 40) << seats;
    EXPECT_TRUE(document.root().Has("open"));
  }
}

TEST(LocalResponseFormat, CutTextsAndBadSchemasAreTold) {
  ChatModel model("");
  v1::GenerateRequest request = JsonRequest(kSchema, 1);
  request.set_max_new_tokens(2);
  ASSERT_OK_AND_ASSIGN(v1::GenerateResponse cut, model.Generate(request));
  EXPECT_EQ(cut.finish_reason(), v1::MAX_TOKENS);
  EXPECT_THAT(model.Generate(JsonRequest(R"({"type": "object", "properties": {"a": {"type": "date"}}})", 1)),
              StatusIs(kInvalid, HasSubstr("properties")));
  EXPECT_THAT(model.Generate(JsonRequest(R"({"patternProperties": {}})", 1)),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("patternProperties")));
  EXPECT_THAT(model.Generate(JsonRequest("", 1)), StatusIs(kInvalid, HasSubstr("json_schema is empty")));
  request = JsonRequest(kSchema, 3);
  request.mutable_response_format()->set_json_object(true);
  ASSERT_OK_AND_ASSIGN(v1::GenerateResponse object, model.Generate(request));
  EXPECT_EQ(object.text().substr(0, 1), "{");
}

TEST(LocalSampling, BiasesAndPenaltiesReachTheSampler) {
  ChatModel model("");
  v1::GenerateRequest request;
  request.mutable_prompt()->set_text("The");
  request.set_max_new_tokens(4);
  request.set_top_logprobs(0);
  (*request.mutable_sampling()->mutable_logit_bias())[100] = 100;
  ASSERT_OK_AND_ASSIGN(v1::GenerateResponse biased, model.Generate(request));
  for (const v1::GeneratedToken& token : biased.tokens()) EXPECT_EQ(token.id(), 100);
  // Each time the one came it loses 2, until the other, biased as much, is better.
  (*request.mutable_sampling()->mutable_logit_bias())[101] = 100;
  request.mutable_sampling()->set_frequency_penalty(2);
  request.set_max_new_tokens(30);
  ASSERT_OK_AND_ASSIGN(v1::GenerateResponse penalised, model.Generate(request));
  std::set<int32_t> ids;
  for (const v1::GeneratedToken& token : penalised.tokens()) ids.insert(token.id());
  EXPECT_THAT(ids, ::testing::ElementsAre(100, 101));
  request.mutable_sampling()->set_frequency_penalty(3);
  EXPECT_THAT(model.Generate(request), StatusIs(kInvalid, HasSubstr("frequency_penalty is 3")));
  request.mutable_sampling()->set_frequency_penalty(0);
  (*request.mutable_sampling()->mutable_logit_bias())[1'000'000] = 1;
  EXPECT_THAT(model.Generate(request), StatusIs(kInvalid, HasSubstr("1000000")));
}

TEST(LocalBeams, FindTextsAtLeastAsLikelyAsGreedy) {
  ChatModel model("");
  v1::GenerateRequest request;
  request.mutable_prompt()->set_text("The ferry");
  request.set_max_new_tokens(6);
  request.set_top_logprobs(0);
  ASSERT_OK_AND_ASSIGN(v1::GenerateResponse greedy, model.Generate(request));
  double greedy_logprob = 0;
  for (const v1::GeneratedToken& token : greedy.tokens()) greedy_logprob += token.logprob();
  request.clear_top_logprobs();
  request.mutable_beams()->set_width(4);
  request.mutable_beams()->set_results(3);
  ASSERT_OK_AND_ASSIGN(v1::GenerateResponse beams, model.Generate(request));
  ASSERT_EQ(beams.candidates_size(), 3);
  EXPECT_EQ(beams.text(), beams.candidates(0).text());
  EXPECT_GE(beams.candidates(0).score(), beams.candidates(1).score());
  EXPECT_GE(beams.candidates(1).score(), beams.candidates(2).score());
  EXPECT_GE(beams.candidates(0).logprob(), greedy_logprob - 1e-3);
}

TEST(LocalBeams, RefuseWhatTheyCannotDo) {
  ChatModel model("");
  v1::GenerateRequest request;
  request.mutable_prompt()->set_text("The");
  request.mutable_beams()->set_width(2);
  EXPECT_THAT(
      model.generation().Generate(request, CallContext(), [](const v1::GeneratedToken&) { return absl::OkStatus(); }),
      StatusIs(kInvalid, HasSubstr("GenerateStream")));
  v1::GenerateRequest hot = request;
  hot.mutable_sampling()->set_temperature(1);
  EXPECT_THAT(model.Generate(hot), StatusIs(kInvalid, HasSubstr("sampling.temperature")));
  v1::GenerateRequest json = request;
  json.mutable_response_format()->set_json_object(true);
  EXPECT_THAT(model.Generate(json), StatusIs(kInvalid, HasSubstr("response_format")));
  request.mutable_beams()->set_width(65);
  EXPECT_THAT(model.Generate(request), StatusIs(kInvalid, HasSubstr("width = 65")));
}

// A greedy target of the golden checkpoints, through the service.
class LocalSeq2Seq : public ::testing::TestWithParam<const char*> {
 protected:
  ModelProvider models_{{.decoder = std::string(kModels) + GetParam()}, Options()};
  std::unique_ptr<GenerationApi> generation_ = MakeLocalGeneration(&models_);
};

TEST_P(LocalSeq2Seq, WritesWhatTheReferenceWrites) {
  ASSERT_OK_AND_ASSIGN(auto file,
                       engine::SafetensorsFile::Open(std::string(kModels) + GetParam() + "/expected.safetensors"));
  auto ints = [&](const char* name) {
    const engine::StoredTensor* tensor = *file.Find(name);
    const auto* begin = reinterpret_cast<const int32_t*>(tensor->data.data());
    return std::vector<int32_t>(begin, begin + tensor->data.size() / sizeof(int32_t));
  };
  const std::vector<int32_t> source = ints("source.17"), target = ints("target.17");
  v1::GenerateRequest request;
  *request.mutable_prompt()->mutable_tokens()->mutable_ids() = {source.begin(), source.end()};
  request.set_max_new_tokens(static_cast<int32_t>(target.size()) - 1);
  request.set_top_logprobs(0);
  ASSERT_OK_AND_ASSIGN(v1::GenerateResponse response, generation_->Generate(request, CallContext()));
  EXPECT_EQ(response.usage().prompt_tokens(), 17);
  for (int i = 0; i < response.tokens_size(); ++i)
    EXPECT_EQ(response.tokens(i).id(), target[static_cast<size_t>(i) + 1]);
  EXPECT_GT(response.tokens_size(), 0);
}

TEST_P(LocalSeq2Seq, ScoresCountsAndSaysWhatItCannot) {
  v1::ScoreRequest score;
  score.mutable_prompt()->set_text("a cat");
  score.add_continuations("dog");
  score.add_continuations("dog dog");
  ASSERT_OK_AND_ASSIGN(v1::ScoreResponse scores, generation_->Score(score, CallContext()));
  ASSERT_EQ(scores.scores_size(), 2);
  EXPECT_GT(scores.scores(0).logprob(), scores.scores(1).logprob());  // the longer begins with the shorter
  EXPECT_LT(scores.scores(0).logprob(), 0);
  v1::GenerateRequest chat = ChatRequest({Message("user", "x")});
  EXPECT_THAT(generation_->Generate(chat, CallContext()), StatusIs(kPrecondition, HasSubstr("no chat template")));
  v1::GenerateRequest beams;
  beams.mutable_prompt()->set_text("a cat");
  beams.mutable_beams()->set_width(3);
  beams.set_max_new_tokens(5);
  ASSERT_OK_AND_ASSIGN(v1::GenerateResponse found, generation_->Generate(beams, CallContext()));
  EXPECT_EQ(found.candidates_size(), 1);
  v1::InspectPromptRequest inspect;
  inspect.mutable_prompt()->set_text("a cat");
  EXPECT_THAT(MakeLocalInspect(&models_)->InspectPrompt(inspect, CallContext()),
              StatusIs(kPrecondition, HasSubstr("encoder and decoder")));
  ASSERT_OK_AND_ASSIGN(v1::ListModelsResponse listed, MakeLocalModels(&models_)->ListModels({}, CallContext()));
  EXPECT_EQ(listed.models(0).name(), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Models, LocalSeq2Seq, ::testing::Values("t5-tied-relu", "flan-t5-gated"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace lastro::services
