#include "retrieval/collection_table.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "retrieval/timestamps.h"

namespace lastro::retrieval {
namespace {

constexpr char kSelect[] =
    "SELECT c.id, c.name, c.created_ns, c.documents, c.chunks, c.removed, "
    "s.id, s.model, s.fingerprint, s.dimension, s.vectors, s.since, "
    "o.id, o.model, o.fingerprint, o.dimension, o.vectors, o.since FROM collections c "
    "JOIN vector_sets s ON s.id=c.searched "
    "LEFT JOIN vector_sets o ON o.collection=c.id AND o.id<>c.searched ";

VectorSetRow ReadSet(const Statement& row, int column) {
  VectorSetRow result;
  result.id = row.Int(column);
  result.set.model = row.Text(column + 1);
  result.set.fingerprint = row.Text(column + 2);
  result.set.dimension = static_cast<int>(row.Int(column + 3));
  result.set.vectors = row.Int(column + 4);
  result.set.since = row.Int(column + 5);
  return result;
}

CollectionRow Read(const Statement& row) {
  CollectionRow result;
  result.row = row.Int(0);
  result.removed = row.Int(5);
  result.searched = ReadSet(row, 6);
  if (!row.IsNull(12)) result.other = ReadSet(row, 12);
  result.collection.name = row.Text(1);
  result.collection.embedding_model = result.searched.set.model;
  result.collection.embedding_fingerprint = result.searched.set.fingerprint;
  result.collection.dimension = result.searched.set.dimension;
  result.collection.embedded_since = result.searched.set.since;
  result.collection.created_at = FromStoredTime(row.Int(2));
  result.collection.documents = row.Int(3);
  result.collection.chunks = row.Int(4);
  return result;
}

}  // namespace

const VectorSetRow* CollectionRow::FindSet(const std::string& fingerprint) const {
  for (const VectorSetRow* set : Sets()) {
    if (set->set.fingerprint == fingerprint) return set;
  }
  return nullptr;
}

std::vector<const VectorSetRow*> CollectionRow::Sets() const {
  std::vector<const VectorSetRow*> sets = {&searched};
  if (other.has_value()) sets.push_back(&*other);
  return sets;
}

absl::StatusOr<CollectionRow> FindCollection(Database& db, const std::string& name) {
  LASTRO_ASSIGN_OR_RETURN(Statement query, db.Prepare(absl::StrCat(kSelect, "WHERE c.name=?1")));
  LASTRO_ASSIGN_OR_RETURN(bool found, query.BindText(1, name).Step());
  if (!found)
    return absl::NotFoundError(
        absl::StrCat("there is no collection \"", name, "\"; it is made when documents are ingested into it"));
  return Read(query);
}

absl::StatusOr<std::vector<CollectionRow>> AllCollections(Database& db) {
  LASTRO_ASSIGN_OR_RETURN(Statement query, db.Prepare(absl::StrCat(kSelect, "ORDER BY c.name")));
  std::vector<CollectionRow> rows;
  while (true) {
    LASTRO_ASSIGN_OR_RETURN(bool more, query.Step());
    if (!more) return rows;
    rows.push_back(Read(query));
  }
}

absl::StatusOr<CollectionRow> InsertCollection(Database& db, const Collection& collection, int64_t commit) {
  LASTRO_ASSIGN_OR_RETURN(
      Statement insert,
      db.Prepare("INSERT INTO collections(name, created_ns, searched) VALUES(?1,?2,0) ON CONFLICT DO NOTHING"));
  insert.BindText(1, collection.name).Bind(2, ToStoredTime(collection.created_at));
  LASTRO_RETURN_IF_ERROR(insert.Run());
  if (db.changes() == 0) {
    return absl::AlreadyExistsError(absl::StrCat("there is a collection \"", collection.name, "\" already"));
  }
  const int64_t row = db.last_insert_id();
  VectorSet vectors;
  vectors.model = collection.embedding_model;
  vectors.fingerprint = collection.embedding_fingerprint;
  vectors.dimension = collection.dimension;
  vectors.since = commit;
  LASTRO_ASSIGN_OR_RETURN(int64_t set, InsertVectorSet(db, row, vectors));
  LASTRO_RETURN_IF_ERROR(db.Execute(absl::StrCat("UPDATE collections SET searched=", set, " WHERE id=", row)));
  return FindCollection(db, collection.name);
}

absl::Status SearchOtherSet(Database& db, const CollectionRow& collection, int64_t commit) {
  return db.Execute(absl::StrCat("UPDATE collections SET searched=", collection.other->id, " WHERE id=", collection.row,
                                 "; UPDATE vector_sets SET since=", commit, " WHERE id=", collection.other->id));
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
