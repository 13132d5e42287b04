// A folder that is there for as long as its object. Movable.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace lastro::services {

class TemporaryFolder {
 public:
  // In $TMPDIR, or /tmp. INTERNAL or PERMISSION_DENIED with the path when it cannot be made.
  static absl::StatusOr<TemporaryFolder> Make();
  TemporaryFolder(TemporaryFolder&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  ~TemporaryFolder();  // removes it with all that is in it

  const std::string& path() const { return path_; }

 private:
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace lastro::services
