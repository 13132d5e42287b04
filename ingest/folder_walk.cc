#include "ingest/folder_walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/utf8.h"

namespace lastro::ingest {
namespace {

constexpr int kReadAttempts = 3;

std::string Join(const std::string& folder, const std::string& name) {
  return folder.empty() ? name : absl::StrCat(folder, "/", name);
}

// The canonical form of `path`; empty when it has none.
std::string Canonical(const std::string& path) {
  std::unique_ptr<char, decltype(&std::free)> resolved(realpath(path.c_str(), nullptr), &std::free);
  return resolved == nullptr ? "" : resolved.get();
}

bool IsWithin(absl::string_view root, absl::string_view path) {
  if (root == "/") return absl::StartsWith(path, "/");
  return absl::StartsWith(path, root) && (path.size() == root.size() || path[root.size()] == '/');
}

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
  const int fd_;
};

struct CloseFolder {
  void operator()(DIR* stream) const { closedir(stream); }
};

// Walks depth first with an explicit stack of folders still to read.
class Walker {
 public:
  Walker(const std::string& root, const WalkOptions& options, const CallContext& context)
      : root_(root), options_(options), context_(context) {}

  absl::StatusOr<WalkResult> Run() {
    pending_.push_back({"", 0});
    while (!pending_.empty() && !result_.truncated) {
      LASTRO_RETURN_IF_ERROR(context_.Check());
      Folder folder = std::move(pending_.back());
      pending_.pop_back();
      absl::Status status = ReadFolder(folder);
      if (!status.ok() && folder.path.empty()) return status;
      if (!status.ok()) Unseen(folder.path, std::string(status.message()));
    }
    std::sort(result_.files.begin(), result_.files.end(),
              [](const FoundFile& a, const FoundFile& b) { return a.uri < b.uri; });
    return std::move(result_);
  }

 private:
  struct Folder {
    std::string path;  // relative
    int depth = 0;
  };

  void Problem(const std::string& uri, std::string reason) {
    result_.problems.push_back({ReplaceInvalidUtf8(uri), std::move(reason)});
  }

  void Unseen(const std::string& path, std::string reason) {
    result_.unseen_folders.push_back(path);
    Problem(path, std::move(reason));
  }

  absl::Status ReadFolder(const Folder& folder) {
    std::string path = Join(root_, folder.path);
    Descriptor fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (fd.get() < 0) return ErrnoToStatus(errno, "open folder " + path);
    int copy = fcntl(fd.get(), F_DUPFD_CLOEXEC, 0);
    std::unique_ptr<DIR, CloseFolder> stream(copy < 0 ? nullptr : fdopendir(copy));
    if (stream == nullptr) {
      absl::Status status = ErrnoToStatus(errno, "read folder " + path);
      if (copy >= 0) close(copy);
      return status;
    }
    for (;;) {
      errno = 0;
      const struct dirent* entry = readdir(stream.get());
      if (entry == nullptr) return errno == 0 ? absl::OkStatus() : ErrnoToStatus(errno, "read folder " + path);
      std::string name = entry->d_name;
      if (name[0] != '.') Visit(fd.get(), folder, name);
      if (result_.truncated) return absl::OkStatus();
    }
  }

  void Visit(int folder_fd, const Folder& folder, const std::string& name) {
    std::string uri = Join(folder.path, name);
    struct stat info;
    if (fstatat(folder_fd, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      return Problem(uri, std::string(ErrnoToStatus(errno, "stat the file").message()));
    }
    if (!IsValidUtf8(name)) {
      if (S_ISDIR(info.st_mode)) result_.unseen_folders.push_back(uri);
      return Problem(uri, "the name is not UTF-8; rename it");
    }
    if (S_ISDIR(info.st_mode)) return VisitFolder(uri, folder.depth + 1);
    if (S_ISLNK(info.st_mode) && !FollowLink(uri, &info)) return;
    if (!S_ISREG(info.st_mode)) return Problem(uri, "not a regular file (a device, pipe or socket)");
    AddFile(uri, static_cast<uint64_t>(info.st_size));
  }

  void VisitFolder(const std::string& uri, int depth) {
    if (depth > options_.max_depth) {
      return Unseen(uri, absl::StrCat("folders are nested deeper than ", options_.max_depth));
    }
    pending_.push_back({uri, depth});
  }

  // Replaces `info` by that of the link's target; false when the link is not to be followed.
  bool FollowLink(const std::string& uri, struct stat* info) {
    std::string target = Canonical(Join(root_, uri));
    if (target.empty() || stat(target.c_str(), info) != 0) {
      Problem(uri, "a link to something that does not exist");
      return false;
    }
    if (S_ISDIR(info->st_mode)) return false;
    if (IsWithin(root_, target)) return true;
    Problem(uri, "a link out of the folder; it is not followed");
    return false;
  }

  void AddFile(const std::string& uri, uint64_t size) {
    if (static_cast<int64_t>(result_.files.size()) >= options_.max_files) {
      result_.truncated = true;
      return Problem(uri, absl::StrCat("the folder has more than ", options_.max_files,
                                       " files; this one and those behind it were skipped"));
    }
    result_.files.push_back({uri, size});
  }

  const std::string& root_;
  const WalkOptions options_;
  const CallContext& context_;
  std::vector<Folder> pending_;
  WalkResult result_;
};

// Where the open file really is; what was a file of the folder a moment ago may be a link by now.
absl::Status CheckStillWithin(int fd, const std::string& root) {
  std::string path = Canonical(absl::StrCat("/proc/self/fd/", fd));
  if (!path.empty() && IsWithin(root, path)) return absl::OkStatus();
  return absl::InvalidArgumentError("the file is not in the folder any more");
}

bool SameState(const struct stat& a, const struct stat& b) {
  return a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

absl::StatusOr<std::string> ReadBytes(int fd, uint64_t size) {
  std::string bytes(size, '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    ssize_t got = read(fd, bytes.data() + done, bytes.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoToStatus(errno, "read the file");
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  bytes.resize(done);
  return bytes;
}

// One attempt; ABORTED when the file changed meanwhile.
absl::StatusOr<FileContent> TryRead(const std::string& root, const std::string& uri, uint64_t max_bytes) {
  std::string path = Join(root, uri);
  Descriptor fd(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (fd.get() < 0) return ErrnoToStatus(errno, "open the file");
  struct stat before, after;
  if (fstat(fd.get(), &before) != 0) return ErrnoToStatus(errno, "stat the file");
  if (!S_ISREG(before.st_mode)) return absl::InvalidArgumentError("not a regular file");
  LASTRO_RETURN_IF_ERROR(CheckStillWithin(fd.get(), root));
  uint64_t size = static_cast<uint64_t>(before.st_size);
  if (size > max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the file has ", size, " bytes; files of up to ", max_bytes, " are read"));
  }
  LASTRO_ASSIGN_OR_RETURN(std::string bytes, ReadBytes(fd.get(), size));
  if (fstat(fd.get(), &after) != 0) return ErrnoToStatus(errno, "stat the file");
  if (!SameState(before, after) || bytes.size() != size) {
    return absl::AbortedError("the file changed while it was read; try again later");
  }
  return FileContent{std::move(bytes), absl::TimeFromTimespec(before.st_mtim)};
}

}  // namespace

absl::StatusOr<std::string> CanonicalFolder(const std::string& folder) {
  std::string path = Canonical(folder);
  if (path.empty()) return absl::NotFoundError(absl::StrCat("the folder ", folder, " does not exist"));
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return ErrnoToStatus(errno, "stat " + path);
  if (!S_ISDIR(info.st_mode)) return absl::InvalidArgumentError(absl::StrCat(folder, " is not a folder"));
  return path;
}

absl::StatusOr<WalkResult> WalkFolder(const std::string& root, const WalkOptions& options, const CallContext& context) {
  return Walker(root, options, context).Run();
}

absl::StatusOr<FileContent> ReadFolderFile(const std::string& root, const std::string& uri, uint64_t max_bytes) {
  absl::StatusOr<FileContent> content = TryRead(root, uri, max_bytes);
  for (int attempt = 1; attempt < kReadAttempts && absl::IsAborted(content.status()); ++attempt) {
    content = TryRead(root, uri, max_bytes);
  }
  return content;
}

}  // namespace lastro::ingest
