#include "retrieval/collection_table.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "retrieval/timestamps.h"

namespace lastro::retrieval {
namespace {

constexpr char kSelect[] =
    "SELECT id, name, model, fingerprint, dimension, created_ns, documents, chunks, removed FROM collections ";

CollectionRow Read(const Statement& row) {
  CollectionRow result;
  result.row = row.Int(0);
  result.collection.name = row.Text(1);
  result.collection.embedding_model = row.Text(2);
  result.collection.embedding_fingerprint = row.Text(3);
  result.collection.dimension = static_cast<int>(row.Int(4));
  result.collection.created_at = FromStoredTime(row.Int(5));
  result.collection.documents = row.Int(6);
  result.collection.chunks = row.Int(7);
  result.removed = row.Int(8);
  return result;
}

}  // namespace

absl::StatusOr<CollectionRow> FindCollection(Database& db, const std::string& name) {
  LASTRO_ASSIGN_OR_RETURN(Statement query, db.Prepare(absl::StrCat(kSelect, "WHERE name=?1")));
  LASTRO_ASSIGN_OR_RETURN(bool found, query.BindText(1, name).Step());
  if (!found) return absl::NotFoundError(absl::StrCat("there is no collection \"", name, "\""));
  return Read(query);
}

absl::StatusOr<std::vector<CollectionRow>> AllCollections(Database& db) {
  LASTRO_ASSIGN_OR_RETURN(Statement query, db.Prepare(absl::StrCat(kSelect, "ORDER BY name")));
  std::vector<CollectionRow> rows;
  while (true) {
    LASTRO_ASSIGN_OR_RETURN(bool more, query.Step());
    if (!more) return rows;
    rows.push_back(Read(query));
  }
}

absl::StatusOr<int64_t> InsertCollection(Database& db, const Collection& collection) {
  LASTRO_ASSIGN_OR_RETURN(Statement insert,
                          db.Prepare("INSERT INTO collections(name, model, fingerprint, dimension, created_ns) "
                                     "VALUES(?1,?2,?3,?4,?5) ON CONFLICT DO NOTHING"));
  insert.BindText(1, collection.name).BindText(2, collection.embedding_model);
  insert.BindText(3, collection.embedding_fingerprint).Bind(4, int64_t{collection.dimension});
  insert.Bind(5, ToStoredTime(collection.created_at));
  LASTRO_RETURN_IF_ERROR(insert.Run());
  if (db.changes() == 0) {
    return absl::AlreadyExistsError(absl::StrCat("there is a collection \"", collection.name, "\" already"));
  }
  return db.last_insert_id();
}

absl::Status AddToCounts(Database& db, int64_t collection, int64_t documents, int64_t chunks) {
  LASTRO_ASSIGN_OR_RETURN(Statement update,
                          db.Prepare("UPDATE collections SET documents=documents+?2, chunks=chunks+?3 WHERE id=?1"));
  return update.Bind(1, collection).Bind(2, documents).Bind(3, chunks).Run();
}

absl::Status CountRemovedDocument(Database& db, int64_t collection) {
  LASTRO_ASSIGN_OR_RETURN(Statement update, db.Prepare("UPDATE collections SET removed=removed+1 WHERE id=?1"));
  return update.Bind(1, collection).Run();
}

}  // namespace lastro::retrieval
