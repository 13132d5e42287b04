#include "ingest/reembed.h"

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "ingest/chunker.h"
#include "ingest/job_reporter.h"
#include "ingest/vectors.h"

namespace lastro::ingest {
namespace {

using retrieval::Chunk;
using retrieval::TextVector;

constexpr int kChunksPerLook = 8 * static_cast<int>(kEmbedBatchTexts);
constexpr int kMaxPasses = 16;  // each fills in what came during the one before

}  // namespace

// One filling of a collection's other set.
class Reembedder::Filling {
 public:
  // Told after each batch: texts that were embedded, and chunks that got a vector.
  using Told = std::function<absl::Status(int64_t texts, int64_t chunks)>;

  Filling(retrieval::ChunkStore& store, retrieval::TextEmbedder& embedder, const std::string& collection,
          const std::string& fingerprint, const CallContext& context, Told told)
      : store_(store),
        embedder_(embedder),
        collection_(collection),
        fingerprint_(fingerprint),
        context_(context),
        told_(std::move(told)) {}

  // Until every chunk there was at one moment has a vector, and they are indexed. Nothing where the set is searched.
  absl::Status Run() {
    LASTRO_ASSIGN_OR_RETURN(retrieval::EmbedderInfo info, embedder_.Info(context_));
    if (info.fingerprint != fingerprint_) {
      return absl::FailedPreconditionError(
          absl::StrCat("the model ", info.model, " has another fingerprint than ", fingerprint_));
    }
    for (int pass = 0; pass < kMaxPasses; ++pass) {
      const absl::Status filled = Pass();
      const absl::Status status = filled.ok() ? store_.PrepareVectors(collection_, fingerprint_) : filled;
      if (!absl::IsFailedPrecondition(status)) return status;
      LASTRO_ASSIGN_OR_RETURN(retrieval::Reembedding now, store_.GetReembedding(collection_));
      if (now.searched.fingerprint == fingerprint_) return absl::OkStatus();
      const bool is_there = now.other.has_value() && now.other->fingerprint == fingerprint_;
      if (!filled.ok() || !is_there) return status;  // else documents came meanwhile
    }
    return absl::AbortedError(
        absl::StrCat("collection ", collection_, ": documents come faster than they are embedded; try again later"));
  }

 private:
  // Once over all chunks without a vector.
  absl::Status Pass() {
    for (int64_t after = 0;;) {
      LASTRO_RETURN_IF_ERROR(context_.Check());
      LASTRO_ASSIGN_OR_RETURN(retrieval::UnembeddedChunks found,
                              store_.FindUnembedded(collection_, fingerprint_, after, kChunksPerLook));
      if (found.chunks.empty()) return absl::OkStatus();
      after = found.last;
      std::vector<const Chunk*> texts = DistinctTexts(found.chunks);
      for (size_t begin = 0; begin < texts.size(); begin += kEmbedBatchTexts) {
        LASTRO_RETURN_IF_ERROR(EmbedAndPut(absl::MakeConstSpan(texts).subspan(begin, kEmbedBatchTexts)));
      }
    }
  }

  // Each text once, those of like length together: little is then wasted on padding.
  static std::vector<const Chunk*> DistinctTexts(const std::vector<Chunk>& chunks) {
    std::vector<const Chunk*> texts;
    absl::flat_hash_set<absl::string_view> seen;
    for (const Chunk& chunk : chunks) {
      if (seen.insert(chunk.text_sha256).second) texts.push_back(&chunk);
    }
    std::stable_sort(texts.begin(), texts.end(), [](const Chunk* a, const Chunk* b) { return a->tokens < b->tokens; });
    return texts;
  }

  absl::Status EmbedAndPut(absl::Span<const Chunk* const> batch) {
    LASTRO_RETURN_IF_ERROR(context_.Check());
    absl::StatusOr<std::vector<std::vector<float>>> vectors = EmbedChunks(batch, &embedder_, context_);
    if (absl::IsInvalidArgument(vectors.status())) return TooLong(vectors.status());
    LASTRO_RETURN_IF_ERROR(vectors.status());
    std::vector<TextVector> given;
    for (size_t i = 0; i < batch.size(); ++i) given.push_back({batch[i]->text_sha256, std::move((*vectors)[i])});
    LASTRO_ASSIGN_OR_RETURN(int64_t chunks, store_.PutVectors(collection_, fingerprint_, given));
    return told_(static_cast<int64_t>(batch.size()), chunks);
  }

  // The chunks were cut for another model.
  absl::Status TooLong(const absl::Status& refusal) const {
    return absl::FailedPreconditionError(absl::StrCat(
        "collection ", collection_, ": the model cannot take a chunk: ", refusal.message(),
        "; chunks are never cut in silence: ingest the files into a new collection with this model instead"));
  }

  retrieval::ChunkStore& store_;
  retrieval::TextEmbedder& embedder_;
  const std::string& collection_;
  const std::string& fingerprint_;
  const CallContext& context_;
  const Told told_;
};

absl::StatusOr<retrieval::Job> Reembedder::Run(const std::string& fingerprint, retrieval::Job job,
                                               const CallContext& context, const ProgressSink& progress) {
  const std::string collection = job.collection;
  JobReporter reporter(std::move(job), &store_, progress);
  reporter.job().for_all_labels = true;
  auto told = [&](int64_t texts, int64_t chunks) {
    reporter.job().chunks_added += texts;
    reporter.job().chunks_reused += std::max<int64_t>(chunks - texts, 0);
    return reporter.Update();
  };
  auto run = [&]() -> absl::Status {
    LASTRO_RETURN_IF_ERROR(reporter.Start());
    LASTRO_RETURN_IF_ERROR(context.Check());
    LASTRO_ASSIGN_OR_RETURN(retrieval::Reembedding begun, store_.GetReembedding(collection));
    reporter.job().chunks_found = begun.chunks;
    reporter.job().chunks_reused = begun.other.has_value() ? begun.other->vectors : 0;
    LASTRO_RETURN_IF_ERROR(reporter.Update());
    return Filling(store_, embedder_, collection, fingerprint, context, told).Run();
  };
  absl::Status status = run();
  absl::Status stored = reporter.End(status);
  LASTRO_RETURN_IF_ERROR(status);
  LASTRO_RETURN_IF_ERROR(stored);
  return reporter.job();
}

absl::StatusOr<retrieval::Reembedding> Reembedder::Switch(const std::string& collection, const std::string& fingerprint,
                                                          const CallContext& context) {
  auto told = [](int64_t, int64_t) { return absl::OkStatus(); };
  for (int pass = 1;; ++pass) {
    absl::StatusOr<retrieval::Reembedding> now = store_.SwitchVectors(collection, fingerprint);
    if (!absl::IsAborted(now.status()) || pass == kMaxPasses) return now;
    LASTRO_RETURN_IF_ERROR(Filling(store_, embedder_, collection, fingerprint, context, told).Run());
  }
}

}  // namespace lastro::ingest
