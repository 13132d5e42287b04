// Any SentencePiece model: refused, or a tokenizer that works.
#include <cstddef>
#include <cstdint>

#include "engine/tokenizers/sentencepiece_model.h"
#include "engine/tokenizers/vocabulary_spec.h"
#include "tests/fuzz/tokenizer_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lastro;
  if (size > 65'536) return 0;
  auto spec = engine::tokenizers::ParseSentencePieceModel({reinterpret_cast<const char*>(data), size}, "fuzz");
  if (!spec.ok()) return 0;
  auto tokenizer = engine::tokenizers::BuildTokenizer(*std::move(spec));
  if (!tokenizer.ok()) return 0;
  for (const char* text :
       {"", "  a b  ab\n", "É\u0301\u0323 中文 12,5 <s> </s>", "\xFF\xC3", "İ ﬁ \u200b\u1100\u1161 😀 ▁"}) {
    engine::CheckTokenizer(**tokenizer, text);
  }
  return 0;
}
