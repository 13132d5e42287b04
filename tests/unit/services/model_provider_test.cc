#include "services/local/model_provider.h"

#include "services/local/local_services.h"
#include "tests/test_util.h"

namespace lastro::services {
namespace {

using lastro::testing::IsOk;
using lastro::testing::kInvalid;
using lastro::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const engine::RuntimeOptions kOneThread = {1, engine::ComputeType::kFloat32, "cpu"};
const ModelFolders kFolders = {.decoder = LASTRO_SOURCE_DIR "/tests/golden/models/llama-gqa",
                               .embedders = {LASTRO_SOURCE_DIR "/tests/golden/models/bert-mean"}};

// Two replicas, of the same device here.
TEST(ModelProviderTest, ACallGetsTheReplicaWithTheFewestCalls) {
  ModelProvider models(kFolders, std::vector<engine::RuntimeOptions>{kOneThread, kOneThread});
  ASSERT_THAT(models.LoadAll(), IsOk());
  ASSERT_OK_AND_ASSIGN(Lease<LoadedDecoder> first, models.Decoder());
  ASSERT_OK_AND_ASSIGN(Lease<LoadedDecoder> second, models.Decoder());
  EXPECT_NE(first.get(), second.get());
  const LoadedDecoder* const of_second = second.get();
  // Whatever model a call is for, its device is busy.
  ASSERT_OK_AND_ASSIGN(Lease<engine::EmbeddingModel> embedder, models.Embedder());
  second = nullptr;
  ASSERT_OK_AND_ASSIGN(second, models.Decoder());
  EXPECT_EQ(second.get(), of_second);
  second = nullptr;
  ASSERT_OK_AND_ASSIGN(Lease<engine::EmbeddingModel> other, models.Embedder());
  EXPECT_NE(other.get(), embedder.get());
  // Replicas are of one model.
  EXPECT_EQ(other->info().fingerprint, embedder->info().fingerprint);
  ASSERT_OK_AND_ASSIGN(std::vector<float> one, embedder->Embed({"the cat"}, false, CallContext()));
  ASSERT_OK_AND_ASSIGN(std::vector<float> two, other->Embed({"the cat"}, false, CallContext()));
  EXPECT_EQ(one, two);
  ASSERT_OK_AND_ASSIGN(const std::string both, models.DeviceDescription());
  ASSERT_OK_AND_ASSIGN(const std::string each, models.DeviceClass());
  EXPECT_EQ(both, each + "; " + each);
}

TEST(ModelProviderTest, AReplicaThatCannotBeMadeIsAnError) {
  engine::RuntimeOptions bad = kOneThread;
  bad.device = "abacus";
  ModelProvider models(kFolders, std::vector<engine::RuntimeOptions>{kOneThread, bad});
  EXPECT_THAT(models.LoadAll(), StatusIs(kInvalid, HasSubstr("abacus")));
}

TEST(ModelProviderTest, DevicesOfALine) {
  EXPECT_THAT(engine::DevicesOf("auto").value(), ElementsAre("auto"));
  EXPECT_THAT(engine::DevicesOf("cpu").value(), ElementsAre("cpu"));
  EXPECT_THAT(engine::DevicesOf("cuda").value(), ElementsAre("cuda"));
  EXPECT_THAT(engine::DevicesOf("cuda:3").value(), ElementsAre("cuda:3"));
  EXPECT_THAT(engine::DevicesOf("cuda:0,2,1").value(), ElementsAre("cuda:0", "cuda:2", "cuda:1"));
  EXPECT_THAT(engine::DevicesOf("cuda:0,0"), StatusIs(kInvalid, HasSubstr("twice")));
  for (const char* bad : {"cuda:", "cuda:0,", "cuda:-1", "cuda:0,x"}) {
    EXPECT_THAT(engine::DevicesOf(bad), StatusIs(kInvalid, HasSubstr("cuda:N,M"))) << bad;
    EXPECT_THAT(engine::DevicesOf(bad), StatusIs(kInvalid, HasSubstr("device \"cuda:"))) << bad;
  }
}

}  // namespace
}  // namespace lastro::services
