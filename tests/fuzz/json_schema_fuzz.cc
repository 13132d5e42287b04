// Any JSON schema: refused, or what it accepts is JSON. The input is the schema, then a zero byte, then the byte
// wanted at each place.
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
    const Matcher::State before = state;
    int tried = 0;
    do {  // the first byte from the chosen one on that may follow
      text.push_back(static_cast<char>(*choice + tried));
      state = matcher.Next(before, static_cast<uint8_t>(text.back()));
      if (state.dead()) text.pop_back();
    } while (state.dead() && ++tried < 256);
    if (state.dead()) break;
    if (state.accepts) LASTRO_CHECK(JsonDocument::Parse(text, "text").ok(), text);
  }
  return 0;
}
