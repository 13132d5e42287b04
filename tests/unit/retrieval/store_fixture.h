// Makes small collections and documents for the tests of the store.
#pragma once

#include <cmath>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/hash.h"
#include "retrieval/sqlite_store.h"
#include "tests/test_util.h"

namespace lastro::retrieval::testing {

inline constexpr char kCollection[] = "notes";
inline constexpr char kFingerprint[] = "model-a";
inline constexpr int kDimension = 8;

// A unit vector that depends on `seed` alone.
inline std::vector<float> VectorOf(uint64_t seed, int dimension = kDimension) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> vector(static_cast<size_t>(dimension));
  double square = 0;
  for (float& x : vector) {
    x = normal(random);
    square += static_cast<double>(x) * x;
  }
  for (float& x : vector) x = static_cast<float>(x / std::sqrt(square));
  return vector;
}

inline std::vector<float> VectorOf(const std::string& text, int dimension = kDimension) {
  return VectorOf(Hash64(text), dimension);
}

inline std::unique_ptr<SqliteStore> OpenStore(const std::string& folder, int64_t index_after_chunks = 5000,
                                              std::optional<IndexKind> kind = std::nullopt) {
  SqliteStoreOptions options;
  options.folder = folder;
  options.index_after_chunks = index_after_chunks;
  options.vector_index.always = kind;
  absl::StatusOr<std::unique_ptr<SqliteStore>> store = SqliteStore::Open(options);
  EXPECT_TRUE(store.ok()) << store.status();
  return store.ok() ? *std::move(store) : nullptr;
}

inline Collection MakeCollection(const std::string& name = kCollection, const std::string& fingerprint = kFingerprint,
                                 int dimension = kDimension) {
  Collection collection;
  collection.name = name;
  collection.embedding_model = "test model";
  collection.embedding_fingerprint = fingerprint;
  collection.dimension = dimension;
  return collection;
}

// A document whose chunks are its texts; the original is the texts joined by newlines.
struct TestDocument {
  Document document;
  std::vector<Chunk> chunks;
  std::string original;
};

inline TestDocument MakeDocument(const std::string& uri, const std::vector<std::string>& texts,
                                 const std::string& collection = kCollection, int dimension = kDimension) {
  TestDocument result;
  result.document.collection = collection;
  result.document.uri = uri;
  result.document.media_type = "text/plain";
  for (const std::string& text : texts) {
    Chunk chunk;
    chunk.ordinal = static_cast<int32_t>(result.chunks.size());
    chunk.text = text;
    chunk.tokens = 3;
    chunk.segments = {{0, text.size(), result.original.size(), text.size(), true}};
    chunk.text_sha256 = Sha256Hex(text);
    chunk.vector = VectorOf(text, dimension);
    result.chunks.push_back(chunk);
    result.original += text + "\n";
  }
  return result;
}

inline absl::StatusOr<Document> Put(SqliteStore& store, const TestDocument& test,
                                    const std::string& fingerprint = kFingerprint) {
  return store.PutDocument(test.document, fingerprint, test.chunks, test.original, "");
}

inline absl::StatusOr<Document> Put(SqliteStore& store, const std::string& uri, const std::vector<std::string>& texts) {
  return Put(store, MakeDocument(uri, texts));
}

inline SearchQuery MakeQuery(SearchMode mode, const std::string& text, const std::string& collection = kCollection) {
  SearchQuery query;
  query.collection = collection;
  query.mode = mode;
  query.text = text;
  if (mode != SearchMode::kLexical) query.vector = VectorOf(text);
  query.fingerprint = kFingerprint;
  return query;
}

// The texts found, best first.
inline std::vector<std::string> Found(SqliteStore& store, const SearchQuery& query) {
  absl::StatusOr<SearchResult> result = store.Search(query, CallContext());
  EXPECT_TRUE(result.ok()) << result.status();
  std::vector<std::string> texts;
  if (!result.ok()) return texts;
  for (const SearchHit& hit : result->hits) texts.push_back(hit.chunk.text);
  return texts;
}

inline std::vector<std::string> Found(SqliteStore& store, SearchMode mode, const std::string& text) {
  return Found(store, MakeQuery(mode, text));
}

// An open store with one empty collection.
class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Reopen();
    ASSERT_THAT(store_->CreateCollection(MakeCollection()), lastro::testing::IsOk());
  }
  void Reopen(int64_t index_after_chunks = 5000, std::optional<IndexKind> kind = std::nullopt) {
    store_.reset();
    store_ = OpenStore(folder_.path(), index_after_chunks, kind);
    ASSERT_NE(store_, nullptr);
  }

  lastro::testing::TempFolder folder_;
  std::unique_ptr<SqliteStore> store_;
};

}  // namespace lastro::retrieval::testing
