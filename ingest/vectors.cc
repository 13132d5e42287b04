#include "ingest/vectors.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "ingest/chunker.h"

namespace lastro::ingest {
namespace {

using retrieval::Chunk;

constexpr size_t kLookupKeys = 500;

using VectorMap = absl::flat_hash_map<std::string, std::vector<float>>;  // by text_sha256

// Chunks of distinct text, each once.
std::vector<const Chunk*> DistinctChunks(absl::Span<PreparedDocument* const> documents) {
  std::vector<const Chunk*> distinct;
  absl::flat_hash_map<absl::string_view, bool> seen;
  for (const PreparedDocument* document : documents) {
    for (const Chunk& chunk : document->chunks) {
      if (seen.emplace(chunk.text_sha256, true).second) distinct.push_back(&chunk);
    }
  }
  return distinct;
}

// The vectors the store knows, put into `vectors`; the chunks that are left.
absl::StatusOr<std::vector<const Chunk*>> LookUp(const std::vector<const Chunk*>& chunks, const std::string& collection,
                                                 retrieval::ChunkStore* store, VectorMap* vectors) {
  std::vector<const Chunk*> unknown;
  for (size_t begin = 0; begin < chunks.size(); begin += kLookupKeys) {
    size_t end = std::min(begin + kLookupKeys, chunks.size());
    std::vector<std::string> keys;
    for (size_t i = begin; i < end; ++i) keys.push_back(chunks[i]->text_sha256);
    LASTRO_ASSIGN_OR_RETURN(std::vector<std::vector<float>> found, store->FindVectors(collection, keys));
    if (found.size() != keys.size()) return absl::InternalError("the store returned another number of vectors");
    for (size_t i = begin; i < end; ++i) {
      std::vector<float>& vector = found[i - begin];
      vector.empty() ? unknown.push_back(chunks[i]) : void((*vectors)[chunks[i]->text_sha256] = std::move(vector));
    }
  }
  return unknown;
}

absl::Status EmbedBatch(absl::Span<const Chunk* const> batch, size_t dimension, retrieval::TextEmbedder* embedder,
                        const CallContext& context, VectorMap* vectors) {
  std::vector<std::string> texts;
  for (const Chunk* chunk : batch) texts.push_back(EmbeddedText(*chunk));
  LASTRO_ASSIGN_OR_RETURN(std::vector<float> values, embedder->Embed(texts, context));
  if (values.size() != batch.size() * dimension) {
    return absl::InternalError(
        absl::StrCat("the embedder returned ", values.size(), " values instead of ", batch.size() * dimension));
  }
  for (size_t i = 0; i < batch.size(); ++i) {
    auto first = values.begin() + static_cast<std::ptrdiff_t>(i * dimension);
    (*vectors)[batch[i]->text_sha256].assign(first, first + static_cast<std::ptrdiff_t>(dimension));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<int64_t>> FillVectors(absl::Span<PreparedDocument* const> documents,
                                                 const std::string& collection, retrieval::ChunkStore* store,
                                                 retrieval::TextEmbedder* embedder, const CallContext& context) {
  LASTRO_ASSIGN_OR_RETURN(retrieval::EmbedderInfo info, embedder->Info(context));
  VectorMap known;
  LASTRO_ASSIGN_OR_RETURN(std::vector<const Chunk*> unknown,
                          LookUp(DistinctChunks(documents), collection, store, &known));
  // Texts of like length in one batch waste little on padding.
  std::stable_sort(unknown.begin(), unknown.end(),
                   [](const Chunk* a, const Chunk* b) { return a->tokens < b->tokens; });
  VectorMap fresh;
  for (size_t begin = 0; begin < unknown.size(); begin += kEmbedBatchTexts) {
    LASTRO_RETURN_IF_ERROR(context.Check());
    auto batch = absl::MakeConstSpan(unknown).subspan(begin, kEmbedBatchTexts);
    LASTRO_RETURN_IF_ERROR(EmbedBatch(batch, static_cast<size_t>(info.dimension), embedder, context, &fresh));
  }
  std::vector<int64_t> reused;
  for (PreparedDocument* document : documents) {
    reused.push_back(0);
    for (Chunk& chunk : document->chunks) {
      auto found = known.find(chunk.text_sha256);
      reused.back() += found != known.end();
      chunk.vector = found != known.end() ? found->second : fresh.at(chunk.text_sha256);
    }
  }
  return reused;
}

}  // namespace lastro::ingest
