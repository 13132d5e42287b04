#include "retrieval/dense_search.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "base/status_macros.h"
#include "retrieval/chunk_table.h"

namespace lastro::retrieval {
namespace {

// Which documents (rows) the snapshot knows; asks SQLite once for each.
class LiveDocuments {
 public:
  static absl::StatusOr<LiveDocuments> Create(Database& db, int64_t collection) {
    LASTRO_ASSIGN_OR_RETURN(Statement query, db.Prepare("SELECT 1 FROM documents WHERE row=?1 AND collection=?2"));
    query.Bind(2, collection);
    return LiveDocuments(std::move(query));
  }
  absl::StatusOr<bool> Contains(int64_t document) {
    auto [entry, is_new] = known_.try_emplace(document, false);
    if (is_new) {
      LASTRO_ASSIGN_OR_RETURN(entry->second, query_.Bind(1, document).Step());
      query_.Reset();
    }
    return entry->second;
  }

 private:
  explicit LiveDocuments(Statement query) : query_(std::move(query)) {}
  Statement query_;
  absl::flat_hash_map<int64_t, bool> known_;
};

class DenseSearch {
 public:
  DenseSearch(const VectorCatalog::View& view, const ReadSnapshot& snapshot, const DenseRequest& request,
              const CallContext& context)
      : request_(request), snapshot_(snapshot), context_(context), rest_(request.collection->collection.dimension) {
    const VectorCatalog::Entry* entry = view.Find(request.collection->row);
    last_chunk_ = view.last_chunk;
    if (entry == nullptr) return;
    index_ = entry->index.get();
    tail_ = entry->log->Snapshot().UpTo(view.last_chunk);
  }

  absl::StatusOr<std::vector<VectorCandidate>> Run() {
    LASTRO_RETURN_IF_ERROR(ReadRest());
    LASTRO_RETURN_IF_ERROR(context_.Check());
    if (request_.allowed == nullptr) return SearchAll();
    bool graph = index_ != nullptr && index_->kind() == VectorIndex::Kind::kHnsw;
    if (graph && request_.allowed->chunks > kExactScanChunks) return SearchFiltered();
    return ScanAllowed(request_.allowed->rows);
  }

 private:
  const float* query() const { return request_.query->data(); }
  size_t held() const { return (index_ == nullptr ? 0 : index_->size()) + tail_.size() + rest_view_.size(); }

  // What was committed between the view and the snapshot.
  absl::Status ReadRest() {
    const CollectionRow& collection = *request_.collection;
    LASTRO_RETURN_IF_ERROR(ForEachVectorAfter(
        snapshot_.db(), collection.row, collection.collection.dimension, last_chunk_,
        [&](int64_t id, int64_t document, const float* vector) { rest_.Append(id, document, vector); }));
    rest_view_ = rest_.Snapshot();
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<VectorCandidate>> Nearest(size_t k) {
    TopCandidates top(k);
    if (index_ != nullptr) LASTRO_RETURN_IF_ERROR(index_->SearchNearest(query(), k, &top));
    tail_.Scan(query(), nullptr, &top);
    rest_view_.Scan(query(), nullptr, &top);
    return top.TakeSorted();
  }

  absl::StatusOr<std::vector<VectorCandidate>> ScanAllowed(const DocumentSet& allowed) {
    TopCandidates top(request_.count);
    if (index_ != nullptr) index_->Scan(query(), &allowed, &top);
    tail_.Scan(query(), &allowed, &top);
    rest_view_.Scan(query(), &allowed, &top);
    LASTRO_RETURN_IF_ERROR(context_.Check());
    return top.TakeSorted();
  }

  // Asks the index for more and more until enough of what it gives is alive, in the end for everything.
  absl::StatusOr<std::vector<VectorCandidate>> SearchAll() {
    LASTRO_ASSIGN_OR_RETURN(LiveDocuments live, LiveDocuments::Create(snapshot_.db(), request_.collection->row));
    for (size_t k : {request_.count + request_.count / 2 + 16, 8 * request_.count}) {
      LASTRO_ASSIGN_OR_RETURN(std::vector<VectorCandidate> found, Nearest(k));
      std::vector<VectorCandidate> kept;
      for (const VectorCandidate& candidate : found) {
        LASTRO_ASSIGN_OR_RETURN(bool alive, live.Contains(candidate.document));
        if (alive && kept.size() < request_.count) kept.push_back(candidate);
      }
      if (kept.size() == request_.count || k >= held()) return kept;
      LASTRO_RETURN_IF_ERROR(context_.Check());
    }
    LASTRO_ASSIGN_OR_RETURN(FilteredDocuments all,
                            SelectDocumentRows(snapshot_.db(), request_.collection->row, Filter()));
    return ScanAllowed(all.rows);
  }

  absl::StatusOr<std::vector<VectorCandidate>> SearchFiltered() {
    const DocumentSet& allowed = request_.allowed->rows;
    for (size_t factor : {4, 16}) {
      LASTRO_ASSIGN_OR_RETURN(std::vector<VectorCandidate> found, Nearest(factor * request_.count));
      std::erase_if(found, [&](const VectorCandidate& candidate) { return !allowed.contains(candidate.document); });
      if (found.size() >= request_.count) {
        found.resize(request_.count);
        return found;
      }
      LASTRO_RETURN_IF_ERROR(context_.Check());
    }
    return ScanAllowed(allowed);
  }

  const DenseRequest& request_;
  const ReadSnapshot& snapshot_;
  const CallContext& context_;
  const VectorIndex* index_ = nullptr;  // kept alive by the caller's view
  VectorLog::View tail_;
  VectorLog rest_;
  VectorLog::View rest_view_;
  int64_t last_chunk_ = 0;
};

}  // namespace

absl::StatusOr<std::vector<VectorCandidate>> SearchDense(const VectorCatalog::View& view, const ReadSnapshot& snapshot,
                                                         const DenseRequest& request, const CallContext& context) {
  return DenseSearch(view, snapshot, request, context).Run();
}

}  // namespace lastro::retrieval
