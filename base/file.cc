#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/file_system.h"
#include "base/status_macros.h"

namespace lastro {
namespace {

// Owns a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

absl::StatusOr<uint64_t> RegularFileSize(int fd, const std::string& path) {
  struct stat info;
  if (fstat(fd, &info) != 0) return ErrnoToStatus(errno, "stat " + path);
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is not a regular file"));
  }
  return static_cast<uint64_t>(info.st_size);
}

const char* AdviceFor(int error) {
  if (error == ENOSPC || error == EDQUOT) return "; free some disk space and try again";
  if (error == EIO) return "; check the disk and the system's log, then try again";
  return "";
}

absl::Status WriteAndSync(FileSystem& files, const std::string& path, absl::string_view content) {
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<OutputFile> file, files.Create(path, 0644));
  LASTRO_RETURN_IF_ERROR(file->WriteAt(content, 0));
  return file->Sync();
}

}  // namespace

absl::Status ErrnoToStatus(int error, absl::string_view doing) {
  std::string message = absl::StrCat("cannot ", doing, ": ", std::strerror(error));
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(message);
    case EACCES:
    case EPERM:
    case EROFS:
    case ELOOP:
      return absl::PermissionDeniedError(message);
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return absl::ResourceExhaustedError(message + AdviceFor(error));
    default:
      return absl::InternalError(message + AdviceFor(error));
  }
}

absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t max_bytes) {
  Descriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) return ErrnoToStatus(errno, "open " + path);
  LASTRO_ASSIGN_OR_RETURN(uint64_t size, RegularFileSize(fd.get(), path));
  if (size > max_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(path, " has ", size, " bytes; the limit is ", max_bytes));
  }
  std::string content(size, '\0');
  size_t done = 0;
  while (done < size) {
    ssize_t got = read(fd.get(), content.data() + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoToStatus(errno, "read " + path);
    if (got == 0) break;  // the file shrank meanwhile
    done += static_cast<size_t>(got);
  }
  content.resize(done);
  return content;
}

absl::Status WriteFileAtomically(const std::string& path, absl::string_view content) {
  FileSystem& files = FileSystem::Current();
  const std::string temporary = absl::StrCat(path, ".tmp.", getpid());
  absl::Status status = WriteAndSync(files, temporary, content);
  if (status.ok()) status = files.Rename(temporary, path);
  if (!status.ok()) {
    (void)files.Remove(temporary);  // the first error counts
    return status;
  }
  std::string folder = std::filesystem::path(path).parent_path().string();
  return files.SyncFolder(folder.empty() ? "." : folder);
}

absl::StatusOr<MappedFile> MappedFile::Open(const std::string& path) {
  Descriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) return ErrnoToStatus(errno, "open " + path);
  LASTRO_ASSIGN_OR_RETURN(uint64_t size, RegularFileSize(fd.get(), path));
  MappedFile file;
  if (size == 0) return file;
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (data == MAP_FAILED) return ErrnoToStatus(errno, "map " + path);
  file.data_ = static_cast<const uint8_t*>(data);
  file.size_ = size;
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void MappedFile::Forget(absl::Span<const uint8_t> part) const {
  // Of other memory the contents would be lost.
  LASTRO_CHECK(part.data() >= data_ && part.data() + part.size() <= data_ + size_);
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE)), data = reinterpret_cast<uintptr_t>(part.data());
  const uintptr_t begin = (data + page - 1) / page * page, end = (data + part.size()) / page * page;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);  // advice: it may be refused
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<uint8_t*>(data_), size_);
}

}  // namespace lastro
