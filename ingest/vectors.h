// Gives the chunks of prepared documents their vectors: known ones are reused, the others embedded in batches.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/call_context.h"
#include "ingest/prepare.h"
#include "retrieval/chunk_store.h"
#include "retrieval/text_embedder.h"

namespace lastro::ingest {

inline constexpr size_t kEmbedBatchTexts = 64;

// Fills the vectors of all chunks of `documents`. Returns how many of each document's chunks had a known vector, in
// order. Looks at `context` before each batch. Errors of store and embedder; INTERNAL when the embedder returns another
// number of values than asked for.
absl::StatusOr<std::vector<int64_t>> FillVectors(absl::Span<PreparedDocument* const> documents,
                                                 const std::string& collection, retrieval::ChunkStore* store,
                                                 retrieval::TextEmbedder* embedder, const CallContext& context);

// The vectors of chunks, in their order, in one call of the embedder, whose errors these are; INTERNAL as above.
absl::StatusOr<std::vector<std::vector<float>>> EmbedChunks(absl::Span<const retrieval::Chunk* const> chunks,
                                                            retrieval::TextEmbedder* embedder,
                                                            const CallContext& context);

}  // namespace lastro::ingest
