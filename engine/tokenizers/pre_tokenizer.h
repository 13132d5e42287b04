// Pre-tokenisers: cut a normalised segment into the words that the model tokenises one by one. Const after construction
// and thread-safe.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "base/json.h"
#include "engine/tokenizers/segment.h"

namespace lastro::engine::tokenizers {

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  // Replaces the pieces that are not added tokens by smaller ones; may rewrite the text.
  virtual void Apply(Segment* segment) const = 0;
};

struct PreTokenization {
  std::unique_ptr<PreTokenizer> pre_tokenizer;
  // The words go to the model as bytes spelled in the byte-level alphabet, and nothing follows that step: it is not
  // carried out on the text, the model looks up bytes instead.
  bool byte_level = false;
};

// Reads ByteLevel, Split, Digits, BertPreTokenizer, Whitespace, WhitespaceSplit, Punctuation, Metaspace,
// CharDelimiterSplit, UnicodeScripts or a Sequence of them. UNIMPLEMENTED names any other type. With `looks_up_bytes`
// false, or where steps follow ByteLevel, that step spells the bytes out in the text.
absl::StatusOr<PreTokenization> ParsePreTokenizer(const JsonValue& component, bool looks_up_bytes);

}  // namespace lastro::engine::tokenizers
