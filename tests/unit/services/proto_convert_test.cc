#include "services/proto_convert.h"

#include <google/protobuf/util/message_differencer.h>

#include <limits>

#include "tests/test_util.h"

namespace lastro::services {
namespace {

using lastro::testing::IsOk;
using lastro::testing::kInvalid;
using lastro::testing::StatusIs;
using ::testing::HasSubstr;

MATCHER_P(EqualsProto, expected, "") {
  *result_listener << arg.ShortDebugString();
  return google::protobuf::util::MessageDifferencer::Equals(arg, expected);
}

retrieval::Document SomeDocument() {
  retrieval::Document document;
  document.id = "d1";
  document.collection = "notes";
  document.uri = "a/b.pdf";
  document.title = "Título";
  document.media_type = "application/pdf";
  document.encoding = "UTF-8";
  document.language = retrieval::Language::kPortuguese;
  document.source_kind = retrieval::SourceKind::kExtractedText;
  document.content_sha256 = std::string(64, 'a');
  document.source_sha256 = std::string(64, 'b');
  document.size_bytes = 5'000'000'000;
  document.modified_at = absl::FromUnixMicros(-1'500'000);  // before 1970, with a fraction
  document.ingested_at = absl::FromUnixMicros(1'700'000'000'123'456);
  document.origin = "/srv/docs";
  document.pipeline = "p1";
  document.metadata = {{"kind", std::string("manual")}, {"pages", 12.5}, {"final", true}};
  document.chunk_count = 7;
  return document;
}

TEST(ProtoConvert, DocumentThereAndBack) {
  const retrieval::Document document = SomeDocument();
  v1::Document proto = ToProto(document);
  EXPECT_EQ(proto.language(), v1::LANGUAGE_PORTUGUESE);
  EXPECT_EQ(proto.source_kind(), v1::SOURCE_KIND_EXTRACTED_TEXT);
  EXPECT_EQ(proto.modified_at().seconds(), -2);
  EXPECT_EQ(proto.modified_at().nanos(), 500'000'000);
  ASSERT_OK_AND_ASSIGN(retrieval::Document back, FromProto(proto));
  EXPECT_EQ(back.modified_at, document.modified_at);
  EXPECT_EQ(back.ingested_at, document.ingested_at);
  EXPECT_EQ(back.metadata, document.metadata);
  EXPECT_THAT(ToProto(back), EqualsProto(proto));
}

TEST(ProtoConvert, TimesOfAnyFileFitIntoATimestamp) {
  for (absl::Time time : {absl::InfinitePast(), absl::InfiniteFuture(), absl::UniversalEpoch(),
                          absl::FromUnixMicros(std::numeric_limits<int64_t>::min()),
                          absl::FromUnixMicros(std::numeric_limits<int64_t>::max())}) {
    retrieval::Document document = SomeDocument();
    document.modified_at = time;
    EXPECT_THAT(FromProto(ToProto(document)), IsOk()) << time;
  }
}

TEST(ProtoConvert, HostileDocumentsAreRefusedByField) {
  auto with = [](auto change) {
    v1::Document proto = ToProto(SomeDocument());
    change(&proto);
    return FromProto(proto);
  };
  EXPECT_THAT(with([](v1::Document* d) { d->set_size_bytes(-1); }), StatusIs(kInvalid, HasSubstr("size_bytes")));
  EXPECT_THAT(with([](v1::Document* d) { d->set_language(static_cast<v1::Language>(9)); }),
              StatusIs(kInvalid, HasSubstr("language")));
  EXPECT_THAT(with([](v1::Document* d) { d->set_source_kind(static_cast<v1::SourceKind>(9)); }),
              StatusIs(kInvalid, HasSubstr("source_kind")));
  EXPECT_THAT(with([](v1::Document* d) { d->mutable_modified_at()->set_nanos(-1); }),
              StatusIs(kInvalid, HasSubstr("modified_at")));
  EXPECT_THAT(with([](v1::Document* d) { d->mutable_ingested_at()->set_seconds(std::numeric_limits<int64_t>::max()); }),
              StatusIs(kInvalid, HasSubstr("ingested_at")));
  EXPECT_THAT(with([](v1::Document* d) { (*d->mutable_metadata())["k"]; }),
              StatusIs(kInvalid, HasSubstr("metadata.k")));
  EXPECT_THAT(with([](v1::Document* d) {
                (*d->mutable_metadata())["k"].set_number_value(std::numeric_limits<double>::quiet_NaN());
              }),
              StatusIs(kInvalid, HasSubstr("finite")));
}

TEST(ProtoConvert, ChunkThereAndBack) {
  retrieval::Chunk chunk;
  chunk.id = 42;
  chunk.document_id = "d1";
  chunk.ordinal = 3;
  chunk.text = "some text";
  chunk.headings = {"Part", "Section"};
  chunk.tokens = 2;
  chunk.segments = {{0, 4, 100, 4, true}, {5, 4, 110, 6, false}};
  chunk.cells = {{0, 4, ""}, {5, 9, "Column"}};
  chunk.text_sha256 = std::string(64, 'c');
  chunk.vector = {0.5f, -0.25f};
  ASSERT_OK_AND_ASSIGN(retrieval::Chunk back, FromProto(ToProto(chunk)));
  EXPECT_THAT(ToProto(back), EqualsProto(ToProto(chunk)));
  EXPECT_EQ(back.vector, chunk.vector);
  ASSERT_EQ(back.cells.size(), 2u);
  EXPECT_EQ(back.cells[1].begin, 5u);
  EXPECT_EQ(back.cells[1].end, 9u);
  EXPECT_EQ(back.cells[1].column, "Column");
  ASSERT_EQ(back.segments.size(), 2u);
  EXPECT_EQ(back.segments[1].source_begin, 110u);
  EXPECT_FALSE(back.segments[1].verbatim);
}

TEST(ProtoConvert, HostileChunksAreRefused) {
  v1::Chunk chunk;
  chunk.set_ordinal(-1);
  EXPECT_THAT(FromProto(chunk), StatusIs(kInvalid, HasSubstr("ordinal")));
  chunk.set_ordinal(0);
  chunk.set_tokens(-1);
  EXPECT_THAT(FromProto(chunk), StatusIs(kInvalid, HasSubstr("tokens")));
  chunk.set_tokens(0);
  chunk.add_cells()->set_begin(-1);
  EXPECT_THAT(FromProto(chunk), StatusIs(kInvalid, HasSubstr("cells")));
  chunk.set_tokens(0);
  chunk.add_segments()->set_text_length(-5);
  EXPECT_THAT(FromProto(chunk), StatusIs(kInvalid, HasSubstr("segments")));
  v1::SearchHit hit;
  *hit.mutable_chunk() = chunk;
  EXPECT_THAT(FromProto(hit), StatusIs(kInvalid, HasSubstr("segments")));
}

TEST(ProtoConvert, CollectionsAndTheDefaultName) {
  EXPECT_EQ(CollectionOrDefault(""), "default");
  EXPECT_EQ(CollectionOrDefault("x"), "x");
  retrieval::Collection collection{"notes", "minilm", "f1", 384, absl::FromUnixSeconds(1'700'000'000), 3, 40};
  ASSERT_OK_AND_ASSIGN(retrieval::Collection back, FromProto(ToProto(collection)));
  EXPECT_THAT(ToProto(back), EqualsProto(ToProto(collection)));
  ASSERT_OK_AND_ASSIGN(retrieval::Collection unnamed, FromProto(v1::Collection()));
  EXPECT_EQ(unnamed.name, "default");
}

TEST(ProtoConvert, MetadataOfEveryType) {
  const absl::Time time = absl::FromUnixSeconds(-5) + absl::Nanoseconds(7);
  const retrieval::Metadata metadata = {{"text", std::string("x")},
                                        {"number", 1.5},
                                        {"flag", false},
                                        {"time", time},
                                        {"empty", retrieval::MetadataList()},
                                        {"list", retrieval::MetadataList{std::string("a"), 2.0, true, time}}};
  retrieval::Document document;
  document.uri = "a";
  document.metadata = metadata;
  document.labels = {"hr", "board"};
  ASSERT_OK_AND_ASSIGN(retrieval::Document back, FromProto(ToProto(document)));
  EXPECT_EQ(back.metadata, metadata);
  EXPECT_EQ(back.labels, document.labels);
}

TEST(ProtoConvert, ListsInListsAndInFiltersAreRefused) {
  v1::Document document;
  v1::MetadataValue& value = (*document.mutable_metadata())["tags"];
  value.mutable_list_value()->add_values()->mutable_list_value();
  EXPECT_THAT(FromProto(document), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("metadata.tags is a list")));
  v1::Filter filter;
  filter.mutable_comparison()->set_field("tags");
  filter.mutable_comparison()->add_values()->mutable_list_value();
  EXPECT_THAT(FromProto(filter), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is a list")));
}

retrieval::Filter Equal(const std::string& field, retrieval::MetadataScalar value) {
  retrieval::Filter filter;
  filter.op = retrieval::Filter::Op::kEqual;
  filter.field = field;
  filter.values = {std::move(value)};
  return filter;
}

TEST(ProtoConvert, FilterThereAndBack) {
  using Op = retrieval::Filter::Op;
  retrieval::Filter any{Op::kOr, {}, "", {}};
  for (Op op : {Op::kEqual, Op::kNotEqual, Op::kLess, Op::kLessOrEqual, Op::kGreater, Op::kGreaterOrEqual, Op::kIn,
                Op::kPrefix}) {
    any.children.push_back(Equal("title", std::string("x")));
    any.children.back().op = op;
  }
  retrieval::Filter all{Op::kAnd, {any, retrieval::Filter{Op::kNot, {Equal("pages", 3.0)}, "", {}}}, "", {}};
  ASSERT_OK_AND_ASSIGN(retrieval::Filter back, FromProto(ToProto(all)));
  EXPECT_THAT(ToProto(back), EqualsProto(ToProto(all)));
  ASSERT_EQ(back.children.size(), 2u);
  for (size_t i = 0; i < any.children.size(); ++i) EXPECT_EQ(back.children[0].children[i].op, any.children[i].op);
  ASSERT_OK_AND_ASSIGN(retrieval::Filter everything, FromProto(v1::Filter()));
  EXPECT_EQ(everything.op, Op::kAll);
}

v1::Filter Nested(int levels) {
  v1::Filter filter = ToProto(Equal("title", std::string("x")));
  for (int i = 1; i < levels; ++i) {
    v1::Filter outer;
    *outer.mutable_not_() = filter;
    filter = outer;
  }
  return filter;
}

TEST(ProtoConvert, FiltersThatAreTooDeepOrTooLargeAreRefused) {
  EXPECT_THAT(FromProto(Nested(16)), IsOk());
  EXPECT_THAT(FromProto(Nested(17)), StatusIs(kInvalid, HasSubstr("deeper than 16")));
  v1::Filter wide;
  for (int i = 0; i < 255; ++i) *wide.mutable_any_of()->add_filters() = ToProto(Equal("title", std::string("x")));
  EXPECT_THAT(FromProto(wide), IsOk());
  *wide.mutable_any_of()->add_filters() = ToProto(Equal("title", std::string("x")));
  EXPECT_THAT(FromProto(wide), StatusIs(kInvalid, HasSubstr("256 nodes")));
}

TEST(ProtoConvert, MalformedComparisonsAreRefused) {
  v1::Filter filter;
  filter.mutable_comparison()->set_field("title");
  filter.mutable_comparison()->add_values();
  EXPECT_THAT(FromProto(filter), StatusIs(kInvalid, HasSubstr("no value")));
  filter.mutable_comparison()->mutable_values(0)->set_string_value("x");
  filter.mutable_comparison()->set_op(static_cast<v1::Filter::Comparison::Operator>(99));
  EXPECT_THAT(FromProto(filter), StatusIs(kInvalid, HasSubstr("op")));
  filter.mutable_comparison()->set_op(v1::Filter::Comparison::EQUAL);
  filter.mutable_comparison()->clear_field();
  EXPECT_THAT(FromProto(filter), StatusIs(kInvalid, HasSubstr("field")));
}

TEST(ProtoConvert, SearchDefaults) {
  v1::SearchRequest request;
  request.set_query("wind");
  ASSERT_OK_AND_ASSIGN(retrieval::SearchQuery query, FromProto(request));
  EXPECT_EQ(query.collection, "default");
  EXPECT_EQ(query.mode, retrieval::SearchMode::kHybrid);
  EXPECT_EQ(query.limit, 10);
  EXPECT_EQ(query.max_per_document, 0);
  EXPECT_EQ(query.dense_weight, 0.5);
  request.set_dense_weight(0);  // set to zero is not unset
  request.set_mode(v1::SearchRequest::LEXICAL);
  ASSERT_OK_AND_ASSIGN(query, FromProto(request));
  EXPECT_EQ(query.dense_weight, 0);
  EXPECT_EQ(query.mode, retrieval::SearchMode::kLexical);
}

TEST(ProtoConvert, SearchLimits) {
  auto with = [](auto change) {
    v1::SearchRequest request;
    request.set_query("wind");
    change(&request);
    return FromProto(request);
  };
  EXPECT_THAT(with([](v1::SearchRequest* r) { r->clear_query(); }), StatusIs(kInvalid, HasSubstr("query is empty")));
  EXPECT_THAT(with([](v1::SearchRequest* r) { r->set_query(std::string(8'192, 'x')); }), IsOk());
  EXPECT_THAT(with([](v1::SearchRequest* r) { r->set_query(std::string(8'193, 'x')); }),
              StatusIs(kInvalid, HasSubstr("8193 bytes; the limit is 8192")));
  EXPECT_THAT(with([](v1::SearchRequest* r) { r->set_limit(1'000); }), IsOk());
  EXPECT_THAT(with([](v1::SearchRequest* r) { r->set_limit(1'001); }), StatusIs(kInvalid, HasSubstr("limit is 1001")));
  EXPECT_THAT(with([](v1::SearchRequest* r) { r->set_limit(-1); }), StatusIs(kInvalid, HasSubstr("limit is -1")));
  EXPECT_THAT(with([](v1::SearchRequest* r) { r->set_max_per_document(-1); }),
              StatusIs(kInvalid, HasSubstr("max_per_document is -1")));
  EXPECT_THAT(with([](v1::SearchRequest* r) { r->set_dense_weight(1.5); }),
              StatusIs(kInvalid, HasSubstr("dense_weight")));
  EXPECT_THAT(with([](v1::SearchRequest* r) { r->set_dense_weight(std::numeric_limits<double>::quiet_NaN()); }),
              StatusIs(kInvalid, HasSubstr("dense_weight")));
  EXPECT_THAT(with([](v1::SearchRequest* r) { r->set_mode(static_cast<v1::SearchRequest::Mode>(7)); }),
              StatusIs(kInvalid, HasSubstr("mode")));
}

TEST(ProtoConvert, SearchQueryThereAndBack) {
  retrieval::SearchQuery query;
  query.collection = "notes";
  query.text = "wind";
  query.mode = retrieval::SearchMode::kDense;
  query.limit = 3;
  query.filter = Equal("title", std::string("x"));
  query.max_per_document = 2;
  query.dense_weight = 0.25;
  ASSERT_OK_AND_ASSIGN(retrieval::SearchQuery back, FromProto(ToProto(query)));
  EXPECT_THAT(ToProto(back), EqualsProto(ToProto(query)));
  EXPECT_EQ(back.mode, retrieval::SearchMode::kDense);
}

TEST(ProtoConvert, StoredJobThereAndBack) {
  v1::FolderJob asked;
  asked.mutable_request()->set_folder("/srv/docs");
  asked.set_sync(true);
  retrieval::Job job;
  job.id = "j1";
  job.state = retrieval::JobState::kFailed;
  job.collection = "notes";
  job.request = asked.SerializeAsString();
  job.error = "disk full";
  job.files_found = 1;
  job.files_added = 2;
  job.files_updated = 3;
  job.files_unchanged = 4;
  job.files_removed = 5;
  job.files_failed = 6;
  job.bytes_read = 7;
  job.chunks_added = 8;
  job.chunks_reused = 9;
  job.problems = {{"a.pdf", "encrypted"}};
  job.created_at = absl::FromUnixSeconds(1);
  job.updated_at = absl::FromUnixSeconds(2);
  const v1::StoredJob stored = ToStoredProto(job);
  EXPECT_EQ(stored.job().folder(), "/srv/docs");
  EXPECT_TRUE(stored.job().sync());
  ASSERT_OK_AND_ASSIGN(retrieval::Job back, FromStoredProto(stored));
  EXPECT_THAT(ToStoredProto(back), EqualsProto(stored));
  EXPECT_EQ(back.request, job.request);
}

TEST(ProtoConvert, HostileStoredJobsAreRefused) {
  v1::StoredJob stored;
  EXPECT_THAT(FromStoredProto(stored), StatusIs(kInvalid, HasSubstr("job.state")));
  stored.mutable_job()->set_state(static_cast<v1::Job::State>(77));
  EXPECT_THAT(FromStoredProto(stored), StatusIs(kInvalid, HasSubstr("job.state")));
  stored.mutable_job()->set_state(v1::Job::QUEUED);
  stored.mutable_job()->mutable_created_at()->set_nanos(1'000'000'000);
  EXPECT_THAT(FromStoredProto(stored), StatusIs(kInvalid, HasSubstr("job.created_at")));
}

}  // namespace
}  // namespace lastro::services
