#include "services/milvus/milvus_records.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "services/proto_convert.h"

namespace lastro::services {
namespace {

constexpr int kRecordsPerPage = 500;
constexpr size_t kIdsPerCall = 1000;
constexpr size_t kMaxBodyBytes = 48'000;                 // in base64 within a text of Milvus's
constexpr int64_t kEpochMicros = 1'577'836'800'000'000;  // 2020
constexpr int64_t kMaxVersion = int64_t{1} << 62;        // in the year 2162
constexpr int kReadAttempts = 10;

absl::Status Damaged(const std::string& key) {
  return absl::DataLossError(
      absl::StrCat("Milvus: record ", key, " cannot be read; put it again, or copy the store from a good one"));
}

// Which of several processes that write at once this is; kVersionStep of them are told apart.
int64_t ProcessNumber() {
  static const int64_t number = static_cast<int64_t>(std::random_device()() % MilvusRecords::kVersionStep);
  return number;
}

// A body that is in blocks is said by its length.
std::string LengthBody(size_t bytes) { return absl::StrCat("#", bytes); }

BlocksOf BlocksOfBody(const MilvusRecord& record) { return {record.owner, record.subject, record.version, 'b'}; }

}  // namespace

int64_t MilvusRecords::NextVersions(int64_t count) {
  absl::MutexLock lock(&mutex_);
  const int64_t first = std::max(last_tick_ + 1, absl::ToUnixMicros(absl::Now()) - kEpochMicros);
  last_tick_ = first + count - 1;
  return first * kVersionStep + ProcessNumber();
}

void MilvusRecords::Saw(int64_t version) {
  absl::MutexLock lock(&mutex_);
  last_tick_ = std::max(last_tick_, version / kVersionStep);
}

absl::Status MilvusRecords::AddRow(const MilvusRecord& record, MilvusRows* rows) {
  std::string body = absl::Base64Escape(record.body);
  if (record.body.size() > kMaxBodyBytes) {
    LASTRO_RETURN_IF_ERROR(blocks_.Put(BlocksOfBody(record), record.body));
    body = LengthBody(record.body.size());
  }
  rows->AddText(kKey, record.key);
  rows->AddText(kOwner, record.owner);
  rows->AddText(kSubject, record.subject);
  rows->AddInt(kVersion, record.version);
  rows->AddInt(kExtra, record.extra);
  rows->AddText(kBody, std::move(body));
  record.facets.AddTo(rows);
  AddNothing(rows);
  rows->EndRow();
  return absl::OkStatus();
}

absl::Status MilvusRecords::Put(absl::Span<const MilvusRecord> records) {
  MilvusRows rows;
  for (const MilvusRecord& record : records) LASTRO_RETURN_IF_ERROR(AddRow(record, &rows));
  return client_.Upsert(collection_, &rows);
}

absl::Status MilvusRecords::Erase(absl::Span<const std::string> keys) {
  if (keys.empty()) return absl::OkStatus();
  return client_.Delete(collection_, absl::StrCat(kKey, " in [\"", absl::StrJoin(keys, "\",\""), "\"]"));
}

absl::Status MilvusRecords::EraseAllOf(const std::string& owner) { return client_.Delete(collection_, OwnedBy(owner)); }

absl::StatusOr<std::vector<MilvusRecords::Row>> MilvusRecords::ReadRows(MilvusQuery query,
                                                                        const MilvusReading& reading) {
  query.columns = {kKey, kOwner, kSubject, kVersion, kExtra, kBody};
  LASTRO_ASSIGN_OR_RETURN(MilvusTable table, client_.Query(collection_, query, reading));
  LASTRO_ASSIGN_OR_RETURN(std::vector<std::string> keys, table.Texts(kKey));
  LASTRO_ASSIGN_OR_RETURN(std::vector<std::string> owners, table.Texts(kOwner));
  LASTRO_ASSIGN_OR_RETURN(std::vector<std::string> subjects, table.Texts(kSubject));
  LASTRO_ASSIGN_OR_RETURN(std::vector<std::string> bodies, table.Texts(kBody));
  LASTRO_ASSIGN_OR_RETURN(std::vector<int64_t> versions, table.Ints(kVersion));
  LASTRO_ASSIGN_OR_RETURN(std::vector<int64_t> extras, table.Ints(kExtra));
  for (size_t size : {owners.size(), subjects.size(), bodies.size(), versions.size(), extras.size()}) {
    if (size != keys.size()) return absl::InternalError("the answer of Milvus is malformed: uneven columns");
  }
  std::vector<Row> rows;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (versions[i] < 0 || versions[i] > kMaxVersion) return Damaged(keys[i]);
    Saw(versions[i]);
    rows.push_back({{keys[i], owners[i], subjects[i], versions[i], extras[i]}, std::move(bodies[i])});
  }
  return rows;
}

absl::StatusOr<std::string> MilvusRecords::BodyOf(const Row& row) {
  std::string body;
  uint64_t bytes = 0;
  if (row.body.empty() || row.body[0] != '#') {
    if (absl::Base64Unescape(row.body, &body)) return body;
  } else if (absl::SimpleAtoi(row.body.substr(1), &bytes)) {
    return blocks_.Read(BlocksOfBody(row.record), 0, bytes);
  }
  return Damaged(row.record.key);
}

absl::StatusOr<std::optional<MilvusRecord>> MilvusRecords::Complete(Row row, const MilvusQuery& query) {
  for (int attempt = 0; attempt < kReadAttempts; ++attempt) {
    absl::StatusOr<std::string> body = BodyOf(row);
    if (body.ok()) {
      row.record.body = *std::move(body);
      return std::move(row.record);
    }
    if (!absl::IsDataLoss(body.status())) return body.status();
    MilvusQuery again{.expression = AllOf(query.expression, absl::StrCat(kKey, " == \"", row.record.key, "\"")),
                      .limit = 1};
    LASTRO_ASSIGN_OR_RETURN(std::vector<Row> rows, ReadRows(again, {.latest = true}));
    if (rows.empty()) return std::optional<MilvusRecord>();
    if (rows[0].record.version == row.record.version) return body.status();
    row = std::move(rows[0]);
  }
  return absl::AbortedError(
      absl::StrCat("Milvus: record ", row.record.key, " was replaced faster than it could be read; try again"));
}

absl::StatusOr<std::vector<MilvusRecord>> MilvusRecords::Complete(std::vector<Row> rows, const MilvusQuery& query) {
  std::vector<MilvusRecord> records;
  for (Row& row : rows) {
    LASTRO_ASSIGN_OR_RETURN(std::optional<MilvusRecord> record, Complete(std::move(row), query));
    if (record.has_value()) records.push_back(*std::move(record));
  }
  return records;
}

absl::StatusOr<std::vector<MilvusRecord>> MilvusRecords::Read(const MilvusQuery& query, const MilvusReading& reading) {
  LASTRO_ASSIGN_OR_RETURN(std::vector<Row> rows, ReadRows(query, reading));
  return Complete(std::move(rows), query);
}

absl::StatusOr<std::vector<MilvusRecord>> MilvusRecords::Page(const std::string& expression, std::string after_key,
                                                              int limit) {
  std::vector<MilvusRecord> records;
  bool last = false;
  while (!last && records.size() < static_cast<size_t>(limit)) {
    const std::string beyond = after_key.empty() ? "" : absl::StrCat(kKey, " > \"", after_key, "\"");
    MilvusQuery query{
        .expression = AllOf(expression, beyond), .limit = limit - static_cast<int>(records.size()), .by_key = true};
    LASTRO_ASSIGN_OR_RETURN(std::vector<Row> rows, ReadRows(query, {}));
    std::sort(rows.begin(), rows.end(),
              [](const Row& left, const Row& right) { return left.record.key < right.record.key; });
    last = rows.size() < static_cast<size_t>(query.limit);
    if (!rows.empty()) after_key = rows.back().record.key;
    LASTRO_ASSIGN_OR_RETURN(std::vector<MilvusRecord> some, Complete(std::move(rows), query));
    std::move(some.begin(), some.end(), std::back_inserter(records));
  }
  return records;
}

absl::Status MilvusRecords::ForEach(const std::string& expression,
                                    const std::function<absl::Status(MilvusRecord)>& sink) {
  std::string after;
  while (true) {
    LASTRO_ASSIGN_OR_RETURN(std::vector<MilvusRecord> page, Page(expression, after, kRecordsPerPage));
    const bool last = page.size() < kRecordsPerPage;
    if (!page.empty()) after = page.back().key;
    for (MilvusRecord& record : page) LASTRO_RETURN_IF_ERROR(sink(std::move(record)));
    if (last) return absl::OkStatus();
  }
}

absl::StatusOr<int64_t> MilvusRecords::Count(const std::string& expression) {
  return client_.Count(collection_, expression);
}

absl::StatusOr<std::optional<MilvusRecord>> MilvusRecords::Find(const std::string& key, const MilvusReading& reading) {
  if (key.size() > kMaxKeyBytes) return std::optional<MilvusRecord>();  // no row has such a one
  MilvusQuery query{.expression = absl::StrCat(kKey, " == \"", key, "\""), .limit = 1};
  LASTRO_ASSIGN_OR_RETURN(std::vector<MilvusRecord> records, Read(query, reading));
  if (records.empty() || records[0].owner == kGone) return std::optional<MilvusRecord>();
  return std::optional<MilvusRecord>(std::move(records[0]));
}

absl::StatusOr<CollectionRecord> MilvusRecords::FindCollection(const std::string& stored_name,
                                                               const MilvusReading& reading) {
  const std::string key = CollectionKey(stored_name);
  MilvusQuery query{.expression = absl::StrCat(kKey, " in [\"", key, "\",\"", CommitKey(stored_name), "\",\"",
                                               RemovalKey(stored_name), "\"]"),
                    .limit = 3};
  LASTRO_ASSIGN_OR_RETURN(std::vector<MilvusRecord> records, Read(query, reading));
  auto found = std::find_if(records.begin(), records.end(), [&](const auto& record) { return record.key == key; });
  if (found == records.end()) return absl::NotFoundError(absl::StrCat("there is no collection ", stored_name));
  LASTRO_ASSIGN_OR_RETURN(CollectionRecord collection, ToCollection(*found));
  for (const MilvusRecord& record : records) {
    if (record.owner != kCommits || record.subject != collection.made) continue;  // of one of the name before
    (record.key == RemovalKey(stored_name) ? collection.removed : collection.commit) = record.version;
  }
  return collection;
}

absl::Status MilvusRecords::Commit(const CollectionRecord& collection, bool removes,
                                   std::vector<MilvusRecord> records) {
  const std::string& name = collection.collection.name;
  const int64_t version = NextVersion();
  records.push_back({CommitKey(name), kCommits, collection.made, version});
  if (removes) records.push_back({RemovalKey(name), kCommits, collection.made, version});
  return Put(records);
}

absl::StatusOr<std::map<std::string, DocumentRecord>> MilvusRecords::FindDocuments(const CollectionRecord& collection,
                                                                                   absl::Span<const std::string> ids,
                                                                                   const MilvusReading& reading) {
  std::map<std::string, DocumentRecord> documents;
  for (size_t begin = 0; begin < ids.size(); begin += kIdsPerCall) {
    std::vector<std::string> literals;
    // What is no id is not asked for: an id of the store's is hexadecimal digits.
    for (const std::string& id : ids.subspan(begin, kIdsPerCall)) {
      const bool plain = !id.empty() && id.find_first_not_of("0123456789abcdef") == std::string::npos;
      if (plain) literals.push_back(absl::StrCat("\"", id, "\""));
    }
    if (literals.empty()) continue;
    MilvusQuery query{.expression = absl::StrCat(OwnedBy(collection.made), " and ", kSubject, " in [",
                                                 absl::StrJoin(literals, ","), "]"),
                      .limit = static_cast<int>(literals.size())};
    LASTRO_ASSIGN_OR_RETURN(std::vector<MilvusRecord> records, Read(query, reading));
    for (const MilvusRecord& record : records) {
      LASTRO_ASSIGN_OR_RETURN(documents[record.subject], ToDocument(record));
    }
  }
  return documents;
}

std::string OwnedBy(const std::string& owner) { return absl::StrCat(kOwner, " == \"", owner, "\""); }

MilvusRecord ToRecord(const CollectionRecord& collection) {
  return {CollectionKey(collection.collection.name),         kCollections, collection.made, collection.commit, 0,
          ToProto(collection.collection).SerializeAsString()};
}

absl::StatusOr<MilvusRecord> ToRecord(const DocumentRecord& document) {
  MilvusRecord record{DocumentKey(document.made, document.document.uri),
                      document.made,
                      document.document.id,
                      document.version,
                      static_cast<int64_t>(document.source_bytes),
                      ToProto(document.document).SerializeAsString()};
  LASTRO_ASSIGN_OR_RETURN(record.facets, FacetsOf(document.document));
  return record;
}

absl::StatusOr<CollectionRecord> ToCollection(const MilvusRecord& record) {
  v1::Collection proto;
  if (!proto.ParseFromString(record.body)) return Damaged(record.key);
  absl::StatusOr<retrieval::Collection> collection = FromProto(proto);
  if (!collection.ok() || collection->dimension <= 0) return Damaged(record.key);
  return CollectionRecord{*std::move(collection), record.subject, record.version, record.version};
}

absl::StatusOr<DocumentRecord> ToDocument(const MilvusRecord& record) {
  v1::Document proto;
  if (!proto.ParseFromString(record.body)) return Damaged(record.key);
  absl::StatusOr<retrieval::Document> document = FromProto(proto);
  if (!document.ok() || record.extra < 0) return Damaged(record.key);
  return DocumentRecord{*std::move(document), record.owner, record.version, static_cast<uint64_t>(record.extra)};
}

}  // namespace lastro::services
