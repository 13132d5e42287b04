#include "retrieval/validation.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/scope.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "retrieval/timestamps.h"

namespace lastro::retrieval {
namespace {

const absl::Time kFirstStoredTime = absl::FromCivil(absl::CivilYear(1678), absl::UTCTimeZone());
const absl::Time kLastStoredTime = absl::FromCivil(absl::CivilYear(2262), absl::UTCTimeZone()) - absl::Nanoseconds(1);

template <typename... Parts>
absl::Status Invalid(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

absl::Status CheckText(absl::string_view what, absl::string_view text, size_t max_bytes) {
  if (text.size() > max_bytes) return Invalid(what, ": ", text.size(), " bytes, more than ", max_bytes);
  if (!IsValidUtf8(text)) return Invalid(what, ": not valid UTF-8");
  return absl::OkStatus();
}

absl::Status CheckSha256(absl::string_view what, absl::string_view hex) {
  auto is_hex = [](char c) { return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f'); };
  if (hex.empty() || (hex.size() == 64 && std::all_of(hex.begin(), hex.end(), is_hex))) return absl::OkStatus();
  return Invalid(what, ": not a lower-case hexadecimal SHA-256");
}

absl::Status CheckMetadataValue(const std::string& what, const MetadataScalar& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return CheckText(what, *text, kMaxFieldBytes);
  const auto* number = std::get_if<double>(&value);
  if (number != nullptr && !std::isfinite(*number)) return Invalid(what, ": not a finite number");
  const auto* time = std::get_if<absl::Time>(&value);
  if (time != nullptr && (*time < kFirstStoredTime || *time > kLastStoredTime)) {
    return Invalid(what, ": a time outside the years 1678 to 2261");
  }
  return absl::OkStatus();
}

absl::Status CheckMetadataValue(const std::string& what, const MetadataList& list) {
  if (list.size() > kMaxMetadataListValues) return Invalid(what, ": more than ", kMaxMetadataListValues, " values");
  for (const MetadataScalar& value : list) LASTRO_RETURN_IF_ERROR(CheckMetadataValue(what, value));
  return absl::OkStatus();
}

absl::Status CheckMetadata(const Metadata& metadata) {
  if (metadata.size() > kMaxMetadataKeys) return Invalid("metadata: more than ", kMaxMetadataKeys, " keys");
  for (const auto& [key, value] : metadata) {
    if (key.empty()) return Invalid("metadata: an empty key");
    LASTRO_RETURN_IF_ERROR(CheckText("metadata key", key, kMaxMetadataKeyBytes));
    const std::string what = absl::StrCat("metadata \"", key, "\"");
    LASTRO_RETURN_IF_ERROR(
        std::visit([&](const auto& alternative) { return CheckMetadataValue(what, alternative); }, value));
  }
  return absl::OkStatus();
}

absl::Status CheckDocument(const Document& document) {
  if (document.uri.empty()) return Invalid("document: no uri");
  LASTRO_RETURN_IF_ERROR(CheckText("document uri", document.uri, kMaxUriBytes));
  LASTRO_RETURN_IF_ERROR(CheckText("document title", document.title, kMaxFieldBytes));
  LASTRO_RETURN_IF_ERROR(CheckText("document media_type", document.media_type, kMaxFieldBytes));
  LASTRO_RETURN_IF_ERROR(CheckText("document encoding", document.encoding, kMaxFieldBytes));
  LASTRO_RETURN_IF_ERROR(CheckText("document origin", document.origin, kMaxFieldBytes));
  LASTRO_RETURN_IF_ERROR(CheckText("document pipeline", document.pipeline, kMaxFieldBytes));
  LASTRO_RETURN_IF_ERROR(CheckSha256("document content_sha256", document.content_sha256));
  LASTRO_RETURN_IF_ERROR(CheckSha256("document source_sha256", document.source_sha256));
  if (document.language < Language::kUnknown || document.language > Language::kPortuguese) {
    return Invalid("document language: unknown value");
  }
  LASTRO_RETURN_IF_ERROR(ValidateLabels(document.labels));
  return CheckMetadata(document.metadata);
}

absl::Status CheckContents(SourceKind kind, absl::string_view original, absl::string_view extracted) {
  if (kind != SourceKind::kOriginal && kind != SourceKind::kExtractedText) {
    return Invalid("document source_kind: unknown value");
  }
  for (absl::string_view content : {original, extracted}) {
    if (content.size() > kMaxContentBytes) {
      return Invalid("document: ", content.size(), " bytes of content, more than ", kMaxContentBytes);
    }
  }
  if (kind == SourceKind::kOriginal && !extracted.empty()) {
    return Invalid("document: extracted text, but its source is the original");
  }
  return absl::OkStatus();
}

// True when [begin, begin + length) lies within [0, size).
bool Within(uint64_t begin, uint64_t length, uint64_t size) { return begin <= size && length <= size - begin; }

absl::Status CheckSegment(const SourceSegment& segment, uint64_t previous_end, absl::string_view text,
                          absl::string_view source) {
  if (segment.text_length == 0) return Invalid("a segment is empty");
  if (segment.text_begin < previous_end) return Invalid("segments overlap or are not in order");
  if (!Within(segment.text_begin, segment.text_length, text.size())) return Invalid("a segment leaves the text");
  if (!Within(segment.source_begin, segment.source_length, source.size()))
    return Invalid("a segment leaves the source");
  if (!segment.verbatim) return absl::OkStatus();
  if (segment.text_length != segment.source_length) return Invalid("a verbatim segment has two lengths");
  if (std::memcmp(text.data() + segment.text_begin, source.data() + segment.source_begin, segment.text_length) != 0) {
    return Invalid("a verbatim segment differs from the source");
  }
  return absl::OkStatus();
}

absl::Status CheckSegments(const Chunk& chunk, absl::string_view source) {
  uint64_t end = 0;
  for (const SourceSegment& segment : chunk.segments) {
    LASTRO_RETURN_IF_ERROR(CheckSegment(segment, end, chunk.text, source));
    end = segment.text_begin + segment.text_length;
  }
  return absl::OkStatus();
}

absl::Status CheckHeadings(absl::Span<const std::string> headings) {
  if (headings.size() > kMaxHeadings) return Invalid("more than ", kMaxHeadings, " headings");
  for (const std::string& heading : headings) LASTRO_RETURN_IF_ERROR(CheckText("heading", heading, kMaxFieldBytes));
  return absl::OkStatus();
}

absl::Status CheckCells(const Chunk& chunk) {
  uint64_t end = 0;
  for (const NamedCell& cell : chunk.cells) {
    if (cell.begin < end || cell.begin >= cell.end || cell.end > chunk.text.size()) {
      return Invalid("cells that are empty, overlap or are outside of the text");
    }
    LASTRO_RETURN_IF_ERROR(CheckText("column", cell.column, kMaxFieldBytes));
    end = cell.end;
  }
  return absl::OkStatus();
}

absl::Status CheckChunk(const Chunk& chunk, int dimension, absl::string_view source) {
  LASTRO_RETURN_IF_ERROR(CheckText("text", chunk.text, kMaxChunkTextBytes));
  if (chunk.text.empty()) return Invalid("no text");
  if (chunk.tokens < 0) return Invalid("a negative number of tokens");
  LASTRO_RETURN_IF_ERROR(CheckSha256("text_sha256", chunk.text_sha256));
  LASTRO_RETURN_IF_ERROR(CheckHeadings(chunk.headings));
  if (chunk.vector.size() != static_cast<size_t>(dimension)) {
    return absl::FailedPreconditionError(
        absl::StrCat("a vector of dimension ", chunk.vector.size(), ", but the collection has ", dimension));
  }
  LASTRO_RETURN_IF_ERROR(CheckCells(chunk));
  return CheckSegments(chunk, source);
}

absl::Status InChunk(const Document& document, size_t ordinal, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(),
                      absl::StrCat("document ", document.uri, ", chunk ", ordinal, ": ", status.message()));
}

}  // namespace

absl::Status ValidateCollectionName(const std::string& name) {
  auto alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  auto allowed = [&](char c) { return alphanumeric(c) || c == '_' || c == '-'; };
  if (name.empty() || name.size() > 63 || !alphanumeric(name[0]) || !std::all_of(name.begin(), name.end(), allowed)) {
    return Invalid("collection name: expected [a-z0-9][a-z0-9_-]{0,62}");
  }
  return absl::OkStatus();
}

absl::Status ValidateCollection(const Collection& collection) {
  LASTRO_RETURN_IF_ERROR(CheckText("embedding model", collection.embedding_model, 1024));
  const std::string& fingerprint = collection.embedding_fingerprint;
  auto plain = [](char c) { return absl::ascii_isgraph(c) && c != '"' && c != '\\'; };
  if (fingerprint.empty() || fingerprint.size() > 512 || !std::all_of(fingerprint.begin(), fingerprint.end(), plain)) {
    return Invalid("embedding fingerprint: expected 1 to 512 printable ASCII characters without blanks and quotes");
  }
  if (collection.dimension < 1 || collection.dimension > kMaxDimension) {
    return Invalid("embedding dimension: ", collection.dimension, ", expected 1 to ", kMaxDimension);
  }
  return absl::OkStatus();
}

absl::Status ValidatePut(const Document& document, absl::Span<const Chunk> chunks, int dimension,
                         absl::string_view original, absl::string_view extracted) {
  LASTRO_RETURN_IF_ERROR(CheckDocument(document));
  LASTRO_RETURN_IF_ERROR(CheckContents(document.source_kind, original, extracted));
  if (chunks.size() > kMaxChunksPerDocument) return Invalid("document: more than ", kMaxChunksPerDocument, " chunks");
  absl::string_view source = document.source_kind == SourceKind::kOriginal ? original : extracted;
  for (size_t i = 0; i < chunks.size(); ++i) {
    if (chunks[i].ordinal != static_cast<int32_t>(i)) {
      return InChunk(document, i, Invalid("ordinal ", chunks[i].ordinal, ", but chunks must come in order from 0"));
    }
    LASTRO_RETURN_IF_ERROR(InChunk(document, i, CheckChunk(chunks[i], dimension, source)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<float>> UnitVector(const std::vector<float>& vector, int dimension,
                                              const std::string& what) {
  if (vector.size() != static_cast<size_t>(dimension)) {
    return Invalid(what, ": a vector of dimension ", vector.size(), ", expected ", dimension);
  }
  double square = 0;
  for (float x : vector) square += static_cast<double>(x) * x;
  if (!std::isfinite(square)) return Invalid(what, ": the vector holds a NaN or an infinity");
  double length = std::sqrt(square);
  if (length < 1e-30) return Invalid(what, ": the vector has no length");
  if (std::abs(length - 1) <= 1e-5) return vector;
  std::vector<float> unit(vector.size());
  std::transform(vector.begin(), vector.end(), unit.begin(), [&](float x) { return static_cast<float>(x / length); });
  return unit;
}

absl::Status ValidateQuery(const SearchQuery& query) {
  if (query.mode < SearchMode::kHybrid || query.mode > SearchMode::kLexical) return Invalid("search: unknown mode");
  if (query.limit < 1 || query.limit > kMaxSearchLimit) {
    return Invalid("search: limit ", query.limit, ", expected 1 to ", kMaxSearchLimit);
  }
  if (query.max_per_document < 0) return Invalid("search: max_per_document is negative");
  if (!(query.dense_weight >= 0 && query.dense_weight <= 1)) return Invalid("search: dense_weight is not in [0, 1]");
  if (query.fusion < Fusion::kConvex || query.fusion > Fusion::kReciprocalRank)
    return Invalid("search: unknown fusion");
  if (query.rrf_k < 1) return Invalid("search: rrf_k is below 1");
  if (query.context_chunks < 0 || query.context_chunks > kMaxContextChunks) {
    return Invalid("search: context_chunks ", query.context_chunks, ", expected 0 to ", kMaxContextChunks);
  }
  if (query.mode != SearchMode::kLexical && query.vector.empty()) return Invalid("search: no query vector");
  if (query.mode != SearchMode::kDense && query.text.empty()) return Invalid("search: no query text");
  return query.filter.Validate();
}

absl::Status ValidateJob(const Job& job) {
  if (job.id.empty() || job.id.size() > 256 || !IsValidUtf8(job.id))
    return Invalid("job: id of 1 to 256 bytes of UTF-8");
  if (job.state < JobState::kQueued || job.state > JobState::kCancelled) return Invalid("job: unknown state");
  if (job.problems.size() > 1000) return Invalid("job: more than 1,000 problems");
  LASTRO_RETURN_IF_ERROR(ValidateLabels(job.labels));
  size_t bytes = job.collection.size() + job.request.size() + job.error.size();
  for (const FileProblem& problem : job.problems) bytes += problem.uri.size() + problem.reason.size();
  return bytes <= kMaxJobBytes ? absl::OkStatus() : Invalid("job: ", bytes, " bytes, more than ", kMaxJobBytes);
}

}  // namespace lastro::retrieval
