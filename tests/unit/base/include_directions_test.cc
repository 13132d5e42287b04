// The folders' include directions, as ARCHITECTURE.md draws them.
#include <fstream>
#include <map>
#include <regex>
#include <set>

#include "tests/test_util.h"

namespace lastro {
namespace {

namespace fs = std::filesystem;

const std::map<std::string, std::set<std::string>>& AllowedIncludes() {
  static const auto* allowed = new std::map<std::string, std::set<std::string>>{
      {"kernels", {}},
      {"base", {}},
      {"engine", {"base", "kernels"}},
      {"retrieval", {"base"}},
      {"ingest", {"base", "retrieval"}},
      {"services", {"base", "kernels", "engine", "retrieval", "ingest", "lastro"}},  // lastro/v1: generated from protos
  };
  return *allowed;
}

// Quoted includes that begin with a folder of the project.
std::vector<std::string> ProjectIncludes(const fs::path& file) {
  static const std::regex pattern(R"(^\s*#\s*include\s*["<]([a-z]+)/)");
  static const std::set<std::string> ours = {"kernels", "base", "engine", "retrieval", "ingest", "services", "tests", "lastro"};
  std::vector<std::string> folders;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    std::smatch match;
    if (std::regex_search(line, match, pattern) && ours.contains(match[1])) folders.push_back(match[1]);
  }
  return folders;
}

TEST(IncludeDirections, GoOneWay) {
  int files = 0;
  for (const auto& [folder, allowed] : AllowedIncludes()) {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(fs::path(LASTRO_SOURCE_DIR) / folder)) {
      static const std::set<std::string> sources = {".h", ".cc", ".cu", ".cuh"};
      if (!sources.contains(entry.path().extension().string())) continue;
      ++files;
      for (const std::string& included : ProjectIncludes(entry.path())) {
        EXPECT_TRUE(included == folder || allowed.contains(included))
            << entry.path() << " includes " << included << "/, which " << folder << "/ must not know";
      }
    }
  }
  EXPECT_GT(files, 50);
}

}  // namespace
}  // namespace lastro
