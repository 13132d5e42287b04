#include "retrieval/folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/file_system.h"
#include "base/status_macros.h"

namespace lastro::retrieval {
namespace fs = std::filesystem;

absl::Status MakeFolder(const std::string& path) {
  std::error_code error;
  fs::path absolute = fs::absolute(path, error).lexically_normal();
  if (error) return ErrnoToStatus(error.value(), "find the folder " + path);
  if (fs::is_directory(absolute, error)) return absl::OkStatus();
  if (absolute.has_parent_path() && absolute.parent_path() != absolute) {
    LASTRO_RETURN_IF_ERROR(MakeFolder(absolute.parent_path().string()));
  }
  LASTRO_RETURN_IF_ERROR(FileSystem::Current().MakeFolder(absolute.string()));
  return FileSystem::Current().SyncFolder(absolute.parent_path().string());
}

int64_t FolderBytes(const std::string& folder) {
  int64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code gone;
    uintmax_t size = entry->is_regular_file(gone) ? entry->file_size(gone) : 0;
    if (!gone) bytes += static_cast<int64_t>(size);
  }
  return bytes;
}

std::string DatabasePath(const std::string& data_folder) { return data_folder + "/lastro.db"; }
std::string RestoredPath(const std::string& data_folder) { return DatabasePath(data_folder) + ".restored"; }
std::string SetAsideLogPath(const std::string& data_folder) { return DatabasePath(data_folder) + "-wal.set-aside"; }

absl::StatusOr<std::unique_ptr<FolderLock>> FolderLock::Acquire(const std::string& folder) {
  std::string path = folder + "/lastro.lock";
  int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return ErrnoToStatus(errno, "open " + path);
  std::unique_ptr<FolderLock> lock(new FolderLock(fd));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoToStatus(errno, "lock " + path);
    char holder[32] = {};
    ssize_t length = pread(fd, holder, sizeof(holder) - 1, 0);
    std::string pid(
        absl::StripAsciiWhitespace(absl::string_view(holder, length > 0 ? static_cast<size_t>(length) : 0)));
    return absl::FailedPreconditionError(absl::StrCat("the data folder ", folder, " is open in another process (pid ",
                                                      pid.empty() ? "unknown" : pid,
                                                      "); stop that process, or use it as a server"));
  }
  std::string pid = absl::StrCat(getpid(), "\n");
  if (ftruncate(fd, 0) != 0 || pwrite(fd, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return ErrnoToStatus(errno, "write " + path);
  }
  return lock;
}

// The file stays: removing it would let two processes lock two files of the same name.
FolderLock::~FolderLock() { close(fd_); }

}  // namespace lastro::retrieval
