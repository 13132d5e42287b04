// Any config.json in an otherwise sound model folder: refused with a status, or an architecture.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/check.h"
#include "engine/cards.h"
#include "engine/classifier_head.h"
#include "engine/hf_folder.h"

namespace {

void Write(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
  LASTRO_CHECK(std::filesystem::file_size(path) == content.size(), path);
}

// A temporary folder with what a model needs beside its config.json; removed at exit.
struct Folder {
  std::string path = (std::filesystem::temp_directory_path() / "lastro_fuzz_XXXXXX").string();
  Folder() {
    LASTRO_CHECK(mkdtemp(path.data()) != nullptr, path);
    Write(path + "/tokenizer.json", "{}");
    Write(path + "/model.safetensors", std::string("\2\0\0\0\0\0\0\0{}", 10));
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Folder folder;
  Write(folder.path + "/config.json", std::string(reinterpret_cast<const char*>(data), size));
  auto opened = lastro::engine::HfFolder::Open(folder.path);
  if (!opened.ok()) return 0;
  lastro::engine::ReadArchitecture(**opened).status().IgnoreError();
  lastro::engine::ReadSeq2SeqArchitecture(**opened).status().IgnoreError();
  lastro::engine::ReadClassifierHead(**opened).status().IgnoreError();
  return 0;
}
