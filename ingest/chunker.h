// Chunker: blocks -> chunks sized in the embedding model's own tokens. Pure functions (apart from the embedder),
// thread- safe.
//
// Sections (the blocks under one path of headings) are cut independently, so that an edit changes the chunks of its own
// section only. Within a section cuts fall between blocks where they can, else between sentences, else between words;
// some cuts are chosen by the content behind them, so that the cuts behind an edit soon fall where they did before.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/call_context.h"
#include "ingest/block.h"
#include "retrieval/text_embedder.h"
#include "retrieval/types.h"

namespace lastro::ingest {

// Changes when the chunker makes other chunks of the same blocks.
inline constexpr int kChunkerVersion = 3;

struct ChunkerOptions {
  int chunk_tokens = 200;  // target size
};

// The chunks of a document in order, without vectors; text_sha256 is that of EmbeddedText(). `headings` ends, where
// they are known, with the column names of the table the chunk begins inside of, or the sentence that announces the
// list it does, and with the page ("p. 3", "pp. 3-4").
// FAILED_PRECONDITION when the model takes too few tokens to chunk for; errors of the embedder.
absl::StatusOr<std::vector<retrieval::Chunk>> ChunkBlocks(const std::vector<Block>& blocks,
                                                          const ChunkerOptions& options,
                                                          retrieval::TextEmbedder* embedder,
                                                          const CallContext& context);

// What is embedded for a chunk: its innermost headings that fit in 200 bytes, without the page, joined by " > ", and
// behind a line break its text.
std::string EmbeddedText(const retrieval::Chunk& chunk);

}  // namespace lastro::ingest
