#include "retrieval/chunk_table.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "retrieval/filter_sql.h"
#include "retrieval/record_codec.h"
#include "retrieval/schema.h"

namespace lastro::retrieval {
namespace {

constexpr char kColumns[] = "id, document, ordinal, tokens, text_sha256, layout, headings, text";
constexpr int kVectorColumn = 8;

absl::StatusOr<ChunkRow> Read(const Statement& row) {
  ChunkRow result;
  result.document = row.Int(1);
  Chunk& chunk = result.chunk;
  chunk.id = row.Int(0);
  chunk.ordinal = static_cast<int32_t>(row.Int(2));
  chunk.tokens = static_cast<int32_t>(row.Int(3));
  chunk.text_sha256 = row.Text(4);
  LASTRO_RETURN_IF_ERROR(DecodeLayout(row.Bytes(5), row.Bytes(6), &chunk));
  chunk.text = row.Text(7);
  return result;
}

absl::StatusOr<int64_t> InsertChunk(Database& db, Statement& insert, const Chunk& chunk, absl::string_view headings,
                                    const std::vector<float>& vector) {
  std::string layout = EncodeLayout(chunk.headings, chunk.segments);
  insert.Bind(3, int64_t{chunk.ordinal}).Bind(4, int64_t{chunk.tokens});
  insert.BindText(5, chunk.text_sha256.empty() ? Sha256Hex(chunk.text) : chunk.text_sha256);
  insert.BindBlob(6, VectorBytes(vector)).BindBlob(7, layout).BindText(8, headings).BindText(9, chunk.text);
  LASTRO_RETURN_IF_ERROR(insert.Run());
  return db.last_insert_id();
}

}  // namespace

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

absl::StatusOr<std::vector<int64_t>> InsertChunks(Database& db, int64_t collection, int64_t document,
                                                  const std::string& title, absl::Span<const Chunk> chunks,
                                                  absl::Span<const std::vector<float>> vectors) {
  LASTRO_ASSIGN_OR_RETURN(Statement insert,
                          db.Prepare("INSERT INTO chunks(collection, document, ordinal, tokens, text_sha256, vector, "
                                     "layout, headings, text) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)"));
  LASTRO_ASSIGN_OR_RETURN(Statement index,
                          db.Prepare(absl::StrCat("INSERT INTO ", FtsTable(collection),
                                                  "(rowid, title, headings, body) VALUES(?1,?2,?3,?4)")));
  insert.Bind(1, collection).Bind(2, document);
  index.BindText(2, title);
  std::vector<int64_t> ids;
  for (size_t i = 0; i < chunks.size(); ++i) {
    std::string headings = JoinHeadings(chunks[i].headings);
    LASTRO_ASSIGN_OR_RETURN(int64_t id, InsertChunk(db, insert, chunks[i], headings, vectors[i]));
    LASTRO_RETURN_IF_ERROR(index.Bind(1, id).BindText(3, headings).BindText(4, chunks[i].text).Run());
    ids.push_back(id);
  }
  return ids;
}

absl::Status EraseChunksOf(Database& db, int64_t collection, int64_t document) {
  // FTS5 removes from an external-content index what it is told was there: exactly what the view still shows.
  std::string table = FtsTable(collection);
  std::string unindex = absl::StrCat("INSERT INTO ", table, "(", table, ", rowid, title, headings, body) ",
                                     "SELECT 'delete', c.id, d.title, c.headings, c.text FROM chunks c ",
                                     "JOIN documents d ON d.row=c.document WHERE c.document=?1");
  for (const std::string& sql : {unindex, std::string("DELETE FROM chunks WHERE document=?1")}) {
    LASTRO_ASSIGN_OR_RETURN(Statement statement, db.Prepare(sql));
    LASTRO_RETURN_IF_ERROR(statement.Bind(1, document).Run());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Chunk>> SelectChunksOf(Database& db, const CollectionRow& collection,
                                                  const DocumentRow& document, bool with_vectors) {
  LASTRO_ASSIGN_OR_RETURN(Statement query, db.Prepare(absl::StrCat("SELECT ", kColumns, with_vectors ? ", vector" : "",
                                                                   " FROM chunks WHERE document=?1 ORDER BY ordinal")));
  query.Bind(1, document.row);
  std::vector<Chunk> chunks;
  while (true) {
    LASTRO_ASSIGN_OR_RETURN(bool more, query.Step());
    if (!more) return chunks;
    LASTRO_ASSIGN_OR_RETURN(ChunkRow row, Read(query));
    row.chunk.document_id = document.document.id;
    if (with_vectors) {
      LASTRO_ASSIGN_OR_RETURN(row.chunk.vector,
                              VectorFromBytes(query.Bytes(kVectorColumn), collection.collection.dimension));
    }
    chunks.push_back(std::move(row.chunk));
  }
}

absl::StatusOr<ChunkRow> SelectChunk(Database& db, int64_t id) {
  LASTRO_ASSIGN_OR_RETURN(Statement query, db.Prepare(absl::StrCat("SELECT ", kColumns, " FROM chunks WHERE id=?1")));
  LASTRO_ASSIGN_OR_RETURN(bool found, query.Bind(1, id).Step());
  if (!found) return absl::NotFoundError(absl::StrCat("there is no chunk ", id));
  return Read(query);
}

absl::StatusOr<std::vector<int64_t>> SelectChunksAround(Database& db, int64_t document, int32_t ordinal, int reach) {
  LASTRO_ASSIGN_OR_RETURN(
      Statement query,
      db.Prepare("SELECT id FROM chunks WHERE document=?1 AND ordinal BETWEEN ?2-?3 AND ?2+?3 ORDER BY ordinal"));
  query.Bind(1, document).Bind(2, static_cast<int64_t>(ordinal)).Bind(3, static_cast<int64_t>(reach));
  std::vector<int64_t> ids;
  while (true) {
    LASTRO_ASSIGN_OR_RETURN(bool more, query.Step());
    if (!more) return ids;
    ids.push_back(query.Int(0));
  }
}

absl::StatusOr<std::vector<std::vector<float>>> SelectVectors(Database& db, const CollectionRow& collection,
                                                              const Filter& visible,
                                                              absl::Span<const std::string> text_sha256) {
  FilterSql filter_sql(visible, collection.row, 3);
  LASTRO_ASSIGN_OR_RETURN(Statement query,
                          db.Prepare(absl::StrCat("SELECT c.vector FROM chunks c JOIN documents d ON d.row=c.document "
                                                  "WHERE c.collection=?1 AND c.text_sha256=?2 AND ",
                                                  filter_sql.condition(), " LIMIT 1")));
  query.Bind(1, collection.row);
  filter_sql.BindTo(query);
  std::vector<std::vector<float>> vectors;
  for (const std::string& key : text_sha256) {
    LASTRO_ASSIGN_OR_RETURN(bool found, query.BindText(2, key).Step());
    vectors.emplace_back();
    if (found) {
      LASTRO_ASSIGN_OR_RETURN(vectors.back(), VectorFromBytes(query.Bytes(0), collection.collection.dimension));
    }
    query.Reset();
  }
  return vectors;
}

absl::StatusOr<VectorCursor> VectorCursor::Open(Database& db, int64_t collection, int dimension, int64_t after) {
  LASTRO_ASSIGN_OR_RETURN(Statement query, db.Prepare("SELECT id, document, vector FROM chunks "
                                                      "INDEXED BY chunks_by_collection "
                                                      "WHERE collection=?1 AND id>?2 ORDER BY id"));
  query.Bind(1, collection).Bind(2, after);
  return VectorCursor(std::move(query), dimension);
}

absl::StatusOr<bool> VectorCursor::Next(VectorRow* row) {
  LASTRO_ASSIGN_OR_RETURN(bool more, query_.Step());
  if (!more) return false;
  row->id = query_.Int(0);
  row->document = query_.Int(1);
  LASTRO_ASSIGN_OR_RETURN(row->vector, VectorFromBytes(query_.Bytes(2), dimension_));
  return true;
}

}  // namespace lastro::retrieval
