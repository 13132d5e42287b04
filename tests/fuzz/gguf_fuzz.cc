// ParseGguf on any bytes: what it accepts lies inside the file, every value can be converted and every byte read.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "engine/gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto contents = lastro::engine::ParseGguf({data, size}, "fuzz");
  if (!contents.ok()) return 0;
  unsigned sum = 0;
  for (const auto& [name, tensor] : contents->tensors) {
    LASTRO_CHECK(tensor.data.data() >= data && tensor.data.data() + tensor.data.size() <= data + size, name);
    for (uint8_t byte : tensor.data) sum += byte;
  }
  const lastro::engine::GgufMetadata& metadata = contents->metadata;
  for (const std::string& key : metadata.keys()) {
    sum += static_cast<unsigned>(metadata.Int(key).value_or(0)) + metadata.Bool(key).value_or(false);
    sum += metadata.Double(key).ok() + metadata.Ints(key).ok() + metadata.Doubles(key).ok();
    if (auto text = metadata.String(key); text.ok()) sum += static_cast<unsigned>(text->size());
    if (auto strings = metadata.Strings(key); strings.ok()) {
      for (absl::string_view text : *strings) sum += text.empty() ? 0u : static_cast<unsigned>(text.back());
    }
  }
  volatile unsigned sink = sum;  // so that the reads stay
  (void)sink;
  return 0;
}
