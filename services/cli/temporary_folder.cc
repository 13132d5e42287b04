#include "services/cli/temporary_folder.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "base/file.h"

namespace lastro::services {

absl::StatusOr<TemporaryFolder> TemporaryFolder::Make() {
  const char* root = std::getenv("TMPDIR");
  std::string path = absl::StrCat(root != nullptr && *root != '\0' ? root : "/tmp", "/lastro-XXXXXX");
  if (mkdtemp(path.data()) == nullptr) return ErrnoToStatus(errno, absl::StrCat("make the folder ", path));
  return TemporaryFolder(std::move(path));
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

}  // namespace lastro::services
