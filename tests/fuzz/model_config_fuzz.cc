// Any config.json in an otherwise sound model folder: refused with a status, or an architecture.
#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/cards.h"
#include "engine/classifier_head.h"
#include "engine/hf_folder.h"
#include "tests/fuzz/temp_folder.h"

namespace {

// What a model needs beside its config.json.
struct ModelFolder : lastro::TempFolder {
  ModelFolder() {
    Write("tokenizer.json", "{}");
    Write("model.safetensors", std::string("\2\0\0\0\0\0\0\0{}", 10));
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const ModelFolder folder;
  folder.Write("config.json", std::string(reinterpret_cast<const char*>(data), size));
  auto opened = lastro::engine::HfFolder::Open(folder.path());
  if (!opened.ok()) return 0;
  lastro::engine::ReadArchitecture(**opened).status().IgnoreError();
  lastro::engine::ReadSeq2SeqArchitecture(**opened).status().IgnoreError();
  lastro::engine::ReadClassifierHead(**opened).status().IgnoreError();
  return 0;
}
