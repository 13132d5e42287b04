#include "services/cli/source_lines.h"

#include <algorithm>
#include <map>
#include <string>

#include "absl/strings/match.h"

namespace lastro::services {
namespace {

constexpr int64_t kPieceBytes = 2 << 20;
constexpr int64_t kMaxBytes = 32 << 20;

bool HasLines(const v1::Citation& citation) {
  const v1::ByteRange& range = citation.source_range();
  bool wide = absl::StartsWithIgnoreCase(citation.encoding(), "UTF-16") ||
              absl::StartsWithIgnoreCase(citation.encoding(), "UTF-32");
  return !wide && range.begin() >= 0 && range.begin() < range.end() && range.end() <= kMaxBytes;
}

// The first `bytes` of a source; "" when they cannot be had, or the source is not the one that was cited.
std::string ReadSource(const v1::Citation& citation, const std::string& collection, int64_t bytes,
                       RetrievalApi& retrieval, const CallContext& context) {
  std::string content;
  while (static_cast<int64_t>(content.size()) < bytes) {
    v1::GetSourceRequest request;
    request.set_collection(collection);
    request.set_document_id(citation.document_id());
    int64_t begin = static_cast<int64_t>(content.size());
    request.mutable_range()->set_begin(begin);
    request.mutable_range()->set_end(std::min(bytes, begin + kPieceBytes));
    absl::StatusOr<v1::GetSourceResponse> piece = retrieval.GetSource(request, context);
    bool usable = piece.ok() && !piece->content().empty() && piece->source_sha256() == citation.source_sha256();
    if (!usable) return "";
    content += piece->content();
  }
  return content;
}

LineRange LinesOf(const v1::ByteRange& range, const std::string& source) {
  if (static_cast<int64_t>(source.size()) < range.end()) return {};
  LineRange lines;
  lines.first = 1 + std::count(source.begin(), source.begin() + range.begin(), '\n');
  lines.last = lines.first + std::count(source.begin() + range.begin(), source.begin() + range.end() - 1, '\n');
  return lines;
}

}  // namespace

std::vector<LineRange> FindLines(absl::Span<const v1::Citation> citations, const std::string& collection,
                                 RetrievalApi& retrieval, const CallContext& context) {
  std::map<std::string, std::vector<size_t>> by_document;
  for (size_t i = 0; i < citations.size(); ++i) {
    if (HasLines(citations[i])) by_document[citations[i].document_id()].push_back(i);
  }
  std::vector<LineRange> lines(citations.size());
  for (const auto& [document, indexes] : by_document) {
    int64_t bytes = 0;
    for (size_t i : indexes) bytes = std::max(bytes, citations[i].source_range().end());
    std::string source = ReadSource(citations[indexes.front()], collection, bytes, retrieval, context);
    for (size_t i : indexes) lines[i] = LinesOf(citations[i].source_range(), source);
  }
  return lines;
}

}  // namespace lastro::services
