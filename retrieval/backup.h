// Backups of a store: a folder with the database as one file and a manifest. What is derived is not in it; it is made
// anew when a restored store is opened.
//   lastro.db      one commit of the store, whole
//   manifest.json  {"format":1,"commit":42,"created":"2024-05-01T13:45:00Z","documents":7,"chunks":91,
//                   "bytes":1234944,"sha256":"..."}
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/call_context.h"

namespace lastro::retrieval {

struct BackupManifest {
  int64_t commit = 0;
  absl::Time created_at;
  int64_t documents = 0;
  int64_t chunks = 0;
  int64_t bytes = 0;   // of lastro.db
  std::string sha256;  // of lastro.db
};

// Copies the store's latest commit to the new folder `backup`, while the store may be open and written to, in this
// process or another. The copy is checked whole (integrity.h) and appears whole or not at all; what a killed process
// leaves is `backup`.partial-N, which may be deleted. ALREADY_EXISTS when there is such a folder; NOT_FOUND when there
// is no store.
absl::StatusOr<BackupManifest> BackUp(const std::string& data_folder, const std::string& backup,
                                      const CallContext& context);

// DATA_LOSS unless the backup's files are what its manifest says.
absl::StatusOr<BackupManifest> CheckBackup(const std::string& backup);

// Makes the store in `data_folder` what the backup is. FAILED_PRECONDITION when there is a store already, unless
// `replace` says that it may go, or when it is open in a process. When it is cut short over an old store, that one is
// still there or the next start refuses with DATA_LOSS: restore again.
absl::StatusOr<BackupManifest> Restore(const std::string& backup, const std::string& data_folder, bool replace,
                                       const CallContext& context);

}  // namespace lastro::retrieval
