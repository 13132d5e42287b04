// The splitting rules of byte-level BPE tokenizers by the names that GGUF files give them ("tokenizer.ggml.pre").
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lastro::engine::tokenizers {

struct NamedPreTokenizer {
  std::string normalizer;     // components as a tokenizer.json spells them; "null" for none
  std::string pre_tokenizer;  // ends with byte-level spelling
  bool ignore_merges = false;
};

// Where the models' own tokenizer.json says more than the name does (Unicode normalisation of Qwen, Falcon's steps),
// the file is followed. UNIMPLEMENTED names an unknown name.
absl::StatusOr<NamedPreTokenizer> FindPreTokenizer(absl::string_view name, absl::string_view where);

// What "ByteLevel" splits by itself, which is GPT-2's rule.
extern const char* const kByteLevelSplit;

// The name of the rule that splits by these expressions, one after the other, and isolates what they match; "" where
// none has a name.
std::string NameOfPreTokenizer(const std::vector<std::string>& splits, bool ignore_merges, bool composes);

}  // namespace lastro::engine::tokenizers
