#include "retrieval/record_codec.h"

#include <utility>

#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "retrieval/byte_codec.h"
#include "retrieval/timestamps.h"

namespace lastro::retrieval {
namespace {

enum MetadataType : uint64_t { kString = 0, kNumber = 1, kBool = 2, kTime = 3, kList = 4 };
constexpr uint64_t kJobVersion = 3;  // 1 had no labels, 2 no re-embeddings

MetadataScalar ReadScalar(uint64_t type, ByteReader& reader) {
  switch (type) {
    case kNumber:
      return reader.Double();
    case kBool:
      return reader.Varint() != 0;
    case kTime:
      return FromStoredTime(reader.Signed());
    default:
      return reader.String();
  }
}

MetadataValue ReadMetadataValue(ByteReader& reader) {
  uint64_t type = reader.Varint();
  if (type != kList) {
    return std::visit([](auto&& scalar) { return MetadataValue(std::move(scalar)); }, ReadScalar(type, reader));
  }
  MetadataList list;
  uint64_t count = reader.Count();
  for (uint64_t i = 0; i < count && !reader.failed(); ++i) list.push_back(ReadScalar(reader.Varint(), reader));
  return list;
}

template <typename Value>
void WriteMetadataValue(const Value& value, ByteWriter& writer) {
  writer.Varint(value.index());
  if (const auto* text = std::get_if<std::string>(&value)) writer.String(*text);
  if (const auto* number = std::get_if<double>(&value)) writer.Double(*number);
  if (const auto* flag = std::get_if<bool>(&value)) writer.Varint(*flag ? 1 : 0);
  if (const auto* time = std::get_if<absl::Time>(&value)) writer.Signed(ToStoredTime(*time));
  if constexpr (std::is_same_v<Value, MetadataValue>) {
    const auto* list = std::get_if<MetadataList>(&value);
    if (list == nullptr) return;
    writer.Varint(list->size());
    for (const MetadataScalar& scalar : *list) WriteMetadataValue(scalar, writer);
  }
}

void WriteSegment(const SourceSegment& segment, ByteWriter& writer) {
  writer.Varint(segment.text_begin);
  writer.Varint(segment.source_begin);
  writer.Varint(segment.text_length << 1 | (segment.verbatim ? 1 : 0));
  if (!segment.verbatim) writer.Varint(segment.source_length);
}

SourceSegment ReadSegment(ByteReader& reader) {
  SourceSegment segment;
  segment.text_begin = reader.Varint();
  segment.source_begin = reader.Varint();
  uint64_t length = reader.Varint();
  segment.text_length = length >> 1;
  segment.verbatim = (length & 1) != 0;
  segment.source_length = segment.verbatim ? segment.text_length : reader.Varint();
  return segment;
}

// Applies `visit` to every counter of a job, in the order they are stored.
template <typename JobType, typename Visit>
void ForEachCounter(JobType& job, Visit visit) {
  for (auto* counter :
       {&job.files_found, &job.files_added, &job.files_updated, &job.files_unchanged, &job.files_removed,
        &job.files_failed, &job.bytes_read, &job.chunks_added, &job.chunks_reused}) {
    visit(*counter);
  }
}

void WriteFilter(const Filter& filter, ByteWriter& writer) {
  writer.Varint(static_cast<uint64_t>(filter.op));
  writer.String(filter.field);
  writer.Varint(filter.values.size());
  for (const MetadataScalar& value : filter.values) WriteMetadataValue(value, writer);
  writer.Varint(filter.children.size());
  for (const Filter& child : filter.children) WriteFilter(child, writer);
}

}  // namespace

std::string EncodeFilter(const Filter& filter) {
  ByteWriter writer;
  WriteFilter(filter, writer);
  return writer.Take();
}

std::string EncodeMetadata(const Metadata& metadata) {
  ByteWriter writer;
  writer.Varint(metadata.size());
  for (const auto& [key, value] : metadata) {
    writer.String(key);
    WriteMetadataValue(value, writer);
  }
  return writer.Take();
}

absl::StatusOr<Metadata> DecodeMetadata(absl::string_view bytes) {
  ByteReader reader(bytes);
  Metadata metadata;
  uint64_t count = reader.Count();
  for (uint64_t i = 0; i < count && !reader.failed(); ++i) {
    std::string key = reader.String();
    metadata[std::move(key)] = ReadMetadataValue(reader);
  }
  LASTRO_RETURN_IF_ERROR(reader.Finish("metadata"));
  return metadata;
}

std::string JoinHeadings(absl::Span<const std::string> headings) { return absl::StrJoin(headings, "\n"); }

std::string EncodeLayout(const Chunk& chunk) {
  ByteWriter writer;
  writer.Varint(chunk.headings.size());
  for (const std::string& heading : chunk.headings) writer.Varint(heading.size());
  writer.Varint(chunk.segments.size());
  for (const SourceSegment& segment : chunk.segments) WriteSegment(segment, writer);
  if (chunk.cells.empty()) return writer.Take();
  writer.Varint(chunk.cells.size());
  for (const NamedCell& cell : chunk.cells) {
    writer.Varint(cell.begin);
    writer.Varint(cell.end);
    writer.String(cell.column);
  }
  return writer.Take();
}

absl::Status DecodeLayout(absl::string_view layout, absl::string_view joined_headings, Chunk* chunk) {
  ByteReader reader(layout);
  uint64_t headings = reader.Count();
  size_t position = 0;
  for (uint64_t i = 0; i < headings && !reader.failed(); ++i) {
    uint64_t length = reader.Varint();
    if (position > joined_headings.size() || length > joined_headings.size() - position) {
      return absl::DataLossError("store: the stored headings of a chunk do not match their lengths");
    }
    chunk->headings.emplace_back(joined_headings.substr(position, length));
    position += length + 1;
  }
  uint64_t segments = reader.Count();
  chunk->segments.reserve(segments);
  for (uint64_t i = 0; i < segments && !reader.failed(); ++i) chunk->segments.push_back(ReadSegment(reader));
  const uint64_t cells = reader.at_end() ? 0 : reader.Count();
  for (uint64_t i = 0; i < cells && !reader.failed(); ++i) {
    const uint64_t begin = reader.Varint(), end = reader.Varint();
    chunk->cells.push_back({begin, end, reader.String()});
  }
  return reader.Finish("chunk layout");
}

std::string EncodeJob(const Job& job) {
  ByteWriter writer;
  writer.Varint(kJobVersion);
  for (const std::string* text : {&job.id, &job.collection, &job.request, &job.error}) writer.String(*text);
  writer.Varint(static_cast<uint64_t>(job.state));
  ForEachCounter(job, [&](int64_t counter) { writer.Signed(counter); });
  writer.Varint(job.problems.size());
  for (const FileProblem& problem : job.problems) {
    writer.String(problem.uri);
    writer.String(problem.reason);
  }
  writer.Signed(ToStoredTime(job.created_at));
  writer.Signed(ToStoredTime(job.updated_at));
  writer.Varint(job.labels.size());
  for (const std::string& label : job.labels) writer.String(label);
  writer.Varint(job.for_all_labels ? 1 : 0);
  writer.Signed(job.chunks_found);
  return writer.Take();
}

absl::StatusOr<Job> DecodeJob(absl::string_view bytes) {
  ByteReader reader(bytes);
  Job job;
  uint64_t version = reader.Varint();
  if (version == 0 || version > kJobVersion) return absl::DataLossError("store: a stored job has an unknown version");
  for (std::string* text : {&job.id, &job.collection, &job.request, &job.error}) *text = reader.String();
  uint64_t state = reader.Varint();
  if (state > static_cast<uint64_t>(JobState::kCancelled)) {
    return absl::DataLossError("store: a stored job has an unknown state");
  }
  job.state = static_cast<JobState>(state);
  ForEachCounter(job, [&](int64_t& counter) { counter = reader.Signed(); });
  uint64_t problems = reader.Count();
  for (uint64_t i = 0; i < problems && !reader.failed(); ++i) {
    FileProblem problem;
    problem.uri = reader.String();
    problem.reason = reader.String();
    job.problems.push_back(std::move(problem));
  }
  job.created_at = FromStoredTime(reader.Signed());
  job.updated_at = FromStoredTime(reader.Signed());
  uint64_t labels = version == 1 ? 0 : reader.Count();
  for (uint64_t i = 0; i < labels && !reader.failed(); ++i) job.labels.push_back(reader.String());
  if (version >= 3) {
    job.for_all_labels = reader.Varint() != 0;
    job.chunks_found = reader.Signed();
  }
  LASTRO_RETURN_IF_ERROR(reader.Finish("job"));
  return job;
}

}  // namespace lastro::retrieval
