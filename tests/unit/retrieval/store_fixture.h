// Makes small collections and documents for the tests of the store.
#pragma once

#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "retrieval/collection_table.h"
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

// Brings a database back to what version 3 had: the vectors in the rows of the chunks.
inline void MakeVersion3(Database& db) {
  std::vector<CollectionRow> collections = AllCollections(db).value();
  ASSERT_THAT(db.Execute("ALTER TABLE chunks ADD COLUMN vector BLOB NOT NULL DEFAULT x'';"
                         "ALTER TABLE collections ADD COLUMN model TEXT NOT NULL DEFAULT '';"
                         "ALTER TABLE collections ADD COLUMN fingerprint TEXT NOT NULL DEFAULT '';"
                         "ALTER TABLE collections ADD COLUMN dimension INTEGER NOT NULL DEFAULT 0;"
                         "UPDATE collections SET (model, fingerprint, dimension)="
                         "(SELECT model, fingerprint, dimension FROM vector_sets s WHERE s.id=searched);"
                         "ALTER TABLE collections DROP COLUMN searched; DROP TABLE vector_sets"),
              lastro::testing::IsOk());
  for (const CollectionRow& collection : collections) {
    const std::string table = VectorTable(collection.searched.id);
    ASSERT_THAT(
        db.Execute(absl::StrCat("UPDATE chunks SET vector=(SELECT v.vector FROM ", table,
                                " v WHERE v.chunk=id) WHERE collection=", collection.row, "; DROP TABLE ", table)),
        lastro::testing::IsOk());
  }
  ASSERT_THAT(db.Execute("PRAGMA user_version=3"), lastro::testing::IsOk());
}

// The texts of a model of another kind: what its vectors are is as far from the first model's as may be.
inline constexpr char kOtherFingerprint[] = "model-b";
inline constexpr int kOtherDimension = 12;

inline VectorSet OtherModel(const std::string& fingerprint = kOtherFingerprint, int dimension = kOtherDimension) {
  VectorSet model;
  model.model = "the model " + fingerprint;
  model.fingerprint = fingerprint;
  model.dimension = dimension;
  return model;
}

// The vector of a text by the model `fingerprint`; by kFingerprint it is VectorOf(text).
inline std::vector<float> VectorBy(const std::string& fingerprint, const std::string& text, int dimension) {
  return fingerprint == kFingerprint ? VectorOf(text, dimension) : VectorOf(fingerprint + "/" + text, dimension);
}

// Fills in what the other set lacks, as a job does, at most `texts` of them; how many texts that were.
inline absl::StatusOr<int> FillOther(ChunkStore& store, const VectorSet& model, int texts = 1 << 30,
                                     const std::string& collection = kCollection) {
  int done = 0;
  for (int64_t after = 0; done < texts;) {
    absl::StatusOr<UnembeddedChunks> found = store.FindUnembedded(collection, model.fingerprint, after, 5);
    if (!found.ok()) return found.status();
    if (found->chunks.empty()) break;
    std::map<std::string, std::vector<float>> vectors;
    for (const Chunk& chunk : found->chunks) {
      if (static_cast<int>(vectors.size()) + done >= texts) break;
      vectors[chunk.text_sha256] = VectorBy(model.fingerprint, chunk.text, model.dimension);
    }
    std::vector<TextVector> given;
    for (auto& [key, vector] : vectors) given.push_back({key, vector});
    absl::StatusOr<int64_t> put = store.PutVectors(collection, model.fingerprint, given);
    if (!put.ok()) return put.status();
    done += static_cast<int>(vectors.size());
    after = found->last;
  }
  return done;
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
