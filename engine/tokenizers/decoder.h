// Decoders: from tokens back to text. Const after construction and thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/json.h"

namespace lastro::engine::tokenizers {

class Decoder {
 public:
  virtual ~Decoder() = default;
  // Rewrites the tokens of a text; their concatenation is the text. Byte-level tokens may leave bytes that are not
  // UTF-8.
  virtual void Apply(std::vector<std::string>* tokens) const = 0;
};

// Reads ByteLevel, WordPiece, ByteFallback, Fuse, Strip, Replace, Metaspace, BPEDecoder, CTC or a Sequence of them;
// UNIMPLEMENTED names any other type.
absl::StatusOr<std::unique_ptr<Decoder>> ParseDecoder(const JsonValue& component);

// What the reference does when a file has no decoder: tokens separated by spaces.
std::unique_ptr<Decoder> DefaultDecoder();

}  // namespace lastro::engine::tokenizers
