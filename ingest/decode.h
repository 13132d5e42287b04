// Decoding of a text file's bytes to UTF-8 with a map back to them. Pure function, thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ingest/mapped_text.h"

namespace lastro::ingest {

struct DecodedText {
  MappedText mapped;
  std::string encoding;  // IANA or ICU name, such as UTF-8, ISO-8859-1, windows-1252, UTF-16LE
};

// The encoding is the first of these that fits: a byte order mark (UTF-8, UTF-16, UTF-32; not part of the text), valid
// UTF-8, UTF-16 without a mark by its zero bytes, `declared` (what the file says of itself, may be empty), windows-1252
// when the bytes look like western European text, what uchardet guesses. INVALID_ARGUMENT for binary content and for
// text no known encoding fits; RESOURCE_EXHAUSTED when the text is longer than `max_text_bytes`.
absl::StatusOr<DecodedText> DecodeText(absl::string_view bytes, absl::string_view declared, uint64_t max_text_bytes);

// `bytes`, a piece of a text in `encoding` (a name that DecodeText gave) that starts and ends on whole characters, as
// UTF-8. Bytes of a UTF-8 text come back as they are. INVALID_ARGUMENT when the name is unknown.
absl::StatusOr<std::string> TranscodeToUtf8(absl::string_view bytes, const std::string& encoding);

// The charset an HTML file declares in its first KiB (meta or XML declaration); empty when it declares none.
std::string DeclaredHtmlCharset(absl::string_view bytes);

}  // namespace lastro::ingest
