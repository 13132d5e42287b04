#include "retrieval/searcher.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "retrieval/chunk_table.h"
#include "retrieval/dense_search.h"
#include "retrieval/dot_product.h"
#include "retrieval/fusion.h"
#include "retrieval/lexical_search.h"
#include "retrieval/validation.h"

namespace lastro::retrieval {
namespace {

// Hits are chosen from at least this many candidates of each list.
size_t CandidateCount(int limit) { return std::max<size_t>(100, 5 * static_cast<size_t>(limit)); }

class Searcher {
 public:
  Searcher(const SearchQuery& query, const SearchTarget& target, const CallContext& context, VectorCatalog::View view,
           ReadSnapshot snapshot)
      : query_(query),
        target_(target),
        filter_(Both(target.visible, query.filter)),
        context_(context),
        view_(std::move(view)),
        snapshot_(std::move(snapshot)) {}

  absl::StatusOr<SearchResult> Run(FilterCache& filters) {
    LASTRO_ASSIGN_OR_RETURN(collection_, FindCollection(snapshot_.db(), target_.collection));
    LASTRO_RETURN_IF_ERROR(ChooseSet());
    LASTRO_RETURN_IF_ERROR(PrepareVector());
    if (filter_.op != Filter::Op::kAll) {
      LASTRO_ASSIGN_OR_RETURN(allowed_, filters.Select(snapshot_, collection_.row, filter_));
    }
    SearchResult result;
    result.commit = snapshot_.commit();
    result.removed = (collection_.row << 32) + collection_.removed;  // rows of collections are never used again
    LASTRO_ASSIGN_OR_RETURN(std::vector<ScoredChunk> selected, Select());
    LASTRO_ASSIGN_OR_RETURN(result.hits, Complete(selected));
    result.trace = std::move(trace_);
    return result;
  }

 private:
  // Candidates of both searches, and whether there are no more of either.
  struct Lists {
    std::vector<ScoredChunk> chunks;
    bool complete = false;
  };

  absl::Status ChooseSet() {
    const Collection& collection = collection_.collection;
    set_ = query_.vectors_of.empty() ? &collection_.searched : collection_.FindSet(query_.vectors_of);
    if (set_ == nullptr) {
      return absl::FailedPreconditionError(absl::StrCat("search: collection \"", collection.name,
                                                        "\" has no vectors of the model with fingerprint \"",
                                                        query_.vectors_of, "\""));
    }
    if (set_ != &collection_.searched && set_->set.vectors != collection.chunks) {
      return absl::FailedPreconditionError(absl::StrCat(
          "search: only ", set_->set.vectors, " of ", collection.chunks, " chunks of collection \"", collection.name,
          "\" have a vector of ", set_->set.model, "; let the re-embedding finish first"));
    }
    return absl::OkStatus();
  }

  absl::Status PrepareVector() {
    if (query_.vector.empty()) return absl::OkStatus();
    const Collection& collection = collection_.collection;
    if (query_.fingerprint != set_->set.fingerprint) {
      return absl::FailedPreconditionError(absl::StrCat("search: the query was embedded by a model with fingerprint \"",
                                                        query_.fingerprint, "\", collection \"", collection.name,
                                                        "\" by \"", set_->set.fingerprint, "\" (", set_->set.model,
                                                        "); embed the query with that model"));
    }
    LASTRO_ASSIGN_OR_RETURN(vector_, UnitVector(query_.vector, set_->set.dimension, "search: the query vector"));
    return absl::OkStatus();
  }

  // So many hits at most can come of the documents there are.
  size_t MostHits() const {
    const size_t limit = static_cast<size_t>(query_.limit);
    if (query_.max_per_document == 0) return limit;
    const size_t documents =
        allowed_ != nullptr ? allowed_->rows.size() : static_cast<size_t>(collection_.collection.documents);
    return std::min(limit, documents * static_cast<size_t>(query_.max_per_document));
  }

  // A cap per document can leave too few hits: then more candidates are asked for.
  absl::StatusOr<std::vector<ScoredChunk>> Select() {
    const size_t most = MostHits();
    for (size_t count = CandidateCount(query_.limit);; count *= 4) {
      LASTRO_ASSIGN_OR_RETURN(Lists lists, Gather(count));
      ScoreAndSort({query_.mode, query_.fusion, query_.dense_weight, query_.rrf_k}, &lists.chunks);
      std::vector<ScoredChunk> top =
          SelectTop(lists.chunks, static_cast<size_t>(query_.limit), query_.max_per_document);
      if (top.size() == most || lists.complete) return top;
      LASTRO_RETURN_IF_ERROR(context_.Check());
    }
  }

  absl::StatusOr<Lists> Gather(size_t count) {
    const FilteredDocuments* allowed = allowed_.get();
    std::vector<VectorCandidate> dense;
    std::vector<LexicalCandidate> lexical;
    if (query_.mode != SearchMode::kLexical) {
      DenseRequest request{collection_.row, set_, &vector_, count, allowed};
      LASTRO_ASSIGN_OR_RETURN(dense, SearchDense(view_, snapshot_, request, context_));
    }
    if (query_.mode != SearchMode::kDense) {
      LASTRO_ASSIGN_OR_RETURN(LexicalResult found,
                              SearchLexical(snapshot_.db(), collection_, query_.text, count, allowed));
      lexical = std::move(found.candidates);
      trace_.lexical_query = std::move(found.expression);
      trace_.phrases_optional = found.phrases_optional;
    }
    trace_.dense_candidates = static_cast<int>(dense.size());
    trace_.lexical_candidates = static_cast<int>(lexical.size());
    Lists lists{Merge(dense, lexical), dense.size() < count && lexical.size() < count};
    LASTRO_RETURN_IF_ERROR(FillCosines(&lists.chunks));
    return lists;
  }

  static std::vector<ScoredChunk> Merge(const std::vector<VectorCandidate>& dense,
                                        const std::vector<LexicalCandidate>& lexical) {
    std::vector<ScoredChunk> chunks;
    absl::flat_hash_map<int64_t, size_t> position;
    for (const VectorCandidate& candidate : dense) {
      position[candidate.chunk] = chunks.size();
      chunks.push_back({candidate.chunk, candidate.document, candidate.score});
      chunks.back().dense_rank = static_cast<int>(chunks.size());
    }
    for (size_t i = 0; i < lexical.size(); ++i) {
      auto [entry, is_new] = position.try_emplace(lexical[i].chunk, chunks.size());
      if (is_new) chunks.push_back({lexical[i].chunk, lexical[i].document});
      chunks[entry->second].lexical_score = lexical[i].score;
      chunks[entry->second].lexical_rank = static_cast<int>(i) + 1;
    }
    return chunks;
  }

  // The cosine of what only the lexical search found.
  absl::Status FillCosines(std::vector<ScoredChunk>* chunks) {
    if (vector_.empty()) return absl::OkStatus();
    LASTRO_ASSIGN_OR_RETURN(VectorReader vectors, VectorReader::Open(snapshot_.db(), *set_));
    for (ScoredChunk& chunk : *chunks) {
      if (chunk.dense_rank != 0) continue;
      LASTRO_ASSIGN_OR_RETURN(std::vector<float> stored, vectors.Read(chunk.chunk));
      chunk.dense_score = DotProduct(vector_.data(), stored.data(), stored.size());
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<SearchHit>> Complete(const std::vector<ScoredChunk>& selected) {
    LASTRO_ASSIGN_OR_RETURN(VectorReader vectors, VectorReader::Open(snapshot_.db(), *set_));
    std::vector<SearchHit> hits;
    absl::flat_hash_map<int64_t, Document> documents;
    for (const ScoredChunk& scored : selected) {
      LASTRO_ASSIGN_OR_RETURN(ChunkRow row, SelectChunk(snapshot_.db(), scored.chunk));
      auto [document, is_new] = documents.try_emplace(row.document);
      if (is_new) {
        LASTRO_ASSIGN_OR_RETURN(DocumentRow found, FindDocumentByRow(snapshot_.db(), collection_, row.document));
        document->second = std::move(found.document);
      }
      SearchHit hit = HitOf(scored, std::move(row.chunk), document->second);
      if (query_.with_vectors) {
        LASTRO_ASSIGN_OR_RETURN(hit.chunk.vector, vectors.Read(scored.chunk));
      }
      LASTRO_RETURN_IF_ERROR(AddNeighbours(row.document, &hit));
      hits.push_back(std::move(hit));
    }
    return hits;
  }

  static SearchHit HitOf(const ScoredChunk& scored, Chunk chunk, const Document& document) {
    SearchHit hit;
    hit.chunk = std::move(chunk);
    hit.chunk.document_id = document.id;
    hit.document = document;
    hit.score = hit.fused_score = scored.score;
    hit.dense_score = std::clamp(scored.dense_score, -1.0, 1.0);
    hit.lexical_score = scored.lexical_score;
    hit.dense_rank = scored.dense_rank;
    hit.lexical_rank = scored.lexical_rank;
    hit.fused_rank = scored.rank;
    return hit;
  }

  absl::Status AddNeighbours(int64_t document, SearchHit* hit) {
    if (query_.context_chunks == 0) return absl::OkStatus();
    LASTRO_ASSIGN_OR_RETURN(std::vector<int64_t> around,
                            SelectChunksAround(snapshot_.db(), document, hit->chunk.ordinal, query_.context_chunks));
    for (int64_t id : around) {
      if (id == hit->chunk.id) continue;
      LASTRO_ASSIGN_OR_RETURN(ChunkRow row, SelectChunk(snapshot_.db(), id));
      row.chunk.document_id = hit->document.id;
      std::vector<Chunk>& side = row.chunk.ordinal < hit->chunk.ordinal ? hit->before : hit->after;
      side.push_back(std::move(row.chunk));
    }
    return absl::OkStatus();
  }

  const SearchQuery& query_;
  const SearchTarget& target_;
  const Filter filter_;
  const CallContext& context_;
  const VectorCatalog::View view_;
  const ReadSnapshot snapshot_;
  CollectionRow collection_;
  const VectorSetRow* set_ = nullptr;                 // of the collection
  std::vector<float> vector_;                         // of unit length; empty: none
  std::shared_ptr<const FilteredDocuments> allowed_;  // null: all
  SearchTrace trace_;
};

}  // namespace

absl::StatusOr<SearchResult> RunSearch(const SearchQuery& query, const SearchTarget& target, const CallContext& context,
                                       ConnectionPool& pool, const VectorCatalog& catalog, FilterCache& filters) {
  LASTRO_RETURN_IF_ERROR(context.Check());
  VectorCatalog::View view = catalog.Grab();  // before the snapshot, see vector_catalog.h
  LASTRO_ASSIGN_OR_RETURN(ReadSnapshot snapshot, pool.Snapshot(&context));
  return Searcher(query, target, context, std::move(view), std::move(snapshot)).Run(filters);
}

}  // namespace lastro::retrieval
