// ChunkStore: the one truth of collections, documents, chunks, vectors and jobs, and search over it. Implemented on
// SQLite (sqlite_store.h) and, over gRPC, by services/remote. Thread-safe.
//
// A Put or Delete is one commit: a search that starts after it returned sees it, whole, and a crash keeps or loses it,
// whole. `commit` numbers grow by one with each.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/call_context.h"
#include "base/scope.h"
#include "retrieval/filter.h"
#include "retrieval/reembedding.h"
#include "retrieval/types.h"

namespace lastro::retrieval {

enum class SearchMode { kHybrid, kDense, kLexical };
enum class Fusion { kConvex, kReciprocalRank };  // see fusion.h

struct SearchQuery {
  std::string collection;
  std::string text;           // for lexical search; REQUIRED unless kDense
  std::vector<float> vector;  // for dense search; REQUIRED unless kLexical
  std::string fingerprint;    // of the model that made `vector`: refused when the vectors searched are another's
  // Of the model whose vectors are searched: the collection's, where it is empty, or the other one that it has
  // (reembedding.h), which takes a caller that sees everything.
  std::string vectors_of;
  SearchMode mode = SearchMode::kHybrid;
  int limit = 10;  // 1 .. 1000
  Filter filter;
  int max_per_document = 0;   // 0: no cap
  double dense_weight = 0.5;  // hybrid fusion: weight of the dense score, the rest is lexical
  Fusion fusion = Fusion::kConvex;
  int rrf_k = 60;             // kReciprocalRank; at least 1
  int context_chunks = 0;     // neighbours that come with each hit on either side, 0 .. 10
  bool with_vectors = false;  // the hits' chunks have their vectors
};

// Ranks are from 1; 0: not found by that search.
struct SearchHit {
  Chunk chunk;
  Document document;
  double score = 0;          // the fused score hits are ordered by, in [0, 1]
  double dense_score = 0;    // cosine similarity, known for every hit of a search with a vector
  double lexical_score = 0;  // BM25, larger is better; 0 when not found by it
  int dense_rank = 0;
  int lexical_rank = 0;
  int fused_rank = 0;         // before the cap per document
  double fused_score = 0;     // as `score`, which a reranker replaces
  int rerank_rank = 0;        // 0: not reranked
  double rerank_score = 0;    // the cross-encoder's logit
  std::vector<Chunk> before;  // neighbours in the document's order, without vectors
  std::vector<Chunk> after;
};

// What a search did.
struct SearchTrace {
  std::string lexical_query;  // as FTS5 has it
  bool phrases_optional = false;
  int dense_candidates = 0;
  int lexical_candidates = 0;
};

struct SearchResult {
  std::vector<SearchHit> hits;  // best first, ties by chunk id
  int64_t commit = 0;           // of the snapshot that was searched
  int64_t removed = 0;  // greater whenever a document of the collection was removed or replaced, or it was made anew
  SearchTrace trace;
};

// What ingestion must know to skip what has not changed.
struct DocumentState {
  std::string document_id;
  std::string content_sha256;
  std::string pipeline;
  std::string origin;
};

struct DocumentPage {
  std::vector<Document> documents;  // by uri
  std::string next_page_token;      // "" at the end
};

class ChunkStore : public ReembeddingStore {
 public:
  // The same store as a caller of `scope` sees it, open for as long as either lives. The collections of other tenants
  // and the documents that the caller's labels do not open are not there for it: not found, not listed, not searched,
  // not counted. PERMISSION_DENIED for writing what it could not see, or over it, and for deleting a whole collection
  // without all labels. INVALID_ARGUMENT: a malformed scope. A store is opened with the operator's scope.
  virtual absl::StatusOr<std::unique_ptr<ChunkStore>> WithScope(const Scope& scope) = 0;

  // --- Collections. NOT_FOUND, ALREADY_EXISTS; FAILED_PRECONDITION when the embedding fingerprint is another.
  virtual absl::Status CreateCollection(const Collection& collection) = 0;
  virtual absl::StatusOr<Collection> GetCollection(const std::string& name) = 0;
  virtual absl::StatusOr<std::vector<Collection>> ListCollections() = 0;
  virtual absl::Status DeleteCollection(const std::string& name) = 0;

  // --- Documents.
  // Adds the document with all its chunks and its source, or replaces the one of the same uri, in one commit.
  // `original` are the original bytes; `extracted` the extracted text for kExtractedText, else empty. Returns the
  // stored document. FAILED_PRECONDITION when a vector's dimension or `fingerprint` is not the collection's.
  virtual absl::StatusOr<Document> PutDocument(const Document& document, const std::string& fingerprint,
                                               absl::Span<const Chunk> chunks, const std::string& original,
                                               const std::string& extracted) = 0;
  // Those of `document_ids` that existed are gone; their number.
  virtual absl::StatusOr<int64_t> DeleteDocuments(const std::string& collection,
                                                  absl::Span<const std::string> document_ids) = 0;
  virtual absl::StatusOr<Document> GetDocument(const std::string& collection, const std::string& document_id) = 0;
  virtual absl::StatusOr<Document> FindDocument(const std::string& collection, const std::string& uri) = 0;
  virtual absl::StatusOr<DocumentPage> ListDocuments(const std::string& collection, const Filter& filter, int page_size,
                                                     const std::string& page_token) = 0;
  // By uri.
  virtual absl::StatusOr<std::map<std::string, DocumentState>> DocumentStates(const std::string& collection) = 0;
  // The chunks of a document by ordinal; vectors too when asked for.
  virtual absl::StatusOr<std::vector<Chunk>> GetChunks(const std::string& collection, const std::string& document_id,
                                                       bool with_vectors) = 0;
  // Bytes [begin, end) of the document's source, `end` clipped to its size; at most 16 MiB a call.
  virtual absl::StatusOr<std::string> ReadSource(const std::string& collection, const std::string& document_id,
                                                 uint64_t begin, uint64_t end) = 0;
  // The stored original, whole.
  virtual absl::StatusOr<std::string> ReadOriginal(const std::string& collection, const std::string& document_id) = 0;
  // The known vectors by the model `fingerprint` of texts by their text_sha256 within the documents of the collection
  // that the caller sees: one per key, empty when unknown. FAILED_PRECONDITION when the collection has none of it.
  virtual absl::StatusOr<std::vector<std::vector<float>>> FindVectors(const std::string& collection,
                                                                      const std::string& fingerprint,
                                                                      absl::Span<const std::string> text_sha256) = 0;

  // --- Search. NOT_FOUND (collection), INVALID_ARGUMENT, FAILED_PRECONDITION (fingerprint), CANCELLED,
  // DEADLINE_EXCEEDED.
  virtual absl::StatusOr<SearchResult> Search(const SearchQuery& query, const CallContext& context) = 0;

  // --- Jobs.
  virtual absl::Status PutJob(const Job& job) = 0;  // adds or replaces by id
  virtual absl::StatusOr<Job> GetJob(const std::string& id) = 0;
  virtual absl::StatusOr<std::vector<Job>> ListJobs() = 0;  // newest first, the last 1,000
};

}  // namespace lastro::retrieval
