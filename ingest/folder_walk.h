// The files below a folder, found without following links out of it, and read without trusting them to stay as they
// were. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/call_context.h"
#include "retrieval/types.h"

namespace lastro::ingest {

struct WalkOptions {
  int64_t max_files = 1'000'000;
  int max_depth = 64;
};

struct FoundFile {
  std::string uri;  // path relative to the folder, with '/', valid UTF-8
  uint64_t size_bytes = 0;
};

struct WalkResult {
  std::vector<FoundFile> files;                  // by uri
  std::vector<retrieval::FileProblem> problems;  // what could not be looked at
  std::vector<std::string> unseen_folders;       // relative paths of folders not (wholly) walked
  bool truncated = false;                        // max_files was reached
};

// The canonical absolute path of a folder. NOT_FOUND; INVALID_ARGUMENT when it is something else.
absl::StatusOr<std::string> CanonicalFolder(const std::string& folder);

// Walks `root`, a canonical path, in sorted order. Hidden files and folders, links to folders, links out of `root`,
// devices, pipes and sockets are left out; the latter three are reported, as are names that are not UTF-8. NOT_FOUND
// when `root` itself cannot be read; errors of `context`.
absl::StatusOr<WalkResult> WalkFolder(const std::string& root, const WalkOptions& options, const CallContext& context);

struct FileContent {
  std::string bytes;
  absl::Time modified_at;
};

// Reads the regular file root/uri without blocking, twice more when it changes meanwhile. NOT_FOUND, PERMISSION_DENIED,
// INVALID_ARGUMENT (it is not a regular file of `root` any more), RESOURCE_EXHAUSTED (larger than `max_bytes`), ABORTED
// (it keeps changing), INTERNAL.
absl::StatusOr<FileContent> ReadFolderFile(const std::string& root, const std::string& uri, uint64_t max_bytes);

}  // namespace lastro::ingest
