// The pipeline on the real store: what was ingested is found, and its citations are the bytes of the file.
#include <filesystem>
#include <fstream>

#include "ingest/pipeline.h"
#include "retrieval/source_map.h"
#include "retrieval/sqlite_store.h"
#include "tests/test_util.h"
#include "tests/unit/ingest/fakes.h"

namespace lastro::ingest {
namespace {

using ::lastro::testing::IsOk;

TEST(PipelineStoreTest, IngestSearchEditAndSync) {
  lastro::testing::TempFolder data, docs;
  ASSERT_OK_AND_ASSIGN(auto store, retrieval::SqliteStore::Open({data / "store"}));
  FakeEmbedder embedder;
  Pipeline pipeline(store.get(), &embedder, PipelineOptions());
  auto write = [&](const std::string& name, const std::string& text) { std::ofstream(docs / name) << text; };
  auto ingest = [&] {
    retrieval::Job job;
    job.id = "job";
    job.created_at = absl::Now();
    FolderRequest request;
    request.collection = "docs";
    request.folder = docs.path();
    request.sync = true;
    return pipeline.IngestFolder(request, job, CallContext());
  };
  write("a.md", "# Ferries\n\nThe **last** ferry leaves at 19:30.\n\n# Trains\n\nTrains do not run.\n");
  write("b.txt", "Nothing about boats here.");
  ASSERT_OK_AND_ASSIGN(retrieval::Job job, ingest());
  EXPECT_EQ(job.files_added, 2);

  retrieval::SearchQuery query;
  query.collection = "docs";
  query.text = "ferry";
  query.mode = retrieval::SearchMode::kLexical;
  ASSERT_OK_AND_ASSIGN(retrieval::SearchResult result, store->Search(query, CallContext()));
  ASSERT_FALSE(result.hits.empty());
  const retrieval::Chunk& chunk = result.hits[0].chunk;
  EXPECT_EQ(chunk.text, "The last ferry leaves at 19:30.");
  auto range = retrieval::MapToSource(chunk.segments, 0, chunk.text.size());
  ASSERT_TRUE(range.has_value());
  ASSERT_OK_AND_ASSIGN(std::string cited, store->ReadSource("docs", chunk.document_id, range->begin, range->end));
  EXPECT_EQ(cited, "The **last** ferry leaves at 19:30.");

  write("a.md", "# Ferries\n\nThe **last** ferry leaves at 19:30.\n\n# Trains\n\nTrains run again.\n");
  std::filesystem::remove(docs / "b.txt");
  ASSERT_OK_AND_ASSIGN(job, ingest());
  EXPECT_EQ(job.files_updated, 1);
  EXPECT_EQ(job.files_removed, 1);
  EXPECT_EQ(job.chunks_reused, 1);
  ASSERT_OK_AND_ASSIGN(retrieval::Job stored, store->GetJob("job"));
  EXPECT_EQ(stored.state, retrieval::JobState::kSucceeded);
}

}  // namespace
}  // namespace lastro::ingest
