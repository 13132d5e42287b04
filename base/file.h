// Files: whole reads with a byte cap, atomic replacement, read-only maps. All functions are thread-safe. Errors name
// the path and what the operating system said: NOT_FOUND, PERMISSION_DENIED, RESOURCE_EXHAUSTED (larger than the cap,
// disk full) or INTERNAL.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lastro {

// The one translation of errno into a Status; `doing` is a phrase such as "open /a/b".
absl::Status ErrnoToStatus(int error, absl::string_view doing);

// The whole file; RESOURCE_EXHAUSTED when it is longer than `max_bytes` (the file is then not read).
absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t max_bytes);

// Writes a temporary file beside `path`, fsyncs it, renames it over `path` and fsyncs the folder: after a crash `path`
// holds either the old or the new content, whole.
absl::Status WriteFileAtomically(const std::string& path, absl::string_view content);

// A read-only memory map of a whole regular file. Movable, not copyable; the bytes live as long as the object.
class MappedFile {
 public:
  static absl::StatusOr<MappedFile> Open(const std::string& path);
  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  absl::Span<const uint8_t> bytes() const { return {data_, size_}; }
  absl::string_view view() const { return {reinterpret_cast<const char*>(data_), size_}; }

  // Takes the whole pages of `part`, a part of bytes(), out of this process's memory: what is hardly looked at again
  // need not stay. Looked at all the same they are read again.
  void Forget(absl::Span<const uint8_t> part) const;

 private:
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace lastro
