// `lastro doctor` and `lastro store` on a real data folder: what they print, and their exit codes.
#include <fstream>
#include <string>

#include "base/json.h"
#include "retrieval/document_table.h"
#include "tests/unit/retrieval/store_fixture.h"
#include "tests/unit/services/cli_fake_node.h"

namespace lastro::services {
namespace {

using ::lastro::testing::IsOk;
using ::testing::HasSubstr;
using ::testing::Not;

class CliStoreTest : public ::testing::Test, public testing::CliRunner {
 protected:
  void SetUp() override {
    auto store = retrieval::testing::OpenStore(data_);
    ASSERT_THAT(store->CreateCollection(retrieval::testing::MakeCollection()), IsOk());
    for (const char* uri : {"a.md", "b.md", "c.md"}) {
      ASSERT_THAT(retrieval::testing::Put(*store, uri, {std::string("text of ") + uri}), IsOk());
    }
    ASSERT_THAT(store->Flush(), IsOk());
  }

  JsonDocument Json() {
    absl::StatusOr<JsonDocument> json = JsonDocument::Parse(out, "output");
    EXPECT_THAT(json, IsOk()) << out;
    return *std::move(json);
  }

  void DamageIndex() {
    std::fstream(data_ + "/index/1/1.index", std::ios::in | std::ios::out | std::ios::binary).seekp(5000) << "garbage";
  }

  lastro::testing::TempFolder folder_;
  const std::string data_ = folder_ / "data";
};

TEST_F(CliStoreTest, DoctorSaysThatAllIsWell) {
  EXPECT_EQ(Lastro({"doctor", "--data", data_}), kExitOk);
  EXPECT_THAT(out, HasSubstr("documents"));
  EXPECT_THAT(out, Not(HasSubstr("damaged")));
  EXPECT_EQ(Lastro({"doctor", "--data", data_, "--json"}), kExitOk);
  EXPECT_TRUE(Json().root().GetBool("healthy", false).value());
}

TEST_F(CliStoreTest, DoctorTellsOfDamageAndMendsIt) {
  DamageIndex();
  EXPECT_EQ(Lastro({"doctor", "--data", data_}), kExitProblems);
  EXPECT_THAT(out, HasSubstr("1.index"));
  EXPECT_THAT(out, HasSubstr("what to do: --repair"));
  EXPECT_EQ(Lastro({"doctor", "--data", data_, "--json"}), kExitProblems);
  EXPECT_FALSE(Json().root().GetBool("healthy", true).value());
  EXPECT_EQ(Lastro({"doctor", "--data", data_, "--repair"}), kExitOk);
  EXPECT_THAT(out, HasSubstr("mended"));
  EXPECT_EQ(Lastro({"doctor", "--data", data_}), kExitOk);
}

TEST_F(CliStoreTest, DoctorNeedsALocalStore) {
  EXPECT_EQ(Lastro({"doctor", "--data", folder_ / "none"}), kExitFailure);
  EXPECT_THAT(err, HasSubstr("there is no store"));
  EXPECT_EQ(Lastro({"doctor", "--server", "localhost:1"}), kExitUsage);
  EXPECT_THAT(err, HasSubstr("not over --server"));
  EXPECT_EQ(Lastro({"doctor", "--data", data_, "--drop-damaged"}), kExitUsage);
}

TEST_F(CliStoreTest, BacksUpAndRestores) {
  const std::string backup = folder_ / "backup", restored = folder_ / "restored";
  EXPECT_EQ(Lastro({"store", "backup", backup, "--data", data_}), kExitOk);
  EXPECT_THAT(out, HasSubstr("Backed up 3 documents"));
  EXPECT_EQ(Lastro({"store", "backup", backup, "--data", data_}), kExitFailure);
  EXPECT_THAT(err, HasSubstr("is there already"));
  EXPECT_EQ(Lastro({"store", "restore", backup, "--data", restored, "--json"}), kExitOk);
  EXPECT_EQ(Json().root().GetInt("documents", 0).value(), 3);
  EXPECT_EQ(Lastro({"store", "restore", backup, "--data", restored}), kExitFailure);
  EXPECT_THAT(err, HasSubstr("--replace"));
  EXPECT_EQ(Lastro({"store", "restore", backup, "--data", restored, "--replace"}), kExitOk);
  EXPECT_EQ(Lastro({"doctor", "--data", restored}), kExitOk);
}

TEST_F(CliStoreTest, CopiesAndSaysWhatWasThere) {
  const std::string copy = folder_ / "copy";
  EXPECT_EQ(Lastro({"store", "copy", data_, copy}), kExitOk);
  EXPECT_THAT(out, HasSubstr("Copied 3 documents of 1 collection; 0 were there already."));
  EXPECT_EQ(Lastro({"store", "copy", data_, copy, "--json"}), kExitOk);
  EXPECT_EQ(Json().root().GetInt("documents_copied", 9).value(), 0);
  EXPECT_EQ(Json().root().GetInt("documents_equal", 0).value(), 3);
  EXPECT_EQ(Lastro({"doctor", "--data", copy}), kExitOk);
  EXPECT_EQ(Lastro({"store", "copy", data_, data_ + "/."}), kExitUsage);
  EXPECT_THAT(err, HasSubstr("are one store"));
  EXPECT_EQ(Lastro({"store", "copy", folder_ / "none", copy}), kExitFailure);
  EXPECT_THAT(err, HasSubstr("there is no store"));
  EXPECT_EQ(Lastro({"store", "copy", data_, copy, "--collection", "nope"}), kExitFailure);
  EXPECT_THAT(err, HasSubstr("nope"));
}

TEST_F(CliStoreTest, PurgesAndShowsTheReceipts) {
  EXPECT_EQ(Lastro({"store", "purge", "--data", data_, "--list"}), kExitOk);
  EXPECT_EQ(out, "No purges.\n");
  {
    auto store = retrieval::testing::OpenStore(data_);
    ASSERT_EQ(store->DeleteDocuments("notes", {retrieval::DocumentId("notes", "b.md")}).value(), 1);
    EXPECT_EQ(Lastro({"store", "purge", "--data", data_}), kExitFailure);
    EXPECT_THAT(err, HasSubstr("another process"));
  }
  EXPECT_EQ(Lastro({"store", "purge", "--data", data_}), kExitOk);
  EXPECT_EQ(Lastro({"store", "purge", "--data", data_, "--list", "--json"}), kExitOk);
  JsonDocument json = Json();
  ASSERT_OK_AND_ASSIGN(JsonValue purges, json.root().Get("purges"));
  EXPECT_EQ(purges.AsArray()->size(), 1u);
  EXPECT_THAT(out, HasSubstr("\"vector_indexes\":1"));
}

}  // namespace
}  // namespace lastro::services
