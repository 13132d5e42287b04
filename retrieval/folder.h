// The data folder: making folders durably and the lock that keeps a second process from writing. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace lastro::retrieval {

// Makes `path` and what is missing above it, and fsyncs each parent that got a new entry.
absl::Status MakeFolder(const std::string& path);

// Of all files below `folder`; what cannot be looked at counts nothing.
int64_t FolderBytes(const std::string& folder);

std::string DatabasePath(const std::string& data_folder);
std::string RestoredPath(const std::string& data_folder);     // a database on its way in, see backup.h
std::string SetAsideLogPath(const std::string& data_folder);  // a log that is another's, see doctor.h

// Held from Acquire to the end of its life, or of the process.
class FolderLock {
 public:
  // Locks `folder`/lastro.lock. FAILED_PRECONDITION with the pid of the holder when it is taken.
  static absl::StatusOr<std::unique_ptr<FolderLock>> Acquire(const std::string& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  explicit FolderLock(int fd) : fd_(fd) {}
  const int fd_;
};

}  // namespace lastro::retrieval
