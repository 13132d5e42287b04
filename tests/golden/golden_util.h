// Reading the goldens of tests/golden/models (written by export_models.py and export_families.py).
#pragma once

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "engine/safetensors.h"
#include "gtest/gtest.h"

namespace lastro::testing {

inline std::string GoldenPath(const std::string& name) {
  return std::string(LASTRO_SOURCE_DIR) + "/tests/golden/models/" + name;
}

// The folders of tests/golden/models whose expected.safetensors has `tensor`, sorted.
inline std::vector<std::string> GoldenFolders(const std::string& tensor) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(GoldenPath(""))) {
    auto file = engine::SafetensorsFile::Open((entry.path() / "expected.safetensors").string());
    if (file.ok() && file->Contains(tensor)) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// True for folders of export_families.py, which say what they are.
inline bool IsFamilyGolden(const std::string& name) {
  return std::filesystem::exists(GoldenPath(name) + "/reference.json");
}

// The largest error of fp32 results.
inline double Tolerance(const std::string& name) {
  return IsFamilyGolden(name) ? 2e-4 : 1e-4;
}

// `folder` as the name of a test.
inline std::string TestName(std::string folder) {
  std::replace(folder.begin(), folder.end(), '-', '_');
  return folder;
}

struct GoldenTensor {
  std::vector<int64_t> shape;
  std::vector<float> floats;  // of an F32 tensor
  std::vector<int32_t> ints;  // of an I32 tensor
};

inline GoldenTensor ReadGolden(const engine::SafetensorsFile& file, const std::string& name) {
  GoldenTensor tensor;
  auto stored = file.Find(name);
  EXPECT_TRUE(stored.ok()) << stored.status();
  if (!stored.ok()) return tensor;
  tensor.shape = (*stored)->shape;
  const auto bytes = (*stored)->data;
  const size_t count = bytes.size() / 4;
  if ((*stored)->type == engine::StoredType::kI32) {
    tensor.ints.resize(count);
    std::memcpy(tensor.ints.data(), bytes.data(), bytes.size());
  } else {
    EXPECT_EQ((*stored)->type, engine::StoredType::kF32);
    tensor.floats.resize(count);
    std::memcpy(tensor.floats.data(), bytes.data(), bytes.size());
  }
  return tensor;
}

// The strings of a JSON array.
inline std::vector<std::string> ReadTexts(const std::string& path) {
  std::vector<std::string> texts;
  auto document = JsonDocument::ParseFile(path);
  EXPECT_TRUE(document.ok()) << document.status();
  if (!document.ok()) return texts;
  auto items = document->root().AsArray();
  EXPECT_TRUE(items.ok()) << items.status();
  if (!items.ok()) return texts;
  for (const JsonValue& item : *items) texts.push_back(std::string(*item.AsString()));
  return texts;
}

// What reference.json of a folder says; empty without one.
inline std::vector<std::pair<std::string, std::string>> Perturbations(const std::string& name) {
  std::vector<std::pair<std::string, std::string>> edits;
  if (!IsFamilyGolden(name)) return edits;
  auto document = JsonDocument::ParseFile(GoldenPath(name) + "/reference.json");
  EXPECT_TRUE(document.ok()) << document.status();
  if (!document.ok()) return edits;
  const std::vector<JsonValue> listed = *document->root().Get("perturbations")->AsArray();
  for (const JsonValue& edit : listed) {
    const std::vector<JsonValue> pair = *edit.AsArray();
    edits.emplace_back(std::string(*pair[0].AsString()), std::string(*pair[1].AsString()));
  }
  return edits;
}

}  // namespace lastro::testing
