#include "services/answer/citation.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "ingest/decode.h"
#include "ingest/normalize.h"
#include "retrieval/source_map.h"
#include "services/proto_convert.h"

namespace lastro::services::answer {
namespace {

absl::Status SourceChanged(const v1::Document& document) {
  return absl::AbortedError(
      absl::StrCat(document.uri(), " was replaced or deleted while the question was being answered; ask again"));
}

// The source's bytes [range.begin, range.end), from the very version the passage was read from.
absl::StatusOr<std::string> ReadCitedSource(const v1::Document& document, const retrieval::SourceRange& range,
                                            RetrievalApi& retrieval, const CallContext& context) {
  v1::GetSourceRequest request;
  request.set_collection(document.collection());
  request.set_document_id(document.id());
  request.mutable_range()->set_begin(static_cast<int64_t>(range.begin));
  request.mutable_range()->set_end(static_cast<int64_t>(range.end));
  absl::StatusOr<v1::GetSourceResponse> source = retrieval.GetSource(request, context);
  if (absl::IsNotFound(source.status())) return SourceChanged(document);
  LASTRO_RETURN_IF_ERROR(source.status());
  if (source->source_sha256() != document.source_sha256()) return SourceChanged(document);
  if (source->content().size() != range.end - range.begin) {
    return absl::DataLossError(absl::StrCat(document.uri(), ": bytes ", range.begin, " to ", range.end,
                                            " are missing from the stored source; ingest the document again"));
  }
  return std::move(*source->mutable_content());
}

// Whether two texts are the same but for ASCII white space.
bool SaysTheSame(absl::string_view a, absl::string_view b) {
  auto is_space = [](char c) { return absl::ascii_isspace(static_cast<unsigned char>(c)); };
  std::string ink_a(a), ink_b(b);
  ink_a.erase(std::remove_if(ink_a.begin(), ink_a.end(), is_space), ink_a.end());
  ink_b.erase(std::remove_if(ink_b.begin(), ink_b.end(), is_space), ink_b.end());
  return ink_a == ink_b;
}

bool HasVerbatimBytes(const v1::Chunk& chunk, uint64_t begin, uint64_t end) {
  return std::any_of(chunk.segments().begin(), chunk.segments().end(), [&](const v1::SourceSegment& segment) {
    const auto from = static_cast<uint64_t>(segment.text_begin());
    return segment.verbatim() && from < end && from + static_cast<uint64_t>(segment.text_length()) > begin;
  });
}

}  // namespace

bool CanBeVerified(const v1::SearchHit& passage, uint64_t begin, uint64_t end) {
  return passage.document().encoding() != "UTF-8" || HasVerbatimBytes(passage.chunk(), begin, end);
}

void MarkAnswer(const v1::SearchHit& passage, uint64_t begin, uint64_t end, v1::Citation* citation) {
  const std::optional<retrieval::SourceRange> range =
      retrieval::MapToSource(SegmentsFromProto(passage.chunk()), begin, end);
  const v1::ByteRange& cited = citation->source_range();
  // Of other encodings the quote is a transcription, whose bytes are not the source's. Extracted text has none: it is
  // UTF-8.
  const std::string& encoding = passage.document().encoding();
  const bool as_it_is = static_cast<int64_t>(citation->quote().size()) == cited.end() - cited.begin() &&
                        (encoding.empty() || encoding == "UTF-8");
  if (!range || !as_it_is) return;
  const int64_t from = static_cast<int64_t>(range->begin) - cited.begin();
  const int64_t to = static_cast<int64_t>(range->end) - cited.begin();
  if (from < 0 || to > static_cast<int64_t>(citation->quote().size())) return;
  citation->mutable_answer_in_quote()->set_begin(from);
  citation->mutable_answer_in_quote()->set_end(to);
}

bool SourceMatchesText(const v1::Chunk& chunk, uint64_t begin, uint64_t end, const std::string& source,
                       uint64_t source_begin) {
  bool any = false;
  for (const v1::SourceSegment& segment : chunk.segments()) {
    uint64_t from = std::max<uint64_t>(begin, segment.text_begin());
    uint64_t to = std::min<uint64_t>(end, segment.text_begin() + segment.text_length());
    if (from >= to || !segment.verbatim()) continue;
    uint64_t at = segment.source_begin() + (from - segment.text_begin());
    if (at < source_begin || at - source_begin + (to - from) > source.size()) return false;
    if (source.compare(at - source_begin, to - from, chunk.text(), from, to - from) != 0) return false;
    any = true;
  }
  return any;
}

absl::StatusOr<v1::Citation> MakeVerifiedCitation(const v1::SearchHit& passage, uint64_t begin, uint64_t end,
                                                  RetrievalApi& retrieval, const CallContext& context) {
  const v1::Document& document = passage.document();
  const std::vector<retrieval::SourceSegment> segments = SegmentsFromProto(passage.chunk());
  std::optional<retrieval::SourceRange> range = retrieval::MapToSource(segments, begin, end);
  if (!range) return absl::InternalError(absl::StrCat(document.uri(), ": a quote has no source bytes"));
  LASTRO_ASSIGN_OR_RETURN(std::string source, ReadCitedSource(document, *range, retrieval, context));
  LASTRO_ASSIGN_OR_RETURN(std::string quote, ingest::TranscodeToUtf8(source, document.encoding()));
  const std::string shown = passage.chunk().text().substr(begin, end - begin);
  // Of UTF-16 no byte is as in the text: then what it says is compared.
  const bool same = HasVerbatimBytes(passage.chunk(), begin, end)
                        ? SourceMatchesText(passage.chunk(), begin, end, source, range->begin)
                        : SaysTheSame(ingest::Normalize(ingest::IdentityText(quote)).text, shown);
  if (!same) {
    return absl::DataLossError(absl::StrCat(document.uri(), ": bytes ", range->begin, " to ", range->end,
                                            " are not what was indexed; ingest the document again"));
  }
  v1::Citation citation;
  citation.set_document_id(document.id());
  citation.set_document_uri(document.uri());
  citation.set_document_title(document.title());
  *citation.mutable_headings() = passage.chunk().headings();
  citation.set_source_kind(document.source_kind());
  citation.set_source_sha256(document.source_sha256());
  citation.mutable_source_range()->set_begin(static_cast<int64_t>(range->begin));
  citation.mutable_source_range()->set_end(static_cast<int64_t>(range->end));
  if (!SaysTheSame(quote, shown)) citation.set_shown_text(shown);
  citation.set_quote(std::move(quote));
  citation.set_encoding(document.encoding());
  citation.set_chunk_id(passage.chunk().id());
  return citation;
}

}  // namespace lastro::services::answer
