#include "retrieval/integrity.h"

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "retrieval/chunk_table.h"
#include "retrieval/content_table.h"
#include "retrieval/record_codec.h"
#include "retrieval/schema.h"

namespace lastro::retrieval {
namespace {

constexpr size_t kMaxProblems = 20;

// Queries that must give no row; the first column says what is wrong.
constexpr const char* kMustBeEmpty[] = {
    "SELECT 'chunk ' || c.id || ' has no document' FROM chunks c "
    "WHERE NOT EXISTS(SELECT 1 FROM documents d WHERE d.row=c.document AND d.collection=c.collection)",
    "SELECT 'document ' || d.id || ' has another number of chunks than it says' FROM documents d "
    "WHERE d.chunk_count<>(SELECT count(*) FROM chunks c WHERE c.document=d.row)",
    "SELECT 'document ' || d.id || ' lacks chunks in its order' FROM documents d WHERE d.chunk_count>0 "
    "AND d.chunk_count-1<>(SELECT max(ordinal) FROM chunks c WHERE c.document=d.row)",
    "SELECT 'document ' || d.id || ' has no content' FROM documents d "
    "WHERE NOT EXISTS(SELECT 1 FROM contents WHERE sha256=d.content_sha256) "
    "OR NOT EXISTS(SELECT 1 FROM contents WHERE sha256=d.source_sha256)",
    "SELECT 'content ' || sha256 || ' belongs to no document' FROM contents "
    "WHERE NOT EXISTS(SELECT 1 FROM documents WHERE content_sha256=sha256) "
    "AND NOT EXISTS(SELECT 1 FROM documents WHERE source_sha256=sha256)",
    "SELECT 'fields of row ' || f.document || ' belong to no document' FROM fields f "
    "WHERE NOT EXISTS(SELECT 1 FROM documents d WHERE d.row=f.document AND d.collection=f.collection)",
    "SELECT 'document ' || d.id || ' has no access label among its fields' FROM documents d "
    "WHERE NOT EXISTS(SELECT 1 FROM fields f WHERE f.document=d.row AND f.key='label')",
    "SELECT 'collection ' || name || ' has wrong counts' FROM collections c "
    "WHERE c.documents<>(SELECT count(*) FROM documents d WHERE d.collection=c.id) "
    "OR c.chunks<>(SELECT count(*) FROM chunks k WHERE k.collection=c.id)",
    "SELECT 'chunk ' || k.id || ' has a vector of ' || length(k.vector) || ' bytes' FROM chunks k "
    "JOIN collections c ON c.id=k.collection WHERE length(k.vector)<>4*c.dimension",
};

class IntegrityCheck {
 public:
  explicit IntegrityCheck(Database& db) : db_(db) {}

  absl::Status Run() {
    LASTRO_RETURN_IF_ERROR(CheckPragma("PRAGMA integrity_check(20)"));
    LASTRO_RETURN_IF_ERROR(CheckForeignKeys());
    for (const char* sql : kMustBeEmpty) LASTRO_RETURN_IF_ERROR(CheckEmpty(sql));
    LASTRO_RETURN_IF_ERROR(CheckContents());
    LASTRO_RETURN_IF_ERROR(CheckChunks());
    LASTRO_ASSIGN_OR_RETURN(std::vector<CollectionRow> collections, AllCollections(db_));
    for (const CollectionRow& collection : collections) LASTRO_RETURN_IF_ERROR(CheckFullText(collection));
    if (problems_.empty()) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat("store ", db_.path(), ": ", absl::StrJoin(problems_, "; ")));
  }

 private:
  void Report(std::string problem) {
    if (problems_.size() < kMaxProblems) problems_.push_back(std::move(problem));
  }

  absl::Status CheckPragma(const char* sql) {
    LASTRO_ASSIGN_OR_RETURN(Statement query, db_.Prepare(sql));
    while (true) {
      LASTRO_ASSIGN_OR_RETURN(bool more, query.Step());
      if (!more) return absl::OkStatus();
      if (query.Bytes(0) != "ok") Report(query.Text(0));
    }
  }

  absl::Status CheckForeignKeys() {
    LASTRO_ASSIGN_OR_RETURN(Statement query, db_.Prepare("PRAGMA foreign_key_check"));
    LASTRO_ASSIGN_OR_RETURN(bool found, query.Step());
    if (found) Report(absl::StrCat("a row of ", query.Text(0), " refers to nothing"));
    return absl::OkStatus();
  }

  absl::Status CheckEmpty(const char* sql) {
    LASTRO_ASSIGN_OR_RETURN(Statement query, db_.Prepare(sql));
    while (problems_.size() < kMaxProblems) {
      LASTRO_ASSIGN_OR_RETURN(bool more, query.Step());
      if (!more) break;
      Report(query.Text(0));
    }
    return absl::OkStatus();
  }

  absl::Status CheckContents() {
    LASTRO_ASSIGN_OR_RETURN(Statement query, db_.Prepare("SELECT sha256, size_bytes FROM contents"));
    while (true) {
      LASTRO_ASSIGN_OR_RETURN(bool more, query.Step());
      if (!more) return absl::OkStatus();
      std::string sha256 = query.Text(0);
      absl::StatusOr<std::string> bytes = ReadContent(db_, sha256, 0, static_cast<uint64_t>(query.Int(1)));
      if (!bytes.ok()) {
        Report(std::string(bytes.status().message()));
      } else if (Sha256Hex(*bytes) != sha256) {
        Report(absl::StrCat("content ", sha256, " has another hash"));
      }
    }
  }

  absl::Status CheckChunks() {
    LASTRO_ASSIGN_OR_RETURN(Statement query, db_.Prepare("SELECT id, layout, headings, text, vector FROM chunks"));
    while (true) {
      LASTRO_ASSIGN_OR_RETURN(bool more, query.Step());
      if (!more) return absl::OkStatus();
      Chunk chunk;
      absl::Status layout = DecodeLayout(query.Bytes(1), query.Bytes(2), &chunk);
      if (!layout.ok()) Report(absl::StrCat("chunk ", query.Int(0), ": ", layout.message()));
      if (!IsValidUtf8(query.Bytes(3))) Report(absl::StrCat("chunk ", query.Int(0), " is not valid UTF-8"));
      if (!HasUnitLength(query.Bytes(4))) Report(absl::StrCat("chunk ", query.Int(0), " has a damaged vector"));
    }
  }

  static bool HasUnitLength(absl::string_view bytes) {
    absl::StatusOr<std::vector<float>> vector = VectorFromBytes(bytes, static_cast<int>(bytes.size() / sizeof(float)));
    if (!vector.ok()) return false;
    double square = 0;
    for (float x : *vector) square += static_cast<double>(x) * x;
    return std::abs(square - 1) < 1e-3;
  }

  // Compares the index with the text it was made from, through the view.
  absl::Status CheckFullText(const CollectionRow& collection) {
    std::string table = FtsTable(collection.row);
    absl::Status status =
        db_.Execute(absl::StrCat("INSERT INTO ", table, "(", table, ", rank) VALUES('integrity-check', 1)"));
    if (absl::IsDataLoss(status)) {
      Report(absl::StrCat("the full-text index of collection ", collection.collection.name, " is damaged"));
      return absl::OkStatus();
    }
    return status;
  }

  Database& db_;
  std::vector<std::string> problems_;
};

}  // namespace

absl::Status CheckStoreIntegrity(Database& db) { return IntegrityCheck(db).Run(); }

}  // namespace lastro::retrieval
