#include "base/file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace lastro {
namespace {

class SystemFile : public OutputFile {
 public:
  SystemFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~SystemFile() override { close(fd_); }

  absl::Status WriteAt(absl::string_view bytes, uint64_t offset) override {
    while (!bytes.empty()) {
      ssize_t written = pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return ErrnoToStatus(errno, "write " + path_);
      bytes.remove_prefix(static_cast<size_t>(written));
      offset += static_cast<uint64_t>(written);
    }
    return absl::OkStatus();
  }

  absl::Status Sync() override { return fsync(fd_) == 0 ? absl::OkStatus() : ErrnoToStatus(errno, "fsync " + path_); }

 private:
  const int fd_;
  const std::string path_;
};

class SystemFiles : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<OutputFile>> Create(const std::string& path, int mode) override {
    int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, static_cast<mode_t>(mode));
    if (fd < 0) return ErrnoToStatus(errno, "create " + path);
    return std::unique_ptr<OutputFile>(std::make_unique<SystemFile>(fd, path));
  }

  absl::Status SyncFile(const std::string& path) override { return SyncPath(path, O_RDONLY); }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    if (rename(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
    return ErrnoToStatus(errno, absl::StrCat("rename ", from, " to ", to));
  }

  absl::Status Remove(const std::string& path) override {
    return remove(path.c_str()) == 0 ? absl::OkStatus() : ErrnoToStatus(errno, "remove " + path);
  }

  absl::Status MakeFolder(const std::string& path) override {
    if (mkdir(path.c_str(), 0777) == 0 || errno == EEXIST) return absl::OkStatus();
    return ErrnoToStatus(errno, "make the folder " + path);
  }

  absl::Status SyncFolder(const std::string& path) override { return SyncPath(path, O_RDONLY | O_DIRECTORY); }

 private:
  static absl::Status SyncPath(const std::string& path, int flags) {
    int fd = open(path.c_str(), flags | O_CLOEXEC);
    if (fd < 0) return ErrnoToStatus(errno, "open " + path);
    int result = fsync(fd);
    int error = errno;
    close(fd);
    return result == 0 ? absl::OkStatus() : ErrnoToStatus(error, "fsync " + path);
  }
};

std::atomic<FileSystem*> replacement_for_testing = nullptr;

}  // namespace

FileSystem& FileSystem::System() {
  static auto* const system = new SystemFiles;
  return *system;
}

FileSystem& FileSystem::Current() {
  FileSystem* replacement = replacement_for_testing.load(std::memory_order_acquire);
  return replacement != nullptr ? *replacement : System();
}

void FileSystem::ReplaceForTesting(FileSystem* replacement) {
  replacement_for_testing.store(replacement, std::memory_order_release);
}

absl::Status RemoveTree(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (fs::is_directory(fs::symlink_status(path, error))) {
    for (fs::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error)) {
      LASTRO_RETURN_IF_ERROR(RemoveTree(entry->path().string()));
    }
    if (error) return ErrnoToStatus(error.value(), "list the folder " + path);
  }
  absl::Status status = FileSystem::Current().Remove(path);
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

}  // namespace lastro
