// The byte-level alphabet of GPT-2: each byte is written as one printable character ('Ġ' for a space), so that any
// bytes are text. Bytes that are printable in Latin-1 stand for themselves, the others for U+0100 and up, in order.
// Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "engine/tokenizers/aligned_text.h"

namespace lastro::engine::tokenizers {

char32_t ByteToRune(uint8_t byte);

// Replaces each character of `text` by the spelling of its bytes.
void SpellBytes(AlignedText* text);

// The bytes that `token` spells; nullopt when a character is not in the alphabet.
std::optional<std::string> BytesOf(absl::string_view token);

}  // namespace lastro::engine::tokenizers
