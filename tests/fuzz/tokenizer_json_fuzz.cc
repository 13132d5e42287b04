// Any tokenizer.json: refused, or a tokenizer that works.
#include <cstddef>
#include <cstdint>

#include "engine/tokenizers/json_tokenizer.h"
#include "tests/fuzz/tokenizer_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lastro;
  if (size > 65'536) return 0;
  auto document = JsonDocument::Parse({reinterpret_cast<const char*>(data), size}, "fuzz");
  if (!document.ok()) return 0;
  auto tokenizer = engine::tokenizers::ParseTokenizer(*document);
  if (!tokenizer.ok()) return 0;
  for (const char* text :
       {"", "a b  ab\n", "É\u0301\u0323 中文 12,5 [CLS] <s> ##a", "\xFF\xC3", "İ ﬁ \u200b\u1100\u1161 😀"}) {
    engine::CheckTokenizer(**tokenizer, text);
  }
  return 0;
}
