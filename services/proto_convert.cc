#include "services/proto_convert.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "retrieval/validation.h"

namespace lastro::services {
namespace {

constexpr int kMaxFilterDepth = 16;
constexpr int kMaxFilterNodes = 256;

absl::Status Invalid(absl::string_view field, absl::string_view problem) {
  return absl::InvalidArgumentError(absl::StrCat(field, " ", problem));
}

constexpr int64_t kMinSeconds = -62'135'596'800;  // year 1
constexpr int64_t kMaxSeconds = 253'402'300'799;  // year 9999

// Times beyond what a Timestamp may hold become its first or last second.
void SetTime(absl::Time time, google::protobuf::Timestamp* out) {
  time = std::clamp(time, absl::FromUnixSeconds(kMinSeconds), absl::FromUnixSeconds(kMaxSeconds));
  const int64_t seconds = absl::ToUnixSeconds(time);  // rounded down
  out->set_seconds(seconds);
  out->set_nanos(static_cast<int32_t>((time - absl::FromUnixSeconds(seconds)) / absl::Nanoseconds(1)));
}

absl::StatusOr<absl::Time> TimeFrom(absl::string_view field, const google::protobuf::Timestamp& time) {
  if (time.seconds() < kMinSeconds || time.seconds() > kMaxSeconds || time.nanos() < 0 || time.nanos() > 999'999'999) {
    return Invalid(field, "is no time between the years 1 and 9999");
  }
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

template <typename Value>  // MetadataValue or MetadataScalar
v1::MetadataValue ValueToProto(const Value& value) {
  v1::MetadataValue out;
  if (const auto* text = std::get_if<std::string>(&value)) out.set_string_value(*text);
  if (const auto* number = std::get_if<double>(&value)) out.set_number_value(*number);
  if (const auto* flag = std::get_if<bool>(&value)) out.set_bool_value(*flag);
  if (const auto* time = std::get_if<absl::Time>(&value)) SetTime(*time, out.mutable_time_value());
  if constexpr (std::is_same_v<Value, retrieval::MetadataValue>) {
    const auto* list = std::get_if<retrieval::MetadataList>(&value);
    if (list == nullptr) return out;
    out.mutable_list_value();  // a list, even when it is empty
    for (const retrieval::MetadataScalar& scalar : *list)
      *out.mutable_list_value()->add_values() = ValueToProto(scalar);
  }
  return out;
}

absl::StatusOr<retrieval::MetadataScalar> ScalarFromProto(absl::string_view field, const v1::MetadataValue& value) {
  switch (value.value_case()) {
    case v1::MetadataValue::kStringValue:
      return retrieval::MetadataScalar(value.string_value());
    case v1::MetadataValue::kNumberValue:
      if (!std::isfinite(value.number_value())) return Invalid(field, "is not a finite number");
      return retrieval::MetadataScalar(value.number_value());
    case v1::MetadataValue::kBoolValue:
      return retrieval::MetadataScalar(value.bool_value());
    case v1::MetadataValue::kTimeValue: {
      LASTRO_ASSIGN_OR_RETURN(absl::Time time, TimeFrom(field, value.time_value()));
      return retrieval::MetadataScalar(time);
    }
    case v1::MetadataValue::kListValue:
      return Invalid(field, "is a list where a single value is expected");
    case v1::MetadataValue::VALUE_NOT_SET:
      break;
  }
  return Invalid(field, "has no value");
}

absl::StatusOr<retrieval::MetadataValue> ValueFromProto(absl::string_view field, const v1::MetadataValue& value) {
  if (!value.has_list_value()) {
    LASTRO_ASSIGN_OR_RETURN(retrieval::MetadataScalar scalar, ScalarFromProto(field, value));
    return std::visit([](auto&& alternative) { return retrieval::MetadataValue(std::move(alternative)); },
                      std::move(scalar));
  }
  retrieval::MetadataList list;
  for (const v1::MetadataValue& element : value.list_value().values()) {
    LASTRO_ASSIGN_OR_RETURN(retrieval::MetadataScalar scalar, ScalarFromProto(field, element));
    list.push_back(std::move(scalar));
  }
  return retrieval::MetadataValue(std::move(list));
}

using FilterOp = retrieval::Filter::Op;
using Comparison = v1::Filter::Comparison;

Comparison::Operator OperatorToProto(FilterOp op) {
  switch (op) {
    case FilterOp::kNotEqual:
      return Comparison::NOT_EQUAL;
    case FilterOp::kLess:
      return Comparison::LESS;
    case FilterOp::kLessOrEqual:
      return Comparison::LESS_OR_EQUAL;
    case FilterOp::kGreater:
      return Comparison::GREATER;
    case FilterOp::kGreaterOrEqual:
      return Comparison::GREATER_OR_EQUAL;
    case FilterOp::kIn:
      return Comparison::IN;
    case FilterOp::kPrefix:
      return Comparison::PREFIX;
    default:
      return Comparison::EQUAL;
  }
}

absl::StatusOr<FilterOp> OperatorFromProto(Comparison::Operator op) {
  switch (op) {
    case Comparison::OPERATOR_UNSPECIFIED:
    case Comparison::EQUAL:
      return FilterOp::kEqual;
    case Comparison::NOT_EQUAL:
      return FilterOp::kNotEqual;
    case Comparison::LESS:
      return FilterOp::kLess;
    case Comparison::LESS_OR_EQUAL:
      return FilterOp::kLessOrEqual;
    case Comparison::GREATER:
      return FilterOp::kGreater;
    case Comparison::GREATER_OR_EQUAL:
      return FilterOp::kGreaterOrEqual;
    case Comparison::IN:
      return FilterOp::kIn;
    case Comparison::PREFIX:
      return FilterOp::kPrefix;
    default:
      return Invalid("filter.op", absl::StrCat(static_cast<int>(op), " does not exist"));
  }
}

// `nodes` counts those converted so far: what is too large is refused before it is built.
absl::StatusOr<retrieval::Filter> FilterFromProto(const v1::Filter& filter, int depth, int* nodes);

absl::StatusOr<retrieval::Filter> ListFromProto(FilterOp op, const v1::Filter::List& list, int depth, int* nodes) {
  retrieval::Filter out;
  out.op = op;
  for (const v1::Filter& child : list.filters()) {
    LASTRO_ASSIGN_OR_RETURN(retrieval::Filter converted, FilterFromProto(child, depth + 1, nodes));
    out.children.push_back(std::move(converted));
  }
  return out;
}

absl::StatusOr<retrieval::Filter> ComparisonFromProto(const Comparison& comparison) {
  retrieval::Filter out;
  LASTRO_ASSIGN_OR_RETURN(out.op, OperatorFromProto(comparison.op()));
  out.field = comparison.field();
  for (const v1::MetadataValue& value : comparison.values()) {
    LASTRO_ASSIGN_OR_RETURN(retrieval::MetadataScalar converted, ScalarFromProto("filter value", value));
    out.values.push_back(std::move(converted));
  }
  return out;
}

absl::StatusOr<retrieval::Filter> FilterFromProto(const v1::Filter& filter, int depth, int* nodes) {
  if (depth > kMaxFilterDepth) return Invalid("filter", absl::StrCat("is nested deeper than ", kMaxFilterDepth));
  if (++*nodes > kMaxFilterNodes) return Invalid("filter", absl::StrCat("has more than ", kMaxFilterNodes, " nodes"));
  switch (filter.node_case()) {
    case v1::Filter::kAllOf:
      return ListFromProto(FilterOp::kAnd, filter.all_of(), depth, nodes);
    case v1::Filter::kAnyOf:
      return ListFromProto(FilterOp::kOr, filter.any_of(), depth, nodes);
    case v1::Filter::kNot: {
      retrieval::Filter out;
      out.op = FilterOp::kNot;
      LASTRO_ASSIGN_OR_RETURN(retrieval::Filter child, FilterFromProto(filter.not_(), depth + 1, nodes));
      out.children.push_back(std::move(child));
      return out;
    }
    case v1::Filter::kComparison:
      return ComparisonFromProto(filter.comparison());
    case v1::Filter::NODE_NOT_SET:
      break;
  }
  return retrieval::Filter();
}

v1::Job::State StateToProto(retrieval::JobState state) {
  switch (state) {
    case retrieval::JobState::kQueued:
      return v1::Job::QUEUED;
    case retrieval::JobState::kRunning:
      return v1::Job::RUNNING;
    case retrieval::JobState::kSucceeded:
      return v1::Job::SUCCEEDED;
    case retrieval::JobState::kFailed:
      return v1::Job::FAILED;
    case retrieval::JobState::kCancelled:
      return v1::Job::CANCELLED;
  }
  return v1::Job::STATE_UNSPECIFIED;
}

absl::StatusOr<retrieval::JobState> StateFromProto(v1::Job::State state) {
  switch (state) {
    case v1::Job::QUEUED:
      return retrieval::JobState::kQueued;
    case v1::Job::RUNNING:
      return retrieval::JobState::kRunning;
    case v1::Job::SUCCEEDED:
      return retrieval::JobState::kSucceeded;
    case v1::Job::FAILED:
      return retrieval::JobState::kFailed;
    case v1::Job::CANCELLED:
      return retrieval::JobState::kCancelled;
    default:
      return Invalid("job.state", "is not set");
  }
}

absl::StatusOr<int> InRange(absl::string_view field, int value, int otherwise, int max) {
  if (value < 0 || value > max) {
    return Invalid(field, absl::StrCat("is ", value, "; it must be from 0 (the default) to ", max));
  }
  return value == 0 ? otherwise : value;
}

}  // namespace

std::string CollectionOrDefault(const std::string& name) { return name.empty() ? "default" : name; }

v1::Document ToProto(const retrieval::Document& document) {
  v1::Document out;
  out.set_id(document.id);
  out.set_collection(document.collection);
  out.set_uri(document.uri);
  out.set_title(document.title);
  out.set_media_type(document.media_type);
  out.set_encoding(document.encoding);
  out.set_language(static_cast<v1::Language>(document.language));
  out.set_source_kind(document.source_kind == retrieval::SourceKind::kOriginal ? v1::SOURCE_KIND_ORIGINAL
                                                                               : v1::SOURCE_KIND_EXTRACTED_TEXT);
  out.set_content_sha256(document.content_sha256);
  out.set_source_sha256(document.source_sha256);
  out.set_size_bytes(static_cast<int64_t>(document.size_bytes));
  SetTime(document.modified_at, out.mutable_modified_at());
  SetTime(document.ingested_at, out.mutable_ingested_at());
  out.set_origin(document.origin);
  out.set_pipeline(document.pipeline);
  for (const auto& [key, value] : document.metadata) (*out.mutable_metadata())[key] = ValueToProto(value);
  out.set_chunk_count(document.chunk_count);
  *out.mutable_labels() = {document.labels.begin(), document.labels.end()};
  return out;
}

absl::StatusOr<retrieval::Document> FromProto(const v1::Document& document) {
  retrieval::Document out;
  out.id = document.id();
  out.collection = CollectionOrDefault(document.collection());
  out.uri = document.uri();
  out.title = document.title();
  out.media_type = document.media_type();
  out.encoding = document.encoding();
  if (!v1::Language_IsValid(document.language())) return Invalid("document.language", "does not exist");
  out.language = static_cast<retrieval::Language>(document.language());
  if (!v1::SourceKind_IsValid(document.source_kind())) return Invalid("document.source_kind", "does not exist");
  out.source_kind = document.source_kind() == v1::SOURCE_KIND_EXTRACTED_TEXT ? retrieval::SourceKind::kExtractedText
                                                                             : retrieval::SourceKind::kOriginal;
  out.content_sha256 = document.content_sha256();
  out.source_sha256 = document.source_sha256();
  if (document.size_bytes() < 0) return Invalid("document.size_bytes", "is negative");
  out.size_bytes = static_cast<uint64_t>(document.size_bytes());
  LASTRO_ASSIGN_OR_RETURN(out.modified_at, TimeFrom("document.modified_at", document.modified_at()));
  LASTRO_ASSIGN_OR_RETURN(out.ingested_at, TimeFrom("document.ingested_at", document.ingested_at()));
  out.origin = document.origin();
  out.pipeline = document.pipeline();
  LASTRO_ASSIGN_OR_RETURN(out.metadata, FromProto(document.metadata()));
  out.chunk_count = document.chunk_count();
  out.labels = {document.labels().begin(), document.labels().end()};
  return out;
}

absl::StatusOr<retrieval::Metadata> FromProto(const google::protobuf::Map<std::string, v1::MetadataValue>& metadata) {
  retrieval::Metadata out;
  for (const auto& [key, value] : metadata) {
    LASTRO_ASSIGN_OR_RETURN(retrieval::MetadataValue converted, ValueFromProto(absl::StrCat("metadata.", key), value));
    out.emplace(key, std::move(converted));
  }
  return out;
}

v1::Chunk ToProto(const retrieval::Chunk& chunk) {
  v1::Chunk out;
  out.set_id(chunk.id);
  out.set_document_id(chunk.document_id);
  out.set_ordinal(chunk.ordinal);
  out.set_text(chunk.text);
  *out.mutable_headings() = {chunk.headings.begin(), chunk.headings.end()};
  out.set_tokens(chunk.tokens);
  for (const retrieval::SourceSegment& segment : chunk.segments) {
    v1::SourceSegment* added = out.add_segments();
    added->set_text_begin(static_cast<int64_t>(segment.text_begin));
    added->set_text_length(static_cast<int64_t>(segment.text_length));
    added->set_source_begin(static_cast<int64_t>(segment.source_begin));
    added->set_source_length(static_cast<int64_t>(segment.source_length));
    added->set_verbatim(segment.verbatim);
  }
  for (const retrieval::NamedCell& cell : chunk.cells) {
    v1::NamedCell* added = out.add_cells();
    added->set_begin(static_cast<int64_t>(cell.begin));
    added->set_end(static_cast<int64_t>(cell.end));
    added->set_column(cell.column);
  }
  out.set_text_sha256(chunk.text_sha256);
  *out.mutable_vector() = {chunk.vector.begin(), chunk.vector.end()};
  return out;
}

std::vector<retrieval::SourceSegment> SegmentsFromProto(const v1::Chunk& chunk) {
  std::vector<retrieval::SourceSegment> segments;
  for (const v1::SourceSegment& segment : chunk.segments()) {
    segments.push_back({static_cast<uint64_t>(segment.text_begin()), static_cast<uint64_t>(segment.text_length()),
                        static_cast<uint64_t>(segment.source_begin()), static_cast<uint64_t>(segment.source_length()),
                        segment.verbatim()});
  }
  return segments;
}

absl::StatusOr<retrieval::Chunk> FromProto(const v1::Chunk& chunk) {
  for (const v1::SourceSegment& segment : chunk.segments()) {
    if (segment.text_begin() < 0 || segment.text_length() < 0 || segment.source_begin() < 0 ||
        segment.source_length() < 0) {
      return Invalid("chunk.segments", "has a negative number");
    }
  }
  for (const v1::NamedCell& cell : chunk.cells()) {
    if (cell.begin() < 0 || cell.end() < 0) return Invalid("chunk.cells", "has a negative number");
  }
  if (chunk.ordinal() < 0) return Invalid("chunk.ordinal", "is negative");
  if (chunk.tokens() < 0) return Invalid("chunk.tokens", "is negative");
  retrieval::Chunk out;
  out.id = chunk.id();
  out.document_id = chunk.document_id();
  out.ordinal = chunk.ordinal();
  out.text = chunk.text();
  out.headings = {chunk.headings().begin(), chunk.headings().end()};
  out.tokens = chunk.tokens();
  out.segments = SegmentsFromProto(chunk);
  for (const v1::NamedCell& cell : chunk.cells()) {
    out.cells.push_back({static_cast<uint64_t>(cell.begin()), static_cast<uint64_t>(cell.end()), cell.column()});
  }
  out.text_sha256 = chunk.text_sha256();
  out.vector = {chunk.vector().begin(), chunk.vector().end()};
  return out;
}

v1::Collection ToProto(const retrieval::Collection& collection) {
  v1::Collection out;
  out.set_name(collection.name);
  out.set_embedding_model(collection.embedding_model);
  out.set_embedding_fingerprint(collection.embedding_fingerprint);
  out.set_dimension(collection.dimension);
  SetTime(collection.created_at, out.mutable_created_at());
  out.set_documents(collection.documents);
  out.set_chunks(collection.chunks);
  out.set_embedded_since_commit(collection.embedded_since);
  return out;
}

v1::VectorSet ToProto(const retrieval::VectorSet& set) {
  v1::VectorSet out;
  out.set_model(set.model);
  out.set_fingerprint(set.fingerprint);
  out.set_dimension(set.dimension);
  out.set_vectors(set.vectors);
  out.set_bytes(set.vectors * set.dimension * static_cast<int64_t>(sizeof(float)));
  out.set_since_commit(set.since);
  return out;
}

v1::Reembedding ToProto(const retrieval::Reembedding& reembedding) {
  v1::Reembedding out;
  out.set_collection(reembedding.collection);
  out.set_chunks(reembedding.chunks);
  *out.mutable_searched() = ToProto(reembedding.searched);
  if (reembedding.other.has_value()) *out.mutable_other() = ToProto(*reembedding.other);
  return out;
}

absl::StatusOr<retrieval::Collection> FromProto(const v1::Collection& collection) {
  retrieval::Collection out;
  out.name = CollectionOrDefault(collection.name());
  out.embedding_model = collection.embedding_model();
  out.embedding_fingerprint = collection.embedding_fingerprint();
  out.dimension = collection.dimension();
  LASTRO_ASSIGN_OR_RETURN(out.created_at, TimeFrom("collection.created_at", collection.created_at()));
  out.documents = collection.documents();
  out.chunks = collection.chunks();
  out.embedded_since = collection.embedded_since_commit();
  return out;
}

retrieval::VectorSet FromProto(const v1::VectorSet& set) {
  return {set.model(), set.fingerprint(), set.dimension(), set.vectors(), set.since_commit()};
}

retrieval::Reembedding FromProto(const v1::Reembedding& reembedding) {
  retrieval::Reembedding out;
  out.collection = reembedding.collection();
  out.chunks = reembedding.chunks();
  out.searched = FromProto(reembedding.searched());
  if (reembedding.has_other()) out.other = FromProto(reembedding.other());
  return out;
}

v1::SearchHit ToProto(const retrieval::SearchHit& hit) {
  v1::SearchHit out;
  *out.mutable_chunk() = ToProto(hit.chunk);
  *out.mutable_document() = ToProto(hit.document);
  out.set_score(hit.score);
  out.set_dense_score(hit.dense_score);
  out.set_lexical_score(hit.lexical_score);
  out.set_dense_rank(hit.dense_rank);
  out.set_lexical_rank(hit.lexical_rank);
  out.set_fused_rank(hit.fused_rank);
  out.set_fused_score(hit.fused_score);
  out.set_rerank_rank(hit.rerank_rank);
  out.set_rerank_score(hit.rerank_score);
  for (const retrieval::Chunk& chunk : hit.before) *out.add_before() = ToProto(chunk);
  for (const retrieval::Chunk& chunk : hit.after) *out.add_after() = ToProto(chunk);
  return out;
}

absl::StatusOr<retrieval::SearchHit> FromProto(const v1::SearchHit& hit) {
  retrieval::SearchHit out;
  LASTRO_ASSIGN_OR_RETURN(out.chunk, FromProto(hit.chunk()));
  LASTRO_ASSIGN_OR_RETURN(out.document, FromProto(hit.document()));
  out.score = hit.score();
  out.dense_score = hit.dense_score();
  out.lexical_score = hit.lexical_score();
  out.dense_rank = hit.dense_rank();
  out.lexical_rank = hit.lexical_rank();
  out.fused_rank = hit.fused_rank();
  out.fused_score = hit.fused_score();
  out.rerank_rank = hit.rerank_rank();
  out.rerank_score = hit.rerank_score();
  for (const v1::Chunk& chunk : hit.before()) {
    LASTRO_ASSIGN_OR_RETURN(out.before.emplace_back(), FromProto(chunk));
  }
  for (const v1::Chunk& chunk : hit.after()) {
    LASTRO_ASSIGN_OR_RETURN(out.after.emplace_back(), FromProto(chunk));
  }
  return out;
}

v1::Filter ToProto(const retrieval::Filter& filter) {
  v1::Filter out;
  auto add_children = [&filter](v1::Filter::List* list) {
    for (const retrieval::Filter& child : filter.children) *list->add_filters() = ToProto(child);
  };
  switch (filter.op) {
    case FilterOp::kAll:
      break;
    case FilterOp::kAnd:
      add_children(out.mutable_all_of());
      break;
    case FilterOp::kOr:
      add_children(out.mutable_any_of());
      break;
    case FilterOp::kNot:
      *out.mutable_not_() = filter.children.empty() ? v1::Filter() : ToProto(filter.children[0]);
      break;
    default:
      out.mutable_comparison()->set_field(filter.field);
      out.mutable_comparison()->set_op(OperatorToProto(filter.op));
      for (const retrieval::MetadataScalar& value : filter.values) {
        *out.mutable_comparison()->add_values() = ValueToProto(value);
      }
  }
  return out;
}

absl::StatusOr<retrieval::Filter> FromProto(const v1::Filter& filter) {
  int nodes = 0;
  LASTRO_ASSIGN_OR_RETURN(retrieval::Filter out, FilterFromProto(filter, 1, &nodes));
  LASTRO_RETURN_IF_ERROR(out.Validate());
  return out;
}

absl::StatusOr<retrieval::SearchQuery> FromProto(const v1::SearchRequest& request) {
  constexpr size_t kMaxQueryBytes = 8'192;
  retrieval::SearchQuery out;
  out.collection = CollectionOrDefault(request.collection());
  if (request.query().empty()) return Invalid("query", "is empty");
  if (request.query().size() > kMaxQueryBytes) {
    return Invalid("query", absl::StrCat("has ", request.query().size(), " bytes; the limit is ", kMaxQueryBytes));
  }
  out.text = request.query();
  if (!v1::SearchRequest::Mode_IsValid(request.mode())) return Invalid("mode", "does not exist");
  if (request.mode() == v1::SearchRequest::DENSE) out.mode = retrieval::SearchMode::kDense;
  if (request.mode() == v1::SearchRequest::LEXICAL) out.mode = retrieval::SearchMode::kLexical;
  LASTRO_ASSIGN_OR_RETURN(out.limit, InRange("limit", request.limit(), 10, 1'000));
  LASTRO_ASSIGN_OR_RETURN(out.max_per_document, InRange("max_per_document", request.max_per_document(), 0, 1'000));
  LASTRO_ASSIGN_OR_RETURN(out.filter, FromProto(request.filter()));
  if (request.has_dense_weight()) {
    if (!(request.dense_weight() >= 0 && request.dense_weight() <= 1)) {
      return Invalid("dense_weight", absl::StrCat("is ", request.dense_weight(), "; it must be from 0 to 1"));
    }
    out.dense_weight = request.dense_weight();
  }
  if (!v1::SearchRequest::Fusion_IsValid(request.fusion())) return Invalid("fusion", "does not exist");
  if (request.fusion() == v1::SearchRequest::RRF) out.fusion = retrieval::Fusion::kReciprocalRank;
  LASTRO_ASSIGN_OR_RETURN(out.rrf_k, InRange("rrf_k", request.rrf_k(), out.rrf_k, 10'000));
  LASTRO_ASSIGN_OR_RETURN(out.context_chunks,
                          InRange("context_chunks", request.context_chunks(), 0, retrieval::kMaxContextChunks));
  out.vectors_of = request.embedding_fingerprint();
  return out;
}

v1::SearchRequest ToProto(const retrieval::SearchQuery& query) {
  v1::SearchRequest out;
  out.set_collection(query.collection);
  out.set_query(query.text);
  out.set_mode(query.mode == retrieval::SearchMode::kDense     ? v1::SearchRequest::DENSE
               : query.mode == retrieval::SearchMode::kLexical ? v1::SearchRequest::LEXICAL
                                                               : v1::SearchRequest::HYBRID);
  out.set_limit(query.limit);
  *out.mutable_filter() = ToProto(query.filter);
  out.set_max_per_document(query.max_per_document);
  out.set_dense_weight(query.dense_weight);
  out.set_fusion(query.fusion == retrieval::Fusion::kReciprocalRank ? v1::SearchRequest::RRF
                                                                    : v1::SearchRequest::CONVEX);
  out.set_rrf_k(query.rrf_k);
  out.set_context_chunks(query.context_chunks);
  out.set_embedding_fingerprint(query.vectors_of);
  return out;
}

v1::SearchExplanation ToProto(const retrieval::SearchTrace& trace) {
  v1::SearchExplanation out;
  out.set_lexical_query(trace.lexical_query);
  out.set_phrases_optional(trace.phrases_optional);
  out.set_dense_candidates(trace.dense_candidates);
  out.set_lexical_candidates(trace.lexical_candidates);
  return out;
}

retrieval::SearchTrace FromProto(const v1::SearchExplanation& explanation) {
  return {explanation.lexical_query(), explanation.phrases_optional(), explanation.dense_candidates(),
          explanation.lexical_candidates()};
}

v1::Job ToProto(const retrieval::Job& job) {
  v1::Job out;
  out.set_id(job.id);
  out.set_state(StateToProto(job.state));
  out.set_collection(job.collection);
  if (v1::FolderJob asked; asked.ParseFromString(job.request)) {
    out.set_folder(asked.request().folder());
    out.set_sync(asked.sync());
    out.set_embedding_model(asked.reembed().model());
  }
  out.set_error(job.error);
  out.set_files_found(job.files_found);
  out.set_files_added(job.files_added);
  out.set_files_updated(job.files_updated);
  out.set_files_unchanged(job.files_unchanged);
  out.set_files_removed(job.files_removed);
  out.set_files_failed(job.files_failed);
  out.set_bytes_read(job.bytes_read);
  out.set_chunks_added(job.chunks_added);
  out.set_chunks_reused(job.chunks_reused);
  out.set_chunks_found(job.chunks_found);
  for (const retrieval::FileProblem& problem : job.problems) {
    v1::Job::Problem* added = out.add_problems();
    added->set_uri(problem.uri);
    added->set_reason(problem.reason);
  }
  SetTime(job.created_at, out.mutable_created_at());
  SetTime(job.updated_at, out.mutable_updated_at());
  *out.mutable_labels() = {job.labels.begin(), job.labels.end()};
  return out;
}

v1::StoredJob ToStoredProto(const retrieval::Job& job) {
  v1::StoredJob out;
  *out.mutable_job() = ToProto(job);
  out.set_request(job.request);
  out.set_for_all_labels(job.for_all_labels);
  return out;
}

absl::StatusOr<retrieval::Job> FromStoredProto(const v1::StoredJob& stored) {
  const v1::Job& job = stored.job();
  retrieval::Job out;
  out.id = job.id();
  LASTRO_ASSIGN_OR_RETURN(out.state, StateFromProto(job.state()));
  out.collection = job.collection();
  out.request = stored.request();
  out.error = job.error();
  out.files_found = job.files_found();
  out.files_added = job.files_added();
  out.files_updated = job.files_updated();
  out.files_unchanged = job.files_unchanged();
  out.files_removed = job.files_removed();
  out.files_failed = job.files_failed();
  out.bytes_read = job.bytes_read();
  out.chunks_added = job.chunks_added();
  out.chunks_reused = job.chunks_reused();
  out.chunks_found = job.chunks_found();
  for (const v1::Job::Problem& problem : job.problems()) out.problems.push_back({problem.uri(), problem.reason()});
  LASTRO_ASSIGN_OR_RETURN(out.created_at, TimeFrom("job.created_at", job.created_at()));
  LASTRO_ASSIGN_OR_RETURN(out.updated_at, TimeFrom("job.updated_at", job.updated_at()));
  out.labels = {job.labels().begin(), job.labels().end()};
  out.for_all_labels = stored.for_all_labels();
  return out;
}

}  // namespace lastro::services
