#include "retrieval/dense_search.h"

#include <algorithm>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "base/status_macros.h"
#include "retrieval/dot_product.h"

namespace lastro::retrieval {
namespace {

constexpr int kCheckEvery = 256;  // reads between two looks at the deadline

// The scores of stored vectors; reads each once.
class StoredScores {
 public:
  static absl::StatusOr<StoredScores> Create(Database& db, const VectorSetRow& set, const std::vector<float>& query) {
    LASTRO_ASSIGN_OR_RETURN(VectorReader reader, VectorReader::Open(db, set));
    return StoredScores(std::move(reader), query);
  }

  // nullopt: the snapshot does not know the chunk.
  absl::StatusOr<std::optional<float>> Of(int64_t chunk) {
    auto [entry, is_new] = known_.try_emplace(chunk);
    if (!is_new) return entry->second;
    LASTRO_ASSIGN_OR_RETURN(std::vector<float> vector, reader_.Find(chunk));
    if (!vector.empty()) entry->second = DotProduct(query_.data(), vector.data(), vector.size());
    return entry->second;
  }

 private:
  StoredScores(VectorReader reader, const std::vector<float>& query) : reader_(std::move(reader)), query_(query) {}
  VectorReader reader_;
  const std::vector<float>& query_;
  absl::flat_hash_map<int64_t, std::optional<float>> known_;
};

class DenseSearch {
 public:
  DenseSearch(const VectorCatalog::View& view, const ReadSnapshot& snapshot, const DenseRequest& request,
              const CallContext& context)
      : request_(request), snapshot_(snapshot), context_(context), query_(*request.query) {
    const VectorCatalog::Entry* entry = view.Find(request.set->id);
    if (entry == nullptr) return;
    last_chunk_ = std::min(view.last_chunk, entry->covers);
    index_ = entry->index.get();
    tail_ = entry->log->Snapshot().UpTo(last_chunk_);
  }

  absl::StatusOr<std::vector<VectorCandidate>> Run() {
    if (request_.count == 0 || (allowed() != nullptr && allowed()->empty())) return std::vector<VectorCandidate>();
    LASTRO_RETURN_IF_ERROR(ReadRest());
    LASTRO_ASSIGN_OR_RETURN(StoredScores scores, StoredScores::Create(snapshot_.db(), *request_.set, *request_.query));
    size_t wanted = index_ != nullptr ? index_->rows().CandidatesFor(request_.count) : 2 * request_.count;
    while (true) {
      LASTRO_RETURN_IF_ERROR(context_.Check());
      TopCandidates best(request_.count);
      LASTRO_ASSIGN_OR_RETURN(bool done, Search(wanted, &scores, &best));
      if (done) return best.TakeSorted();
      wanted *= 4;
    }
  }

 private:
  const DocumentSet* allowed() const { return request_.allowed != nullptr ? &request_.allowed->rows : nullptr; }

  // What was committed between the view and the snapshot: scored at once.
  absl::Status ReadRest() {
    return ForEachVector(
        snapshot_.db(), request_.collection, *request_.set, {last_chunk_},
        [&](int64_t id, int64_t document, const float* vector) {
          if (allowed() != nullptr && !allowed()->contains(document)) return;
          rest_.push_back({id, document, DotProduct(request_.query->data(), vector, request_.query->size())});
        });
  }

  // Reads up to `wanted` candidates. False: there are more, and they may be among the best.
  absl::StatusOr<bool> Search(size_t wanted, StoredScores* scores, TopCandidates* best) {
    TopCandidates top(wanted);
    RowIndex::Found found = RowIndex::Found::kCertain;
    if (index_ != nullptr) found = index_->Search(query_, allowed(), &top);
    tail_.Search(query_, allowed(), &top);
    for (const VectorCandidate& candidate : rest_) best->Add(candidate);
    const std::vector<VectorCandidate> candidates = top.TakeSorted();
    int reads = 0;
    for (const VectorCandidate& candidate : candidates) {
      if (candidate.score < best->worst()) return true;
      if (++reads % kCheckEvery == 0) LASTRO_RETURN_IF_ERROR(context_.Check());
      LASTRO_ASSIGN_OR_RETURN(std::optional<float> score, scores->Of(candidate.chunk));
      if (score.has_value()) best->Add({candidate.chunk, candidate.document, *score});
    }
    return found == RowIndex::Found::kCertain ? candidates.size() < wanted : best->full();
  }

  const DenseRequest& request_;
  const ReadSnapshot& snapshot_;
  const CallContext& context_;
  const QueryVector query_;
  const VectorIndex* index_ = nullptr;  // kept alive by the caller's view
  VectorLog::View tail_;
  std::vector<VectorCandidate> rest_;
  int64_t last_chunk_ = 0;  // up to here the view has every chunk of the snapshot
};

}  // namespace

absl::StatusOr<std::vector<VectorCandidate>> SearchDense(const VectorCatalog::View& view, const ReadSnapshot& snapshot,
                                                         const DenseRequest& request, const CallContext& context) {
  return DenseSearch(view, snapshot, request, context).Run();
}

}  // namespace lastro::retrieval
