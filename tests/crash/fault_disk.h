// FaultDisk: while it lives, every change that a store makes on the disk, SQLite's and its own, passes through it. It
// lists the changes, and can make chosen ones fail. SimulatedDisk replays such a list and says what a disk could hold
// after any of them when the process stopped there, or the power went.
#pragma once

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "base/check.h"
#include "base/file.h"
#include "base/file_system.h"

namespace lastro::testing {

struct DiskChange {
  enum class Kind { kCreate, kWrite, kTruncate, kSync, kRename, kRemove, kMakeFolder, kSyncFolder };
  DiskChange(Kind kind, std::string path, uint64_t offset = 0, std::string bytes = "")
      : kind(kind), path(std::move(path)), offset(offset), bytes(std::move(bytes)) {}

  Kind kind;
  std::string path;
  uint64_t offset;    // kWrite; the size for kTruncate
  std::string bytes;  // kWrite; the new path for kRename
};

class FaultDisk {
 public:
  FaultDisk() : files_(this) {
    LASTRO_CHECK(current_ == nullptr, "one FaultDisk at a time");
    real_ = sqlite3_vfs_find(nullptr);
    vfs_ = *real_;  // whatever does not open or remove files stays as it is
    vfs_.iVersion = 2;
    vfs_.zName = "fault-disk";
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + real_->szOsFile;
    vfs_.xOpen = OpenFile;
    vfs_.xDelete = DeleteFile;
    current_ = this;
    LASTRO_CHECK(sqlite3_vfs_register(&vfs_, /*makeDflt=*/1) == SQLITE_OK, "");
    FileSystem::ReplaceForTesting(&files_);
  }
  ~FaultDisk() {
    FileSystem::ReplaceForTesting(nullptr);
    sqlite3_vfs_unregister(&vfs_);
    sqlite3_vfs_register(real_, 1);
    current_ = nullptr;
  }

  // Asked before each change, with its number from 0: an errno to fail with, 0 to let it happen. One thread at a time.
  using Judge = std::function<int(size_t number, const DiskChange& change)>;
  void SetJudge(Judge judge) {
    absl::MutexLock lock(&mutex_);
    judge_ = std::move(judge);
  }

  size_t made() const {  // changes that succeeded
    absl::MutexLock lock(&mutex_);
    return changes_.size();
  }
  std::vector<DiskChange> TakeChanges() {
    absl::MutexLock lock(&mutex_);
    return std::move(changes_);
  }

 private:
  // The change happens while the mutex is held, so that the list has the changes' own order.
  template <typename Make>
  int Change(DiskChange change, const Make& make) {
    absl::MutexLock lock(&mutex_);
    int error = judge_ ? judge_(count_, change) : 0;
    ++count_;
    if (error != 0) return error;
    error = make();
    if (error == 0) changes_.push_back(std::move(change));
    return error;
  }

  // --- Files that are not SQLite's

  class Output : public OutputFile {
   public:
    Output(FaultDisk* disk, std::string path, std::unique_ptr<OutputFile> file)
        : disk_(disk), path_(std::move(path)), file_(std::move(file)) {}
    absl::Status WriteAt(absl::string_view bytes, uint64_t offset) override {
      return disk_->Checked("write " + path_, {DiskChange::Kind::kWrite, path_, offset, std::string(bytes)},
                            [&] { return file_->WriteAt(bytes, offset); });
    }
    absl::Status Sync() override {
      return disk_->Checked("fsync " + path_, {DiskChange::Kind::kSync, path_}, [&] { return file_->Sync(); });
    }

   private:
    FaultDisk* const disk_;
    const std::string path_;
    const std::unique_ptr<OutputFile> file_;
  };

  class Files : public FileSystem {
   public:
    explicit Files(FaultDisk* disk) : disk_(disk) {}
    absl::StatusOr<std::unique_ptr<OutputFile>> Create(const std::string& path, int mode) override {
      absl::StatusOr<std::unique_ptr<OutputFile>> file;
      absl::Status status = disk_->Checked("create " + path, {DiskChange::Kind::kCreate, path}, [&] {
        file = System().Create(path, mode);
        return file.status();
      });
      if (!status.ok()) return status;
      return std::unique_ptr<OutputFile>(std::make_unique<Output>(disk_, path, *std::move(file)));
    }
    absl::Status SyncFile(const std::string& path) override {
      return disk_->Checked("fsync " + path, {DiskChange::Kind::kSync, path}, [&] { return System().SyncFile(path); });
    }
    absl::Status Rename(const std::string& from, const std::string& to) override {
      return disk_->Checked("rename " + from, {DiskChange::Kind::kRename, from, 0, to},
                            [&] { return System().Rename(from, to); });
    }
    absl::Status Remove(const std::string& path) override {
      return disk_->Checked("remove " + path, {DiskChange::Kind::kRemove, path}, [&] { return System().Remove(path); });
    }
    absl::Status MakeFolder(const std::string& path) override {
      return disk_->Checked("make the folder " + path, {DiskChange::Kind::kMakeFolder, path},
                            [&] { return System().MakeFolder(path); });
    }
    absl::Status SyncFolder(const std::string& path) override {
      return disk_->Checked("fsync folder " + path, {DiskChange::Kind::kSyncFolder, path},
                            [&] { return System().SyncFolder(path); });
    }

   private:
    FaultDisk* const disk_;
  };

  absl::Status Checked(const std::string& doing, DiskChange change, const std::function<absl::Status()>& make) {
    absl::Status status;
    int error = Change(std::move(change), [&] {
      status = make();
      return status.ok() ? 0 : -1;
    });
    return error > 0 ? ErrnoToStatus(error, doing) : status;
  }

  // --- SQLite's files

  struct File {
    sqlite3_file base;
    const char* name;      // null: a temporary file, which does not count
    bool sync_the_folder;  // at the next sync: SQLite does so for new logs and journals
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };
  static File* Of(sqlite3_file* file) { return reinterpret_cast<File*>(file); }

  static int Sqlite(int error, int code) {
    if (error > 0) errno = error;
    return error == 0 ? SQLITE_OK : error == ENOSPC ? SQLITE_FULL : code;
  }

  // Returns what the real call returned, or `code` when it was not made.
  template <typename Make>
  static int SqliteChange(DiskChange change, int code, const Make& make) {
    int result = SQLITE_OK;
    int error = current_->Change(std::move(change), [&] {
      result = make();
      return result == SQLITE_OK ? 0 : -1;
    });
    return error > 0 ? Sqlite(error, code) : result;
  }

  static int OpenFile(sqlite3_vfs*, const char* name, sqlite3_file* base, int flags, int* out_flags) {
    File* file = Of(base);
    *file = File();
    file->name = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0 ? nullptr : name;
    auto open = [&] { return current_->real_->xOpen(current_->real_, name, file->real(), flags, out_flags); };
    int code = SQLITE_OK;
    if (file->name == nullptr || (flags & SQLITE_OPEN_CREATE) == 0 || access(name, F_OK) == 0) {
      code = open();
    } else {
      code = SqliteChange({DiskChange::Kind::kCreate, name}, SQLITE_CANTOPEN, open);
      file->sync_the_folder = (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0;
    }
    static const sqlite3_io_methods methods = Methods();
    base->pMethods = code == SQLITE_OK ? &methods : nullptr;
    return code;
  }

  static int DeleteFile(sqlite3_vfs*, const char* name, int sync) {
    int code = SqliteChange({DiskChange::Kind::kRemove, name}, SQLITE_IOERR_DELETE,
                            [&] { return current_->real_->xDelete(current_->real_, name, sync); });
    if (code == SQLITE_OK && sync != 0) (void)SyncFolderOf(name);
    return code;
  }

  static int SyncFolderOf(const char* name) {
    std::string folder = std::filesystem::path(name).parent_path().string();
    return SqliteChange({DiskChange::Kind::kSyncFolder, folder}, SQLITE_IOERR_DIR_FSYNC, [] { return SQLITE_OK; });
  }

  static sqlite3_io_methods Methods() {
    using Real = sqlite3_file;
    sqlite3_io_methods methods = {};
    methods.iVersion = 2;
    methods.xClose = [](Real* f) { return Of(f)->real()->pMethods->xClose(Of(f)->real()); };
    methods.xRead = [](Real* f, void* out, int size, sqlite3_int64 offset) {
      return Of(f)->real()->pMethods->xRead(Of(f)->real(), out, size, offset);
    };
    methods.xWrite = [](Real* f, const void* data, int size, sqlite3_int64 offset) {
      File* file = Of(f);
      auto write = [&] { return file->real()->pMethods->xWrite(file->real(), data, size, offset); };
      if (file->name == nullptr) return write();
      return SqliteChange({DiskChange::Kind::kWrite, file->name, static_cast<uint64_t>(offset),
                           std::string(static_cast<const char*>(data), static_cast<size_t>(size))},
                          SQLITE_IOERR_WRITE, write);
    };
    methods.xTruncate = [](Real* f, sqlite3_int64 size) {
      File* file = Of(f);
      auto truncate = [&] { return file->real()->pMethods->xTruncate(file->real(), size); };
      if (file->name == nullptr) return truncate();
      return SqliteChange({DiskChange::Kind::kTruncate, file->name, static_cast<uint64_t>(size)}, SQLITE_IOERR_TRUNCATE,
                          truncate);
    };
    methods.xSync = [](Real* f, int flags) {
      File* file = Of(f);
      if (file->name == nullptr) return SQLITE_OK;
      // Nothing here looks at the real disk after a power cut, so its own sync would only take time.
      int code = SqliteChange({DiskChange::Kind::kSync, file->name}, SQLITE_IOERR_FSYNC, [] { return SQLITE_OK; });
      if (code != SQLITE_OK || !file->sync_the_folder) return code;
      file->sync_the_folder = false;
      return SyncFolderOf(file->name);
    };
    methods.xFileSize = [](Real* f, sqlite3_int64* size) {
      return Of(f)->real()->pMethods->xFileSize(Of(f)->real(), size);
    };
    methods.xLock = [](Real* f, int level) { return Of(f)->real()->pMethods->xLock(Of(f)->real(), level); };
    methods.xUnlock = [](Real* f, int level) { return Of(f)->real()->pMethods->xUnlock(Of(f)->real(), level); };
    methods.xCheckReservedLock = [](Real* f, int* out) {
      return Of(f)->real()->pMethods->xCheckReservedLock(Of(f)->real(), out);
    };
    methods.xFileControl = [](Real* f, int operation, void* argument) {
      return Of(f)->real()->pMethods->xFileControl(Of(f)->real(), operation, argument);
    };
    methods.xSectorSize = [](Real* f) { return Of(f)->real()->pMethods->xSectorSize(Of(f)->real()); };
    methods.xDeviceCharacteristics = [](Real* f) {
      return Of(f)->real()->pMethods->xDeviceCharacteristics(Of(f)->real());
    };
    // The shared memory beside a log is made anew by the first who opens the database, so that it does not count.
    methods.xShmMap = [](Real* f, int region, int size, int extend, void volatile** out) {
      return Of(f)->real()->pMethods->xShmMap(Of(f)->real(), region, size, extend, out);
    };
    methods.xShmLock = [](Real* f, int offset, int n, int flags) {
      return Of(f)->real()->pMethods->xShmLock(Of(f)->real(), offset, n, flags);
    };
    methods.xShmBarrier = [](Real* f) { Of(f)->real()->pMethods->xShmBarrier(Of(f)->real()); };
    methods.xShmUnmap = [](Real* f, int remove) { return Of(f)->real()->pMethods->xShmUnmap(Of(f)->real(), remove); };
    return methods;
  }

  static inline FaultDisk* current_ = nullptr;
  sqlite3_vfs* real_ = nullptr;
  sqlite3_vfs vfs_ = {};
  Files files_;
  mutable absl::Mutex mutex_;
  Judge judge_ ABSL_GUARDED_BY(mutex_);
  size_t count_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<DiskChange> changes_ ABSL_GUARDED_BY(mutex_);
};

// What the disk may hold after a prefix of a list of changes below `root`. What was synced is there; of the rest:
enum class Loss {
  kNothing,     // the process died: all is there
  kUnsynced,    // the power went: nothing is there
  kSomeSectors  // the power went: each sector of 512 bytes is there or not; folders have some first part of their
                // changes
};

class SimulatedDisk {
 public:
  explicit SimulatedDisk(std::string root) : root_(std::move(root)) {}

  // A file that was there before, and synced.
  void Put(const std::string& path, const std::string& bytes) {
    auto inode = std::make_shared<Inode>();
    inode->bytes = inode->synced = bytes;
    live_[path] = durable_[path] = inode;
  }

  void Apply(const DiskChange& change) {
    using Kind = DiskChange::Kind;
    switch (change.kind) {
      case Kind::kCreate:
        return ChangeFolder({Kind::kCreate, change.path, "", std::make_shared<Inode>()});
      case Kind::kRename:
        return ChangeFolder({Kind::kRename, change.path, change.bytes, nullptr});
      case Kind::kRemove:
        return ChangeFolder({Kind::kRemove, change.path, "", nullptr});
      case Kind::kWrite:
      case Kind::kTruncate: {
        Inode& inode = *live_.at(change.path);
        inode.unsynced.push_back(change);
        return Change(change, &inode.bytes);
      }
      case Kind::kSync: {
        Inode& inode = *live_.at(change.path);
        inode.synced = inode.bytes;
        return inode.unsynced.clear();
      }
      case Kind::kSyncFolder:
        return SyncFolder(change.path);
      case Kind::kMakeFolder:
        return;  // folders are made as files need them
    }
  }

  // Writes into the empty folder `to` what was in `root`.
  void WriteTo(const std::string& to, Loss loss, std::mt19937_64& random) const {
    Names names = loss == Loss::kNothing ? live_ : durable_;
    if (loss == Loss::kSomeSectors) ApplySomeFolderChanges(&names, random);
    for (const auto& [path, inode] : names) {
      if (!absl::StartsWith(path, root_)) continue;
      std::string target = to + path.substr(root_.size());
      std::filesystem::create_directories(std::filesystem::path(target).parent_path());
      std::ofstream(target, std::ios::binary) << BytesOf(*inode, loss, random);
    }
  }

 private:
  static constexpr uint64_t kSector = 512;
  struct Inode {
    std::string bytes;   // as the process sees it
    std::string synced;  // as of the latest sync
    std::vector<DiskChange> unsynced{};
  };
  using Names = std::map<std::string, std::shared_ptr<Inode>>;
  struct FolderChange {
    DiskChange::Kind kind;
    std::string path;
    std::string to;
    std::shared_ptr<Inode> inode;
  };

  static std::string FolderOf(const std::string& path) { return std::filesystem::path(path).parent_path().string(); }

  static void Change(const DiskChange& change, std::string* bytes) {
    if (change.kind == DiskChange::Kind::kTruncate) return bytes->resize(change.offset);
    bytes->resize(std::max<size_t>(bytes->size(), change.offset + change.bytes.size()));
    bytes->replace(change.offset, change.bytes.size(), change.bytes);
  }

  static void ApplyTo(const FolderChange& change, Names* names) {
    if (change.kind == DiskChange::Kind::kCreate) {
      (*names)[change.path] = change.inode;
    } else {
      // A file, or a folder with what is in it.
      Names moved;
      for (auto name = names->lower_bound(change.path); name != names->end();) {
        absl::string_view rest = name->first;
        if (!absl::ConsumePrefix(&rest, change.path)) break;
        if (rest.empty() || rest[0] == '/') {
          moved[absl::StrCat(change.to, rest)] = name->second;
          name = names->erase(name);
        } else {
          ++name;
        }
      }
      if (change.kind == DiskChange::Kind::kRename) {
        for (auto& [path, inode] : moved) (*names)[path] = std::move(inode);
      }
    }
  }

  void ChangeFolder(FolderChange change) {
    // Create() of a file that exists empties it, which is lost like any other write.
    auto found = live_.find(change.path);
    if (change.kind == DiskChange::Kind::kCreate && found != live_.end()) {
      return Apply({DiskChange::Kind::kTruncate, change.path, 0, ""});
    }
    ApplyTo(change, &live_);
    unsynced_.push_back(std::move(change));
  }

  void SyncFolder(const std::string& folder) {
    std::vector<FolderChange> rest;
    for (FolderChange& change : unsynced_) {
      if (FolderOf(change.path) == folder) {
        ApplyTo(change, &durable_);
      } else {
        rest.push_back(std::move(change));
      }
    }
    unsynced_ = std::move(rest);
  }

  void ApplySomeFolderChanges(Names* names, std::mt19937_64& random) const {
    std::set<std::string> stopped;
    for (const FolderChange& change : unsynced_) {
      std::string folder = FolderOf(change.path);
      if (stopped.count(folder) != 0) continue;
      if (random() % 3 == 0) {
        stopped.insert(folder);
      } else {
        ApplyTo(change, names);
      }
    }
  }

  static std::string BytesOf(const Inode& inode, Loss loss, std::mt19937_64& random) {
    if (loss == Loss::kNothing) return inode.bytes;
    std::string bytes = inode.synced;
    if (loss == Loss::kUnsynced) return bytes;
    for (const DiskChange& change : inode.unsynced) {
      if (change.kind == DiskChange::Kind::kTruncate) {
        if (random() % 2) Change(change, &bytes);
        continue;
      }
      for (uint64_t begin = 0; begin < change.bytes.size();) {
        uint64_t end = std::min<uint64_t>(change.bytes.size(),
                                          (change.offset + begin) / kSector * kSector + kSector - change.offset);
        DiskChange sector{change.kind, change.path, change.offset + begin, change.bytes.substr(begin, end - begin)};
        if (random() % 2) Change(sector, &bytes);
        begin = end;
      }
    }
    return bytes;
  }

  const std::string root_;
  Names live_, durable_;
  std::vector<FolderChange> unsynced_;
};

}  // namespace lastro::testing
