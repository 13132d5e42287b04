#include "retrieval/document_table.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "retrieval/filter_fields.h"
#include "retrieval/filter_sql.h"
#include "retrieval/record_codec.h"
#include "retrieval/timestamps.h"

namespace lastro::retrieval {
namespace {

constexpr char kSelect[] =
    "SELECT d.row, d.id, d.uri, d.title, d.media_type, d.encoding, d.language, d.source_kind, d.content_sha256, "
    "d.source_sha256, d.size_bytes, d.modified_ns, d.ingested_ns, d.origin, d.pipeline, d.metadata, d.chunk_count, "
    "d.labels "
    "FROM documents d ";

absl::StatusOr<DocumentRow> Read(const Statement& row, const std::string& collection) {
  DocumentRow result;
  result.row = row.Int(0);
  Document& document = result.document;
  document.collection = collection;
  document.id = row.Text(1);
  document.uri = row.Text(2);
  document.title = row.Text(3);
  document.media_type = row.Text(4);
  document.encoding = row.Text(5);
  document.language = static_cast<Language>(row.Int(6));
  document.source_kind = static_cast<SourceKind>(row.Int(7));
  document.content_sha256 = row.Text(8);
  document.source_sha256 = row.Text(9);
  document.size_bytes = static_cast<uint64_t>(row.Int(10));
  document.modified_at = FromStoredTime(row.Int(11));
  document.ingested_at = FromStoredTime(row.Int(12));
  document.origin = row.Text(13);
  document.pipeline = row.Text(14);
  LASTRO_ASSIGN_OR_RETURN(document.metadata, DecodeMetadata(row.Bytes(15)));
  document.chunk_count = row.Int(16);
  document.labels = absl::StrSplit(row.Text(17), '\n', absl::SkipEmpty());
  return result;
}

absl::StatusOr<DocumentRow> ReadOne(Statement& query, const CollectionRow& collection, absl::string_view what) {
  LASTRO_ASSIGN_OR_RETURN(bool found, query.Step());
  if (!found) return NoDocument(collection, what);
  return Read(query, collection.collection.name);
}

absl::Status InsertFields(Database& db, int64_t collection, int64_t row, const Document& document) {
  LASTRO_ASSIGN_OR_RETURN(Statement insert, db.Prepare("INSERT INTO fields(document, collection, key, type, value) "
                                                       "VALUES(?1,?2,?3,?4,?5)"));
  std::map<std::string, MetadataList> fields = FieldsOf(document);
  for (const auto& [key, values] : fields) {
    for (const MetadataScalar& value : values) {
      insert.Bind(1, row).Bind(2, collection).BindText(3, key).Bind(4, StoredType(value));
      BindStoredValue(insert, 5, value);
      LASTRO_RETURN_IF_ERROR(insert.Run());
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::string DocumentId(const std::string& collection, const std::string& uri) {
  return Sha256Hex(absl::StrCat(collection, absl::string_view("\0", 1), uri)).substr(0, 32);
}

absl::Status NoDocument(const CollectionRow& collection, absl::string_view what) {
  return absl::NotFoundError(absl::StrCat("collection \"", collection.collection.name, "\" has no document ", what));
}

absl::StatusOr<DocumentRow> FindDocumentById(Database& db, const CollectionRow& collection, const std::string& id) {
  LASTRO_ASSIGN_OR_RETURN(Statement query, db.Prepare(absl::StrCat(kSelect, "WHERE d.collection=?1 AND d.id=?2")));
  query.Bind(1, collection.row).BindText(2, id);
  return ReadOne(query, collection, absl::StrCat("with id ", id));
}

absl::StatusOr<DocumentRow> FindDocumentByUri(Database& db, const CollectionRow& collection, const std::string& uri) {
  LASTRO_ASSIGN_OR_RETURN(Statement query, db.Prepare(absl::StrCat(kSelect, "WHERE d.collection=?1 AND d.uri=?2")));
  query.Bind(1, collection.row).BindText(2, uri);
  return ReadOne(query, collection, absl::StrCat("with uri ", uri));
}

absl::StatusOr<DocumentRow> FindDocumentByRow(Database& db, const CollectionRow& collection, int64_t row) {
  LASTRO_ASSIGN_OR_RETURN(Statement query, db.Prepare(absl::StrCat(kSelect, "WHERE d.row=?2 AND d.collection=?1")));
  query.Bind(1, collection.row).Bind(2, row);
  return ReadOne(query, collection, absl::StrCat("in row ", row));
}

absl::StatusOr<int64_t> InsertDocument(Database& db, int64_t collection, const Document& document) {
  LASTRO_ASSIGN_OR_RETURN(
      Statement insert,
      db.Prepare("INSERT INTO documents(collection, id, uri, title, media_type, encoding, language, source_kind, "
                 "content_sha256, source_sha256, size_bytes, modified_ns, ingested_ns, origin, pipeline, metadata, "
                 "chunk_count, labels) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18)"));
  std::string metadata = EncodeMetadata(document.metadata);
  insert.Bind(1, collection).BindText(2, document.id).BindText(3, document.uri).BindText(4, document.title);
  insert.BindText(5, document.media_type).BindText(6, document.encoding);
  insert.Bind(7, static_cast<int64_t>(document.language)).Bind(8, static_cast<int64_t>(document.source_kind));
  insert.BindText(9, document.content_sha256).BindText(10, document.source_sha256);
  insert.Bind(11, static_cast<int64_t>(document.size_bytes)).Bind(12, ToStoredTime(document.modified_at));
  insert.Bind(13, ToStoredTime(document.ingested_at)).BindText(14, document.origin).BindText(15, document.pipeline);
  std::string labels = absl::StrJoin(document.labels, "\n");
  insert.BindBlob(16, metadata).Bind(17, document.chunk_count).BindText(18, labels);
  LASTRO_RETURN_IF_ERROR(insert.Run());
  int64_t row = db.last_insert_id();
  LASTRO_RETURN_IF_ERROR(InsertFields(db, collection, row, document));
  return row;
}

absl::Status CheckFields(Database& db, int64_t row, const Document& document) {
  LASTRO_ASSIGN_OR_RETURN(Statement query, db.Prepare("SELECT key, type, value FROM fields WHERE document=?1"));
  query.Bind(1, row);
  std::map<std::string, MetadataList> stored;
  while (true) {
    LASTRO_ASSIGN_OR_RETURN(bool more, query.Step());
    if (!more) break;
    stored[query.Text(0)].push_back(StoredValue(query, 1, 2));
  }
  std::map<std::string, MetadataList> fields = FieldsOf(document);
  std::erase_if(fields, [](const auto& field) { return field.second.empty(); });
  for (auto* lists : {&stored, &fields}) {
    for (auto& [key, values] : *lists) std::sort(values.begin(), values.end());
  }
  if (stored == fields) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("document ", document.uri, ": filters see other fields than it has"));
}

absl::Status RemakeFields(Database& db) {
  LASTRO_RETURN_IF_ERROR(db.Execute("DELETE FROM fields"));
  LASTRO_ASSIGN_OR_RETURN(Statement query, db.Prepare(absl::StrCat(kSelect, "WHERE d.row=?1")));
  LASTRO_ASSIGN_OR_RETURN(Statement rows, db.Prepare("SELECT row, collection FROM documents"));
  while (true) {
    LASTRO_ASSIGN_OR_RETURN(bool more, rows.Step());
    if (!more) return absl::OkStatus();
    LASTRO_ASSIGN_OR_RETURN(bool found, query.Bind(1, rows.Int(0)).Step());
    absl::StatusOr<DocumentRow> document = found ? Read(query, "") : absl::NotFoundError("gone");
    query.Reset();
    if (document.ok()) LASTRO_RETURN_IF_ERROR(InsertFields(db, rows.Int(1), rows.Int(0), document->document));
  }
}

absl::Status EraseDocument(Database& db, int64_t row) {
  for (const char* sql : {"DELETE FROM fields WHERE document=?1", "DELETE FROM documents WHERE row=?1"}) {
    LASTRO_ASSIGN_OR_RETURN(Statement erase, db.Prepare(sql));
    LASTRO_RETURN_IF_ERROR(erase.Bind(1, row).Run());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Document>> SelectDocuments(Database& db, const CollectionRow& collection,
                                                      const Filter& filter, int count,
                                                      const std::optional<std::string>& after_uri) {
  FilterSql filter_sql(filter, collection.row, 4);
  std::string after = after_uri.has_value() ? " AND d.uri>?2" : " AND ?2 IS NOT NULL";
  LASTRO_ASSIGN_OR_RETURN(
      Statement query, db.Prepare(absl::StrCat(kSelect, "WHERE d.collection=?1", after, " AND ", filter_sql.condition(),
                                               " ORDER BY d.uri LIMIT ?3")));
  query.Bind(1, collection.row).BindText(2, after_uri.value_or("")).Bind(3, int64_t{count});
  filter_sql.BindTo(query);
  std::vector<Document> documents;
  while (true) {
    LASTRO_ASSIGN_OR_RETURN(bool more, query.Step());
    if (!more) return documents;
    LASTRO_ASSIGN_OR_RETURN(DocumentRow row, Read(query, collection.collection.name));
    documents.push_back(std::move(row.document));
  }
}

absl::StatusOr<FilteredDocuments> SelectDocumentRows(Database& db, int64_t collection, const Filter& filter) {
  FilterSql filter_sql(filter, collection, 2);
  LASTRO_ASSIGN_OR_RETURN(
      Statement query,
      db.Prepare(absl::StrCat("SELECT d.row, d.chunk_count FROM documents d WHERE d.collection=?1 AND ",
                              filter_sql.condition())));
  query.Bind(1, collection);
  filter_sql.BindTo(query);
  FilteredDocuments documents;
  while (true) {
    LASTRO_ASSIGN_OR_RETURN(bool more, query.Step());
    if (!more) return documents;
    documents.rows.insert(query.Int(0));
    documents.chunks += query.Int(1);
  }
}

absl::StatusOr<std::map<std::string, DocumentState>> SelectDocumentStates(Database& db, int64_t collection,
                                                                          const Filter& filter) {
  FilterSql filter_sql(filter, collection, 2);
  LASTRO_ASSIGN_OR_RETURN(
      Statement query,
      db.Prepare(absl::StrCat("SELECT d.uri, d.id, d.content_sha256, d.pipeline, d.origin FROM documents d "
                              "WHERE d.collection=?1 AND ",
                              filter_sql.condition())));
  query.Bind(1, collection);
  filter_sql.BindTo(query);
  std::map<std::string, DocumentState> states;
  while (true) {
    LASTRO_ASSIGN_OR_RETURN(bool more, query.Step());
    if (!more) return states;
    states[query.Text(0)] = {query.Text(1), query.Text(2), query.Text(3), query.Text(4)};
  }
}

}  // namespace lastro::retrieval
