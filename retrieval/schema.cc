#include "retrieval/schema.h"

#include <sqlite3.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "retrieval/fts_tokenizer.h"
#include "retrieval/purge_table.h"
#include "retrieval/vector_table.h"

namespace lastro::retrieval {
namespace {

// Row ids (AUTOINCREMENT) are never reused: a document that is replaced gets a new row and its chunks new ids, so that
// a derived index can tell old from new by the id alone.
constexpr char kSchema[] = R"sql(
CREATE TABLE meta(
  key TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO meta VALUES('commit', 0);

CREATE TABLE collections(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  created_ns INTEGER NOT NULL,
  documents INTEGER NOT NULL DEFAULT 0,
  chunks INTEGER NOT NULL DEFAULT 0,
  removed INTEGER NOT NULL DEFAULT 0,
  searched INTEGER NOT NULL DEFAULT 0  -- the set of vectors
);

CREATE TABLE documents(
  row INTEGER PRIMARY KEY AUTOINCREMENT,
  collection INTEGER NOT NULL REFERENCES collections(id),
  id TEXT NOT NULL,
  uri TEXT NOT NULL,
  title TEXT NOT NULL,
  media_type TEXT NOT NULL,
  encoding TEXT NOT NULL,
  language INTEGER NOT NULL,
  source_kind INTEGER NOT NULL,
  content_sha256 TEXT NOT NULL,
  source_sha256 TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  modified_ns INTEGER NOT NULL,
  ingested_ns INTEGER NOT NULL,
  origin TEXT NOT NULL,
  pipeline TEXT NOT NULL,
  metadata BLOB NOT NULL,
  chunk_count INTEGER NOT NULL,
  labels TEXT NOT NULL DEFAULT '',
  UNIQUE(collection, id),
  UNIQUE(collection, uri)
);
CREATE INDEX documents_by_content ON documents(content_sha256);
CREATE INDEX documents_by_source ON documents(source_sha256);

-- Originals and extracted texts by content, in blocks compressed one by one (zstd).
CREATE TABLE contents(
  id INTEGER PRIMARY KEY,
  sha256 TEXT NOT NULL UNIQUE,
  size_bytes INTEGER NOT NULL
);
CREATE TABLE content_blocks(
  content INTEGER NOT NULL REFERENCES contents(id) ON DELETE CASCADE,
  block INTEGER NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY(content, block)
);

CREATE TABLE chunks(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  collection INTEGER NOT NULL REFERENCES collections(id),
  document INTEGER NOT NULL REFERENCES documents(row),
  ordinal INTEGER NOT NULL,
  tokens INTEGER NOT NULL,
  text_sha256 TEXT NOT NULL,
  layout BLOB NOT NULL,
  headings TEXT NOT NULL,
  text TEXT NOT NULL,
  UNIQUE(document, ordinal)
);
CREATE INDEX chunks_by_collection ON chunks(collection);
CREATE INDEX chunks_by_text ON chunks(collection, text_sha256);

CREATE TABLE jobs(
  id TEXT PRIMARY KEY,
  created_ns INTEGER NOT NULL,
  data BLOB NOT NULL
);
CREATE INDEX jobs_by_age ON jobs(created_ns);
)sql";

// What filters see: type 0 is a string (as a blob), 1 a number, 2 a boolean, 3 a time (nanoseconds since 1970).
constexpr char kFieldsTable[] = R"sql(
CREATE TABLE fields(
  collection INTEGER NOT NULL,
  key TEXT NOT NULL,
  type INTEGER NOT NULL,
  value NOT NULL,
  document INTEGER NOT NULL REFERENCES documents(row),
  PRIMARY KEY(collection, key, type, value, document)
) WITHOUT ROWID;
CREATE INDEX fields_by_document ON fields(document);
)sql";

// Each set has its vectors in a table of its own, see vector_table.h.
constexpr char kVectorSetsTable[] = R"sql(
CREATE TABLE vector_sets(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  collection INTEGER NOT NULL REFERENCES collections(id),
  model TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  dimension INTEGER NOT NULL,
  vectors INTEGER NOT NULL DEFAULT 0,
  since INTEGER NOT NULL DEFAULT 0,
  UNIQUE(collection, fingerprint)
);
)sql";

absl::StatusOr<std::vector<int64_t>> CollectionIds(Database& db) {
  LASTRO_ASSIGN_OR_RETURN(Statement query, db.Prepare("SELECT id FROM collections"));
  std::vector<int64_t> ids;
  while (true) {
    LASTRO_ASSIGN_OR_RETURN(bool more, query.Step());
    if (!more) return ids;
    ids.push_back(query.Int(0));
  }
}

// Version 1 had one value a field, no access labels and no times among the fields.
absl::Status UpgradeFrom1(Database& db) {
  LASTRO_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(db, Transaction::Kind::kWrite));
  LASTRO_RETURN_IF_ERROR(db.Execute(
      absl::StrCat("ALTER TABLE documents ADD COLUMN labels TEXT NOT NULL DEFAULT '';"
                   "DROP INDEX fields_by_value; ALTER TABLE fields RENAME TO fields_1;",
                   kFieldsTable, "INSERT INTO fields SELECT collection, key, type, value, document ",
                   "FROM fields_1 WHERE key NOT IN ('label', 'modified_at', 'ingested_at');", "DROP TABLE fields_1;",
                   "INSERT INTO fields SELECT collection, 'label', 0, x'', row FROM documents;",
                   "INSERT INTO fields SELECT collection, 'modified_at', 3, modified_ns, row ",
                   "FROM documents WHERE modified_ns<>0;",
                   "INSERT INTO fields SELECT collection, 'ingested_at', 3, ingested_ns, row ", "FROM documents;",
                   "PRAGMA user_version=2;")));
  LASTRO_RETURN_IF_ERROR(AdvanceUpkeep(db));
  return transaction.Commit();
}

// Version 2 did not count removed documents by collection.
absl::Status UpgradeFrom2(Database& db) {
  LASTRO_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(db, Transaction::Kind::kWrite));
  LASTRO_RETURN_IF_ERROR(
      db.Execute("ALTER TABLE collections ADD COLUMN removed INTEGER NOT NULL DEFAULT 0; PRAGMA user_version=3;"));
  LASTRO_RETURN_IF_ERROR(AdvanceUpkeep(db));
  return transaction.Commit();
}

// Version 3 had one vector a chunk, in its row. A set is named as the collection was, so that indexes stay what they
// are.
absl::Status UpgradeFrom3(Database& db) {
  LASTRO_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(db, Transaction::Kind::kWrite));
  LASTRO_RETURN_IF_ERROR(db.Execute(absl::StrCat(
      kVectorSetsTable,
      "INSERT INTO vector_sets(id, collection, model, fingerprint, dimension, vectors, since) "
      "SELECT id, id, model, fingerprint, dimension, chunks, 1 FROM collections;"
      "DELETE FROM sqlite_sequence WHERE name='vector_sets';"  // ids of collections that are gone are not used either
      "INSERT INTO sqlite_sequence SELECT 'vector_sets', seq FROM sqlite_sequence WHERE name='collections';"
      "ALTER TABLE collections ADD COLUMN searched INTEGER NOT NULL DEFAULT 0; UPDATE collections SET searched=id;")));
  LASTRO_ASSIGN_OR_RETURN(std::vector<int64_t> ids, CollectionIds(db));
  for (int64_t id : ids) {
    LASTRO_RETURN_IF_ERROR(db.Execute(absl::StrCat(
        "CREATE TABLE ", VectorTable(id), "(chunk INTEGER PRIMARY KEY, vector BLOB NOT NULL); INSERT INTO ",
        VectorTable(id), " SELECT id, vector FROM chunks WHERE collection=", id, " ORDER BY id;")));
  }
  LASTRO_RETURN_IF_ERROR(
      db.Execute("ALTER TABLE chunks DROP COLUMN vector; ALTER TABLE collections DROP COLUMN model;"
                 "ALTER TABLE collections DROP COLUMN fingerprint; ALTER TABLE collections DROP COLUMN dimension;"
                 "PRAGMA user_version=4;"));
  LASTRO_RETURN_IF_ERROR(AdvanceUpkeep(db));
  return transaction.Commit();
}

// Layouts of chunks had no cells in version 4, and may still have none.
absl::Status UpgradeFrom4(Database& db) {
  LASTRO_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(db, Transaction::Kind::kWrite));
  LASTRO_RETURN_IF_ERROR(db.Execute("PRAGMA user_version=5;"));
  LASTRO_RETURN_IF_ERROR(AdvanceUpkeep(db));
  return transaction.Commit();
}

absl::Status CreateSchema(Database& db) {
  LASTRO_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(db, Transaction::Kind::kWrite));
  LASTRO_RETURN_IF_ERROR(db.Execute(absl::StrCat(kSchema, kFieldsTable, kVectorSetsTable)));
  LASTRO_RETURN_IF_ERROR(db.Execute(absl::StrCat("INSERT INTO meta VALUES('tokenizer', ", kTokenizerVersion, ");",
                                                 "PRAGMA application_id=", kApplicationId,
                                                 "; PRAGMA user_version=", kSchemaVersion, ";")));
  return transaction.Commit();
}

absl::Status RebuildFullText(Database& db) {
  LASTRO_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(db, Transaction::Kind::kWrite));
  LASTRO_ASSIGN_OR_RETURN(std::vector<int64_t> collections, CollectionIds(db));
  for (int64_t collection : collections) LASTRO_RETURN_IF_ERROR(RebuildFtsTable(db, collection));
  LASTRO_RETURN_IF_ERROR(
      db.Execute(absl::StrCat("UPDATE meta SET value=", kTokenizerVersion, " WHERE key='tokenizer'")));
  LASTRO_RETURN_IF_ERROR(AdvanceUpkeep(db));
  return transaction.Commit();
}

absl::Status PrepareTables(Database& db) {
  LASTRO_ASSIGN_OR_RETURN(int64_t application, db.QueryInt("PRAGMA application_id"));
  LASTRO_ASSIGN_OR_RETURN(int64_t version, db.QueryInt("PRAGMA user_version"));
  LASTRO_ASSIGN_OR_RETURN(int64_t tables, db.QueryInt("SELECT count(*) FROM sqlite_schema"));
  if (application == 0 && version == 0 && tables == 0) return CreateSchema(db);
  if (application != kApplicationId) {
    return absl::FailedPreconditionError(absl::StrCat(db.path(), " is a database of another application"));
  }
  if (version > kSchemaVersion) {
    return absl::FailedPreconditionError(absl::StrCat(db.path(), " has schema version ", version,
                                                      "; this program knows up to ", kSchemaVersion,
                                                      ": use the newer Lastro that wrote it"));
  }
  if (version == 1) {
    LASTRO_RETURN_IF_ERROR(UpgradeFrom1(db));
    version = 2;
  }
  if (version == 2) {
    LASTRO_RETURN_IF_ERROR(UpgradeFrom2(db));
    version = 3;
  }
  if (version == 3) {
    LASTRO_RETURN_IF_ERROR(UpgradeFrom3(db));
    version = 4;
  }
  if (version == 4) {
    LASTRO_RETURN_IF_ERROR(UpgradeFrom4(db));
    version = 5;
  }
  if (version != kSchemaVersion) {
    return absl::DataLossError(absl::StrCat(db.path(), " has the unknown schema version ", version));
  }
  LASTRO_ASSIGN_OR_RETURN(int64_t tokenizer, db.QueryInt("SELECT value FROM meta WHERE key='tokenizer'"));
  return tokenizer == kTokenizerVersion ? absl::OkStatus() : RebuildFullText(db);
}

absl::Status DeleteFromSchema(Database& db, const std::string& name) {
  LASTRO_ASSIGN_OR_RETURN(Statement statement, db.Prepare("DELETE FROM sqlite_schema WHERE name=?1"));
  return statement.BindText(1, name).Run();
}

}  // namespace

absl::Status PrepareSchema(Database& db) {
  LASTRO_RETURN_IF_ERROR(PrepareTables(db));
  return CreatePurgeTable(db);
}

std::string FtsTable(int64_t collection) { return absl::StrCat("fts_", collection); }
std::string FtsView(int64_t collection) { return absl::StrCat("fts_source_", collection); }

absl::Status CreateFtsTable(Database& db, int64_t collection) {
  LASTRO_RETURN_IF_ERROR(db.Execute(
      absl::StrCat("CREATE VIEW ", FtsView(collection),
                   " AS SELECT c.id AS id, d.title AS title, c.headings AS headings, c.text AS body",
                   " FROM chunks c JOIN documents d ON d.row=c.document WHERE c.collection=", collection, ";",
                   "CREATE VIRTUAL TABLE ", FtsTable(collection), " USING fts5(title, headings, body, content='",
                   FtsView(collection), "', content_rowid='id', tokenize='lastro');")));
  return SetUpFullText(db, collection);
}

absl::Status SetUpFullText(Database& db, int64_t collection) {
  const std::string table = FtsTable(collection);
  // In proportion to what is written from 16 segments of a size on, all of them at once from 64 on.
  constexpr std::pair<const char*, int64_t> kSettings[] = {{"automerge", 16}, {"crisismerge", 64}};
  for (const auto& [name, value] : kSettings) {
    absl::StatusOr<int64_t> set = db.QueryInt(absl::StrCat("SELECT v FROM ", table, "_config WHERE k='", name, "'"));
    if (set.ok() && *set == value) continue;
    if (!set.ok() && !absl::IsNotFound(set.status())) return set.status();
    LASTRO_RETURN_IF_ERROR(
        db.Execute(absl::StrCat("INSERT INTO ", table, "(", table, ", rank) VALUES('", name, "', ", value, ")")));
  }
  return absl::OkStatus();
}

absl::Status DropFtsTable(Database& db, int64_t collection) {
  return db.Execute(absl::StrCat("DROP TABLE ", FtsTable(collection), "; DROP VIEW ", FtsView(collection), ";"));
}

absl::Status RebuildFtsTable(Database& db, int64_t collection) {
  std::string table = FtsTable(collection);
  return db.Execute(absl::StrCat("INSERT INTO ", table, "(", table, ") VALUES('rebuild')"));
}

absl::Status Forget(Database& db, const std::string& name) {
  sqlite3_db_config(db.handle(), SQLITE_DBCONFIG_DEFENSIVE, 0, nullptr);
  absl::Status forgotten = db.Execute("PRAGMA writable_schema=ON");
  if (forgotten.ok()) forgotten = DeleteFromSchema(db, name);
  const absl::Status reset = db.Execute("PRAGMA writable_schema=RESET");
  sqlite3_db_config(db.handle(), SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  return forgotten.ok() ? reset : forgotten;
}

absl::StatusOr<int64_t> ReadCommit(Database& db) { return db.QueryInt("SELECT value FROM meta WHERE key='commit'"); }

absl::StatusOr<int64_t> AdvanceCommit(Database& db) {
  return db.QueryInt("UPDATE meta SET value=value+1 WHERE key='commit' RETURNING value");
}

absl::Status AdvanceUpkeep(Database& db) {
  return db.Execute("INSERT INTO meta VALUES('upkeep', 1) ON CONFLICT(key) DO UPDATE SET value=value+1");
}

}  // namespace lastro::retrieval
