#include "engine/tokenizers/byte_level.h"

#include <array>

#include "base/utf8.h"

namespace lastro::engine::tokenizers {
namespace {

constexpr char32_t kFirstStandIn = 0x100;
constexpr size_t kAlphabetEnd = 0x144;  // one past the largest stand-in

constexpr bool IsPrintable(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<char32_t, 256> rune{};
  std::array<int, kAlphabetEnd> byte{};

  constexpr Alphabet() {
    for (int& entry : byte) entry = -1;
    char32_t stand_in = kFirstStandIn;
    for (unsigned b = 0; b < 256; ++b) {
      rune[b] = IsPrintable(b) ? b : stand_in++;
      byte[rune[b]] = static_cast<int>(b);
    }
  }
};
constexpr Alphabet kAlphabet;

}  // namespace

char32_t ByteToRune(uint8_t byte) { return kAlphabet.rune[byte]; }

void SpellBytes(AlignedText* text) {
  std::string bytes;
  text->RewriteEach([&bytes](char32_t rune, std::string* out) {
    bytes.clear();
    AppendRune(rune, &bytes);
    for (char byte : bytes) AppendRune(ByteToRune(static_cast<uint8_t>(byte)), out);
  });
}

std::optional<std::string> BytesOf(absl::string_view token) {
  std::string bytes;
  while (!token.empty()) {
    DecodedRune decoded = DecodeRune(token);
    if (!decoded.valid || decoded.rune >= kAlphabetEnd || kAlphabet.byte[decoded.rune] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(kAlphabet.byte[decoded.rune]));
    token.remove_prefix(decoded.length);
  }
  return bytes;
}

}  // namespace lastro::engine::tokenizers
