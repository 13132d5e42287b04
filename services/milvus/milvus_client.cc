#include "services/milvus/milvus_client.h"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace lastro::services {
namespace {

using milvus_api::MilvusService;

constexpr uint64_t kMaxAuthoritiesBytes = 4u << 20;
constexpr absl::Duration kLoadTimeout = absl::Minutes(5);
constexpr absl::Duration kLoadPollPeriod = absl::Milliseconds(100);

// Codes of Milvus's answers that mean something to a caller.
struct KnownCode {
  int code;
  absl::StatusCode meaning;
  absl::string_view advice;
};
constexpr KnownCode kKnownCodes[] = {
    {100, absl::StatusCode::kNotFound, "was it dropped by somebody else?"},
    {1, absl::StatusCode::kUnavailable, "Milvus is not ready; try again"},
    {3, absl::StatusCode::kResourceExhausted, "give Milvus more memory"},
    {4, absl::StatusCode::kResourceExhausted, "Milvus is busy; try again later"},
    {7, absl::StatusCode::kResourceExhausted, "give Milvus more disk"},
    {8, absl::StatusCode::kResourceExhausted, "Milvus limits the rate; try again later"},
    {9, absl::StatusCode::kResourceExhausted, "a quota of Milvus is used up; see its administrator"},
    {1400, absl::StatusCode::kUnauthenticated, "check the token"},
    {1401, absl::StatusCode::kPermissionDenied, "the user of the token lacks a privilege"},
    {1800, absl::StatusCode::kUnauthenticated, "check the token"},
};
constexpr int kOlderNotFound = 4;  // in the numbering before 2.3

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> Credentials(const MilvusOptions& options) {
  if (!options.tls && !options.tls_ca.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("authorities to trust (", options.tls_ca, ") without TLS towards ", "Milvus; turn TLS on"));
  }
  if (!options.tls) return std::shared_ptr<grpc::ChannelCredentials>();
  grpc::SslCredentialsOptions ssl;
  if (!options.tls_ca.empty()) {
    LASTRO_ASSIGN_OR_RETURN(ssl.pem_root_certs, ReadFile(options.tls_ca, kMaxAuthoritiesBytes));
  }
  return grpc::SslCredentials(ssl);
}

void AddParam(const std::string& key, std::string value,
              google::protobuf::RepeatedPtrField<milvus_api::KeyValuePair>* params) {
  milvus_api::KeyValuePair* pair = params->Add();
  pair->set_key(key);
  pair->set_value(std::move(value));
}

// Clients of Milvus say the level as a time too, which servers of some versions go by: 1 is long ago, 2 the bound.
uint64_t GuaranteeTimestamp(MilvusConsistency consistency) {
  switch (consistency) {
    case MilvusConsistency::kBounded:
      return 2;
    case MilvusConsistency::kEventually:
      return 1;
    case MilvusConsistency::kStrong:
      break;
  }
  return 0;
}

std::string Placeholders(const MilvusSearch& search) {
  milvus_api::PlaceholderGroup group;
  milvus_api::PlaceholderValue* value = group.add_placeholders();
  value->set_tag("$0");
  if (search.vector.empty()) {
    value->set_type(milvus_api::TEXT_PLACEHOLDER);
    value->add_values(search.text);
  } else {
    value->set_type(milvus_api::FLOAT_VECTOR_PLACEHOLDER);  // little-endian, as are all machines this runs on
    value->add_values(search.vector.data(), search.vector.size() * sizeof(float));
  }
  return group.SerializeAsString();
}

}  // namespace

absl::StatusOr<std::unique_ptr<MilvusClient>> MilvusClient::Create(const MilvusOptions& options) {
  RemoteOptions remote{.role = "Milvus",
                       .address = options.address,
                       .connect_timeout = options.connect_timeout,
                       .call_timeout = options.call_timeout,
                       .advice = "check the address, TLS and that Milvus is running there"};
  LASTRO_ASSIGN_OR_RETURN(remote.credentials, Credentials(options));
  if (!options.token.empty()) remote.metadata["authorization"] = absl::Base64Escape(options.token);
  LASTRO_ASSIGN_OR_RETURN(std::shared_ptr<RemoteChannel> channel, RemoteChannel::Create(remote));
  return std::unique_ptr<MilvusClient>(new MilvusClient(options, std::move(channel)));
}

MilvusClient::MilvusClient(const MilvusOptions& options, std::shared_ptr<RemoteChannel> channel)
    : options_(options), channel_(std::move(channel)), stub_(MilvusService::NewStub(channel_->channel())) {}

template <typename Response, typename Request>
absl::StatusOr<Response> MilvusClient::Call(const char* name,
                                            std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> (Stub::*start)(
                                                grpc::ClientContext*, const Request&, grpc::CompletionQueue*),
                                            const Request& request, const CallContext& context) {
  LASTRO_ASSIGN_OR_RETURN(Response response,
                          CallUnary<Response>(channel_.get(), context.WithScope(Scope()),
                                              [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
                                                return (stub_.get()->*start)(client, request, queue);
                                              }));
  if constexpr (std::is_same_v<Response, milvus_api::Status>) {
    LASTRO_RETURN_IF_ERROR(Check(name, response));
  } else {
    LASTRO_RETURN_IF_ERROR(Check(name, response.status()));
  }
  return response;
}

absl::Status MilvusClient::Check(const char* name, const milvus_api::Status& status) const {
  if (status.code() == 0 && status.error_code() == 0) return absl::OkStatus();
  absl::StatusCode code = absl::StatusCode::kInternal;
  absl::string_view advice = "see the log of Milvus";
  if (status.retriable()) {
    code = absl::StatusCode::kUnavailable;
    advice = "try again";
  }
  if (status.code() == 0 && status.error_code() == kOlderNotFound) code = absl::StatusCode::kNotFound;
  for (const KnownCode& known : kKnownCodes) {
    // 1 is also what older servers say of everything.
    if (known.code != status.code() || (known.code == 1 && !status.retriable())) continue;
    code = known.meaning;
    advice = known.advice;
  }
  return absl::Status(code, absl::StrCat("Milvus at ", options_.address, " refused ", name, ": ", status.reason(),
                                         " (code ", status.code(), ", ", status.error_code(), "); ", advice));
}

milvus_api::CollectionRequest MilvusClient::Named(const std::string& collection) const {
  milvus_api::CollectionRequest request;
  request.set_db_name(options_.database);
  request.set_collection_name(collection);
  return request;
}

milvus_api::ConsistencyLevel MilvusClient::Level() const {
  switch (options_.consistency) {
    case MilvusConsistency::kBounded:
      return milvus_api::BOUNDED;
    case MilvusConsistency::kEventually:
      return milvus_api::EVENTUALLY;
    case MilvusConsistency::kStrong:
      break;
  }
  return milvus_api::STRONG;
}

absl::StatusOr<bool> MilvusClient::HasCollection(const std::string& name) {
  LASTRO_ASSIGN_OR_RETURN(auto response, Call("HasCollection", &Stub::AsyncHasCollection, Named(name), {}));
  return response.value();
}

absl::Status MilvusClient::CreateCollection(const milvus_api::CollectionSchema& schema, int shards) {
  milvus_api::CreateCollectionRequest request;
  request.set_db_name(options_.database);
  request.set_collection_name(schema.name());
  request.set_schema(schema.SerializeAsString());
  request.set_shards_num(shards);
  request.set_consistency_level(Level());
  return Call("CreateCollection", &Stub::AsyncCreateCollection, request, {}).status();
}

absl::Status MilvusClient::DropCollection(const std::string& name) {
  absl::Status status = Call("DropCollection", &Stub::AsyncDropCollection, Named(name), {}).status();
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::Status MilvusClient::CreateIndex(const std::string& collection, const std::string& field,
                                       const std::string& index_type, const std::string& metric,
                                       const std::string& params_json) {
  milvus_api::CreateIndexRequest request;
  request.set_db_name(options_.database);
  request.set_collection_name(collection);
  request.set_field_name(field);
  request.set_index_name(field);
  AddParam("index_type", index_type, request.mutable_extra_params());
  AddParam("metric_type", metric, request.mutable_extra_params());
  AddParam("params", params_json, request.mutable_extra_params());
  return Call("CreateIndex", &Stub::AsyncCreateIndex, request, {}).status();
}

absl::Status MilvusClient::Load(const std::string& collection) {
  LASTRO_RETURN_IF_ERROR(Call("LoadCollection", &Stub::AsyncLoadCollection, Named(collection), {}).status());
  milvus_api::GetLoadStateRequest request;
  request.set_db_name(options_.database);
  request.set_collection_name(collection);
  const absl::Time limit = absl::Now() + kLoadTimeout;
  while (true) {
    LASTRO_ASSIGN_OR_RETURN(auto response, Call("GetLoadState", &Stub::AsyncGetLoadState, request, {}));
    if (response.state() == milvus_api::LOADED) return absl::OkStatus();
    if (absl::Now() > limit) {
      return absl::DeadlineExceededError(absl::StrCat("Milvus at ", options_.address, ": collection ", collection,
                                                      " is not loaded after ", absl::FormatDuration(kLoadTimeout),
                                                      "; see whether its query nodes have memory left"));
    }
    absl::SleepFor(kLoadPollPeriod);
  }
}

absl::Status MilvusClient::Write(const char* name, const std::string& collection, MilvusRows* rows, bool upsert) {
  if (rows->rows() == 0) return absl::OkStatus();
  milvus_api::RowsRequest request;
  request.set_db_name(options_.database);
  request.set_collection_name(collection);
  rows->MoveTo(&request);
  LASTRO_ASSIGN_OR_RETURN(auto result,
                          Call(name, upsert ? &Stub::AsyncUpsert : &Stub::AsyncInsert, request, CallContext()));
  if (result.err_index_size() == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("Milvus at ", options_.address, ": ", name, " left out ",
                                          result.err_index_size(), " of ", request.num_rows(),
                                          " rows; see the log of Milvus"));
}

absl::Status MilvusClient::Insert(const std::string& collection, MilvusRows* rows) {
  return Write("Insert", collection, rows, /*upsert=*/false);
}

absl::Status MilvusClient::Upsert(const std::string& collection, MilvusRows* rows) {
  return Write("Upsert", collection, rows, /*upsert=*/true);
}

absl::Status MilvusClient::Delete(const std::string& collection, const std::string& expression) {
  milvus_api::DeleteRequest request;
  request.set_db_name(options_.database);
  request.set_collection_name(collection);
  request.set_expr(expression);
  request.set_consistency_level(milvus_api::STRONG);
  return Call("Delete", &Stub::AsyncDelete, request, {}).status();
}

absl::StatusOr<MilvusTable> MilvusClient::Query(const std::string& collection, const MilvusQuery& query,
                                                const MilvusReading& reading) {
  milvus_api::QueryRequest request;
  request.set_db_name(options_.database);
  request.set_collection_name(collection);
  request.set_expr(query.expression);
  for (const std::string& column : query.columns) request.add_output_fields(column);
  if (!reading.latest) {  // otherwise the defaults: strong
    request.set_consistency_level(Level());
    request.set_guarantee_timestamp(GuaranteeTimestamp(options_.consistency));
  }
  AddParam("limit", absl::StrCat(query.limit), request.mutable_query_params());
  if (query.by_key) {
    AddParam("iterator", "True", request.mutable_query_params());
    AddParam("reduce_stop_for_best", "True", request.mutable_query_params());
  }
  LASTRO_ASSIGN_OR_RETURN(auto results, Call("Query", &Stub::AsyncQuery, request, reading.context));
  return MilvusTable(std::move(*results.mutable_fields_data()));
}

absl::StatusOr<int64_t> MilvusClient::Count(const std::string& collection, const std::string& expression) {
  milvus_api::QueryRequest request;
  request.set_db_name(options_.database);
  request.set_collection_name(collection);
  request.set_expr(expression);
  request.add_output_fields("count(*)");
  request.set_consistency_level(Level());
  request.set_guarantee_timestamp(GuaranteeTimestamp(options_.consistency));
  LASTRO_ASSIGN_OR_RETURN(auto results, Call("Query", &Stub::AsyncQuery, request, CallContext()));
  MilvusTable table(std::move(*results.mutable_fields_data()));
  LASTRO_ASSIGN_OR_RETURN(std::vector<int64_t> counts, table.Ints("count(*)"));
  if (counts.size() == 1 && counts[0] >= 0) return counts[0];
  return absl::InternalError(
      absl::StrCat("the answer of Milvus at ", options_.address, " is malformed: a count of rows is no number"));
}

absl::StatusOr<MilvusHits> MilvusClient::Search(const std::string& collection, const MilvusSearch& search,
                                                const CallContext& context) {
  milvus_api::SearchRequest request;
  request.set_db_name(options_.database);
  request.set_collection_name(collection);
  request.set_dsl(search.expression);
  request.set_dsl_type(milvus_api::BOOL_EXPRESSION);
  request.set_placeholder_group(Placeholders(search));
  for (const std::string& column : search.columns) request.add_output_fields(column);
  AddParam("anns_field", search.field, request.mutable_search_params());
  AddParam("topk", absl::StrCat(search.limit), request.mutable_search_params());
  AddParam("metric_type", search.vector.empty() ? "BM25" : "IP", request.mutable_search_params());
  AddParam("params", "{}", request.mutable_search_params());
  request.set_nq(1);
  request.set_consistency_level(Level());
  request.set_guarantee_timestamp(GuaranteeTimestamp(options_.consistency));
  LASTRO_ASSIGN_OR_RETURN(auto response, Call("Search", &Stub::AsyncSearch, request, context));
  milvus_api::SearchResultData& results = *response.mutable_results();
  MilvusHits hits;
  hits.ids.assign(results.ids().int_id().data().begin(), results.ids().int_id().data().end());
  hits.scores.assign(results.scores().begin(), results.scores().end());
  hits.columns = MilvusTable(std::move(*results.mutable_fields_data()));
  const std::string malformed = absl::StrCat("the answer of Milvus at ", options_.address, " is malformed: ");
  if (hits.ids.size() != hits.scores.size()) {
    return absl::InternalError(absl::StrCat(malformed, hits.ids.size(), " hits with ", hits.scores.size(), " scores"));
  }
  if (std::any_of(hits.scores.begin(), hits.scores.end(), [](float score) { return std::isnan(score); })) {
    return absl::InternalError(absl::StrCat(malformed, "a score is no number"));
  }
  return hits;
}

}  // namespace lastro::services
