#include "base/utf8.h"

#include <algorithm>

#include "base/check.h"

namespace lastro {
namespace {

struct LeadByte {
  size_t length;        // of the whole sequence; 0 for a byte that cannot lead
  unsigned char low, high;  // range of the second byte
};

LeadByte ClassifyLead(unsigned char lead) {
  if (lead < 0x80) return {1, 0, 0};
  if (lead >= 0xC2 && lead <= 0xDF) return {2, 0x80, 0xBF};
  if (lead == 0xE0) return {3, 0xA0, 0xBF};
  if (lead == 0xED) return {3, 0x80, 0x9F};
  if (lead >= 0xE1 && lead <= 0xEF) return {3, 0x80, 0xBF};
  if (lead == 0xF0) return {4, 0x90, 0xBF};
  if (lead >= 0xF1 && lead <= 0xF3) return {4, 0x80, 0xBF};
  if (lead == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

// How many bytes of `text` form a well-formed prefix of the sequence that its lead byte announces.
size_t WellFormedPrefix(absl::string_view text, const LeadByte& lead) {
  size_t count = 1;
  for (; count < lead.length && count < text.size(); ++count) {
    unsigned char byte = static_cast<unsigned char>(text[count]);
    unsigned char low = count == 1 ? lead.low : 0x80;
    unsigned char high = count == 1 ? lead.high : 0xBF;
    if (byte < low || byte > high) break;
  }
  return count;
}

}  // namespace

DecodedRune DecodeRune(absl::string_view text) {
  LASTRO_CHECK(!text.empty());
  unsigned char first = static_cast<unsigned char>(text[0]);
  LeadByte lead = ClassifyLead(first);
  if (lead.length == 0) return {};
  if (lead.length == 1) return {first, 1, true};
  size_t count = WellFormedPrefix(text, lead);
  if (count < lead.length) return {kReplacementCharacter, count, false};
  char32_t rune = first & (0xFF >> (lead.length + 1));
  for (size_t i = 1; i < lead.length; ++i) rune = (rune << 6) | (static_cast<unsigned char>(text[i]) & 0x3F);
  return {rune, lead.length, true};
}

void AppendRune(char32_t rune, std::string* out) {
  if (rune < 0x80) {
    out->push_back(static_cast<char>(rune));
  } else if (rune < 0x800) {
    out->push_back(static_cast<char>(0xC0 | (rune >> 6)));
    out->push_back(static_cast<char>(0x80 | (rune & 0x3F)));
  } else if (rune < 0x10000) {
    out->push_back(static_cast<char>(0xE0 | (rune >> 12)));
    out->push_back(static_cast<char>(0x80 | ((rune >> 6) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (rune & 0x3F)));
  } else {
    out->push_back(static_cast<char>(0xF0 | (rune >> 18)));
    out->push_back(static_cast<char>(0x80 | ((rune >> 12) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | ((rune >> 6) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (rune & 0x3F)));
  }
}

bool IsRuneBoundary(absl::string_view text, size_t at) {
  return at == text.size() || (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
}

bool IsValidUtf8(absl::string_view text) {
  while (!text.empty()) {
    DecodedRune decoded = DecodeRune(text);
    if (!decoded.valid) return false;
    text.remove_prefix(decoded.length);
  }
  return true;
}

std::string ReplaceInvalidUtf8(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    DecodedRune decoded = DecodeRune(text);
    if (decoded.valid) {
      out.append(text.data(), decoded.length);
    } else {
      AppendRune(kReplacementCharacter, &out);
    }
    text.remove_prefix(decoded.length);
  }
  return out;
}

size_t CompleteUtf8Prefix(absl::string_view text) {
  for (size_t back = 1; back <= std::min<size_t>(3, text.size()); ++back) {
    size_t start = text.size() - back;
    unsigned char byte = static_cast<unsigned char>(text[start]);
    if ((byte & 0xC0) == 0x80) continue;  // a continuation byte: look further back for its lead
    LeadByte lead = ClassifyLead(byte);
    bool incomplete = lead.length > back && WellFormedPrefix(text.substr(start), lead) == back;
    return incomplete ? start : text.size();
  }
  return text.size();
}

}  // namespace lastro
