// Any JSON schema: refused, or what it accepts is JSON. The input is the schema, then a zero byte, then what chooses
// among the bytes that may follow.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "base/json.h"
#include "engine/constrained/matcher.h"
#include "engine/constrained/schema_compiler.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lastro;
  using namespace lastro::engine::constrained;
  if (size > 8192) return 0;
  const uint8_t* zero = std::find(data, data + size, 0);
  auto document = JsonDocument::Parse({reinterpret_cast<const char*>(data), static_cast<size_t>(zero - data)}, "fuzz");
  if (!document.ok()) return 0;
  auto automaton = CompileSchema(document->root());
  if (!automaton.ok()) return 0;
  Matcher matcher(*automaton);
  Matcher::State state = matcher.start();
  std::string text;
  for (const uint8_t* choice = zero; choice < data + size && text.size() < 256; ++choice) {
    std::string may_follow;
    for (int byte = 0; byte < 256; ++byte) {
      if (!matcher.Next(state, static_cast<uint8_t>(byte)).dead()) may_follow += static_cast<char>(byte);
    }
    if (may_follow.empty()) break;
    text += may_follow[*choice % may_follow.size()];
    state = matcher.Next(state, static_cast<uint8_t>(text.back()));
    if (state.accepts) LASTRO_CHECK(JsonDocument::Parse(text, "text").ok(), text);
  }
  return 0;
}
