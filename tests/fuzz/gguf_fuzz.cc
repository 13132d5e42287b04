// Any bytes as a GGUF file. What the parser accepts lies inside the file, every value can be converted and every byte
// read; as a model it is refused with a status, or has a configuration, weights and a tokenizer that holds what any
// tokenizer must.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "engine/cards.h"
#include "engine/gguf.h"
#include "engine/gguf_model.h"
#include "tests/fuzz/temp_folder.h"
#include "tests/fuzz/tokenizer_checks.h"

namespace lastro::engine {
namespace {

unsigned ReadEveryTensor(const GgufContents& contents, absl::Span<const uint8_t> file) {
  unsigned sum = 0;
  for (const auto& [name, tensor] : contents.tensors) {
    LASTRO_CHECK(tensor.data.data() >= file.data(), name);
    LASTRO_CHECK(tensor.data.data() + tensor.data.size() <= file.data() + file.size(), name);
    for (uint8_t byte : tensor.data) sum += byte;
  }
  return sum;
}

unsigned ReadEveryValue(const GgufMetadata& metadata) {
  unsigned sum = 0;
  for (const std::string& key : metadata.keys()) {
    sum += static_cast<unsigned>(metadata.Int(key).value_or(0)) + metadata.Bool(key).value_or(false);
    sum += metadata.Double(key).ok() + metadata.Ints(key).ok() + metadata.Doubles(key).ok();
    if (auto text = metadata.String(key); text.ok()) sum += static_cast<unsigned>(text->size());
    if (auto strings = metadata.Strings(key); strings.ok()) {
      for (absl::string_view text : *strings) sum += text.empty() ? 0u : static_cast<unsigned>(text.back());
    }
  }
  return sum;
}

void OpenAsModel(const std::string& file) {
  static const TempFolder folder;
  auto model = GgufModel::Open(folder.Write("model.gguf", file));
  if (!model.ok()) return;
  ReadArchitecture(**model).status().IgnoreError();
  for (const std::string& name : (*model)->weights().names()) LASTRO_CHECK((*model)->weights().Find(name).ok(), name);
  if (auto tokenizer = (*model)->LoadTokenizer(); tokenizer.ok()) {
    CheckTokenizer(**tokenizer, "Ol\u00e1, <s>world</s>\n 12345 \u4e16\xff");
  }
}

}  // namespace
}  // namespace lastro::engine

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto contents = lastro::engine::ParseGguf({data, size}, "fuzz");
  if (!contents.ok()) return 0;
  // Volatile, so that the reads stay.
  volatile unsigned sink = lastro::engine::ReadEveryTensor(*contents, {data, size});
  sink = sink + lastro::engine::ReadEveryValue(contents->metadata);
  lastro::engine::OpenAsModel(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
