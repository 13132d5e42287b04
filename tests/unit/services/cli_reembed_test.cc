// `lastro reembed` on fake components: what it asks for, what it prints, and what it refuses.
#include <fstream>

#include "absl/strings/str_cat.h"
#include "tests/test_util.h"
#include "tests/unit/services/cli_fake_node.h"

namespace lastro::services {
namespace {

using ::lastro::testing::TempFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class CliReembedTest : public ::testing::Test, public testing::CliRunner {
 protected:
  void SetUp() override {
    state.reembedding.set_chunks(10);
    v1::VectorSet* searched = state.reembedding.mutable_searched();
    searched->set_model("old model");
    searched->set_fingerprint("0123456789abcdef");
    searched->set_dimension(384);
    searched->set_vectors(10);
    searched->set_bytes(15360);
    searched->set_since_commit(1);
    state.job.set_id("j1");
    state.job.set_state(v1::Job::SUCCEEDED);
    state.job.set_embedding_model("new model");
    state.job.set_chunks_found(10);
    state.job.set_chunks_added(9);
    state.job.set_chunks_reused(1);
  }

  void AddOther(int64_t vectors, int64_t since = 0) {
    v1::VectorSet* other = state.reembedding.mutable_other();
    other->set_model("new model");
    other->set_fingerprint("fedcba9876543210");
    other->set_dimension(512);
    other->set_vectors(vectors);
    other->set_bytes(vectors * 512 * 4);
    other->set_since_commit(since);
  }

  // Both models find the chunk `id` of `uri`.
  void AddHit(int64_t id, const std::string& uri) {
    v1::SearchHit* hit = state.search_response.add_hits();
    hit->mutable_chunk()->set_id(id);
    hit->mutable_document()->set_uri(uri);
  }

  std::string Queries(const std::string& lines) {
    std::ofstream(folder_ / "queries", std::ios::binary) << lines;
    return folder_ / "queries";
  }

  TempFolder folder_;
};

TEST_F(CliReembedTest, FillsFromTheModelThatIsNamed) {
  AddOther(10);
  EXPECT_EQ(Lastro({"reembed", "handbook", "--embedder", "/m/new", "--sample", "0"}), 0) << err;
  EXPECT_EQ(state.reembed_request.collection(), "handbook");
  EXPECT_EQ(state.reembed_request.model(), "/m/new");
  EXPECT_THAT(options_seen.embedders, ElementsAre("/m/new"));
  for (const char* shown : {"new model", "10", "9", "lastro reembed handbook --switch"})
    EXPECT_THAT(out, HasSubstr(shown));
  EXPECT_THAT(out, Not(HasSubstr("overlap")));
  // Two given: the last is where it goes.
  EXPECT_EQ(Lastro({"--embedder", "/m/old", "reembed", "--embedder", "/m/newer", "--json"}), 0) << err;
  EXPECT_EQ(state.reembed_request.model(), "/m/newer");
  EXPECT_EQ(state.reembed_request.collection(), "default");
  EXPECT_THAT(out, HasSubstr("\"chunks_added\":\"9\""));
  // None given: what was begun goes on.
  AddOther(3);
  EXPECT_EQ(Lastro({"reembed", "--sample", "0"}), 0) << err;
  EXPECT_EQ(state.reembed_request.model(), "fedcba9876543210");
  state.reembedding.clear_other();
  EXPECT_EQ(Lastro({"reembed"}), 2);
  EXPECT_THAT(err, HasSubstr("--embedder"));
  state.job.set_state(v1::Job::FAILED);
  state.job.set_error("no room");
  EXPECT_EQ(Lastro({"reembed", "--embedder", "/m/new"}), 1);
  EXPECT_THAT(err, HasSubstr("no room"));
}

TEST_F(CliReembedTest, ShowsHowFarItIsAndWhatComesNext) {
  EXPECT_EQ(Lastro({"reembed", "--status"}), 0) << err;
  EXPECT_THAT(out, HasSubstr("old model"));
  EXPECT_THAT(out, Not(HasSubstr("lastro reembed")));
  AddOther(4);
  EXPECT_EQ(Lastro({"reembed", "--status"}), 0);
  EXPECT_THAT(out, HasSubstr("4 of 10"));
  EXPECT_THAT(out, HasSubstr("goes on"));
  EXPECT_THAT(out, Not(HasSubstr("--switch")));
  AddOther(10);
  EXPECT_EQ(Lastro({"reembed", "--status"}), 0);
  EXPECT_THAT(out, HasSubstr("--switch"));
  AddOther(10, /*since=*/3);
  EXPECT_EQ(Lastro({"reembed", "--status"}), 0);
  EXPECT_THAT(out, HasSubstr("--rollback"));
  EXPECT_EQ(Lastro({"reembed", "--status", "--json"}), 0);
  EXPECT_THAT(out, HasSubstr("\"since_commit\":\"3\""));
}

TEST_F(CliReembedTest, SwitchesGoesBackAndDropsOnlyWhatItMay) {
  EXPECT_EQ(Lastro({"reembed", "--switch"}), 1);
  EXPECT_THAT(err, HasSubstr("alone"));
  AddOther(10);
  EXPECT_EQ(Lastro({"reembed", "--rollback"}), 1);
  EXPECT_THAT(err, HasSubstr("never searched"));
  EXPECT_EQ(Lastro({"reembed", "--switch"}), 0) << err;
  EXPECT_EQ(state.reembedding.searched().model(), "new model");
  EXPECT_EQ(Lastro({"reembed", "--rollback"}), 0) << err;
  EXPECT_EQ(state.reembedding.searched().model(), "old model");
  EXPECT_EQ(Lastro({"reembed", "--finish"}), 0) << err;
  EXPECT_FALSE(state.reembedding.has_other());
  EXPECT_THAT(out, HasSubstr("lastro store purge"));
  EXPECT_EQ(Lastro({"reembed", "--finish"}), 1);
  EXPECT_EQ(Lastro({"reembed", "--switch", "--finish"}), 2);
  EXPECT_EQ(Lastro({"reembed", "--finish", "--not-worse"}), 2);
}

TEST_F(CliReembedTest, ComparesBeforeItSwitches) {
  AddOther(10);
  AddHit(1, "a.md");
  const std::string queries = Queries("{\"question\": \"who\", \"document\": \"a.md\"}\nwhere\n");
  EXPECT_EQ(Lastro({"reembed", "--compare", "--queries", queries}), 0) << err;
  EXPECT_EQ(state.search_request.embedding_fingerprint(), "fedcba9876543210");
  EXPECT_EQ(state.search_request.mode(), v1::SearchRequest::DENSE);
  for (const char* shown : {"2 queries", "overlap@10: 1.000", "mrr@10"}) EXPECT_THAT(out, HasSubstr(shown));
  EXPECT_EQ(Lastro({"reembed", "--compare", "--queries", queries, "--json"}), 0) << err;
  EXPECT_THAT(out, HasSubstr("\"overlap\":1"));
  EXPECT_EQ(Lastro({"reembed", "--switch", "--queries", queries, "--min-overlap", "1", "--not-worse"}), 0) << err;
  EXPECT_EQ(state.reembedding.searched().model(), "new model");
  const std::string unknown = Queries("where\n");
  EXPECT_EQ(Lastro({"reembed", "--switch", "--queries", unknown, "--not-worse"}), 2);
  EXPECT_THAT(err, HasSubstr("document"));
  EXPECT_EQ(state.reembedding.searched().model(), "new model") << "nothing was changed";
}

}  // namespace
}  // namespace lastro::services
