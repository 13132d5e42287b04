// Reading the goldens of tests/golden/models (written by export_models.py).
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "base/json.h"
#include "engine/safetensors.h"
#include "gtest/gtest.h"

namespace lastro::testing {

inline std::string GoldenPath(const std::string& name) {
  return std::string(LASTRO_SOURCE_DIR) + "/tests/golden/models/" + name;
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

}  // namespace lastro::testing
