#include "services/node.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "services/composed_node.h"
#include "services/routed_models.h"
#include "tests/unit/services/grpc_fakes.h"

namespace lastro::services {
namespace {

using ::lastro::services::testing::ScriptedInspect;
using ::lastro::services::testing::ScriptedModels;
using ::lastro::services::testing::TestServer;
using ::lastro::testing::IsOk;
using ::lastro::testing::StatusIs;
using ::lastro::testing::TempFolder;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::NotNull;

// A variable of the environment for the life of the object.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const std::string& value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    setenv(name, value.c_str(), 1);
  }
  ~ScopedVariable() { before_.has_value() ? setenv(name_, before_->c_str(), 1) : unsetenv(name_); }

 private:
  const char* const name_;
  std::optional<std::string> before_;
};

TEST(Node, CallsOfAMissingRoleNameIt) {
  ASSERT_OK_AND_ASSIGN(auto node, Node::Create({}));
  auto names = [](const char* role) {
    return StatusIs(absl::StatusCode::kUnavailable, HasSubstr(std::string("the ") + role + " role"));
  };
  EXPECT_THAT(node->embedding().Embed({}, CallContext()), names("embedding"));
  EXPECT_THAT(node->generation().Score({}, CallContext()), names("generation"));
  EXPECT_THAT(node->retrieval().Search({}, CallContext()), names("retrieval"));
  EXPECT_THAT(node->ingest().ListJobs({}, CallContext()), names("ingest"));
  EXPECT_THAT(node->ask().Ask({}, CallContext()), names("ask"));
  EXPECT_THAT(node->inspect().InspectPrompt({}, CallContext()), names("generation"));
  EXPECT_THAT(node->models().ListModels({}, CallContext()), names("generation"));
}

TEST(Node, ReachesRolesAtTheirAddresses) {
  TestServer test;
  test.Start();
  NodeConfig config;
  for (Role role : {Role::kEmbedding, Role::kGeneration, Role::kIngest, Role::kAsk}) {
    config.addresses[role] = test.server().address();
  }
  ASSERT_OK_AND_ASSIGN(auto node, Node::Create(config));
  ASSERT_OK_AND_ASSIGN(auto counted, node->generation().CountTokens({}, CallContext()));
  EXPECT_EQ(counted.max_context_tokens(), 77);
  ASSERT_OK_AND_ASSIGN(auto jobs, node->ingest().ListJobs({}, CallContext()));
  EXPECT_EQ(jobs.jobs(0).id(), "first");
  ASSERT_OK_AND_ASSIGN(auto models, node->models().ListModels({}, CallContext()));
  EXPECT_EQ(models.models_size(), 1) << "the same model of two addresses is one";
  EXPECT_THAT(node->retrieval().Search({}, CallContext()),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("--retrieval-address")));
}

TEST(Node, ConnectsEverythingToOneServer) {
  TestServer test;
  test.Start();
  ASSERT_OK_AND_ASSIGN(auto node, ConnectToServer(test.server().address()));
  ASSERT_OK_AND_ASSIGN(auto counted, node->generation().CountTokens({}, CallContext()));
  EXPECT_EQ(counted.max_context_tokens(), 77);
  ASSERT_OK_AND_ASSIGN(auto models, node->models().ListModels({}, CallContext()));
  EXPECT_EQ(models.models(0).name(), "tiny");
  EXPECT_THAT(ConnectToServer("nowhere"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("HOST:PORT")));
}

TEST(Node, HostsTheStoreWithoutAnyModel) {
  TempFolder folder;
  NodeConfig config;
  config.roles = {Role::kRetrieval};
  config.data_folder = folder / "data";
  ScopedVariable no_models("LASTRO_MODELS", folder / "none");
  ASSERT_OK_AND_ASSIGN(auto node, ComposedNode::Create(config));
  EXPECT_THAT(node->store(), NotNull());
  EXPECT_THAT(node->HostedServices(), ElementsAre("lastro.v1.RetrievalService", "lastro.v1.StoreService"));
  ASSERT_OK_AND_ASSIGN(auto collections, node->retrieval().ListCollections({}, CallContext()));
  EXPECT_EQ(collections.collections_size(), 0);
  EXPECT_THAT(ComposedNode::Create(config), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("data")));
}

TEST(Node, ErrorsOfCreateSayWhatToDo) {
  NodeConfig config;
  config.roles = {Role::kRetrieval};
  EXPECT_THAT(Node::Create(config), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--data")));
  TempFolder folder;
  config.data_folder = folder / "data";
  config.vector_gpu_bytes = int64_t{1} << 30;
  config.compute.device = "cpu";
  EXPECT_THAT(Node::Create(config), StatusIs(absl::StatusCode::kInvalidArgument,
                                             AllOf(HasSubstr("--vector-gpu-memory"), HasSubstr("no GPU"))));
  config.milvus.address = "127.0.0.1:1";
  EXPECT_THAT(Node::Create(config), StatusIs(absl::StatusCode::kInvalidArgument,
                                             AllOf(HasSubstr("--vector-gpu-memory"), HasSubstr("Milvus"))));
  config = {};
  config.compute.compute_type = "int3";
  EXPECT_THAT(Node::Create(config), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("int3")));
  config = {};
  config.addresses[Role::kAsk] = "nowhere";
  EXPECT_THAT(Node::Create(config), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'nowhere'")));
  config = {};
  config.roles = {Role::kGeneration};
  config.decoder_folder = "/no/such/model";
  EXPECT_THAT(Node::Create(config), StatusIs(absl::StatusCode::kNotFound, HasSubstr("/no/such/model")));
  config.lazy_models = true;
  ASSERT_OK_AND_ASSIGN(auto node, Node::Create(config));
  EXPECT_THAT(node->generation().CountTokens({}, CallContext()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/no/such/model")));
}

TEST(Node, FindsBuiltInModelsWhereTheVariableSays) {
  TempFolder folder;
  {
    ScopedVariable here("LASTRO_MODELS", folder.path());
    ASSERT_OK_AND_ASSIGN(std::string found, FindBuiltInModels());
    EXPECT_EQ(found, folder.path());
  }
  ScopedVariable nowhere("LASTRO_MODELS", folder / "none");
  EXPECT_THAT(FindBuiltInModels(), StatusIs(absl::StatusCode::kNotFound, HasSubstr(folder / "none")));
}

// The models of a node that hosts generation, by role.
std::vector<v1::ModelRole> RolesOfModels(NodeConfig config) {
  config.roles = {Role::kGeneration};
  config.decoder_folder = LASTRO_SOURCE_DIR "/tests/golden/models/llama-gqa";
  absl::StatusOr<std::unique_ptr<Node>> node = Node::Create(config);
  EXPECT_THAT(node, IsOk());
  if (!node.ok()) return {};
  auto models = (*node)->models().ListModels({}, CallContext());
  EXPECT_THAT(models, IsOk());
  std::vector<v1::ModelRole> roles;
  for (const v1::Model& model : models->models()) roles.push_back(model.role());
  return roles;
}

TEST(Node, TheBuiltInReaderServesUnlessAnotherOrNoneIsAskedFor) {
  const std::string reader = LASTRO_SOURCE_DIR "/tests/golden/models/bert-reader";
  TempFolder built_in;
  ScopedVariable here("LASTRO_MODELS", built_in.path());
  EXPECT_THAT(RolesOfModels({}), ElementsAre(v1::MODEL_ROLE_DECODER)) << "there is none";
  EXPECT_THAT(RolesOfModels({.reader_folder = reader}), ElementsAre(v1::MODEL_ROLE_DECODER, v1::MODEL_ROLE_READER));
  std::filesystem::copy(reader, built_in / "reader");
  for (const char* built_in_one : {"", "built-in"}) {
    EXPECT_THAT(RolesOfModels({.reader_folder = built_in_one}),
                ElementsAre(v1::MODEL_ROLE_DECODER, v1::MODEL_ROLE_READER));
  }
  EXPECT_THAT(RolesOfModels({.reader_folder = "none"}), ElementsAre(v1::MODEL_ROLE_DECODER));
  EXPECT_THAT(RolesOfModels({.reranker_folder = "built-in", .reader_folder = "none"}),
              ::testing::UnorderedElementsAre(v1::MODEL_ROLE_DECODER, v1::MODEL_ROLE_RERANKER));
  std::ofstream(built_in / "reader" + "/reader.gguf") << "GGUF";
  EXPECT_EQ(FindReader("built-in").value(), built_in / "reader" + "/reader.gguf") << "a file in it comes first";
  std::filesystem::remove(built_in / "reader" + "/reader.gguf");
  // One that cannot be read is an error, not a node without a reader.
  std::filesystem::remove(built_in / "reader" + "/config.json");
  EXPECT_THAT(Node::Create({.roles = {Role::kGeneration},
                            .decoder_folder = LASTRO_SOURCE_DIR "/tests/golden/models/llama-gqa",
                            .reader_folder = "built-in"}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("config.json")));
}

TEST(RoutedModels, GoToTheModelTheyAreAbout) {
  ScriptedInspect decoder;
  auto embedder = MakeUnavailableInspect(absl::UnavailableError("embedder's"));
  auto inspect = MakeRoutedInspect(&decoder, embedder.get());
  v1::TokenizeTextRequest request;
  EXPECT_THAT(inspect->TokenizeText(request, CallContext()), IsOk());
  EXPECT_THAT(inspect->InspectPrompt({}, CallContext()), IsOk());
  request.set_model(v1::MODEL_ROLE_EMBEDDER);
  EXPECT_THAT(inspect->TokenizeText(request, CallContext()), StatusIs(absl::StatusCode::kUnavailable, "embedder's"));

  ScriptedModels one("one");
  ScriptedModels two("two");
  ASSERT_OK_AND_ASSIGN(auto merged, MakeMergedModels(&one, &two)->ListModels({}, CallContext()));
  EXPECT_EQ(merged.models_size(), 2);
  ASSERT_OK_AND_ASSIGN(merged, MakeMergedModels(&one, &one)->ListModels({}, CallContext()));
  EXPECT_EQ(merged.models_size(), 1);
}

}  // namespace
}  // namespace lastro::services
