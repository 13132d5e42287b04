// What must hold of any tokenizer on any text; shared by the tokenizer fuzz targets.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/check.h"
#include "base/utf8.h"
#include "engine/tokenizer.h"

namespace lastro::engine {

inline void CheckTokenizer(const Tokenizer& tokenizer, absl::string_view text) {
  for (bool special : {false, true}) {
    std::vector<int32_t> ids;
    for (const Token& token : tokenizer.EncodeWithOffsets(text, {.add_special = special, .parse_special = special})) {
      LASTRO_CHECK(token.id >= 0 && token.id < tokenizer.vocab_size());
      LASTRO_CHECK(token.begin <= token.end && token.end <= text.size());
      ids.push_back(token.id);
    }
    tokenizer.Decode(ids, !special);
    StreamDecoder stream(tokenizer);
    std::string streamed;
    for (int32_t id : ids) streamed += stream.Push(id);
    LASTRO_CHECK(IsValidUtf8(streamed + stream.Finish()));
  }
}

}  // namespace lastro::engine
