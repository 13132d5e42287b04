// What must hold of every file a reader accepts: its blocks become chunks whose maps hold. Anything else aborts.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"
#include "base/check.h"
#include "ingest/chunker.h"
#include "ingest/reader.h"
#include "ingest/verify.h"
#include "retrieval/text_embedder.h"

namespace lastro::ingest {

// Takes every run of up to eight bytes without white space for a token.
class FuzzEmbedder : public retrieval::TextEmbedder {
 public:
  absl::StatusOr<retrieval::EmbedderInfo> Info(const CallContext&) override {
    return retrieval::EmbedderInfo{"fuzz", "fuzz", 1, 200, true};
  }
  absl::StatusOr<std::vector<float>> Embed(absl::Span<const std::string> texts, const CallContext&) override {
    return std::vector<float>(texts.size(), 1.0f);
  }
  absl::StatusOr<std::vector<std::vector<retrieval::TokenSpan>>> Tokenize(absl::Span<const std::string> texts,
                                                                          const CallContext&) override {
    std::vector<std::vector<retrieval::TokenSpan>> all;
    for (const std::string& text : texts) {
      std::vector<retrieval::TokenSpan>& spans = all.emplace_back();
      for (uint32_t at = 0, end; at < text.size(); at = end) {
        end = at + 1;
        if (absl::ascii_isspace(static_cast<unsigned char>(text[at]))) continue;
        while (end < text.size() && end < at + 8 && !absl::ascii_isspace(static_cast<unsigned char>(text[end]))) ++end;
        spans.push_back({at, end});
      }
    }
    return all;
  }
};

inline void CheckChunks(const std::vector<Block>& blocks, absl::string_view source) {
  FuzzEmbedder embedder;
  absl::StatusOr<std::vector<retrieval::Chunk>> chunks =
      ChunkBlocks(blocks, ChunkerOptions{40}, &embedder, CallContext());
  LASTRO_CHECK(chunks.ok(), chunks.status().ToString());
  absl::Status verified = VerifyChunks(*chunks, source);
  LASTRO_CHECK(verified.ok(), verified.ToString());
}

inline void CheckReader(const uint8_t* data, size_t size, absl::string_view uri) {
  absl::string_view content(reinterpret_cast<const char*>(data), size);
  ReaderOptions options;
  options.max_text_bytes = 1u << 20;
  options.parser_timeout_s = 10;
  options.parser_memory_bytes = 256u << 20;
  absl::StatusOr<ReadResult> read = ReadContent(content, uri, "", options, CallContext());
  if (!read.ok()) {
    LASTRO_CHECK(!absl::IsInternal(read.status()), read.status().ToString());
    return;
  }
  CheckChunks(read->blocks, content);
}

}  // namespace lastro::ingest
