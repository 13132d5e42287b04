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
                                                 const std::string& fingerprint, retrieval::ChunkStore* store,
                                                 VectorMap* vectors) {
  std::vector<const Chunk*> unknown;
  for (size_t begin = 0; begin < chunks.size(); begin += kLookupKeys) {
    size_t end = std::min(begin + kLookupKeys, chunks.size());
    std::vector<std::string> keys;
    for (size_t i = begin; i < end; ++i) keys.push_back(chunks[i]->text_sha256);
    LASTRO_ASSIGN_OR_RETURN(std::vector<std::vector<float>> found, store->FindVectors(collection, fingerprint, keys));
    if (found.size() != keys.size()) return absl::InternalError("the store returned another number of vectors");
    for (size_t i = begin; i < end; ++i) {
      std::vector<float>& vector = found[i - begin];
      vector.empty() ? unknown.push_back(chunks[i]) : void((*vectors)[chunks[i]->text_sha256] = std::move(vector));
    }
  }
  return unknown;
}

}  // namespace

absl::StatusOr<std::vector<std::vector<float>>> EmbedChunks(absl::Span<const Chunk* const> chunks,
                                                            retrieval::TextEmbedder* embedder,
                                                            const CallContext& context) {
  LASTRO_ASSIGN_OR_RETURN(retrieval::EmbedderInfo info, embedder->Info(context));
  const size_t dimension = static_cast<size_t>(info.dimension);
  std::vector<std::string> texts;
  for (const Chunk* chunk : chunks) texts.push_back(EmbeddedText(*chunk));
  LASTRO_ASSIGN_OR_RETURN(std::vector<float> values, embedder->Embed(texts, context));
  if (values.size() != chunks.size() * dimension) {
    return absl::InternalError(
        absl::StrCat("the embedder returned ", values.size(), " values instead of ", chunks.size() * dimension));
  }
  std::vector<std::vector<float>> vectors;
  for (size_t i = 0; i < chunks.size(); ++i) {
    auto first = values.begin() + static_cast<std::ptrdiff_t>(i * dimension);
    vectors.emplace_back(first, first + static_cast<std::ptrdiff_t>(dimension));
  }
  return vectors;
}

absl::StatusOr<std::vector<int64_t>> FillVectors(absl::Span<PreparedDocument* const> documents,
                                                 const std::string& collection, retrieval::ChunkStore* store,
                                                 retrieval::TextEmbedder* embedder, const CallContext& context) {
  LASTRO_ASSIGN_OR_RETURN(retrieval::EmbedderInfo info, embedder->Info(context));
  VectorMap known;
  LASTRO_ASSIGN_OR_RETURN(std::vector<const Chunk*> unknown,
                          LookUp(DistinctChunks(documents), collection, info.fingerprint, store, &known));
  // Texts of like length in one batch waste little on padding.
  std::stable_sort(unknown.begin(), unknown.end(),
                   [](const Chunk* a, const Chunk* b) { return a->tokens < b->tokens; });
  VectorMap fresh;
  for (size_t begin = 0; begin < unknown.size(); begin += kEmbedBatchTexts) {
    LASTRO_RETURN_IF_ERROR(context.Check());
    auto batch = absl::MakeConstSpan(unknown).subspan(begin, kEmbedBatchTexts);
    LASTRO_ASSIGN_OR_RETURN(std::vector<std::vector<float>> vectors, EmbedChunks(batch, embedder, context));
    for (size_t i = 0; i < batch.size(); ++i) fresh[batch[i]->text_sha256] = std::move(vectors[i]);
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
