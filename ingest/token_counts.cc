#include "ingest/token_counts.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "base/sentence.h"
#include "base/status_macros.h"

namespace lastro::ingest {
namespace {

constexpr size_t kBatchTexts = 256;
constexpr size_t kBatchBytes = 1u << 20;

bool IsCharacterStart(char c) { return (c & 0xC0) != 0x80; }

}  // namespace

absl::StatusOr<std::vector<TokenCounts>> TokenCounts::Of(absl::Span<const absl::string_view> texts,
                                                         retrieval::TextEmbedder* embedder,
                                                         const CallContext& context) {
  std::vector<TokenCounts> counts;
  counts.reserve(texts.size());
  std::vector<std::string> batch;
  size_t bytes = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    batch.emplace_back(texts[i]);
    bytes += texts[i].size();
    if (batch.size() < kBatchTexts && bytes < kBatchBytes && i + 1 < texts.size()) continue;
    LASTRO_RETURN_IF_ERROR(context.Check());
    LASTRO_ASSIGN_OR_RETURN(std::vector<std::vector<retrieval::TokenSpan>> spans, embedder->Tokenize(batch, context));
    if (spans.size() != batch.size()) return absl::InternalError("the embedder tokenised another number of texts");
    for (std::vector<retrieval::TokenSpan>& one : spans) counts.push_back(TokenCounts(std::move(one)));
    batch.clear();
    bytes = 0;
  }
  return counts;
}

int TokenCounts::Tokens(size_t begin, size_t end) const {
  auto before = [](const retrieval::TokenSpan& span, size_t at) { return span.begin < at; };
  auto first = std::lower_bound(spans_.begin(), spans_.end(), begin, before);
  return static_cast<int>(std::lower_bound(first, spans_.end(), end, before) - first);
}

int TokenCounts::Weight(size_t begin, size_t end) const {
  size_t by_bytes = (end - begin + kBytesPerToken - 1) / kBytesPerToken;
  return std::max(Tokens(begin, end), static_cast<int>(by_bytes));
}

size_t TokenCounts::CutBefore(absl::string_view text, size_t begin, size_t end, int target) const {
  auto first = std::lower_bound(spans_.begin(), spans_.end(), begin,
                                [](const retrieval::TokenSpan& span, size_t at) { return span.begin < at; });
  size_t cut = std::min(end, begin + static_cast<size_t>(target) * kBytesPerToken);
  if (spans_.end() - first > target) cut = std::min<size_t>(cut, (first + target)->begin);
  for (size_t at = cut; at > begin + (cut - begin) / 2; --at) {
    if (absl::ascii_isspace(static_cast<unsigned char>(text[at - 1]))) return at;
  }
  while (cut > begin && cut < text.size() && !IsCharacterStart(text[cut])) --cut;
  if (cut > begin) return cut;
  for (cut = begin + 1; cut < end && !IsCharacterStart(text[cut]);) ++cut;
  return cut;
}

std::vector<size_t> SentenceEnds(absl::string_view text) {
  std::vector<size_t> ends;
  std::vector<TextRange> sentences = SplitSentences(text);
  for (size_t i = 1; i < sentences.size(); ++i) {
    // The bullet before a sentence is its own.
    size_t line = text.rfind('\n', sentences[i].begin);
    bool same_line = line == absl::string_view::npos || line < sentences[i - 1].end;
    ends.push_back(same_line ? sentences[i].begin : line + 1);
  }
  ends.push_back(text.size());
  return ends;
}

}  // namespace lastro::ingest
