#include "services/config.h"

#include <fstream>
#include <sstream>

#include "tests/test_util.h"

namespace lastro::services {
namespace {

using ::lastro::testing::IsOk;
using ::lastro::testing::StatusIs;
using ::lastro::testing::TempFolder;
using ::testing::HasSubstr;

struct Parsed {
  std::variant<DaemonConfig, DaemonExit> result;
  std::string out;
  std::string err;

  const DaemonConfig& config() const { return std::get<DaemonConfig>(result); }
  bool ok() const { return std::holds_alternative<DaemonConfig>(result); }
  int exit_code() const { return ok() ? -1 : std::get<DaemonExit>(result); }
};

Parsed Parse(const std::vector<std::string>& arguments) {
  std::ostringstream out, err;
  auto result = ParseDaemonConfig(arguments, out, err);
  return {std::move(result), out.str(), err.str()};
}

TEST(DaemonConfig, DefaultsHostEveryRoleOnTheOwnMachine) {
  const Parsed parsed = Parse({"--data", "/d"});
  ASSERT_TRUE(parsed.ok()) << parsed.err;
  EXPECT_EQ(parsed.config().node.roles.size(), 5u);
  EXPECT_EQ(parsed.config().listen, "127.0.0.1:7420");
  EXPECT_EQ(parsed.config().node.data_folder, "/d");
  EXPECT_EQ(parsed.config().node.max_waiting_calls, 64);
  EXPECT_TRUE(parsed.config().node.allow_folders);
  EXPECT_FALSE(parsed.config().node.lazy_models);
}

TEST(DaemonConfig, TakesAReaderOrNone) {
  EXPECT_EQ(Parse({"--data", "/d"}).config().node.reader_folder, "");
  EXPECT_EQ(Parse({"--data", "/d", "--reader", "/models/reader"}).config().node.reader_folder, "/models/reader");
  EXPECT_EQ(Parse({"--data", "/d", "--reader=none"}).config().node.reader_folder, "none");
}

TEST(DaemonConfig, RefusesAVectorIndexThatThereIsNot) {
  const Parsed parsed = Parse({"--data", "/d", "--vector-index", "flat"});
  EXPECT_EQ(parsed.exit_code(), kDaemonUsage);
  EXPECT_THAT(parsed.err, HasSubstr("expected auto, exact, hnsw, ivf-sq or ivf-pq"));
}

TEST(DaemonConfig, TheStoreMayBeInAMilvus) {
  const Parsed parsed = Parse({"--store", "milvus:host:19530", "--milvus-tls", "--milvus-prefix", "library",
                               "--milvus-consistency", "bounded", "--milvus-shards", "4"});
  ASSERT_TRUE(parsed.ok()) << parsed.err;
  const MilvusOptions& milvus = parsed.config().node.milvus;
  EXPECT_EQ(milvus.address, "host:19530");
  EXPECT_TRUE(milvus.tls);
  EXPECT_EQ(milvus.prefix, "library");
  EXPECT_EQ(milvus.shards, 4);
  EXPECT_EQ(milvus.consistency, MilvusConsistency::kBounded);
  EXPECT_EQ(parsed.config().node.data_folder, "");
  const Parsed file = Parse({"--config", LASTRO_SOURCE_DIR "/deploy/milvus/lastrod.conf.example"});
  ASSERT_TRUE(file.ok()) << file.err;
  EXPECT_EQ(file.config().node.milvus.address, "milvus.example.internal:19530");
  for (const auto& [arguments, message] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"--store", "milvus:host"}, "HOST:PORT"},
           {{"--store", "/a/folder"}, "--data"},
           {{"--store", "lastrod:host:1"}, "--retrieval-address"},
           {{"--store", "milvus:host:1", "--data", "/d"}, "not both"},
           {{"--store", "milvus:host:1", "--milvus-consistency", "stronger"}, "stronger"},
           {{"--store", "milvus:host:1", "--milvus-shards", "0"}, "milvus-shards"}}) {
    const Parsed refused = Parse(arguments);
    EXPECT_EQ(refused.exit_code(), kDaemonUsage);
    EXPECT_THAT(refused.err, HasSubstr(message));
  }
}

TEST(DaemonConfig, ReadsEveryOption) {
  const Parsed parsed = Parse({"--roles=ingest, ask",
                               "--listen",
                               "0.0.0.0:0",
                               "--embedding-address",
                               "e:1",
                               "--generation-address=g:2",
                               "--retrieval-address",
                               "r:3",
                               "--threads",
                               "3",
                               "--compute-type",
                               "fp32",
                               "--device",
                               "cuda:1",
                               "--gpu-memory",
                               "20GiB",
                               "--overlap-kernels",
                               "--kv-memory",
                               "3GiB",
                               "--kv-type",
                               "int8",
                               "--allowed-folder-root",
                               "/docs",
                               "--no-folders",
                               "--require-scope",
                               "--max-running-texts",
                               "9",
                               "--max-waiting-calls",
                               "5",
                               "--drain-seconds",
                               "7",
                               "--log-level",
                               "warning",
                               "--log-json",
                               "--vector-index",
                               "ivf-sq",
                               "--vector-gpu-memory",
                               "8GiB",
                               "--decoder",
                               "/m/d",
                               "--embedder",
                               "/m/e"});
  ASSERT_TRUE(parsed.ok()) << parsed.err;
  EXPECT_EQ(parsed.config().node.vector_index, "ivf-sq");
  EXPECT_EQ(parsed.config().node.vector_gpu_bytes, int64_t{8} << 30);
  const NodeConfig& node = parsed.config().node;
  EXPECT_EQ(node.roles, (std::set<Role>{Role::kIngest, Role::kAsk}));
  EXPECT_EQ(node.addresses, (std::map<Role, std::string>{
                                {Role::kEmbedding, "e:1"}, {Role::kGeneration, "g:2"}, {Role::kRetrieval, "r:3"}}));
  EXPECT_EQ(node.compute.threads, 3);
  EXPECT_EQ(node.compute.compute_type, "fp32");
  EXPECT_EQ(node.compute.device, "cuda:1");
  EXPECT_EQ(node.compute.gpu_bytes, int64_t{20} << 30);
  EXPECT_TRUE(node.compute.kernels_overlap);
  EXPECT_EQ(node.compute.kv_bytes, int64_t{3} << 30);
  EXPECT_EQ(node.compute.kv_type, "int8");
  EXPECT_EQ(node.allowed_folder_root, "/docs");
  EXPECT_FALSE(node.allow_folders);
  EXPECT_TRUE(parsed.config().requires_scope);
  EXPECT_EQ(node.max_running_texts, 9);
  EXPECT_EQ(node.max_waiting_calls, 5);
  EXPECT_EQ(node.decoder_folder, "/m/d");
  EXPECT_THAT(node.embedder_folders, ::testing::ElementsAre("/m/e"));
  EXPECT_EQ(parsed.config().drain, absl::Seconds(7));
  EXPECT_EQ(parsed.config().log_level, LogLevel::kWarning);
  EXPECT_TRUE(parsed.config().log_json);
}

TEST(DaemonConfig, ErrorsAreUsageErrorsThatNameWhatIsWrong) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"--no-such-option"}, "no-such-option"},
      {{"--roles=gateway"}, "no gateway role"},
      {{"--roles=asking"}, "'asking'"},
      {{"--roles=,"}, "no role"},
      {{"--roles=ask"}, "the ask role needs the"},
      {{"--roles=retrieval", "--data", "/d"}, "--embedding-address"},
      {{"--roles=embedding", "--listen", "7420"}, "HOST:PORT"},
      {{"--roles=embedding", "--generation-address", "nowhere"}, "'nowhere'"},
      {{"--roles=embedding", "--threads", "-1"}, "threads"},
      {{"--roles=embedding", "--compute-type", "int3"}, "compute-type"},
      {{"--roles=embedding", "--kv-type", "int4"}, "kv-type"},
      {{"--roles=embedding", "--kv-memory", "lots"}, "kv-memory"},
      {{"--roles=embedding", "--kv-memory", "0"}, "kv-memory"},
      {{"--roles=embedding", "--max-running-texts", "0"}, "max-running-texts"},
      {{"--roles=embedding", "--max-waiting-calls", "1000000"}, "max-waiting-calls"},
      {{"--roles=embedding", "--log-level", "loud"}, "'loud'"},
      {{"--roles=embedding", "--tls-cert", "x"}, "--tls-key"},
      {{"--config", "/no/such.conf"}, "/no/such.conf"},
  };
  for (const auto& [arguments, words] : cases) {
    const Parsed parsed = Parse(arguments);
    EXPECT_EQ(parsed.exit_code(), kDaemonUsage) << arguments.back();
    EXPECT_THAT(parsed.err, HasSubstr(words));
    EXPECT_THAT(parsed.err, HasSubstr("lastrod --help"));
  }
}

TEST(DaemonConfig, HelpAndVersionAreNoErrors) {
  const Parsed help = Parse({"--help"});
  EXPECT_EQ(help.exit_code(), kDaemonOk);
  EXPECT_THAT(help.out, HasSubstr("Exit codes: 0"));
  const Parsed version = Parse({"--version"});
  EXPECT_EQ(version.exit_code(), kDaemonOk);
  EXPECT_THAT(version.out, HasSubstr("lastrod "));
}

TEST(DaemonConfig, ReadsAFileAndTheCommandLineWins) {
  TempFolder folder;
  const std::string path = folder / "lastrod.conf";
  std::ofstream(path) << "# a comment\nroles = \"embedding,generation\"\nlisten = \"127.0.0.1:9\"\nthreads = 2\n"
                         "log-json = true\n";
  const Parsed parsed = Parse({"--config", path, "--threads", "4"});
  ASSERT_TRUE(parsed.ok()) << parsed.err;
  EXPECT_EQ(parsed.config().node.roles, (std::set<Role>{Role::kEmbedding, Role::kGeneration}));
  EXPECT_EQ(parsed.config().listen, "127.0.0.1:9");
  EXPECT_EQ(parsed.config().node.compute.threads, 4);
  EXPECT_TRUE(parsed.config().log_json);

  std::ofstream(path) << "lisen = \"127.0.0.1:9\"\n";
  const Parsed misspelt = Parse({"--config", path});
  EXPECT_EQ(misspelt.exit_code(), kDaemonUsage);
  EXPECT_THAT(misspelt.err, HasSubstr("lisen"));
}

TEST(DaemonConfig, TheExampleIsTheDefaults) {
  std::ifstream example(LASTRO_SOURCE_DIR "/deploy/lastrod.conf.example");
  std::ostringstream text;
  text << example.rdbuf();
  const Parsed parsed = Parse({"--config", LASTRO_SOURCE_DIR "/deploy/lastrod.conf.example"});
  ASSERT_TRUE(parsed.ok()) << parsed.err;
  EXPECT_EQ(parsed.config().node.data_folder, "/var/lib/lastro");
  // Every line that is commented out is an option there is.
  TempFolder folder;
  std::istringstream lines(text.str());
  int options = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.size() < 2 || line[0] != '#' || line[1] == ' ') continue;
    ++options;
    const std::string path = folder / "one.conf";
    std::ofstream(path) << line.substr(1) << "\ndata = \"/d\"\n";
    const Parsed one = Parse({"--config", path});
    EXPECT_TRUE(one.ok() || one.err.find("TLS needs both") != std::string::npos) << line << ": " << one.err;
  }
  EXPECT_GT(options, 15);
}

}  // namespace
}  // namespace lastro::services
