// Tokenizer: text <-> token ids exactly as the Hugging Face `tokenizers` library does for the same tokenizer.json, or
// the SentencePiece library for the same *.model, with byte offsets into the input. Const after construction and
// thread-safe.
//
// Text of users and documents is encoded with special tokens off (the default): a text that spells "<|eos|>" becomes
// ordinary pieces and never a control token. Malformed UTF-8 is replaced by U+FFFD before encoding; offsets still count
// the caller's bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lastro::engine {

// A token and the half-open byte range of the input it stands for; begin == end for tokens the template adds. Of the
// byte tokens of one character, a SentencePiece model gives the range to the last and an empty one to the others.
struct Token {
  int32_t id = 0;
  uint32_t begin = 0;
  uint32_t end = 0;
};

// A half-open byte range of a text.
struct TextRange {
  uint32_t begin = 0;
  uint32_t end = 0;
};

struct EncodeOptions {
  // Adds what the post-processor's template says ([CLS] ... [SEP], BOS).
  bool add_special = false;
  // Recognises special added tokens spelled in the text. For trusted templates only, never for user text.
  bool parse_special = false;
  // With parse_special: what users and documents wrote, in order and apart. A special token that touches one of these
  // ranges is not recognised, nor does it hide one that touches none.
  std::vector<TextRange> plain_ranges = {};
};

class Tokenizer {
 public:
  // Reads a SentencePiece model where the path ends in ".model", else a tokenizer.json. INVALID_ARGUMENT names the
  // file, the field and what was expected; UNIMPLEMENTED names a component (model, normaliser, pre-tokeniser) that this
  // version does not support. A *.model does not say what add_special should add: nothing (see
  // tokenizers/vocabulary_spec.h).
  static absl::StatusOr<std::unique_ptr<Tokenizer>> Load(const std::string& path);
  // A tokenizer.json in memory; `name` opens error messages.
  static absl::StatusOr<std::unique_ptr<Tokenizer>> Parse(absl::string_view tokenizer_json, const std::string& name);
  virtual ~Tokenizer() = default;

  virtual std::vector<Token> EncodeWithOffsets(absl::string_view text, const EncodeOptions& options = {}) const = 0;
  std::vector<int32_t> Encode(absl::string_view text, const EncodeOptions& options = {}) const;

  // The text of `ids`. With skip_special, special tokens yield nothing. Byte-level pieces may yield text that is not
  // valid UTF-8 at the ends: use StreamDecoder to emit whole code points only.
  virtual std::string Decode(absl::Span<const int32_t> ids, bool skip_special = true) const = 0;

  virtual int vocab_size() const = 0;  // one past the largest id, added tokens included
  virtual std::optional<int32_t> TokenToId(absl::string_view token) const = 0;
  virtual std::string IdToToken(int32_t id) const = 0;  // "" when out of range
  virtual bool IsSpecial(int32_t id) const = 0;
};

// Turns a stream of ids into text that always ends on a whole code point. Not thread-safe; one per generated text.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}
  // The text that `id` completes; may be empty.
  std::string Push(int32_t id);
  // What is left at the end of the stream; incomplete bytes become U+FFFD.
  std::string Finish();
  // As Finish, but incomplete bytes are left out: of a text that was cut.
  std::string FinishWhole();

 private:
  // What is pending, as Decode gives it.
  std::string TakeRest();

  const Tokenizer& tokenizer_;
  std::vector<int32_t> pending_;  // ids whose text is not yet emitted, after one id of context
  size_t emitted_bytes_ = 0;      // of Decode(pending_)
};

}  // namespace lastro::engine
