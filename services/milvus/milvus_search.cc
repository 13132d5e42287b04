#include "services/milvus/milvus_search.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "retrieval/dot_product.h"
#include "retrieval/fusion.h"
#include "retrieval/validation.h"
#include "services/milvus/lexical_text.h"

namespace lastro::services {
namespace {

using retrieval::Chunk;
using retrieval::ScoredChunk;
using retrieval::SearchHit;
using retrieval::SearchMode;
using retrieval::SearchQuery;
using retrieval::SearchResult;

constexpr int kMaxRounds = 30;

// As the local store: hits are chosen from at least this many candidates of each list.
int CandidateCount(int limit) { return std::min(kMilvusMaxRows, std::max(100, 5 * limit)); }

class MilvusSearcher {
 public:
  MilvusSearcher(const SearchQuery& query, const CollectionRecord& collection, const retrieval::Filter& visible,
                 MilvusRecords& records, MilvusChunks& chunks, const CallContext& context)
      : query_(query),
        collection_(collection),
        filter_(FilterExpression(Both(visible, query.filter))),
        lexical_(ParseLexicalSearch(query.text)),
        records_(records),
        chunks_(chunks),
        context_(context) {}

  absl::StatusOr<SearchResult> Run() {
    LASTRO_RETURN_IF_ERROR(PrepareVector());
    for (int round = 0; round < kMaxRounds; ++round) {
      LASTRO_RETURN_IF_ERROR(context_.Check());
      LASTRO_ASSIGN_OR_RETURN(std::vector<ScoredChunk> selected, Select());
      SearchResult result{{}, collection_.commit, collection_.removed, trace_};
      LASTRO_ASSIGN_OR_RETURN(bool complete, Complete(selected, &result.hits));
      if (complete) return result;
    }
    return Busy();
  }

 private:
  struct Lists {
    std::vector<MilvusCandidate> dense;
    std::vector<MilvusCandidate> lexical;
  };

  absl::Status Busy() const {
    return absl::AbortedError(absl::StrCat("search: documents of collection \"", collection_.collection.name,
                                           "\" were replaced faster than they could be read; try again"));
  }

  absl::Status PrepareVector() {
    if (query_.vector.empty()) return absl::OkStatus();
    const retrieval::Collection& collection = collection_.collection;
    const bool of_another = !query_.vectors_of.empty() && query_.vectors_of != collection.embedding_fingerprint;
    if (of_another || query_.fingerprint != collection.embedding_fingerprint) {
      return absl::FailedPreconditionError(
          absl::StrCat("search: the query was embedded by a model with fingerprint \"", query_.fingerprint,
                       "\", collection \"", collection.name, "\" by \"", collection.embedding_fingerprint, "\" (",
                       collection.embedding_model, "); embed the query with that model"));
    }
    LASTRO_ASSIGN_OR_RETURN(vector_,
                            retrieval::UnitVector(query_.vector, collection.dimension, "search: the query vector"));
    return absl::OkStatus();
  }

  // A cap per document can leave too few hits: then more candidates are asked for.
  absl::StatusOr<std::vector<ScoredChunk>> Select() {
    for (int count = CandidateCount(query_.limit);; count = std::min(kMilvusMaxRows, 4 * count)) {
      LASTRO_ASSIGN_OR_RETURN(Lists lists, GatherCurrent(count));
      std::vector<ScoredChunk> merged = Merge(lists);
      LASTRO_RETURN_IF_ERROR(FillCosines(&merged));
      ScoreAndSort({query_.mode, query_.fusion, query_.dense_weight, query_.rrf_k}, &merged);
      std::vector<ScoredChunk> top = SelectTop(merged, static_cast<size_t>(query_.limit), query_.max_per_document);
      const size_t asked = static_cast<size_t>(count);
      const bool all = lists.dense.size() < asked && lists.lexical.size() < asked;
      if (top.size() == static_cast<size_t>(query_.limit) || all || count == kMilvusMaxRows) return top;
    }
  }

  // Candidates of the versions that count.
  absl::StatusOr<Lists> GatherCurrent(int count) {
    for (int round = 0; round < kMaxRounds; ++round) {
      LASTRO_RETURN_IF_ERROR(context_.Check());
      LASTRO_ASSIGN_OR_RETURN(Lists lists, Gather(count));
      LASTRO_ASSIGN_OR_RETURN(bool current, LeaveOutOthers(lists));
      if (current) return lists;
    }
    return Busy();
  }

  std::string Expression() const {
    if (left_out_.empty()) return filter_;
    return AllOf(filter_, absl::StrCat(kVersion, " not in [", absl::StrJoin(left_out_, ","), "]"));
  }

  absl::StatusOr<Lists> Gather(int count) {
    Lists lists;
    if (query_.mode != SearchMode::kLexical) {
      LASTRO_ASSIGN_OR_RETURN(lists.dense, chunks_.SearchVectors(vector_, Expression(), count, context_));
    }
    if (query_.mode != SearchMode::kDense && !lexical_.terms.empty()) {
      trace_.lexical_query = query_.text;
      LASTRO_ASSIGN_OR_RETURN(
          lists.lexical, chunks_.SearchText(lexical_.terms, AllOf(Expression(), lexical_.phrases), count, context_));
      trace_.phrases_optional = lists.lexical.empty() && !lexical_.phrases.empty();
      if (trace_.phrases_optional && !lexical_.loose.empty()) {
        LASTRO_ASSIGN_OR_RETURN(lists.lexical, chunks_.SearchText(lexical_.loose, Expression(), count, context_));
      }
    }
    trace_.dense_candidates = static_cast<int>(lists.dense.size());
    trace_.lexical_candidates = static_cast<int>(lists.lexical.size());
    return lists;
  }

  // Reads the documents of the candidates, and of what was left out before, and decides anew what is to be left out.
  // True when nothing of it is among the candidates and nothing was left out that counts now.
  absl::StatusOr<bool> LeaveOutOthers(const Lists& lists) {
    for (const std::vector<MilvusCandidate>* list : {&lists.dense, &lists.lexical}) {
      for (const MilvusCandidate& candidate : *list) versions_[candidate.document].insert(candidate.version);
    }
    std::vector<std::string> ids;
    for (const auto& [id, versions] : versions_) ids.push_back(id);
    LASTRO_ASSIGN_OR_RETURN(documents_, records_.FindDocuments(collection_, ids, {context_}));
    std::set<int64_t> others;
    for (const auto& [id, versions] : versions_) {
      auto document = documents_.find(id);
      for (int64_t version : versions) {
        if (document == documents_.end() || document->second.version != version) others.insert(version);
      }
    }
    const bool same = others == left_out_;
    left_out_ = std::move(others);
    return same;
  }

  static std::vector<ScoredChunk> Merge(const Lists& lists) {
    std::vector<ScoredChunk> chunks;
    std::map<int64_t, size_t> position;
    std::map<std::string, int64_t> rows;
    auto row_of = [&rows](const std::string& document) {
      return rows.try_emplace(document, static_cast<int64_t>(rows.size())).first->second;
    };
    for (const MilvusCandidate& candidate : lists.dense) {
      if (!position.try_emplace(candidate.id, chunks.size()).second) continue;
      chunks.push_back({candidate.id, row_of(candidate.document), candidate.score});
      chunks.back().dense_rank = static_cast<int>(chunks.size());
    }
    for (size_t i = 0; i < lists.lexical.size(); ++i) {
      const MilvusCandidate& candidate = lists.lexical[i];
      auto [entry, is_new] = position.try_emplace(candidate.id, chunks.size());
      if (is_new) chunks.push_back({candidate.id, row_of(candidate.document)});
      chunks[entry->second].lexical_score = candidate.score;
      chunks[entry->second].lexical_rank = static_cast<int>(i) + 1;
    }
    return chunks;
  }

  // The cosine of what only the lexical search found.
  absl::Status FillCosines(std::vector<ScoredChunk>* chunks) {
    if (vector_.empty()) return absl::OkStatus();
    std::vector<int64_t> ids;
    for (const ScoredChunk& chunk : *chunks) {
      if (chunk.dense_rank == 0) ids.push_back(chunk.chunk);
    }
    LASTRO_ASSIGN_OR_RETURN(auto vectors, chunks_.ReadVectors(ids, context_));
    for (ScoredChunk& chunk : *chunks) {
      auto found = vectors.find(chunk.chunk);
      if (chunk.dense_rank != 0 || found == vectors.end()) continue;  // gone: it was replaced meanwhile, see Complete
      chunk.dense_score = retrieval::DotProduct(vector_.data(), found->second.data(), vector_.size());
    }
    return absl::OkStatus();
  }

  // False when a chunk has gone meanwhile, with its version of the document.
  absl::StatusOr<bool> Complete(const std::vector<ScoredChunk>& selected, std::vector<SearchHit>* hits) {
    std::vector<int64_t> ids;
    for (const ScoredChunk& chunk : selected) ids.push_back(chunk.chunk);
    LASTRO_ASSIGN_OR_RETURN(std::vector<Chunk> read, chunks_.Read(ids, query_.with_vectors, context_));
    std::map<int64_t, Chunk> by_id;
    for (Chunk& chunk : read) by_id[chunk.id] = std::move(chunk);
    for (const ScoredChunk& scored : selected) {
      auto chunk = by_id.find(scored.chunk);
      if (chunk == by_id.end()) return false;
      auto document = documents_.find(chunk->second.document_id);
      if (document == documents_.end()) return false;
      hits->push_back(HitOf(scored, std::move(chunk->second), document->second.document));
      LASTRO_ASSIGN_OR_RETURN(bool whole, AddNeighbours(document->second, &hits->back()));
      if (!whole) return false;
    }
    return true;
  }

  static SearchHit HitOf(const ScoredChunk& scored, Chunk chunk, const retrieval::Document& document) {
    SearchHit hit;
    hit.chunk = std::move(chunk);
    hit.document = document;
    hit.score = hit.fused_score = scored.score;
    hit.dense_score = std::clamp(scored.dense_score, -1.0, 1.0);
    hit.lexical_score = scored.lexical_score;
    hit.dense_rank = scored.dense_rank;
    hit.lexical_rank = scored.lexical_rank;
    hit.fused_rank = scored.rank;
    return hit;
  }

  absl::StatusOr<bool> AddNeighbours(const DocumentRecord& document, SearchHit* hit) {
    if (query_.context_chunks == 0) return true;
    const int64_t begin = std::max<int64_t>(0, int64_t{hit->chunk.ordinal} - query_.context_chunks);
    const int64_t end =
        std::min<int64_t>(document.document.chunk_count, int64_t{hit->chunk.ordinal} + query_.context_chunks + 1);
    LASTRO_ASSIGN_OR_RETURN(std::vector<Chunk> around,
                            chunks_.ReadRange(document.document.id, document.version, begin, end,
                                              /*with_vectors=*/false, {context_}));
    if (static_cast<int64_t>(around.size()) != end - begin) return false;
    for (Chunk& chunk : around) {
      if (chunk.id == hit->chunk.id) continue;
      (chunk.ordinal < hit->chunk.ordinal ? hit->before : hit->after).push_back(std::move(chunk));
    }
    return true;
  }

  const SearchQuery& query_;
  const CollectionRecord& collection_;
  const std::string filter_;
  const LexicalSearchText lexical_;
  MilvusRecords& records_;
  MilvusChunks& chunks_;
  const CallContext& context_;
  std::vector<float> vector_;                          // of unit length; empty: none
  std::map<std::string, std::set<int64_t>> versions_;  // that were seen, by document
  std::map<std::string, DocumentRecord> documents_;    // of versions_
  std::set<int64_t> left_out_;
  retrieval::SearchTrace trace_;
};

}  // namespace

absl::StatusOr<SearchResult> RunMilvusSearch(const SearchQuery& query, const CollectionRecord& collection,
                                             const retrieval::Filter& visible, MilvusRecords& records,
                                             MilvusChunks& chunks, const CallContext& context) {
  return MilvusSearcher(query, collection, visible, records, chunks, context).Run();
}

}  // namespace lastro::services
