#include "retrieval/vector_table.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "retrieval/filter_sql.h"
#include "retrieval/schema.h"

namespace lastro::retrieval {
namespace {

absl::Status AddToCount(Database& db, int64_t set, int64_t vectors) {
  LASTRO_ASSIGN_OR_RETURN(Statement update, db.Prepare("UPDATE vector_sets SET vectors=vectors+?2 WHERE id=?1"));
  return update.Bind(1, set).Bind(2, vectors).Run();
}

absl::Status CreateVectorTable(Database& db, int64_t set) {
  return db.Execute(
      absl::StrCat("CREATE TABLE ", VectorTable(set), "(chunk INTEGER PRIMARY KEY, vector BLOB NOT NULL)"));
}

}  // namespace

std::string VectorTable(int64_t set) { return absl::StrCat("vectors_", set); }

absl::string_view VectorBytes(const std::vector<float>& vector) {
  return absl::string_view(reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float));
}

absl::StatusOr<std::vector<float>> VectorFromBytes(absl::string_view bytes, int dimension) {
  if (bytes.size() != static_cast<size_t>(dimension) * sizeof(float)) {
    return absl::DataLossError(
        absl::StrCat("store: a vector of ", bytes.size(), " bytes, expected dimension ", dimension));
  }
  std::vector<float> vector(static_cast<size_t>(dimension));
  std::memcpy(vector.data(), bytes.data(), bytes.size());
  return vector;
}

absl::StatusOr<int64_t> InsertVectorSet(Database& db, int64_t collection, const VectorSet& set) {
  LASTRO_ASSIGN_OR_RETURN(
      Statement insert,
      db.Prepare("INSERT INTO vector_sets(collection, model, fingerprint, dimension, since) VALUES(?1,?2,?3,?4,?5)"));
  insert.Bind(1, collection)
      .BindText(2, set.model)
      .BindText(3, set.fingerprint)
      .Bind(4, int64_t{set.dimension})
      .Bind(5, set.since);
  LASTRO_RETURN_IF_ERROR(insert.Run());
  const int64_t id = db.last_insert_id();
  LASTRO_RETURN_IF_ERROR(CreateVectorTable(db, id));
  return id;
}

absl::Status EraseVectorSet(Database& db, int64_t set) {
  return db.Execute(absl::StrCat("DROP TABLE ", VectorTable(set), "; DELETE FROM vector_sets WHERE id=", set));
}

absl::Status EmptyVectorSet(Database& db, int64_t set) {
  return db.Execute(
      absl::StrCat("DELETE FROM ", VectorTable(set), "; UPDATE vector_sets SET vectors=0 WHERE id=", set));
}

absl::Status RemakeVectorSet(Database& db, int64_t set) {
  LASTRO_RETURN_IF_ERROR(Forget(db, VectorTable(set)));
  LASTRO_RETURN_IF_ERROR(CreateVectorTable(db, set));
  return db.Execute(absl::StrCat("UPDATE vector_sets SET vectors=0 WHERE id=", set));
}

absl::Status InsertVectors(Database& db, int64_t set, absl::Span<const int64_t> ids,
                           absl::Span<const std::vector<float>> vectors) {
  LASTRO_ASSIGN_OR_RETURN(Statement insert,
                          db.Prepare(absl::StrCat("INSERT INTO ", VectorTable(set), " VALUES(?1,?2)")));
  int64_t count = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (vectors[i].empty()) continue;
    LASTRO_RETURN_IF_ERROR(insert.Bind(1, ids[i]).BindBlob(2, VectorBytes(vectors[i])).Run());
    ++count;
  }
  return AddToCount(db, set, count);
}

absl::StatusOr<int64_t> InsertVectorOfText(Database& db, int64_t collection, int64_t set,
                                           const std::string& text_sha256, const std::vector<float>& vector) {
  LASTRO_ASSIGN_OR_RETURN(Statement insert,
                          db.Prepare(absl::StrCat("INSERT OR IGNORE INTO ", VectorTable(set),
                                                  " SELECT id, ?3 FROM chunks INDEXED BY chunks_by_text "
                                                  "WHERE collection=?1 AND text_sha256=?2")));
  LASTRO_RETURN_IF_ERROR(insert.Bind(1, collection).BindText(2, text_sha256).BindBlob(3, VectorBytes(vector)).Run());
  const int64_t count = db.changes();
  LASTRO_RETURN_IF_ERROR(AddToCount(db, set, count));
  return count;
}

absl::Status EraseVectorsOf(Database& db, int64_t set, int64_t document) {
  LASTRO_ASSIGN_OR_RETURN(Statement erase,
                          db.Prepare(absl::StrCat("DELETE FROM ", VectorTable(set),
                                                  " WHERE chunk IN (SELECT id FROM chunks WHERE document=?1)")));
  LASTRO_RETURN_IF_ERROR(erase.Bind(1, document).Run());
  return AddToCount(db, set, -db.changes());
}

absl::StatusOr<VectorReader> VectorReader::Open(Database& db, const VectorSetRow& set) {
  LASTRO_ASSIGN_OR_RETURN(Statement query,
                          db.Prepare(absl::StrCat("SELECT vector FROM ", VectorTable(set.id), " WHERE chunk=?1")));
  return VectorReader(std::move(query), set.set.dimension);
}

absl::StatusOr<std::vector<float>> VectorReader::Find(int64_t chunk) {
  LASTRO_ASSIGN_OR_RETURN(bool found, query_.Bind(1, chunk).Step());
  absl::StatusOr<std::vector<float>> vector;
  if (found) vector = VectorFromBytes(query_.Bytes(0), dimension_);
  query_.Reset();
  return found ? std::move(vector) : std::vector<float>();
}

absl::StatusOr<std::vector<float>> VectorReader::Read(int64_t chunk) {
  LASTRO_ASSIGN_OR_RETURN(std::vector<float> vector, Find(chunk));
  if (vector.empty()) return absl::DataLossError(absl::StrCat("store: chunk ", chunk, " has no vector"));
  return vector;
}

absl::StatusOr<std::vector<std::vector<float>>> SelectVectors(Database& db, int64_t collection, const VectorSetRow& set,
                                                              const Filter& visible,
                                                              absl::Span<const std::string> text_sha256) {
  FilterSql filter_sql(visible, collection, 3);
  LASTRO_ASSIGN_OR_RETURN(
      Statement query,
      db.Prepare(absl::StrCat("SELECT v.vector FROM chunks c INDEXED BY chunks_by_text JOIN ", VectorTable(set.id),
                              " v ON v.chunk=c.id JOIN documents d ON d.row=c.document WHERE c.collection=?1 AND "
                              "c.text_sha256=?2 AND ",
                              filter_sql.condition(), " LIMIT 1")));
  query.Bind(1, collection);
  filter_sql.BindTo(query);
  std::vector<std::vector<float>> vectors;
  for (const std::string& key : text_sha256) {
    LASTRO_ASSIGN_OR_RETURN(bool found, query.BindText(2, key).Step());
    vectors.emplace_back();
    if (found) {
      LASTRO_ASSIGN_OR_RETURN(vectors.back(), VectorFromBytes(query.Bytes(0), set.set.dimension));
    }
    query.Reset();
  }
  return vectors;
}

absl::StatusOr<VectorCursor> VectorCursor::Open(Database& db, int64_t collection, const VectorSetRow& set,
                                                ChunkRange range) {
  LASTRO_ASSIGN_OR_RETURN(Statement query,
                          db.Prepare(absl::StrCat("SELECT c.id, c.document, v.vector FROM chunks c INDEXED BY "
                                                  "chunks_by_collection LEFT JOIN ",
                                                  VectorTable(set.id),
                                                  " v ON v.chunk=c.id WHERE c.collection=?1 AND c.id>?2 AND c.id<=?3 "
                                                  "ORDER BY c.id")));
  query.Bind(1, collection).Bind(2, range.after).Bind(3, range.last);
  return VectorCursor(std::move(query), db, set.set.dimension, range);
}

absl::StatusOr<bool> VectorCursor::Next(VectorRow* row) {
  LASTRO_ASSIGN_OR_RETURN(bool more, query_.Step());
  if (!more) return false;
  row->id = query_.Int(0);
  row->document = query_.Int(1);
  if (row->id <= last_chunk_ || row->document < last_document_) {
    return absl::DataLossError(absl::StrCat("store ", db_->path(), ": chunk ", row->id, " of document row ",
                                            row->document, " is not in order; 'lastro doctor' tells what is damaged ",
                                            "and what can be mended"));
  }
  last_chunk_ = row->id;
  last_document_ = row->document;
  LASTRO_ASSIGN_OR_RETURN(row->vector, VectorFromBytes(query_.Bytes(2), dimension_));
  return true;
}

}  // namespace lastro::retrieval
