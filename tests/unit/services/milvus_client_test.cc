// The client of Milvus, and the store on it, against a server that answers as a test wants: refusals, silence,
// nonsense.
#include "services/milvus/milvus_client.h"

#include <atomic>
#include <limits>
#include <set>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "grpcpp/grpcpp.h"
#include "services/milvus/filter_expression.h"
#include "services/milvus/lexical_text.h"
#include "services/milvus/milvus_schema.h"
#include "services/milvus/milvus_store.h"
#include "tests/test_util.h"

namespace lastro::services {
namespace {

using ::lastro::testing::IsOk;
using ::lastro::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class FakeMilvus final : public milvus_api::MilvusService::Service {
 public:
  FakeMilvus() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    options.address = "127.0.0.1:" + std::to_string(port);
  }
  ~FakeMilvus() override {
    silent = false;
    server_->Shutdown(std::chrono::system_clock::now());
  }

  // What the server says.
  milvus_api::Status refusal;
  milvus_api::QueryResults query_results;
  milvus_api::SearchResults search_results;
  milvus_api::MutationResult mutation_result;
  std::atomic<bool> silent{false};
  // What it was asked.
  std::string authorization;
  milvus_api::QueryRequest query_request;
  milvus_api::SearchRequest search_request;
  std::set<std::string> indexed;  // collections that have an index, without which none is loaded

  MilvusOptions options;

  std::unique_ptr<MilvusClient> Client() {
    absl::StatusOr<std::unique_ptr<MilvusClient>> client = MilvusClient::Create(options);
    EXPECT_THAT(client, IsOk());
    return *std::move(client);
  }

 private:
  grpc::Status HasCollection(grpc::ServerContext*, const milvus_api::CollectionRequest*,
                             milvus_api::BoolResponse* response) override {
    *response->mutable_status() = refusal;
    response->set_value(true);
    return grpc::Status::OK;
  }
  grpc::Status LoadCollection(grpc::ServerContext*, const milvus_api::CollectionRequest* request,
                              milvus_api::Status* response) override {
    *response = refusal;
    if (indexed.count(request->collection_name()) == 0) response->set_code(700);
    return grpc::Status::OK;
  }
  grpc::Status CreateIndex(grpc::ServerContext*, const milvus_api::CreateIndexRequest* request,
                           milvus_api::Status*) override {
    indexed.insert(request->collection_name());
    return grpc::Status::OK;
  }
  grpc::Status GetLoadState(grpc::ServerContext*, const milvus_api::GetLoadStateRequest*,
                            milvus_api::GetLoadStateResponse* response) override {
    response->set_state(milvus_api::LOADED);
    return grpc::Status::OK;
  }
  grpc::Status Insert(grpc::ServerContext*, const milvus_api::RowsRequest*,
                      milvus_api::MutationResult* response) override {
    *response = mutation_result;
    return grpc::Status::OK;
  }
  grpc::Status Query(grpc::ServerContext* context, const milvus_api::QueryRequest* request,
                     milvus_api::QueryResults* response) override {
    while (silent && !context->IsCancelled()) absl::SleepFor(absl::Milliseconds(5));
    query_request = *request;
    auto found = context->client_metadata().find("authorization");
    if (found != context->client_metadata().end()) authorization.assign(found->second.data(), found->second.size());
    *response = query_results;
    *response->mutable_status() = refusal;
    return grpc::Status::OK;
  }
  grpc::Status Search(grpc::ServerContext*, const milvus_api::SearchRequest* request,
                      milvus_api::SearchResults* response) override {
    search_request = *request;
    *response = search_results;
    return grpc::Status::OK;
  }

  std::unique_ptr<grpc::Server> server_;
};

milvus_api::FieldData* AddColumn(const std::string& name,
                                 google::protobuf::RepeatedPtrField<milvus_api::FieldData>* to) {
  milvus_api::FieldData* column = to->Add();
  column->set_field_name(name);
  return column;
}

absl::Status QueryStatus(MilvusClient& client, const CallContext& context = {}) {
  return client.Query("some", {.expression = "id >= 0", .columns = {"id"}}, {context}).status();
}

TEST(MilvusClientTest, RefusalsSayWhatWhereAndWhatToDo) {
  FakeMilvus milvus;
  auto client = milvus.Client();
  const struct {
    int code;
    int older;
    bool retriable;
    absl::StatusCode expected;
  } cases[] = {
      {100, 0, false, absl::StatusCode::kNotFound},
      {0, 4, false, absl::StatusCode::kNotFound},
      {8, 0, true, absl::StatusCode::kResourceExhausted},
      {3, 0, false, absl::StatusCode::kResourceExhausted},
      {9, 0, false, absl::StatusCode::kResourceExhausted},
      {1400, 0, false, absl::StatusCode::kUnauthenticated},
      {1401, 0, false, absl::StatusCode::kPermissionDenied},
      {1800, 0, false, absl::StatusCode::kUnauthenticated},
      {1, 1, false, absl::StatusCode::kInternal},
      {1, 1, true, absl::StatusCode::kUnavailable},
      {503, 0, true, absl::StatusCode::kUnavailable},
      {1100, 5, false, absl::StatusCode::kInternal},
  };
  for (const auto& test : cases) {
    milvus.refusal.set_code(test.code);
    milvus.refusal.set_error_code(test.older);
    milvus.refusal.set_retriable(test.retriable);
    milvus.refusal.set_reason("because of this");
    EXPECT_THAT(QueryStatus(*client),
                StatusIs(test.expected, AllOf(HasSubstr(milvus.options.address), HasSubstr("Query"),
                                              HasSubstr("because of this"), HasSubstr("; "))))
        << test.code;
  }
}

TEST(MilvusClientTest, WhatIsNotThereIsUnavailable) {
  MilvusOptions options{.address = "127.0.0.1:1", .connect_timeout = absl::Milliseconds(100)};
  EXPECT_THAT(
      OpenMilvusStore(options),
      StatusIs(absl::StatusCode::kUnavailable,
               AllOf(HasSubstr("127.0.0.1:1"), HasSubstr("; check the address, TLS and that Milvus is running"))));
  options.address = "nowhere";
  EXPECT_THAT(OpenMilvusStore(options), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("HOST:PORT")));
}

TEST(MilvusClientTest, ASilentServerIsLeftAtTheDeadlineAndAtACancel) {
  FakeMilvus milvus;
  milvus.silent = true;
  milvus.options.call_timeout = absl::Milliseconds(100);
  auto client = milvus.Client();
  EXPECT_THAT(QueryStatus(*client), StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("Milvus")));
  EXPECT_THAT(QueryStatus(*client, CallContext::Until(absl::Now() + absl::Milliseconds(50))),
              StatusIs(absl::StatusCode::kDeadlineExceeded, ::testing::_));
  int polls = 0;
  const CallContext cancelled = CallContext::Until(absl::Now() + absl::Seconds(60), [&polls] { return ++polls > 2; });
  EXPECT_THAT(QueryStatus(*client, cancelled), StatusIs(absl::StatusCode::kCancelled, ::testing::_));
}

TEST(MilvusClientTest, NonsenseIsAnErrorThatNamesTheColumn) {
  FakeMilvus milvus;
  auto client = milvus.Client();
  auto* columns = milvus.query_results.mutable_fields_data();
  AddColumn("id", columns)->mutable_scalars()->mutable_string_data()->add_data("no number");
  AddColumn("vector", columns)->mutable_vectors()->mutable_float_vector()->add_data(1);
  ASSERT_OK_AND_ASSIGN(MilvusTable table, client->Query("some", {.expression = "id >= 0", .columns = {"id"}}));
  EXPECT_THAT(table.Ints("id"), StatusIs(absl::StatusCode::kInternal, HasSubstr("\"id\"")));
  EXPECT_THAT(table.Texts("body"), StatusIs(absl::StatusCode::kInternal, HasSubstr("\"body\"")));
  EXPECT_THAT(table.Vectors("vector", 4), StatusIs(absl::StatusCode::kInternal, HasSubstr("no multiple of 4")));
  EXPECT_THAT(client->Count("some", "id >= 0"), StatusIs(absl::StatusCode::kInternal, HasSubstr("count")));
  milvus.search_results.mutable_results()->mutable_ids()->mutable_int_id()->add_data(1);
  EXPECT_THAT(client->Search("some", {.field = "vector", .vector = {1, 2}}, {}),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("1 hits with 0 scores")));
  milvus.search_results.mutable_results()->add_scores(std::numeric_limits<float>::quiet_NaN());
  EXPECT_THAT(client->Search("some", {.field = "vector", .vector = {1, 2}}, {}),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("no number")));
  milvus.mutation_result.add_err_index(0);
  MilvusRows rows;
  rows.AddInt("id", 1);
  rows.EndRow();
  EXPECT_THAT(client->Insert("some", &rows), StatusIs(absl::StatusCode::kInternal, HasSubstr("1 of 1 rows")));
}

// A store is read through records: those that are damaged are no documents.
TEST(MilvusClientTest, DamagedRecordsAreDataLoss) {
  FakeMilvus milvus;
  ASSERT_OK_AND_ASSIGN(auto store, OpenMilvusStore(milvus.options));
  auto* columns = milvus.query_results.mutable_fields_data();
  for (const char* name : {kKey, kOwner, kSubject, kBody}) {
    AddColumn(name, columns)->mutable_scalars()->mutable_string_data()->add_data("!!");
  }
  for (const char* name : {kVersion, kExtra}) {
    AddColumn(name, columns)->mutable_scalars()->mutable_long_data()->add_data(1);
  }
  EXPECT_THAT(store->GetCollection("notes"), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("record")));
  columns->Mutable(0)->mutable_scalars()->mutable_string_data()->add_data("one more");
  EXPECT_THAT(store->GetCollection("notes"), StatusIs(absl::StatusCode::kInternal, HasSubstr("malformed")));
}

TEST(MilvusClientTest, SendsTheTokenAndTheConsistency) {
  FakeMilvus milvus;
  milvus.options.token = "root:Milvus";
  milvus.options.database = "library";
  EXPECT_THAT(QueryStatus(*milvus.Client()), IsOk());
  EXPECT_EQ(milvus.authorization, "cm9vdDpNaWx2dXM=");
  EXPECT_EQ(milvus.query_request.db_name(), "library");
  EXPECT_EQ(milvus.query_request.consistency_level(), milvus_api::STRONG);
  milvus.options.consistency = MilvusConsistency::kBounded;
  EXPECT_THAT(QueryStatus(*milvus.Client()), IsOk());
  EXPECT_EQ(milvus.query_request.consistency_level(), milvus_api::BOUNDED);
  EXPECT_EQ(milvus.query_request.guarantee_timestamp(), 2u);
  EXPECT_THAT(ParseMilvusConsistency("stronger"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("stronger")));
}

// The server has the collections, as a process leaves them that is killed before it makes their indexes.
TEST(MilvusClientTest, AStoreThatWasHalfMadeIsMadeWhole) {
  FakeMilvus milvus;
  EXPECT_THAT(OpenMilvusStore(milvus.options), IsOk());
  EXPECT_EQ(milvus.indexed, (std::set<std::string>{"lastro_v1_blocks", "lastro_v1_records"}));
}

// Whatever readers are content with: what is changed is read as it is.
TEST(MilvusClientTest, WritersReadAllThatWasWritten) {
  FakeMilvus milvus;
  milvus.options.consistency = MilvusConsistency::kEventually;
  ASSERT_OK_AND_ASSIGN(auto store, OpenMilvusStore(milvus.options));
  EXPECT_THAT(store->GetCollection("notes"), StatusIs(absl::StatusCode::kNotFound, ::testing::_));
  EXPECT_EQ(milvus.query_request.consistency_level(), milvus_api::EVENTUALLY);
  const std::string id = "0123456789abcdef";
  EXPECT_THAT(store->DeleteDocuments("notes", {&id, 1}), StatusIs(absl::StatusCode::kNotFound, ::testing::_));
  EXPECT_EQ(milvus.query_request.consistency_level(), milvus_api::STRONG);
  EXPECT_EQ(milvus.query_request.guarantee_timestamp(), 0u);
  milvus.query_request.Clear();
  retrieval::Document document;
  document.collection = "notes";
  document.uri = "a";
  EXPECT_THAT(store->PutDocument(document, "f", {}, "", ""), StatusIs(absl::StatusCode::kNotFound, ::testing::_));
  EXPECT_EQ(milvus.query_request.guarantee_timestamp(), 0u);
}

TEST(MilvusOptionsTest, AuthoritiesWithoutTlsAreRefused) {
  EXPECT_THAT(OpenMilvusStore({.address = "127.0.0.1:1", .token = "root:Milvus", .tls_ca = "/etc/ca.pem"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("TLS")));
}

TEST(MilvusOptionsTest, UnsuitableNamesAreRefused) {
  for (const char* prefix : {"", "9lives", "Upper", "a b", "x-y", "\"; drop"}) {
    EXPECT_THAT(OpenMilvusStore({.address = "127.0.0.1:1", .prefix = prefix}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("prefix")))
        << prefix;
  }
  EXPECT_THAT(OpenMilvusStore({.address = "127.0.0.1:1", .shards = 0}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("shards")));
}

// --- Expressions

retrieval::Filter Compare(retrieval::Filter::Op op, const std::string& field, retrieval::MetadataScalar value) {
  retrieval::Filter filter;
  filter.op = op;
  filter.field = field;
  filter.values = {std::move(value)};
  return filter;
}

TEST(FilterExpressionTest, NothingOfAFilterIsReadAsAnExpression) {
  const std::string hostile = "x\" or true or \"%_\\'\n";
  for (auto op : {retrieval::Filter::Op::kEqual, retrieval::Filter::Op::kLess, retrieval::Filter::Op::kPrefix,
                  retrieval::Filter::Op::kNotEqual, retrieval::Filter::Op::kIn}) {
    const std::string expression = FilterExpression(Compare(op, hostile, hostile));
    EXPECT_THAT(expression, AllOf(Not(HasSubstr("true")), Not(HasSubstr("\\")), Not(HasSubstr("_\"")),
                                  Not(HasSubstr("'")), Not(HasSubstr("\n"))));
    EXPECT_THAT(expression, HasSubstr(Hex(hostile)));
  }
  EXPECT_EQ(FilterExpression(retrieval::Filter()), "");
}

// The digits are ordered as the numbers.
TEST(FilterExpressionTest, NumbersAndTimesKeepTheirOrder) {
  auto digits = [](retrieval::MetadataScalar value) {
    const std::string expression = FilterExpression(Compare(retrieval::Filter::Op::kLess, "f", std::move(value)));
    return expression.substr(expression.rfind(' '));
  };
  const std::vector<double> numbers = {-1e308, -2, -1.5, -1e-300, 0, 1e-300, 0.5, 1, 2, 1e308};
  for (size_t i = 1; i < numbers.size(); ++i) EXPECT_LT(digits(numbers[i - 1]), digits(numbers[i])) << numbers[i];
  EXPECT_EQ(digits(0.0), digits(-0.0));
  EXPECT_LT(digits(absl::FromUnixNanos(-1)), digits(absl::FromUnixNanos(0)));
  EXPECT_LT(digits(absl::FromUnixNanos(0)), digits(absl::FromUnixNanos(1)));
}

TEST(FilterExpressionTest, FieldsBeyondARowAreRefused) {
  retrieval::Document document;
  document.uri = "a";
  document.title = std::string(40'000, 'x');
  EXPECT_THAT(FacetsOf(document), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("document a")));
  document.title.clear();
  for (int i = 0; i < 20; ++i) {
    retrieval::MetadataList list;
    for (int j = 0; j < 250; ++j) list.push_back(static_cast<double>(j));
    document.metadata["m" + std::to_string(i)] = list;
  }
  EXPECT_THAT(FacetsOf(document), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("4096")));
}

TEST(LexicalTextTest, TermsAreTokensOfDigits) {
  const LexicalColumns columns = LexicalColumnsOf("Title", {"Head"}, "foo_bar \" or true % ação");
  for (const std::string& text : {columns.terms, columns.words}) {
    EXPECT_EQ(text.find_first_not_of(" u0123456789abcdef"), std::string::npos) << text;
  }
  const LexicalSearchText search = ParseLexicalSearch("\"foo_bar baz\" %");
  EXPECT_THAT(search.phrases, AllOf(HasSubstr("words like \"% u"), Not(HasSubstr("_"))));
  EXPECT_EQ(ParseLexicalSearch("ação").terms, ParseLexicalSearch("ACAO").terms);
  EXPECT_EQ(ParseLexicalSearch(" %_ ").terms, "");
}

}  // namespace
}  // namespace lastro::services
