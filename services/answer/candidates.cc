#include "services/answer/candidates.h"

#include <algorithm>
#include <optional>

#include "absl/container/flat_hash_set.h"
#include "base/sentence.h"
#include "retrieval/source_map.h"
#include "services/answer/citation.h"
#include "services/answer/words.h"
#include "services/proto_convert.h"

namespace lastro::services::answer {
namespace {

// Where the paragraph, or the list, that `announced` begins ends.
size_t EndOfParagraph(absl::string_view text, const TextRange& announced) {
  return std::min(text.find("\n\n", announced.begin), text.size());
}

// A sentence that ends with a colon says nothing without what it announces: it takes in the paragraph behind it.
void TakeInAnnounced(absl::string_view text, uint64_t max_bytes, std::vector<TextRange>* ranges) {
  for (size_t i = 0; i < ranges->size(); ++i) {
    TextRange& range = (*ranges)[i];
    if (text[range.end - 1] != ':' || i + 1 == ranges->size()) continue;
    const size_t end = EndOfParagraph(text, (*ranges)[i + 1]);
    for (size_t next = i + 1; next < ranges->size(); ++next) {
      const TextRange& announced = (*ranges)[next];
      if (announced.end > end || announced.end - range.begin > max_bytes) break;
      range.end = announced.end;
    }
  }
}

}  // namespace

Candidate SentenceAround(int passage, const v1::Chunk& chunk, uint64_t begin, uint64_t end,
                         const CandidateLimits& limits) {
  const absl::string_view text = chunk.text();
  uint64_t from = begin, to = end;
  bool announces = false;               // the last of them ends with a colon
  std::optional<size_t> announced_end;  // of the paragraph behind it
  for (const TextRange& range : SplitSentences(text)) {
    if (range.begin < end && range.end > begin) {
      from = std::min<uint64_t>(from, range.begin);
      to = std::max<uint64_t>(to, range.end);
      announces = text[to - 1] == ':';
    } else if (announces && range.begin >= end) {
      if (!announced_end.has_value()) announced_end = EndOfParagraph(text, range);
      if (range.end <= *announced_end && range.end - from <= limits.max_announced_bytes) to = range.end;
    }
  }
  if (to - from > limits.max_bytes || !retrieval::MapToSource(SegmentsFromProto(chunk), from, to)) {
    from = begin;
    to = end;
  }
  return {passage, from, to, chunk.text().substr(from, to - from)};
}

std::vector<Candidate> FindCandidates(absl::Span<const v1::SearchHit> passages, const CandidateLimits& limits) {
  std::vector<Candidate> candidates;
  absl::flat_hash_set<std::string> seen;
  for (size_t passage = 0; passage < passages.size(); ++passage) {
    const v1::Chunk& chunk = passages[passage].chunk();
    const std::vector<retrieval::SourceSegment> segments = SegmentsFromProto(chunk);
    std::vector<TextRange> ranges = SplitSentences(chunk.text());
    TakeInAnnounced(chunk.text(), limits.max_announced_bytes, &ranges);
    for (const TextRange& range : ranges) {
      std::string text = chunk.text().substr(range.begin, range.end - range.begin);
      if (text.size() > limits.max_bytes || static_cast<int>(SplitWords(text).size()) < limits.min_words) continue;
      if (!retrieval::MapToSource(segments, range.begin, range.end)) continue;
      if (!CanBeVerified(passages[passage], range.begin, range.end)) continue;
      if (!seen.insert(text).second) continue;
      candidates.push_back({static_cast<int>(passage), range.begin, range.end, std::move(text)});
    }
  }
  return candidates;
}

}  // namespace lastro::services::answer
