// The splitting rules of byte-level BPE tokenizers by the names that GGUF files give them ("tokenizer.ggml.pre").
#pragma once

#include <string>

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

}  // namespace lastro::engine::tokenizers
