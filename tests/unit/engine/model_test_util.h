// What the model tests share: the tiny checkpoints of tests/golden/models, edited copies of them, runtimes.
#pragma once

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>

#include "engine/runtime.h"
#include "tests/test_util.h"

namespace lastro::engine {

inline std::string TinyModel(const std::string& name) {
  return std::string(LASTRO_SOURCE_DIR) + "/tests/golden/models/" + name;
}

// The device that model tests compute on; tests/gpu builds some of them for another.
#ifndef LASTRO_TEST_DEVICE
#define LASTRO_TEST_DEVICE "cpu"
#endif

inline std::unique_ptr<Runtime> NewRuntime(ComputeType type = ComputeType::kFloat32, int threads = 2,
                                           std::optional<kernels::KvType> kv_type = std::nullopt) {
  RuntimeOptions options;
  options.kv_type = kv_type;
  options.compute_type = type;
  options.threads = threads;
  options.device = LASTRO_TEST_DEVICE;
  options.kernels_overlap = testing::TestsKernelsOverlap();
  return *Runtime::Create(options);
}

// A copy of a tiny model whose files can be edited.
class EditedModel {
 public:
  explicit EditedModel(const std::string& name) {
    std::filesystem::copy(TinyModel(name), folder_.path(), std::filesystem::copy_options::recursive);
  }
  const std::string& path() const { return folder_.path(); }

  std::string Read(const std::string& file) const {
    std::ifstream in(folder_ / file, std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }
  void Write(const std::string& file, const std::string& text) const {
    std::ofstream(folder_ / file, std::ios::binary) << text;
  }
  // Replaces the first `from`, which must be there.
  EditedModel& Edit(const std::string& file, const std::string& from, const std::string& to) {
    std::string text = Read(file);
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from << " is not in " << file;
    if (at != std::string::npos) Write(file, text.replace(at, from.size(), to));
    return *this;
  }
  // Sets a top-level field of config.json, last and thus replacing none: the field must be absent, or removed by Edit.
  EditedModel& AddField(const std::string& field_and_value) {
    return Edit("config.json", "{", "{ " + field_and_value + ",");
  }

 private:
  testing::TempFolder folder_;
};

}  // namespace lastro::engine
