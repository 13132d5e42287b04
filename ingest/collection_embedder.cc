#include "ingest/collection_embedder.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"

namespace lastro::ingest {
namespace {

constexpr int kMaxModelChanges = 5;  // while one collection is looked at

}  // namespace

absl::StatusOr<bool> CollectionEmbedder::Follow(const CallContext& context) {
  absl::StatusOr<retrieval::Collection> found = store_.GetCollection(collection_);
  if (!found.ok() && !absl::IsNotFound(found.status())) return found.status();
  const std::string now = found.ok() ? found->embedding_fingerprint : "";
  const bool another = now != fingerprint_;
  fingerprint_ = now;
  if (!another) return false;
  current_ = &first_;
  LASTRO_ASSIGN_OR_RETURN(retrieval::EmbedderInfo info, first_.Info(context));
  if (now.empty() || info.fingerprint == now) return true;
  if (std::unique_ptr<retrieval::TextEmbedder> other = first_.OfModel(now); other != nullptr) {
    others_.push_back(std::move(other));
    current_ = others_.back().get();
  }
  return true;
}

absl::Status CollectionEmbedder::Create(const retrieval::EmbedderInfo& info) {
  retrieval::Collection collection;
  collection.name = collection_;
  collection.embedding_model = info.model;
  collection.embedding_fingerprint = info.fingerprint;
  collection.dimension = info.dimension;
  collection.created_at = absl::Now();
  absl::Status created = store_.CreateCollection(collection);
  return absl::IsAlreadyExists(created) ? absl::OkStatus() : created;  // somebody else was faster
}

absl::Status CollectionEmbedder::Ensure(const CallContext& context) {
  for (int attempt = 1;; ++attempt) {
    LASTRO_RETURN_IF_ERROR(Follow(context).status());
    LASTRO_ASSIGN_OR_RETURN(retrieval::EmbedderInfo info, current_->Info(context));
    if (fingerprint_.empty()) LASTRO_RETURN_IF_ERROR(Create(info));
    LASTRO_ASSIGN_OR_RETURN(retrieval::Collection found, store_.GetCollection(collection_));
    if (found.embedding_fingerprint == info.fingerprint) {
      fingerprint_ = info.fingerprint;
      return absl::OkStatus();
    }
    if (found.embedding_fingerprint != fingerprint_ && attempt < kMaxModelChanges) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("the collection ", collection_, " was made with the embedding model ", found.embedding_model,
                     ", not with this ", info.model, "; use another collection or delete this one first"));
  }
}

}  // namespace lastro::ingest
