// The store over gRPC against the SQLite store itself: what one writes, the other must read, to the field.
#include "base/hash.h"
#include "retrieval/sqlite_store.h"
#include "services/local/local_services.h"
#include "services/remote/remote_apis.h"
#include "tests/unit/services/grpc_fakes.h"

namespace lastro::services {
namespace {

using ::lastro::services::testing::TestServer;
using ::lastro::testing::IsOk;
using ::lastro::testing::StatusIs;
using ::lastro::testing::TempFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kModelA[] = "model-a";

class RemoteStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(sqlite_, retrieval::SqliteStore::Open({.folder = folder_ / "data"}));
    test_.retrieval =
        MakeLocalRetrieval(sqlite_.get(), &test_.embedding, &test_.generation, /*rerank_by_default=*/false);
    test_.store = sqlite_.get();
    test_.Start();
    store_ = MakeRemoteStore(test_.Channel());
    retrieval::Collection collection;
    collection.name = "default";
    collection.embedding_model = "a";
    collection.embedding_fingerprint = kModelA;
    collection.dimension = 2;
    ASSERT_THAT(store_->CreateCollection(collection), IsOk());
  }

  static retrieval::Document MakeDocument(const std::string& uri, const std::string& original) {
    retrieval::Document document;
    document.collection = "default";
    document.uri = uri;
    document.title = "Título";
    document.media_type = "text/plain";
    document.encoding = "UTF-8";
    document.content_sha256 = Sha256Hex(original);
    document.source_sha256 = document.content_sha256;
    document.size_bytes = original.size();
    document.origin = "upload";
    document.pipeline = "p1";
    document.metadata = {{"year", 2024.0}, {"public", true}, {"team", std::string("deck")}};
    return document;
  }

  static retrieval::Chunk MakeChunk(int ordinal, const std::string& text, uint64_t begin, std::vector<float> vector) {
    retrieval::Chunk chunk;
    chunk.ordinal = ordinal;
    chunk.text = text;
    chunk.headings = {"One", "Two"};
    chunk.tokens = 3;
    chunk.segments = {{0, text.size(), begin, text.size(), true}};
    chunk.text_sha256 = Sha256Hex(text);
    chunk.vector = std::move(vector);
    return chunk;
  }

  absl::StatusOr<retrieval::Document> PutTwoChunks(const std::string& uri) {
    const std::string original = "ballast tank; lifeboat deck";
    return store_->PutDocument(MakeDocument(uri, original), kModelA,
                               {MakeChunk(0, "ballast tank", 0, {1, 0}), MakeChunk(1, "lifeboat deck", 14, {0, 1})},
                               original, "");
  }

  TempFolder folder_;
  std::unique_ptr<retrieval::SqliteStore> sqlite_;
  TestServer test_;
  std::unique_ptr<retrieval::ChunkStore> store_;
};

TEST_F(RemoteStoreTest, DocumentsAreTheSameOnBothSides) {
  ASSERT_OK_AND_ASSIGN(retrieval::Document stored, PutTwoChunks("a.txt"));
  ASSERT_OK_AND_ASSIGN(retrieval::Document local, sqlite_->FindDocument("default", "a.txt"));
  ASSERT_OK_AND_ASSIGN(retrieval::Document found, store_->FindDocument("default", "a.txt"));
  for (const retrieval::Document* document : {&stored, &found}) {
    EXPECT_EQ(document->id, local.id);
    EXPECT_EQ(document->title, "Título");
    EXPECT_EQ(document->chunk_count, 2);
    EXPECT_EQ(document->metadata, local.metadata);
    EXPECT_EQ(document->pipeline, "p1");
    EXPECT_EQ(document->content_sha256, local.content_sha256);
  }
  ASSERT_OK_AND_ASSIGN(auto chunks, store_->GetChunks("default", stored.id, /*with_vectors=*/true));
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[1].text, "lifeboat deck");
  EXPECT_EQ(chunks[1].headings, (std::vector<std::string>{"One", "Two"}));
  EXPECT_EQ(chunks[1].segments[0].source_begin, 14u);
  EXPECT_EQ(chunks[1].vector, (std::vector<float>{0, 1}));
  ASSERT_OK_AND_ASSIGN(std::string source, store_->ReadSource("default", stored.id, 14, 1000));
  EXPECT_EQ(source, "lifeboat deck");
  EXPECT_THAT(store_->GetDocument("default", "nothing"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("nothing")));
}

TEST_F(RemoteStoreTest, TheScopeTravelsWithEachCall) {
  Scope tenant;
  tenant.tenant = "acme";
  ASSERT_OK_AND_ASSIGN(auto acme, store_->WithScope(tenant));
  EXPECT_THAT(acme->GetCollection("default"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("default")));
  EXPECT_THAT(acme->ListCollections().value(), IsEmpty());
  ASSERT_OK_AND_ASSIGN(retrieval::Document stored, PutTwoChunks("a.txt"));
  Scope labels;
  labels.all_labels = false;
  labels.labels = {"hr"};
  ASSERT_OK_AND_ASSIGN(auto hr, store_->WithScope(labels));
  EXPECT_THAT(hr->DeleteCollection("default"), StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("labels")));
  retrieval::Document closed = MakeDocument("b.txt", "x");
  closed.labels = {"board"};
  EXPECT_THAT(hr->PutDocument(closed, kModelA, {}, "x", ""),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("label")));
  ASSERT_OK_AND_ASSIGN(closed, store_->PutDocument(closed, kModelA, {}, "x", ""));
  EXPECT_THAT(closed.labels, ::testing::ElementsAre("board"));
  EXPECT_THAT(hr->ReadOriginal("default", closed.id), StatusIs(absl::StatusCode::kNotFound, HasSubstr(closed.id)));
  EXPECT_EQ(hr->DocumentStates("default").value().size(), 1u);
  EXPECT_EQ(store_->DocumentStates("default").value().size(), 2u);
  // The operator's view, which a job finds its way back through after a restart.
  retrieval::Job job;
  job.id = "j";
  job.collection = "mine";
  ASSERT_THAT(acme->PutJob(job), IsOk());
  EXPECT_EQ(store_->GetJob("j").value().collection, "acme/mine");
}

TEST_F(RemoteStoreTest, LargeOriginalsTravelInPieces) {
  std::string original(3 << 20, 'x');
  for (size_t i = 0; i < original.size(); i += 997) original[i] = static_cast<char>('a' + i % 26);
  ASSERT_OK_AND_ASSIGN(retrieval::Document stored,
                       store_->PutDocument(MakeDocument("large.txt", original), kModelA,
                                           {MakeChunk(0, original.substr(0, 12), 0, {1, 0})}, original, ""));
  ASSERT_OK_AND_ASSIGN(std::string read, store_->ReadOriginal("default", stored.id));
  EXPECT_TRUE(read == original);
  ASSERT_OK_AND_ASSIGN(read, store_->ReadSource("default", stored.id, 1, original.size()));
  EXPECT_TRUE(read == original.substr(1));
}

TEST_F(RemoteStoreTest, StatesVectorsAndDeletes) {
  ASSERT_OK_AND_ASSIGN(retrieval::Document stored, PutTwoChunks("a.txt"));
  ASSERT_OK_AND_ASSIGN(auto states, store_->DocumentStates("default"));
  ASSERT_EQ(states.size(), 1u);
  EXPECT_EQ(states["a.txt"].document_id, stored.id);
  EXPECT_EQ(states["a.txt"].content_sha256, stored.content_sha256);
  EXPECT_EQ(states["a.txt"].pipeline, "p1");
  EXPECT_EQ(states["a.txt"].origin, "upload");
  ASSERT_OK_AND_ASSIGN(auto vectors,
                       store_->FindVectors("default", kModelA, {Sha256Hex("lifeboat deck"), Sha256Hex("unknown")}));
  ASSERT_EQ(vectors.size(), 2u);
  EXPECT_EQ(vectors[0], (std::vector<float>{0, 1}));
  EXPECT_THAT(vectors[1], IsEmpty());
  ASSERT_OK_AND_ASSIGN(int64_t deleted, store_->DeleteDocuments("default", {stored.id, "nothing"}));
  EXPECT_EQ(deleted, 1);
  ASSERT_OK_AND_ASSIGN(states, store_->DocumentStates("default"));
  EXPECT_THAT(states, IsEmpty());
}

TEST_F(RemoteStoreTest, SearchesWithTheCallersVector) {
  ASSERT_THAT(PutTwoChunks("a.txt"), IsOk());
  retrieval::SearchQuery query;
  query.collection = "default";
  query.text = "lifeboat";
  query.vector = {0, 1};
  query.fingerprint = kModelA;
  query.limit = 1;
  ASSERT_OK_AND_ASSIGN(retrieval::SearchResult result, store_->Search(query, CallContext()));
  ASSERT_EQ(result.hits.size(), 1u);
  EXPECT_EQ(result.hits[0].chunk.text, "lifeboat deck");
  EXPECT_EQ(result.hits[0].document.uri, "a.txt");
  EXPECT_EQ(result.hits[0].lexical_rank, 1);
  EXPECT_EQ(result.commit, sqlite_->commit());
  EXPECT_EQ(result.removed, sqlite_->Search(query, CallContext())->removed);
  query.fingerprint = "model-b";
  EXPECT_THAT(store_->Search(query, CallContext()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("model")));
  query.collection = "nowhere";
  EXPECT_THAT(store_->Search(query, CallContext()), StatusIs(absl::StatusCode::kNotFound, HasSubstr("nowhere")));
}

TEST_F(RemoteStoreTest, RefusalsOfTheStoreComeThrough) {
  const std::string original = "x";
  EXPECT_THAT(store_->PutDocument(MakeDocument("b.txt", original), "model-b", {}, original, ""),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("model")));
  retrieval::Collection again;
  again.name = "default";
  again.embedding_fingerprint = kModelA;
  again.embedding_model = "a";
  again.dimension = 2;
  EXPECT_THAT(store_->CreateCollection(again), StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("default")));
  ASSERT_OK_AND_ASSIGN(auto collections, store_->ListCollections());
  ASSERT_EQ(collections.size(), 1u);
  EXPECT_EQ(collections[0].embedding_fingerprint, kModelA);
  EXPECT_THAT(store_->DeleteCollection("default"), IsOk());
  EXPECT_THAT(store_->GetCollection("default"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("default")));
}

TEST_F(RemoteStoreTest, ListsDocumentsByPages) {
  for (const char* uri : {"a.txt", "b.txt", "c.txt"}) ASSERT_THAT(PutTwoChunks(uri), IsOk());
  ASSERT_OK_AND_ASSIGN(auto first, store_->ListDocuments("default", {}, 2, ""));
  ASSERT_EQ(first.documents.size(), 2u);
  EXPECT_EQ(first.documents[1].uri, "b.txt");
  ASSERT_OK_AND_ASSIGN(auto second, store_->ListDocuments("default", {}, 2, first.next_page_token));
  ASSERT_EQ(second.documents.size(), 1u);
  EXPECT_EQ(second.next_page_token, "");
}

TEST_F(RemoteStoreTest, JobsSurviveTheWireToTheField) {
  retrieval::Job job;
  job.id = "job-1";
  job.state = retrieval::JobState::kRunning;
  job.collection = "default";
  job.files_found = 7;
  job.chunks_reused = 3;
  job.problems = {{"bad.pdf", "not a PDF"}};
  job.created_at = absl::FromUnixSeconds(1'700'000'000);
  job.updated_at = absl::FromUnixSeconds(1'700'000'100);
  ASSERT_THAT(store_->PutJob(job), IsOk());
  ASSERT_OK_AND_ASSIGN(retrieval::Job local, sqlite_->GetJob("job-1"));
  ASSERT_OK_AND_ASSIGN(retrieval::Job remote, store_->GetJob("job-1"));
  for (const retrieval::Job* seen : {&local, &remote}) {
    EXPECT_EQ(seen->state, retrieval::JobState::kRunning);
    EXPECT_EQ(seen->files_found, 7);
    EXPECT_EQ(seen->chunks_reused, 3);
    ASSERT_EQ(seen->problems.size(), 1u);
    EXPECT_EQ(seen->problems[0].reason, "not a PDF");
    EXPECT_EQ(seen->created_at, job.created_at);
  }
  ASSERT_OK_AND_ASSIGN(auto jobs, store_->ListJobs());
  EXPECT_EQ(jobs.size(), 1u);
  EXPECT_THAT(store_->GetJob("nothing"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("nothing")));
}

TEST(RemoteStore, AServerWithoutTheStoreSaysSo) {
  TestServer test;
  test.Start();
  EXPECT_THAT(MakeRemoteStore(test.Channel())->ListJobs(),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("does not host the store")));
}

TEST_F(RemoteStoreTest, MovesACollectionToAnotherModel) {
  ASSERT_THAT(PutTwoChunks("a.txt"), IsOk());
  retrieval::VectorSet model;
  model.model = "b";
  model.fingerprint = "model-b";
  model.dimension = 3;
  ASSERT_OK_AND_ASSIGN(retrieval::Reembedding state, store_->BeginReembedding("default", model));
  EXPECT_EQ(state.chunks, 2);
  EXPECT_EQ(state.searched.fingerprint, kModelA);
  ASSERT_TRUE(state.other.has_value());
  EXPECT_EQ(state.other->model, "b");
  EXPECT_EQ(state.other->dimension, 3);
  EXPECT_EQ(state.other->since, 0);
  ASSERT_OK_AND_ASSIGN(retrieval::UnembeddedChunks found, store_->FindUnembedded("default", "model-b", 0, 1));
  ASSERT_EQ(found.chunks.size(), 1u);
  EXPECT_EQ(found.chunks[0].text, "ballast tank");
  EXPECT_THAT(found.chunks[0].headings, ElementsAre("One", "Two"));
  ASSERT_OK_AND_ASSIGN(found, store_->FindUnembedded("default", "model-b", found.last, 10));
  ASSERT_EQ(found.chunks.size(), 1u);
  EXPECT_EQ(found.chunks[0].text_sha256, Sha256Hex("lifeboat deck"));
  EXPECT_THAT(store_->SwitchVectors("default", "model-b"), StatusIs(absl::StatusCode::kAborted, HasSubstr("2 of 2")));
  ASSERT_OK_AND_ASSIGN(int64_t put, store_->PutVectors("default", "model-b",
                                                       {{Sha256Hex("ballast tank"), {1, 0, 0}},
                                                        {Sha256Hex("lifeboat deck"), {0, 1, 0}}}));
  EXPECT_EQ(put, 2);
  const std::vector<retrieval::TextVector> too_many(16'385, {"a", {1, 0, 0}});
  EXPECT_THAT(store_->PutVectors("default", "model-b", too_many),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at most 16384")));
  EXPECT_THAT(store_->PrepareVectors("default", "model-b"), IsOk());
  ASSERT_OK_AND_ASSIGN(state, store_->SwitchVectors("default", "model-b"));
  EXPECT_EQ(state.searched.fingerprint, "model-b");
  EXPECT_EQ(state.searched.vectors, 2);
  EXPECT_GT(state.searched.since, 0);
  ASSERT_OK_AND_ASSIGN(retrieval::Collection collection, store_->GetCollection("default"));
  EXPECT_EQ(collection.embedded_since, state.searched.since);
  EXPECT_EQ(collection.dimension, 3);
  ASSERT_OK_AND_ASSIGN(state, store_->DropVectors("default", kModelA));
  EXPECT_FALSE(state.other.has_value());
  EXPECT_FALSE(store_->GetReembedding("default")->other.has_value());
  retrieval::Job job;
  job.id = "j9";
  job.collection = "default";
  job.for_all_labels = true;
  job.chunks_found = 7;
  ASSERT_THAT(store_->PutJob(job), IsOk());
  EXPECT_TRUE(store_->GetJob("j9")->for_all_labels);
  EXPECT_EQ(store_->GetJob("j9")->chunks_found, 7);
}

}  // namespace
}  // namespace lastro::services
