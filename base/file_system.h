// FileSystem: the one way by which files and folders are changed for good, so that a test can put another in its place
// that fails, stops or forgets like a real disk. Reading needs no seam: see file.h. SQLite has its own, its VFS.
// Thread-safe. Errors name the path and are those of ErrnoToStatus.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lastro {

// A file being written; closed at the end of its life. One thread at a time.
class OutputFile {
 public:
  virtual ~OutputFile() = default;
  // All of `bytes` at `offset`, or an error: then any part of them may have been written.
  virtual absl::Status WriteAt(absl::string_view bytes, uint64_t offset) = 0;
  virtual absl::Status Sync() = 0;  // what was written is on the disk when it returns
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // A new file, or an old one emptied. `mode`: its permissions when new.
  virtual absl::StatusOr<std::unique_ptr<OutputFile>> Create(const std::string& path, int mode) = 0;
  virtual absl::Status SyncFile(const std::string& path) = 0;                       // a file that somebody else wrote
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;  // replaces `to`
  virtual absl::Status Remove(const std::string& path) = 0;                         // a file or an empty folder
  virtual absl::Status MakeFolder(const std::string& path) = 0;                     // in a folder that exists
  // What was created, renamed or removed in the folder stays so when it returns.
  virtual absl::Status SyncFolder(const std::string& path) = 0;

  // The operating system's, unless a test has set another.
  static FileSystem& Current();
  // For tests, while nothing else runs: `replacement` (not owned) is current from now on; null: the system's again.
  static void ReplaceForTesting(FileSystem* replacement);
  static FileSystem& System();
};

// Removes a file, or a folder with all that is in it. OK when there is none.
absl::Status RemoveTree(const std::string& path);

}  // namespace lastro
