// A folder of one fuzz process, removed at exit, for what is read from files only.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/check.h"

namespace lastro {

class TempFolder {
 public:
  TempFolder() { LASTRO_CHECK(mkdtemp(path_.data()) != nullptr, path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }

  // Replaces a file of the folder; its path.
  std::string Write(const std::string& name, const std::string& content) const {
    const std::string file = path_ + "/" + name;
    std::ofstream(file, std::ios::binary) << content;
    LASTRO_CHECK(std::filesystem::file_size(file) == content.size(), file);
    return file;
  }

 private:
  std::string path_ = (std::filesystem::temp_directory_path() / "lastro_fuzz_XXXXXX").string();
};

}  // namespace lastro
