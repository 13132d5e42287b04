#include "retrieval/backup.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/file.h"
#include "base/file_system.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "retrieval/folder.h"
#include "retrieval/integrity.h"
#include "retrieval/page_sums.h"
#include "retrieval/schema.h"
#include "retrieval/sqlite.h"
#include "retrieval/store_identity.h"

namespace lastro::retrieval {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kFormat = 1;
constexpr size_t kCopyBytes = 1 << 20;
constexpr uint64_t kMaxManifestBytes = 64 << 10;

std::string ManifestPath(const std::string& backup) { return backup + "/manifest.json"; }

// `path` without a slash at its end, so that what is beside it has a name.
std::string WithoutSlash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

std::string ParentOf(const std::string& path) {
  std::string parent = fs::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

absl::StatusOr<std::string> HashOf(absl::string_view bytes, const CallContext& context) {
  Sha256 hash;
  while (!bytes.empty()) {
    LASTRO_RETURN_IF_ERROR(context.Check());
    hash.Update(bytes.substr(0, kCopyBytes));
    bytes.remove_prefix(std::min(bytes.size(), kCopyBytes));
  }
  return hash.FinishHex();
}

std::string ManifestText(const BackupManifest& manifest) {
  return absl::StrCat("{\"format\":", kFormat, ",\"commit\":", manifest.commit, ",\"created\":\"",
                      absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", manifest.created_at, absl::UTCTimeZone()),
                      "\",\"documents\":", manifest.documents, ",\"chunks\":", manifest.chunks,
                      ",\"bytes\":", manifest.bytes, ",\"sha256\":\"", manifest.sha256, "\"}\n");
}

absl::StatusOr<BackupManifest> ReadManifest(const std::string& backup) {
  std::string path = ManifestPath(backup);
  LASTRO_ASSIGN_OR_RETURN(std::string text, ReadFile(path, kMaxManifestBytes));
  LASTRO_ASSIGN_OR_RETURN(JsonDocument json, JsonDocument::Parse(text, path));
  JsonValue root = json.root();
  LASTRO_ASSIGN_OR_RETURN(int64_t format, root.GetInt("format", 0));
  if (format != kFormat) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": format ", format, ", this program knows ", kFormat, "; use the Lastro that wrote it"));
  }
  BackupManifest manifest;
  LASTRO_ASSIGN_OR_RETURN(manifest.commit, root.GetInt("commit", 0));
  LASTRO_ASSIGN_OR_RETURN(manifest.documents, root.GetInt("documents", 0));
  LASTRO_ASSIGN_OR_RETURN(manifest.chunks, root.GetInt("chunks", 0));
  LASTRO_ASSIGN_OR_RETURN(manifest.bytes, root.GetInt("bytes", -1));
  LASTRO_ASSIGN_OR_RETURN(manifest.sha256, root.GetString("sha256", ""));
  LASTRO_ASSIGN_OR_RETURN(std::string created, root.GetString("created", ""));
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, created, &manifest.created_at, &error)) {
    return absl::DataLossError(absl::StrCat(path, ": \"created\" is no time; take another backup"));
  }
  return manifest;
}

// Copies the database's latest commit to the new file `path`, in SQLite's own order, without free pages.
absl::Status CopyDatabase(const std::string& data_folder, const std::string& path, const CallContext& context) {
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<Database> db, Database::Open(DatabasePath(data_folder), /*read_only=*/true));
  db->SetContext(&context);
  LASTRO_RETURN_IF_ERROR(CheckIdentity(*db));
  LASTRO_RETURN_IF_ERROR(db->Execute("PRAGMA query_only=OFF"));  // which VACUUM INTO wants, though it only reads
  LASTRO_ASSIGN_OR_RETURN(Statement vacuum, db->Prepare("VACUUM INTO ?1"));
  return vacuum.BindText(1, path).Run();
}

// Reads all of the copy and fills in what it holds. The checksums beside it are removed: its hash stands for them.
absl::Status CheckCopy(const std::string& path, const CallContext& context, BackupManifest* manifest) {
  {
    LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<Database> db, Database::Open(path, /*read_only=*/false));
    db->SetContext(&context);
    LASTRO_RETURN_IF_ERROR(PrepareSchema(*db));  // a store of an older version is not upgraded before it is backed up
    LASTRO_RETURN_IF_ERROR(CheckStoreIntegrity(*db));
    LASTRO_ASSIGN_OR_RETURN(manifest->commit, ReadCommit(*db));
    LASTRO_ASSIGN_OR_RETURN(manifest->documents, db->QueryInt("SELECT count(*) FROM documents"));
    LASTRO_ASSIGN_OR_RETURN(manifest->chunks, db->QueryInt("SELECT count(*) FROM chunks"));
  }
  LASTRO_RETURN_IF_ERROR(FileSystem::Current().Remove(PageSumsFile(path)));
  LASTRO_RETURN_IF_ERROR(FileSystem::Current().SyncFile(path));
  LASTRO_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  manifest->bytes = static_cast<int64_t>(file.bytes().size());
  LASTRO_ASSIGN_OR_RETURN(manifest->sha256, HashOf(file.view(), context));
  return absl::OkStatus();
}

absl::StatusOr<BackupManifest> MakeBackup(const std::string& data_folder, const std::string& folder,
                                          const CallContext& context) {
  BackupManifest manifest;
  manifest.created_at = absl::Now();
  LASTRO_RETURN_IF_ERROR(FileSystem::Current().MakeFolder(folder));
  LASTRO_RETURN_IF_ERROR(CopyDatabase(data_folder, DatabasePath(folder), context));
  LASTRO_RETURN_IF_ERROR(CheckCopy(DatabasePath(folder), context, &manifest));
  LASTRO_RETURN_IF_ERROR(WriteFileAtomically(ManifestPath(folder), ManifestText(manifest)));
  return manifest;
}

absl::Status CheckAgainstManifest(const std::string& path, const BackupManifest& manifest, const CallContext& context) {
  LASTRO_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  LASTRO_ASSIGN_OR_RETURN(std::string sha256, HashOf(file.view(), context));
  if (static_cast<int64_t>(file.bytes().size()) == manifest.bytes && sha256 == manifest.sha256) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(path, ": is not what its manifest says; take another backup"));
}

absl::Status CopyFile(const std::string& from, const std::string& to, const CallContext& context) {
  LASTRO_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(from));
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<OutputFile> copy, FileSystem::Current().Create(to, 0644));
  absl::string_view bytes = file.view();
  for (size_t offset = 0; offset < bytes.size(); offset += kCopyBytes) {
    LASTRO_RETURN_IF_ERROR(context.Check());
    LASTRO_RETURN_IF_ERROR(copy->WriteAt(bytes.substr(offset, kCopyBytes), offset));
  }
  return copy->Sync();
}

// The order keeps a log from meeting a database that is not its own. The checksums of the old store stay until the
// last, so that neither it without its log nor the new one with them is taken for sound.
absl::Status PutInPlace(const std::string& restored, const std::string& data_folder) {
  FileSystem& files = FileSystem::Current();
  const std::string database = DatabasePath(data_folder);
  for (const char* suffix : {"-journal", "-wal", "-shm"}) LASTRO_RETURN_IF_ERROR(RemoveTree(database + suffix));
  LASTRO_RETURN_IF_ERROR(files.SyncFolder(data_folder));
  LASTRO_RETURN_IF_ERROR(files.Rename(restored, database));
  LASTRO_RETURN_IF_ERROR(RemoveTree(data_folder + "/index"));
  LASTRO_RETURN_IF_ERROR(files.SyncFolder(data_folder));
  return RemakePageSums(database);
}

}  // namespace

absl::StatusOr<BackupManifest> BackUp(const std::string& data_folder, const std::string& backup,
                                      const CallContext& context) {
  const std::string target = WithoutSlash(backup), partial = absl::StrCat(target, ".partial-", getpid());
  std::error_code error;
  if (!fs::exists(DatabasePath(data_folder), error)) {
    return absl::NotFoundError(absl::StrCat("there is no store in ", data_folder, "; name its folder with --data"));
  }
  if (fs::exists(target, error)) {
    return absl::AlreadyExistsError(absl::StrCat(target, " is there already; name a new folder for the backup"));
  }
  LASTRO_RETURN_IF_ERROR(RemoveTree(partial));  // of one of this number that was cut short
  absl::StatusOr<BackupManifest> manifest = MakeBackup(data_folder, partial, context);
  absl::Status status = manifest.status();
  if (status.ok()) status = FileSystem::Current().SyncFolder(partial);
  if (status.ok()) status = FileSystem::Current().Rename(partial, target);
  const bool placed = status.ok();
  if (placed) status = FileSystem::Current().SyncFolder(ParentOf(target));
  if (status.ok()) return manifest;
  (void)RemoveTree(placed ? target : partial);  // the first error counts; what another put there stays
  return status;
}

absl::StatusOr<BackupManifest> CheckBackup(const std::string& backup) {
  LASTRO_ASSIGN_OR_RETURN(BackupManifest manifest, ReadManifest(backup));
  LASTRO_RETURN_IF_ERROR(CheckAgainstManifest(DatabasePath(backup), manifest, CallContext()));
  return manifest;
}

absl::StatusOr<BackupManifest> Restore(const std::string& backup, const std::string& data_folder, bool replace,
                                       const CallContext& context) {
  LASTRO_ASSIGN_OR_RETURN(BackupManifest manifest, ReadManifest(backup));
  LASTRO_RETURN_IF_ERROR(MakeFolder(data_folder));
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<FolderLock> lock, FolderLock::Acquire(data_folder));
  std::error_code error;
  if (!replace && (fs::exists(DatabasePath(data_folder), error) || fs::exists(data_folder + "/index", error))) {
    return absl::FailedPreconditionError(absl::StrCat("there is a store in ", data_folder, " already; --replace puts ",
                                                      "the backup in its place, another --data beside it"));
  }
  const std::string restored = RestoredPath(data_folder);
  absl::Status status = CopyFile(DatabasePath(backup), restored, context);
  if (status.ok()) status = CheckAgainstManifest(restored, manifest, context);
  if (!status.ok()) {
    (void)RemoveTree(restored);  // the first error counts
    return status;
  }
  LASTRO_RETURN_IF_ERROR(PutInPlace(restored, data_folder));
  return manifest;
}

}  // namespace lastro::retrieval
