// Sizes of text in the embedding model's tokens, and where to cut by them. Const after construction, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/call_context.h"
#include "retrieval/text_embedder.h"

namespace lastro::ingest {

class TokenCounts {
 public:
  // One per text, in batches of limited size.
  static absl::StatusOr<std::vector<TokenCounts>> Of(absl::Span<const absl::string_view> texts,
                                                     retrieval::TextEmbedder* embedder, const CallContext& context);

  int total() const { return static_cast<int>(spans_.size()); }
  // Tokens that begin in bytes [begin, end).
  int Tokens(size_t begin, size_t end) const;
  // Tokens, or one for every kBytesPerToken bytes when that is more: a model may take any long word for one token.
  int Weight(size_t begin, size_t end) const;
  // The best place to cut `text` within (begin, end] so that [begin, cut) weighs at most `target`: behind white space,
  // else between tokens, else between characters. Greater than `begin`.
  size_t CutBefore(absl::string_view text, size_t begin, size_t end, int target) const;

 private:
  static constexpr size_t kBytesPerToken = 12;
  explicit TokenCounts(std::vector<retrieval::TokenSpan> spans) : spans_(std::move(spans)) {}
  std::vector<retrieval::TokenSpan> spans_;  // by `begin`
};

// The ends of the sentences of `text`, the white space behind each included; the last is its size.
std::vector<size_t> SentenceEnds(absl::string_view text);

}  // namespace lastro::ingest
