// Kills a process that writes, at random moments, and looks at what it left: every acknowledged document is whole, and
// nothing is half there.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "retrieval/document_table.h"
#include "tests/unit/retrieval/store_fixture.h"

namespace lastro::retrieval::testing {
namespace {

using lastro::testing::IsOk;

constexpr int kRounds = 32;
constexpr int kDocuments = 12;  // uris in rotation, so that most puts replace

// One acknowledged operation: version 0 is a delete.
struct Acknowledgement {
  int document;
  int version;
};

std::string Uri(int document) { return absl::StrCat("doc", document); }
int ChunkCount(int document, int version) { return 1 + (document * 7 + version * 3) % 6; }
std::string ChunkText(int document, int version, int ordinal) {
  return absl::StrCat("document", document, " version", version, " part", ordinal);
}

TestDocument MakeVersion(int document, int version) {
  std::vector<std::string> texts;
  for (int i = 0; i < ChunkCount(document, version); ++i) texts.push_back(ChunkText(document, version, i));
  TestDocument test = MakeDocument(Uri(document), texts);
  test.document.metadata["version"] = static_cast<double>(version);
  return test;
}

// Runs in the child until it is killed: announces each operation before and acknowledges it after its commit.
[[noreturn]] void WriteForever(const std::string& folder, int first_version, int started_fd, int done_fd) {
  SqliteStoreOptions options;
  options.folder = folder;
  options.index_after_chunks = 15;
  absl::StatusOr<std::unique_ptr<SqliteStore>> store = SqliteStore::Open(options);
  if (!store.ok()) _exit(3);
  for (int version = first_version;; ++version) {
    int document = version % kDocuments;
    bool erase = version % 5 == 4;
    Acknowledgement acknowledgement{document, erase ? 0 : version};
    if (write(started_fd, &acknowledgement, sizeof(acknowledgement)) < 0) _exit(4);
    bool ok = erase ? (*store)->DeleteDocuments(kCollection, {DocumentId(kCollection, Uri(document))}).ok()
                    : Put(**store, MakeVersion(document, version)).ok();
    if (!ok) _exit(5);
    if (write(done_fd, &acknowledgement, sizeof(acknowledgement)) < 0) _exit(6);
  }
}

std::vector<Acknowledgement> ReadAll(int fd) {
  std::vector<Acknowledgement> all;
  Acknowledgement one;
  while (read(fd, &one, sizeof(one)) == static_cast<ssize_t>(sizeof(one))) all.push_back(one);
  close(fd);
  return all;
}

class StoreCrashTest : public ::testing::Test {
 protected:
  void SetUp() override {
    random_ = lastro::testing::SeededRandom(77);
    std::unique_ptr<SqliteStore> store = OpenStore(folder_.path());
    ASSERT_NE(store, nullptr);
    ASSERT_THAT(store->CreateCollection(MakeCollection()), IsOk());
    for (int document = 0; document < kDocuments; ++document) possible_[document] = {0};
  }

  // Lets a child write for a random while, kills it, and updates what may be in the store.
  void WriteAndKill() {
    int started[2], done[2];
    ASSERT_EQ(pipe2(started, O_CLOEXEC), 0);
    ASSERT_EQ(pipe2(done, O_CLOEXEC), 0);
    fcntl(started[1], F_SETPIPE_SZ, 1 << 20);
    fcntl(done[1], F_SETPIPE_SZ, 1 << 20);
    pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) WriteForever(folder_.path(), next_version_, started[1], done[1]);
    close(started[1]);
    close(done[1]);
    usleep(static_cast<useconds_t>(std::uniform_int_distribution<int>(5000, 250000)(random_)));
    ASSERT_EQ(kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child gave up with " << WEXITSTATUS(status);
    Note(ReadAll(started[0]), ReadAll(done[0]));
  }

  void Note(const std::vector<Acknowledgement>& started, const std::vector<Acknowledgement>& done) {
    for (const Acknowledgement& operation : done) possible_[operation.document] = {operation.version};
    acknowledged_ += done.size();
    // The operation that was under way may have been committed or not.
    if (started.size() > done.size()) possible_[started.back().document].insert(started.back().version);
    ASSERT_LE(started.size(), done.size() + 1);
    next_version_ += static_cast<int>(started.size());
  }

  void CheckStore() {
    std::unique_ptr<SqliteStore> store = OpenStore(folder_.path(), 15);
    ASSERT_NE(store, nullptr);
    ASSERT_THAT(store->CheckIntegrity(), IsOk());
    for (int document = 0; document < kDocuments; ++document) CheckDocument(*store, document);
  }

  void CheckDocument(SqliteStore& store, int document) {
    const std::set<int> allowed = possible_[document];
    absl::StatusOr<Document> found = store.FindDocument(kCollection, Uri(document));
    if (!found.ok()) {
      EXPECT_TRUE(absl::IsNotFound(found.status())) << found.status();
      EXPECT_TRUE(allowed.count(0)) << Uri(document) << " was acknowledged and is lost";
      possible_[document] = {0};
      return;
    }
    int version = static_cast<int>(std::get<double>(found->metadata["version"]));
    EXPECT_TRUE(allowed.count(version)) << Uri(document) << " has version " << version;
    possible_[document] = {version};
    CheckWhole(store, *found, document, version);
  }

  static void CheckWhole(SqliteStore& store, const Document& found, int document, int version) {
    TestDocument expected = MakeVersion(document, version);
    EXPECT_EQ(store.ReadOriginal(kCollection, found.id).value(), expected.original);
    absl::StatusOr<std::vector<Chunk>> chunks = store.GetChunks(kCollection, found.id, true);
    ASSERT_THAT(chunks, IsOk());
    ASSERT_EQ(chunks->size(), expected.chunks.size());
    ASSERT_EQ(found.chunk_count, static_cast<int64_t>(expected.chunks.size()));
    for (size_t i = 0; i < chunks->size(); ++i) {
      const std::string& text = expected.chunks[i].text;
      EXPECT_EQ((*chunks)[i].text, text);
      EXPECT_EQ((*chunks)[i].vector, expected.chunks[i].vector);
      EXPECT_EQ(Found(store, SearchMode::kLexical, text).front(), text);
      EXPECT_EQ(Found(store, SearchMode::kDense, text).front(), text);
    }
  }

  lastro::testing::TempFolder folder_;
  std::mt19937_64 random_;
  std::map<int, std::set<int>> possible_;  // versions each document may have now; 0: absent
  int next_version_ = 1;
  size_t acknowledged_ = 0;
};

TEST_F(StoreCrashTest, KeepsWhatItAcknowledgedThroughKills) {
  for (int round = 0; round < kRounds && !HasFailure(); ++round) {
    SCOPED_TRACE(absl::StrCat("round ", round));
    WriteAndKill();
    CheckStore();
  }
  EXPECT_GT(acknowledged_, 0u);
  std::printf("%zu operations acknowledged in %d rounds\n", acknowledged_, kRounds);
}

}  // namespace
}  // namespace lastro::retrieval::testing
