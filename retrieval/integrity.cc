#include "retrieval/integrity.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "retrieval/chunk_table.h"
#include "retrieval/content_table.h"
#include "retrieval/document_table.h"
#include "retrieval/purge_table.h"
#include "retrieval/record_codec.h"
#include "retrieval/schema.h"

namespace lastro::retrieval {
namespace {

// Queries that must give no row; the first column says what is wrong.
constexpr const char* kMustBeEmpty[] = {
    "SELECT 'chunk ' || c.id || ' has no document' FROM chunks c "
    "WHERE NOT EXISTS(SELECT 1 FROM documents d WHERE d.row=c.document AND d.collection=c.collection)",
    "SELECT 'content ' || sha256 || ' belongs to no document' FROM contents "
    "WHERE NOT EXISTS(SELECT 1 FROM documents WHERE content_sha256=sha256) "
    "AND NOT EXISTS(SELECT 1 FROM documents WHERE source_sha256=sha256)",
    "SELECT 'fields of row ' || f.document || ' belong to no document' FROM fields f "
    "WHERE NOT EXISTS(SELECT 1 FROM documents d WHERE d.row=f.document AND d.collection=f.collection)",
    "SELECT 'document ' || d.id || ' has no access label among its fields' FROM documents d "
    "WHERE NOT EXISTS(SELECT 1 FROM fields f WHERE f.document=d.row AND f.key='label')",
    "SELECT 'collection ' || name || ' has not the vectors it is searched by' FROM collections c "
    "WHERE NOT EXISTS(SELECT 1 FROM vector_sets s WHERE s.id=c.searched AND s.collection=c.id)",
    "SELECT 'collection ' || name || ' has too many sets of vectors' FROM collections c "
    "WHERE (SELECT count(*) FROM vector_sets s WHERE s.collection=c.id)>2",
    "SELECT 'collection ' || name || ' has wrong counts' FROM collections c "
    "WHERE c.documents<>(SELECT count(*) FROM documents d WHERE d.collection=c.id) "
    "OR c.chunks<>(SELECT count(*) FROM chunks k WHERE k.collection=c.id)",
};

bool HasUnitLength(const std::vector<float>& vector) {
  double square = 0;
  for (float x : vector) square += static_cast<double>(x) * x;
  return std::abs(square - 1) < 1e-3;  // false for NaN
}

bool IsWithin(uint64_t begin, uint64_t length, uint64_t size) { return begin <= size && length <= size - begin; }

absl::Status Damaged(absl::string_view reason) { return absl::DataLossError(reason); }

// DATA_LOSS unless the chunk is a right one and what it says of `source` is so.
absl::Status CheckChunk(const Chunk& chunk, int32_t ordinal, const std::string& source) {
  std::string what = absl::StrCat("chunk ", chunk.ordinal);
  if (chunk.ordinal != ordinal) return Damaged(absl::StrCat("chunk ", ordinal, " is missing"));
  if (!IsValidUtf8(chunk.text)) return Damaged(what + " is not valid UTF-8");
  if (!HasUnitLength(chunk.vector)) return Damaged(what + " has a damaged vector");
  for (const SourceSegment& segment : chunk.segments) {
    if (!IsWithin(segment.text_begin, segment.text_length, chunk.text.size()) ||
        !IsWithin(segment.source_begin, segment.source_length, source.size())) {
      return Damaged(what + " points beyond its text or its source");
    }
    if (segment.verbatim && chunk.text.compare(segment.text_begin, segment.text_length, source, segment.source_begin,
                                               segment.source_length) != 0) {
      return Damaged(what + " differs from its source");
    }
  }
  for (const NamedCell& cell : chunk.cells) {
    if (cell.begin >= cell.end || cell.end > chunk.text.size()) return Damaged(what + " has a cell beyond its text");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadWhole(Database& db, const std::string& sha256) {
  LASTRO_ASSIGN_OR_RETURN(uint64_t size, ContentSize(db, sha256));
  LASTRO_ASSIGN_OR_RETURN(std::string bytes, ReadContent(db, sha256, 0, size));
  if (Sha256Hex(bytes) != sha256) return Damaged(absl::StrCat("the content ", sha256, " has another hash"));
  return bytes;
}

// Everything of one document. The error, of whatever code, says what is wrong with it.
absl::Status CheckDocument(Database& db, const CollectionRow& collection, int64_t row) {
  LASTRO_ASSIGN_OR_RETURN(DocumentRow found, FindDocumentByRow(db, collection, row));
  const Document& document = found.document;
  LASTRO_ASSIGN_OR_RETURN(std::string source, ReadWhole(db, document.source_sha256));
  if (document.content_sha256 != document.source_sha256) {
    LASTRO_RETURN_IF_ERROR(ReadWhole(db, document.content_sha256).status());
  }
  LASTRO_ASSIGN_OR_RETURN(std::vector<Chunk> chunks, SelectChunksOf(db, collection, found, /*with_vectors=*/true));
  if (static_cast<int64_t>(chunks.size()) != document.chunk_count) {
    return Damaged(absl::StrCat("has ", chunks.size(), " chunks, not ", document.chunk_count));
  }
  for (size_t i = 0; i < chunks.size(); ++i) {
    LASTRO_RETURN_IF_ERROR(CheckChunk(chunks[i], static_cast<int32_t>(i), source));
  }
  return absl::OkStatus();
}

// "store: run a statement (FILE): REASON; WHAT TO DO" -> "REASON".
std::string ReasonOf(const absl::Status& status) {
  absl::string_view message(status.message().data(), status.message().size());
  message = message.substr(0, message.find("; "));
  size_t file = message.find("): ");
  return std::string(file == absl::string_view::npos ? message : message.substr(file + 3));
}

class IntegrityCheck {
 public:
  IntegrityCheck(Database& db, Database& lister, const CheckProgress& progress)
      : db_(db), lister_(lister), progress_(progress) {}

  absl::StatusOr<IntegrityReport> Run() {
    LASTRO_RETURN_IF_ERROR(Check("database", [this](Finding& finding) { return CheckDatabase(finding); }));
    LASTRO_RETURN_IF_ERROR(Check("counts and owners", [this](Finding& finding) { return CheckOwners(finding); }));
    LASTRO_RETURN_IF_ERROR(Check("collections", [this](Finding& finding) { return CheckCollections(finding); }));
    LASTRO_RETURN_IF_ERROR(Check("documents", [this](Finding& finding) { return CheckDocuments(finding); }));
    LASTRO_RETURN_IF_ERROR(Check("other vectors", [this](Finding& finding) { return CheckOtherVectors(finding); }));
    LASTRO_RETURN_IF_ERROR(Check("full-text indexes", [this](Finding& finding) { return CheckFullText(finding); }));
    LASTRO_RETURN_IF_ERROR(Check("jobs", [this](Finding& finding) { return CheckJobs(finding); }));
    return std::move(report_);
  }

 private:
  // Damage that ends a check is one of its problems.
  template <typename Look>
  absl::Status Check(const char* name, const Look& look) {
    Finding finding;
    finding.check = name;
    Tell(finding.check, 0, 0);
    absl::Status status = look(finding);
    if (absl::IsDataLoss(status)) {
      finding.Report(status);
      status = absl::OkStatus();
    }
    report_.findings.push_back(std::move(finding));
    return status;
  }

  void Tell(absl::string_view check, int64_t done, int64_t total) {
    if (progress_ != nullptr) progress_(check, done, total);
  }

  // Reports the first column of every row.
  absl::Status ReportRows(const std::string& sql, Finding& finding) {
    LASTRO_ASSIGN_OR_RETURN(Statement query, db_.Prepare(sql));
    while (true) {
      LASTRO_ASSIGN_OR_RETURN(bool more, query.Step());
      if (!more) return absl::OkStatus();
      if (query.Bytes(0) != "ok") finding.Report(query.Text(0));
    }
  }

  absl::Status CheckDatabase(Finding& finding) {
    LASTRO_ASSIGN_OR_RETURN(finding.looked_at, db_.QueryInt("PRAGMA page_count"));
    LASTRO_RETURN_IF_ERROR(ReportRows("PRAGMA integrity_check(20)", finding));
    return ReportRows("SELECT 'a row of ' || \"table\" || ' refers to nothing' FROM pragma_foreign_key_check", finding);
  }

  absl::Status CheckOwners(Finding& finding) {
    for (const char* sql : kMustBeEmpty) {
      ++finding.looked_at;
      LASTRO_RETURN_IF_ERROR(ReportRows(sql, finding));
    }
    LASTRO_ASSIGN_OR_RETURN(std::vector<CollectionRow> collections, AllCollections(lister_));
    for (const CollectionRow& collection : collections) {
      LASTRO_RETURN_IF_ERROR(CheckFieldsIn(collection, finding));
      for (const VectorSetRow* set : collection.Sets()) {
        LASTRO_RETURN_IF_ERROR(CheckOwnersOfVectors(collection, *set, finding));
      }
    }
    return absl::OkStatus();
  }

  absl::Status CheckOwnersOfVectors(const CollectionRow& collection, const VectorSetRow& set, Finding& finding) {
    LASTRO_ASSIGN_OR_RETURN(int64_t count, db_.QueryInt(absl::StrCat("SELECT count(*) FROM ", VectorTable(set.id))));
    if (count != set.set.vectors) {
      finding.Report(absl::StrCat("collection ", collection.collection.name, " has ", count, " vectors of ",
                                  set.set.model, ", not ", set.set.vectors));
    }
    LASTRO_ASSIGN_OR_RETURN(int64_t strays, db_.QueryInt(StrayVectors("SELECT count(*)", collection.row, set.id)));
    if (strays > 0) {
      finding.Report(
          absl::StrCat(strays, " vectors of collection ", collection.collection.name, " belong to no chunk of it"));
    }
    return absl::OkStatus();
  }

  // What filters and scopes see, against the documents; those that cannot be read are the next check's.
  absl::Status CheckFieldsIn(const CollectionRow& collection, Finding& finding) {
    LASTRO_ASSIGN_OR_RETURN(Statement list, lister_.Prepare("SELECT row FROM documents WHERE collection=?1"));
    list.Bind(1, collection.row);
    while (true) {
      LASTRO_ASSIGN_OR_RETURN(bool more, list.Step());
      if (!more) return absl::OkStatus();
      absl::StatusOr<DocumentRow> found = FindDocumentByRow(db_, collection, list.Int(0));
      if (!found.ok() && IsDamage(found.status())) continue;
      LASTRO_RETURN_IF_ERROR(found.status());
      absl::Status status = CheckFields(db_, list.Int(0), found->document);
      if (status.ok()) continue;
      if (!IsDamage(status)) return status;
      finding.Report(status);
    }
  }

  absl::Status CheckCollections(Finding& finding) {
    LASTRO_RETURN_IF_ERROR(ReadCommit(db_).status());
    LASTRO_RETURN_IF_ERROR(AllCollections(db_).status());
    LASTRO_RETURN_IF_ERROR(db_.QueryInt("SELECT count(name || seq) FROM sqlite_sequence").status());
    LASTRO_RETURN_IF_ERROR(ListPurges(db_).status());
    LASTRO_ASSIGN_OR_RETURN(collections_, AllCollections(lister_));
    finding.looked_at = static_cast<int64_t>(collections_.size());
    return absl::OkStatus();
  }

  absl::Status CheckDocuments(Finding& finding) {
    LASTRO_ASSIGN_OR_RETURN(int64_t total, lister_.QueryInt("SELECT count(*) FROM documents"));
    for (const CollectionRow& collection : collections_) {
      LASTRO_ASSIGN_OR_RETURN(Statement list, lister_.Prepare("SELECT row, uri FROM documents WHERE collection=?1"));
      list.Bind(1, collection.row);
      while (true) {
        LASTRO_ASSIGN_OR_RETURN(bool more, list.Step());
        if (!more) break;
        absl::Status status = CheckDocument(db_, collection, list.Int(0));
        if (!status.ok() && !IsDamage(status)) return status;
        if (!status.ok()) {
          Report({list.Int(0), collection.collection.name, list.Text(1), ReasonOf(status)}, finding);
        }
        if (++finding.looked_at % 64 == 0) Tell(finding.check, finding.looked_at, total);
      }
    }
    return absl::OkStatus();
  }

  void Report(DamagedDocument document, Finding& finding) {
    finding.Report(absl::StrCat(document.collection, "/", document.uri, ": ", document.reason));
    report_.documents.push_back(std::move(document));
  }

  // Vectors that no search reads yet, or any more: those that are searched are checked with their documents.
  absl::Status CheckOtherVectors(Finding& finding) {
    for (const CollectionRow& collection : collections_) {
      if (!collection.other.has_value()) continue;
      absl::Status status = CheckVectorsOf(*collection.other, finding);
      if (status.ok()) continue;
      if (!IsDamage(status)) return status;
      finding.Report(absl::StrCat("collection ", collection.collection.name, ", vectors of ",
                                  collection.other->set.model, ": ", ReasonOf(status)));
      report_.other_vectors.push_back(collection.other->id);
    }
    return absl::OkStatus();
  }

  absl::Status CheckVectorsOf(const VectorSetRow& set, Finding& finding) {
    LASTRO_ASSIGN_OR_RETURN(Statement query,
                            db_.Prepare(absl::StrCat("SELECT chunk, vector FROM ", VectorTable(set.id))));
    while (true) {
      LASTRO_ASSIGN_OR_RETURN(bool more, query.Step());
      if (!more) return absl::OkStatus();
      ++finding.looked_at;
      absl::StatusOr<std::vector<float>> vector = VectorFromBytes(query.Bytes(1), set.set.dimension);
      if (vector.ok() && HasUnitLength(*vector)) continue;
      return Damaged(absl::StrCat("that of chunk ", query.Int(0), " is damaged"));
    }
  }

  // Compares each index with the text it was made from, through its view.
  absl::Status CheckFullText(Finding& finding) {
    for (const CollectionRow& collection : collections_) {
      std::string table = FtsTable(collection.row);
      absl::Status status =
          db_.Execute(absl::StrCat("INSERT INTO ", table, "(", table, ", rank) VALUES('integrity-check', 1)"));
      Tell(finding.check, ++finding.looked_at, static_cast<int64_t>(collections_.size()));
      if (IsDamage(status)) {
        finding.Report(absl::StrCat("the full-text index of collection ", collection.collection.name, " is damaged"));
        report_.full_text_collections.push_back(collection.row);
      } else {
        LASTRO_RETURN_IF_ERROR(status);
      }
    }
    return absl::OkStatus();
  }

  absl::Status CheckJobs(Finding& finding) {
    LASTRO_ASSIGN_OR_RETURN(Statement query, db_.Prepare("SELECT id, data FROM jobs"));
    while (true) {
      LASTRO_ASSIGN_OR_RETURN(bool more, query.Step());
      if (!more) return absl::OkStatus();
      ++finding.looked_at;
      absl::Status status = DecodeJob(query.Bytes(1)).status();
      if (!status.ok()) finding.Report(absl::StrCat("job ", query.Text(0), ": ", status.message()));
    }
  }

  Database& db_;
  Database& lister_;
  const CheckProgress& progress_;
  std::vector<CollectionRow> collections_;
  IntegrityReport report_;
};

}  // namespace

bool IsDamage(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kPermissionDenied:
      return false;
    default:
      return true;
  }
}

void Finding::Report(std::string problem) {
  if (++problems <= static_cast<int64_t>(kMaxDetails)) details.push_back(std::move(problem));
}

void Finding::Report(const absl::Status& damage) { Report(ReasonOf(damage)); }

std::string StrayVectors(absl::string_view action, int64_t collection, int64_t set) {
  return absl::StrCat(
      action, " FROM ", VectorTable(set),
      " WHERE chunk NOT IN (SELECT id FROM chunks INDEXED BY chunks_by_collection WHERE collection=", collection, ")");
}

bool IntegrityReport::ok() const {
  return std::all_of(findings.begin(), findings.end(), [](const Finding& finding) { return finding.problems == 0; });
}

absl::StatusOr<IntegrityReport> CheckIntegrity(Database& db, Database& lister, const CheckProgress& progress) {
  return IntegrityCheck(db, lister, progress).Run();
}

absl::Status CheckStoreIntegrity(Database& db) {
  LASTRO_ASSIGN_OR_RETURN(IntegrityReport report, CheckIntegrity(db, db));
  if (report.ok()) return absl::OkStatus();
  std::vector<std::string> problems;
  for (const Finding& finding : report.findings) {
    problems.insert(problems.end(), finding.details.begin(), finding.details.end());
  }
  return absl::DataLossError(absl::StrCat("store ", db.path(), ": ", absl::StrJoin(problems, ", "),
                                          "; 'lastro doctor' tells what can be mended"));
}

}  // namespace lastro::retrieval
