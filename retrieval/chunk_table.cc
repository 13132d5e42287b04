#include "retrieval/chunk_table.h"

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "retrieval/record_codec.h"
#include "retrieval/schema.h"
#include "retrieval/vector_table.h"

namespace lastro::retrieval {
namespace {

constexpr char kColumns[] = "id, document, ordinal, tokens, text_sha256, layout, headings, text";
enum Column { kLayout = 5, kHeadings, kText };

absl::StatusOr<ChunkRow> Read(const Statement& row) {
  ChunkRow result;
  result.document = row.Int(1);
  Chunk& chunk = result.chunk;
  chunk.id = row.Int(0);
  chunk.ordinal = static_cast<int32_t>(row.Int(2));
  chunk.tokens = static_cast<int32_t>(row.Int(3));
  chunk.text_sha256 = row.Text(4);
  LASTRO_RETURN_IF_ERROR(DecodeLayout(row.Bytes(kLayout), row.Bytes(kHeadings), &chunk));
  chunk.text = row.Text(kText);
  return result;
}

absl::StatusOr<int64_t> InsertChunk(Database& db, Statement& insert, const Chunk& chunk, absl::string_view headings) {
  std::string layout = EncodeLayout(chunk);
  insert.Bind(3, int64_t{chunk.ordinal}).Bind(4, int64_t{chunk.tokens});
  insert.BindText(5, TextKey(chunk));
  insert.BindBlob(6, layout).BindText(7, headings).BindText(8, chunk.text);
  LASTRO_RETURN_IF_ERROR(insert.Run());
  return db.last_insert_id();
}

}  // namespace

std::string TextKey(const Chunk& chunk) {
  return chunk.text_sha256.empty() ? Sha256Hex(chunk.text) : chunk.text_sha256;
}

absl::StatusOr<std::vector<int64_t>> InsertChunks(Database& db, int64_t collection, int64_t document,
                                                  const std::string& title, absl::Span<const Chunk> chunks) {
  LASTRO_ASSIGN_OR_RETURN(Statement insert,
                          db.Prepare("INSERT INTO chunks(collection, document, ordinal, tokens, text_sha256, "
                                     "layout, headings, text) VALUES(?1,?2,?3,?4,?5,?6,?7,?8)"));
  LASTRO_ASSIGN_OR_RETURN(Statement index,
                          db.Prepare(absl::StrCat("INSERT INTO ", FtsTable(collection),
                                                  "(rowid, title, headings, body) VALUES(?1,?2,?3,?4)")));
  insert.Bind(1, collection).Bind(2, document);
  index.BindText(2, title);
  std::vector<int64_t> ids;
  for (const Chunk& chunk : chunks) {
    std::string headings = JoinHeadings(chunk.headings);
    LASTRO_ASSIGN_OR_RETURN(int64_t id, InsertChunk(db, insert, chunk, headings));
    LASTRO_RETURN_IF_ERROR(index.Bind(1, id).BindText(3, headings).BindText(4, chunk.text).Run());
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
  LASTRO_ASSIGN_OR_RETURN(Statement query, db.Prepare(absl::StrCat("SELECT ", kColumns,
                                                                   " FROM chunks WHERE document=?1 ORDER BY ordinal")));
  LASTRO_ASSIGN_OR_RETURN(VectorReader vectors, VectorReader::Open(db, collection.searched));
  query.Bind(1, document.row);
  std::vector<Chunk> chunks;
  while (true) {
    LASTRO_ASSIGN_OR_RETURN(bool more, query.Step());
    if (!more) return chunks;
    LASTRO_ASSIGN_OR_RETURN(ChunkRow row, Read(query));
    row.chunk.document_id = document.document.id;
    if (with_vectors) {
      LASTRO_ASSIGN_OR_RETURN(row.chunk.vector, vectors.Read(row.chunk.id));
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

absl::StatusOr<ChunksWithoutVector> SelectChunksWithoutVector(Database& db, int64_t collection, int64_t set,
                                                              int64_t after, int count, size_t max_bytes) {
  LASTRO_ASSIGN_OR_RETURN(Statement query,
                          db.Prepare(absl::StrCat("SELECT ", kColumns, " FROM chunks INDEXED BY chunks_by_collection ",
                                                  "WHERE collection=?1 AND id>?2 AND NOT EXISTS(SELECT 1 FROM ",
                                                  VectorTable(set), " v WHERE v.chunk=id) ORDER BY id LIMIT ?3")));
  query.Bind(1, collection).Bind(2, after).Bind(3, static_cast<int64_t>(count));
  ChunksWithoutVector found;
  size_t bytes = 0;
  while (bytes < max_bytes) {
    LASTRO_ASSIGN_OR_RETURN(bool more, query.Step());
    if (!more) break;
    LASTRO_ASSIGN_OR_RETURN(ChunkRow row, Read(query));
    for (int column : {kLayout, kHeadings, kText}) bytes += query.Bytes(column).size();
    found.last = row.chunk.id;
    found.chunks.push_back(std::move(row.chunk));
  }
  return found;
}

}  // namespace lastro::retrieval
