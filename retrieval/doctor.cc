#include "retrieval/doctor.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/file_system.h"
#include "base/status_macros.h"
#include "retrieval/chunk_table.h"
#include "retrieval/collection_table.h"
#include "retrieval/content_table.h"
#include "retrieval/document_table.h"
#include "retrieval/folder.h"
#include "retrieval/index_builder.h"
#include "retrieval/index_file.h"
#include "retrieval/page_sums.h"
#include "retrieval/record_codec.h"
#include "retrieval/schema.h"
#include "retrieval/store_identity.h"

namespace lastro::retrieval {
namespace {

constexpr char kIdentity[] = "identity";
constexpr char kPages[] = "page checksums";
constexpr char kVectors[] = "vector indexes";

// Everything that one look found.
struct Look {
  IntegrityReport report;
  bool commits_lost = false;  // fewer are there than were acknowledged
  bool sums_lost = false;     // of pages, and that is all there is against them
  bool unusable = false;      // another store's, or so damaged that it says nothing
  // Tables and indexes with pages that differ from their checksums; nothing is known where SQLite cannot tell.
  std::optional<std::set<std::string>> on_bad_pages;
  std::vector<std::string> bad_index_files;
  int64_t problems_of(absl::string_view check) const {
    int64_t problems = 0;
    for (const Finding& finding : report.findings) problems += finding.check == check ? finding.problems : 0;
    return problems;
  }
};

// Whether row `row` of `held` is what `vector` becomes there.
bool HoldsVector(const QuantizedVectors& held, size_t row, const float* vector) {
  QuantizedVectors made(held.dimension());
  made.Append(vector);
  return std::memcmp(held.codes(row), made.codes(0), static_cast<size_t>(held.dimension())) == 0 &&
         held.scale(row) == made.scale(0) && held.error(row) == made.error(0);
}

// DATA_LOSS unless every vector of the truth that `index` should hold is in it, to the last code; of an index that has
// no codes of single vectors, only the chunks are compared.
absl::Status CompareVectors(Database& db, const CollectionRow& collection, const VectorSetRow& set,
                            const VectorIndex& index) {
  LASTRO_RETURN_IF_ERROR(CheckAgainstTruth(db, collection.row, index).status());
  const QuantizedVectors* held = index.rows().vectors();
  if (held == nullptr) return absl::OkStatus();
  const int64_t last_chunk = index.position().last_chunk;
  int64_t differing = 0;
  LASTRO_RETURN_IF_ERROR(
      ForEachVector(db, collection.row, set, {0, last_chunk}, [&](int64_t id, int64_t, const float* vector) {
        std::optional<uint32_t> row = index.ids().Find(id);
        if (!row.has_value() || !HoldsVector(*held, *row, vector)) ++differing;
      }));
  if (differing == 0) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(differing, " vectors differ from those of the chunks"));
}

class Doctor {
 public:
  Doctor(const DoctorOptions& options, const CallContext& context)
      : options_(options), context_(context), database_(DatabasePath(options.folder)) {}

  absl::StatusOr<DoctorReport> Run() {
    LASTRO_ASSIGN_OR_RETURN(Look look, LookAtAll());
    DoctorReport report;
    report.findings = look.report.findings;
    report.documents = look.report.documents;
    if (options_.repair && (look.commits_lost || look.unusable) && LogIsStrange()) {
      LASTRO_RETURN_IF_ERROR(FileSystem::Current().Rename(database_ + "-wal", SetAsideLogPath(options_.folder)));
      LASTRO_ASSIGN_OR_RETURN(look, LookAtAll());
      report.documents = look.report.documents;
    }
    if (options_.repair && !look.report.ok() && !look.unusable && (!look.commits_lost || options_.drop_damaged)) {
      LASTRO_RETURN_IF_ERROR(Repair(&look, &report));
    }
    report.left = std::move(look.report.findings);
    return report;
  }

 private:
  absl::StatusOr<std::unique_ptr<Database>> Open(bool read_only) {
    LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<Database> db, Database::Open(database_, read_only));
    db->SetContext(&context_);
    return db;
  }

  // Adds a finding; damage that ends the look is a problem of it.
  template <typename Check>
  absl::Status AddFinding(Look* look, const char* name, const Check& check) {
    Finding finding;
    finding.check = name;
    if (options_.progress != nullptr) options_.progress(name, 0, 0);
    absl::Status status = check(finding);
    if (absl::IsDataLoss(status)) {
      finding.Report(status);
      status = absl::OkStatus();
    }
    look->report.findings.push_back(std::move(finding));
    return status;
  }

  absl::StatusOr<Look> LookAtAll() {
    Look look;
    absl::StatusOr<std::unique_ptr<Database>> opened = Open(/*read_only=*/false);
    LASTRO_RETURN_IF_ERROR(AddFinding(&look, kIdentity, [&](Finding& finding) {
      finding.looked_at = 1;
      LASTRO_RETURN_IF_ERROR(opened.status());
      return CheckIdentityOf(**opened, &look);
    }));
    if (look.unusable || !opened.ok()) {
      look.unusable = true;
      return look;
    }
    Database& db = **opened;
    if (!look.commits_lost) {
      LASTRO_RETURN_IF_ERROR(
          AddFinding(&look, kPages, [&](Finding& finding) { return CheckPages(db, finding, &look); }));
    }
    absl::StatusOr<std::unique_ptr<Database>> lister = Open(/*read_only=*/true);
    LASTRO_RETURN_IF_ERROR(UnlessDamaged(lister.status()));
    if (!lister.ok()) {  // the first finding tells of it
      look.unusable = true;
      look.report.findings.front().Report(lister.status());
      return look;
    }
    VerifyPages((*lister)->handle(), false);
    LASTRO_ASSIGN_OR_RETURN(IntegrityReport report, CheckIntegrity(db, **lister, options_.progress));
    for (Finding& finding : report.findings) look.report.findings.push_back(std::move(finding));
    look.report.documents = std::move(report.documents);
    look.report.full_text_collections = std::move(report.full_text_collections);
    look.report.other_vectors = std::move(report.other_vectors);
    LASTRO_RETURN_IF_ERROR(
        AddFinding(&look, kVectors, [&](Finding& finding) { return CheckIndexes(db, **lister, finding, &look); }));
    return look;
  }

  absl::Status CheckIdentityOf(Database& db, Look* look) {
    absl::Status status = CheckIdentity(db);
    if (status.ok()) return CheckVersion(db, look);
    absl::StatusOr<bool> lost = HasLostWrites(db);
    look->commits_lost = ReadCommit(db).ok() && lost.ok() && *lost;
    look->unusable = !look->commits_lost;
    return status;
  }

  // A damaged store of an older version cannot be upgraded, and what is looked at is this version's.
  absl::Status CheckVersion(Database& db, Look* look) {
    absl::Status status = PrepareSchema(db);
    if (!IsDamage(status)) return status;
    LASTRO_ASSIGN_OR_RETURN(int64_t version, db.QueryInt("PRAGMA user_version"));
    if (version == kSchemaVersion) return status;
    look->unusable = true;
    return absl::DataLossError(absl::StrCat("schema version ", version, " cannot be upgraded to ", kSchemaVersion,
                                            " while the store is damaged: mend it with the Lastro that wrote it"));
  }

  absl::Status CheckPages(Database& db, Finding& finding, Look* look) {
    // The log goes into the database, which then has every page as it is.
    LASTRO_RETURN_IF_ERROR(db.Execute("PRAGMA wal_checkpoint(TRUNCATE)"));
    LASTRO_ASSIGN_OR_RETURN(std::vector<DifferingPage> pages, DifferingPages(db.handle()));
    LASTRO_ASSIGN_OR_RETURN(finding.looked_at, db.QueryInt("PRAGMA page_count"));
    look->sums_lost = !pages.empty();
    if (pages.empty()) return absl::OkStatus();
    std::map<int64_t, std::string> uses;  // of the pages
    for (const DifferingPage& page : pages) uses[page.page];
    const absl::Status told = FindUses(&uses);
    if (told.ok()) look->on_bad_pages.emplace();
    for (const DifferingPage& page : pages) {
      const std::string& use = uses[page.page];
      const char* what = page.has_sum ? " differs from its checksum" : " has lost its checksum";
      finding.Report(absl::StrCat("page ", page.page, what, use.empty() ? "" : absl::StrCat(" (of ", use, ")")));
      look->sums_lost = look->sums_lost && !page.has_sum;
      if (told.ok()) look->on_bad_pages->insert(use);
    }
    return UnlessDamaged(told);
  }

  // Which table or index has each of the pages, as far as SQLite can tell from damaged ones.
  absl::Status FindUses(std::map<int64_t, std::string>* pages) {
    LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<Database> db, Open(/*read_only=*/true));
    VerifyPages(db->handle(), false);
    LASTRO_ASSIGN_OR_RETURN(Statement query, db->Prepare("SELECT pageno, name FROM dbstat"));
    while (true) {
      LASTRO_ASSIGN_OR_RETURN(bool more, query.Step());
      if (!more) return absl::OkStatus();
      if (auto page = pages->find(query.Int(0)); page != pages->end()) page->second = query.Text(1);
    }
  }

  absl::Status CheckIndexes(Database& db, Database& lister, Finding& finding, Look* look) {
    LASTRO_ASSIGN_OR_RETURN(int64_t store,
                            lister.QueryInt("SELECT coalesce(max(value), 0) FROM meta WHERE key='store'"));
    LASTRO_ASSIGN_OR_RETURN(std::vector<CollectionRow> collections, AllCollections(lister));
    for (const CollectionRow& collection : collections) {
      for (const VectorSetRow* set : collection.Sets()) {
        LASTRO_RETURN_IF_ERROR(CheckIndexesOf(db, collection, *set, store, finding, look));
      }
    }
    return absl::OkStatus();
  }

  absl::Status CheckIndexesOf(Database& db, const CollectionRow& collection, const VectorSetRow& set, int64_t store,
                              Finding& finding, Look* look) {
    const std::string folder = IndexFolder(options_.folder, set.id);
    for (int64_t generation : ListGenerations(folder)) {
      ++finding.looked_at;
      auto index = ReadIndexFile(folder, generation, set.set.dimension, IndexFingerprint(set.set.fingerprint, store));
      absl::Status status = index.ok() ? CompareVectors(db, collection, set, **index) : index.status();
      if (status.ok()) continue;
      if (!absl::IsDataLoss(status)) return status;
      look->bad_index_files.push_back(IndexFileName(folder, generation));
      finding.Report(absl::StrCat(look->bad_index_files.back(), ": ", status.message()));
    }
    return absl::OkStatus();
  }

  // --- Mending. Each step by itself: what one cannot mend, the next look finds again.

  // Whether the database, without its log, is this store at the latest commit: the log is then of another time or
  // store.
  bool LogIsStrange() {
    std::error_code error;
    if (!std::filesystem::exists(database_ + "-wal", error)) return false;
    absl::StatusOr<std::unique_ptr<Database>> db = Database::OpenWithoutLog(database_);
    return db.ok() && CheckIdentity(**db).ok();
  }

  // Pages that lost their checksums get new ones when everything that can be checked is well.
  absl::Status MendSums(Look* look) {
    {
      absl::StatusOr<std::unique_ptr<Database>> db = Open(/*read_only=*/false);
      if (!db.ok()) return UnlessDamaged(db.status());
      VerifyPages((*db)->handle(), false);
      LASTRO_ASSIGN_OR_RETURN(IntegrityReport report, CheckIntegrity(**db, **db, options_.progress));
      if (!report.ok()) return absl::OkStatus();
    }
    LASTRO_RETURN_IF_ERROR(RemakePageSums(database_));
    LASTRO_ASSIGN_OR_RETURN(*look, LookAtAll());
    return absl::OkStatus();
  }

  absl::Status Repair(Look* look, DoctorReport* report) {
    if (look->sums_lost) LASTRO_RETURN_IF_ERROR(MendSums(look));
    report->documents = look->report.documents;  // those that only the lost checksums were against are none
    if (look->report.ok()) return absl::OkStatus();
    const std::vector<DamagedDocument> known = report->documents;
    LASTRO_RETURN_IF_ERROR(RepairDocuments(look, report));
    return AddLost(known, report);
  }

  // Damage may change a document's name or its collection, which the index that it was found by still had: of those
  // that were known and are nowhere any more, the report tells too.
  absl::Status AddLost(const std::vector<DamagedDocument>& known, DoctorReport* report) {
    absl::StatusOr<std::unique_ptr<Database>> db = Open(/*read_only=*/true);
    if (!db.ok()) return UnlessDamaged(db.status());
    VerifyPages((*db)->handle(), false);
    for (const DamagedDocument& document : known) {
      const bool told =
          std::any_of(report->documents.begin(), report->documents.end(), [&](const DamagedDocument& other) {
            return other.collection == document.collection && other.uri == document.uri;
          });
      if (told) continue;
      absl::StatusOr<CollectionRow> collection = FindCollection(**db, document.collection);
      const absl::Status status =
          collection.ok() ? FindDocumentByUri(**db, *collection, document.uri).status() : collection.status();
      if (status.ok()) continue;  // only the index was damaged
      if (!IsDamage(status)) return status;
      report->documents.push_back(document);
    }
    return absl::OkStatus();
  }

  // What is derived first: documents that were only found by damaged indexes are then seen to be well. Then damaged
  // documents go, when they may. A change writes the whole page with a right checksum, so that no row of the truth may
  // be changed on a damaged page that keeps another: only all of them together are removed, and the rest of the pages
  // is made anew when it is free or derived.
  absl::Status RepairDocuments(Look* look, DoctorReport* report) {
    LASTRO_RETURN_IF_ERROR(MendDerived(look));
    report->documents = look->report.documents;
    if (look->problems_of("collections") > 0) return absl::OkStatus();
    if (options_.drop_damaged && !report->documents.empty()) {
      LASTRO_RETURN_IF_ERROR(Mend(look, [&](Database& db) { return DropDocuments(db, report->documents); }));
      report->dropped = look->report.documents.empty();
    }
    if (!look->report.documents.empty()) return absl::OkStatus();
    if (look->problems_of(kPages) > 0) {
      LASTRO_RETURN_IF_ERROR(Mend(look, [](Database& db) { return db.Execute("VACUUM"); }));
    }
    return look->problems_of(kPages) == 0 && !look->report.ok() ? MendDerived(look) : absl::OkStatus();
  }

  // Makes a change on a connection that reads damaged pages, else nothing on them could be removed, and looks again.
  template <typename Change>
  absl::Status Mend(Look* look, const Change& change) {
    {
      absl::StatusOr<std::unique_ptr<Database>> db = Open(/*read_only=*/false);
      absl::Status status = db.status();
      if (status.ok()) {
        VerifyPages((*db)->handle(), false);
        status = CheckIdentity(**db);
        if (absl::IsDataLoss(status) && options_.drop_damaged) status = AcceptLoss(**db);
      }
      if (status.ok()) status = change(**db);
      if (status.ok()) status = (*db)->Execute("PRAGMA wal_checkpoint(TRUNCATE)");
      LASTRO_RETURN_IF_ERROR(UnlessDamaged(status));
    }
    LASTRO_ASSIGN_OR_RETURN(*look, LookAtAll());
    return absl::OkStatus();
  }

  absl::Status MendDerived(Look* look) {
    const Look found = *look;
    return Mend(look, [&](Database& db) { return MendDerived(db, found); });
  }

  absl::Status MendDerived(Database& db, const Look& found) {
    bool pages = found.problems_of(kPages) > 0;
    if (pages || found.problems_of("database") > 0) LASTRO_RETURN_IF_ERROR(UnlessDamaged(RemakeIndexes(db, found)));
    for (int64_t set : found.report.other_vectors) LASTRO_RETURN_IF_ERROR(TakeOut(db, set));
    bool owners = found.problems_of("counts and owners") > 0 && !pages;
    if (owners) LASTRO_RETURN_IF_ERROR(Step(db, [&] { return MendOwners(db); }));
    if (found.problems_of("jobs") > 0) {  // which of them a damaged page hurt cannot be told
      LASTRO_RETURN_IF_ERROR(Step(db, [&] { return pages ? db.Execute("DELETE FROM jobs") : DropBadJobs(db); }));
    }
    LASTRO_RETURN_IF_ERROR(MendFullText(db, found.report.full_text_collections, /*all=*/pages || owners));
    for (const std::string& path : found.bad_index_files) {
      std::error_code error;
      if (!std::filesystem::exists(path, error)) continue;         // went with its vectors
      LASTRO_RETURN_IF_ERROR(FileSystem::Current().Remove(path));  // the store makes it anew when it is opened
    }
    return absl::OkStatus();
  }

  // Each by itself. One whose pages cannot even be freed is made beside them; those of keys have no statement for that.
  // While damaged documents are kept, an index of a damaged table stays as it is: it may know what the table has lost.
  absl::Status RemakeIndexes(Database& db, const Look& found) {
    auto may_differ = [&](const std::string& name) {
      return !found.on_bad_pages.has_value() || found.on_bad_pages->count(name) != 0;
    };
    const bool pages = found.problems_of(kPages) > 0;
    std::vector<std::pair<std::string, std::string>> indexes;  // names and statements
    {
      LASTRO_ASSIGN_OR_RETURN(Statement query,
                              db.Prepare("SELECT name, sql, tbl_name FROM sqlite_schema WHERE type='index'"));
      while (true) {
        LASTRO_ASSIGN_OR_RETURN(bool more, query.Step());
        if (!more) break;
        if (pages && !options_.drop_damaged && may_differ(query.Text(2))) continue;
        indexes.emplace_back(query.Text(0), query.Text(1));
      }
    }
    for (const auto& index : indexes) {
      const std::string &name = index.first, &statement = index.second;
      absl::Status status = db.Execute(absl::StrCat("REINDEX \"", absl::StrReplaceAll(name, {{"\"", "\"\""}}), "\""));
      if (IsDamage(status) && !statement.empty()) {
        status = Step(db, [&]() -> absl::Status {
          LASTRO_RETURN_IF_ERROR(Forget(db, name));
          LASTRO_ASSIGN_OR_RETURN(Statement make, db.Prepare(statement));  // the first of it, should there be more
          return make.Run();
        });
      }
      LASTRO_RETURN_IF_ERROR(UnlessDamaged(status));
    }
    return absl::OkStatus();
  }

  // Takes out vectors that are not searched, which the next re-embedding computes anew. Their index goes first: it must
  // not meet others.
  absl::Status TakeOut(Database& db, int64_t set) {
    const std::string folder = IndexFolder(options_.folder, set);
    for (int64_t generation : ListGenerations(folder)) {
      LASTRO_RETURN_IF_ERROR(FileSystem::Current().Remove(IndexFileName(folder, generation)));
    }
    absl::Status emptied;
    LASTRO_RETURN_IF_ERROR(Step(db, [&] { return emptied = EmptyVectorSet(db, set); }));
    return IsDamage(emptied) ? Step(db, [&] { return RemakeVectorSet(db, set); }) : emptied;
  }

  absl::Status DropDocuments(Database& db, const std::vector<DamagedDocument>& documents) {
    LASTRO_RETURN_IF_ERROR(Step(db, [&]() -> absl::Status {
      for (const DamagedDocument& document : documents) {
        LASTRO_ASSIGN_OR_RETURN(Statement chunks, db.Prepare("DELETE FROM chunks WHERE document=?1"));  // vectors below
        LASTRO_RETURN_IF_ERROR(chunks.Bind(1, document.row).Run());
        LASTRO_ASSIGN_OR_RETURN(Statement count, db.Prepare("UPDATE collections SET removed=removed+1 WHERE id="
                                                            "(SELECT collection FROM documents WHERE row=?1)"));
        LASTRO_RETURN_IF_ERROR(count.Bind(1, document.row).Run());
        LASTRO_RETURN_IF_ERROR(EraseDocument(db, document.row));
      }
      LASTRO_RETURN_IF_ERROR(db.Execute("DELETE FROM documents WHERE collection NOT IN (SELECT id FROM collections)"));
      return MendOwners(db);
    }));
    return MendFullText(db, {}, /*all=*/true);
  }

  static absl::Status UnlessDamaged(absl::Status status) { return IsDamage(status) ? absl::OkStatus() : status; }

  template <typename Mend>
  absl::Status Step(Database& db, const Mend& mend) {
    LASTRO_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(db, Transaction::Kind::kWrite));
    absl::Status status = mend();
    if (!status.ok()) return UnlessDamaged(status);
    LASTRO_RETURN_IF_ERROR(AdvanceCommit(db).status());
    return CommitAndNote(db, transaction);
  }

  absl::Status MendOwners(Database& db) {
    LASTRO_RETURN_IF_ERROR(
        db.Execute("DELETE FROM chunks WHERE NOT EXISTS(SELECT 1 FROM documents d WHERE d.row=document AND "
                   "d.collection=chunks.collection);"));
    LASTRO_RETURN_IF_ERROR(MendVectorSets(db));
    LASTRO_RETURN_IF_ERROR(RemakeFields(db));
    LASTRO_RETURN_IF_ERROR(DropAllUnreferencedContents(db));
    return db.Execute(
        "UPDATE collections SET documents=(SELECT count(*) FROM documents d WHERE d.collection=collections.id), "
        "chunks=(SELECT count(*) FROM chunks c WHERE c.collection=collections.id);");
  }

  absl::Status MendVectorSets(Database& db) {
    LASTRO_ASSIGN_OR_RETURN(std::vector<CollectionRow> collections, AllCollections(db));
    for (const CollectionRow& collection : collections) {
      for (const VectorSetRow* set : collection.Sets()) {
        LASTRO_RETURN_IF_ERROR(db.Execute(absl::StrCat(StrayVectors("DELETE", collection.row, set->id),
                                                       "; UPDATE vector_sets SET vectors=(SELECT count(*) FROM ",
                                                       VectorTable(set->id), ") WHERE id=", set->id)));
      }
    }
    return absl::OkStatus();
  }

  absl::Status DropBadJobs(Database& db) {
    std::vector<std::string> bad;
    {
      LASTRO_ASSIGN_OR_RETURN(Statement query, db.Prepare("SELECT id, data FROM jobs"));
      while (true) {
        LASTRO_ASSIGN_OR_RETURN(bool more, query.Step());
        if (!more) break;
        if (!DecodeJob(query.Bytes(1)).ok()) bad.push_back(query.Text(0));
      }
    }
    LASTRO_ASSIGN_OR_RETURN(Statement erase, db.Prepare("DELETE FROM jobs WHERE id=?1"));
    for (const std::string& id : bad) LASTRO_RETURN_IF_ERROR(erase.BindText(1, id).Run());
    return absl::OkStatus();
  }

  absl::Status MendFullText(Database& db, const std::vector<int64_t>& damaged, bool all) {
    std::set<int64_t> rows(damaged.begin(), damaged.end());
    if (all) {
      LASTRO_ASSIGN_OR_RETURN(std::vector<CollectionRow> collections, AllCollections(db));
      for (const CollectionRow& collection : collections) rows.insert(collection.row);
    }
    for (int64_t row : rows) LASTRO_RETURN_IF_ERROR(Step(db, [&] { return MakeFullTextAnew(db, row); }));
    return absl::OkStatus();
  }

  // An index whose settings are damaged cannot even be opened to be rebuilt: it gets the only one that it needs.
  absl::Status MakeFullTextAnew(Database& db, int64_t collection) {
    absl::Status status = RebuildFtsTable(db, collection);
    if (!IsDamage(status)) return status;
    sqlite3_db_config(db.handle(), SQLITE_DBCONFIG_DEFENSIVE, 0, nullptr);
    std::string settings = FtsTable(collection) + "_config";
    LASTRO_RETURN_IF_ERROR(
        db.Execute(absl::StrCat("DELETE FROM ", settings, "; INSERT INTO ", settings, " VALUES('version', 4)")));
    return RebuildFtsTable(db, collection);
  }

  const DoctorOptions& options_;
  const CallContext& context_;
  const std::string database_;
};

}  // namespace

bool DoctorReport::healthy() const {
  return std::all_of(left.begin(), left.end(), [](const Finding& finding) { return finding.problems == 0; });
}

absl::StatusOr<DoctorReport> RunDoctor(const DoctorOptions& options, const CallContext& context) {
  std::error_code error;
  if (!std::filesystem::exists(DatabasePath(options.folder), error)) {
    return absl::NotFoundError(absl::StrCat("there is no store in ", options.folder, "; name its folder with --data"));
  }
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<FolderLock> lock, FolderLock::Acquire(options.folder));
  return Doctor(options, context).Run();
}

std::string AdviceFor(const Finding& finding) {
  constexpr char kBackup[] = "restore a backup ('lastro store restore'), or ingest again into an empty data folder";
  if (finding.check == kIdentity) {
    return absl::StrCat("put back the missing files or ", kBackup,
                        "; --repair --drop-damaged goes on with the commits that are there");
  }
  if (finding.check == "documents") {
    return "--repair first, which makes anew the indexes they are read by; --repair --drop-damaged then removes those "
           "that are damaged themselves: ingest their files again after it";
  }
  if (finding.check == "collections") return kBackup;
  if (finding.check == kPages || finding.check == "database") {
    return absl::StrCat("--repair makes anew what is derived, when no damaged document is left; otherwise ", kBackup);
  }
  if (finding.check == "other vectors") {
    return "--repair takes them out of the store; no search reads them, and 'lastro reembed' computes them anew";
  }
  return "--repair makes them anew";
}

}  // namespace lastro::retrieval
