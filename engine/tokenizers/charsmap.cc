#include "engine/tokenizers/charsmap.h"

#include "absl/strings/str_cat.h"
#include "base/utf8.h"
#include "engine/tokenizers/component.h"

namespace lastro::engine::tokenizers {
namespace {

constexpr size_t kMaxBlobBytes = 64u << 20;
constexpr uint32_t kIsValue = 1u << 31;

bool HasValue(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t LabelOf(uint32_t unit) { return unit & (kIsValue | 0xFF); }
uint32_t OffsetOf(uint32_t unit) { return (unit >> 10 & 0x1FFFFF) << ((unit >> 9 & 1) * 8); }

uint32_t LoadLittleEndian(absl::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = 4; i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

absl::Status Malformed(absl::string_view where, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(where, ": the precompiled charsmap ", what));
}

}  // namespace

absl::StatusOr<CharsMap> CharsMap::Parse(absl::string_view blob, absl::string_view where) {
  if (blob.size() > kMaxBlobBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(where, ": a precompiled charsmap of ", blob.size(), " bytes; the limit is ", kMaxBlobBytes));
  }
  if (blob.size() < 4) return Malformed(where, "is shorter than its 4-byte header");
  const uint32_t trie_bytes = LoadLittleEndian(blob);
  blob.remove_prefix(4);
  if (trie_bytes == 0 || trie_bytes % 4 != 0 || trie_bytes >= blob.size()) {
    return Malformed(
        where, absl::StrCat("says its trie has ", trie_bytes, " bytes; expected a multiple of 4 below ", blob.size()));
  }
  CharsMap map;
  map.units_.reserve(trie_bytes / 4);
  for (size_t at = 0; at < trie_bytes; at += 4) map.units_.push_back(LoadLittleEndian(blob.substr(at)));
  map.replacements_ = std::string(blob.substr(trie_bytes));
  if (map.replacements_.back() != '\0') return Malformed(where, "has a replacement without its end");
  if (!IsValidUtf8(map.replacements_)) return Malformed(where, "has a replacement that is not UTF-8");
  return map;
}

std::optional<absl::string_view> CharsMap::ReplacementAt(uint32_t value) const {
  size_t begin = value & ~kIsValue;
  if (begin >= replacements_.size()) return std::nullopt;
  absl::string_view replacement = replacements_.c_str() + begin;
  if (replacement.size() > kMaxReplacementBytes) return std::nullopt;
  // A value that points into the middle of a character is no rule: text stays valid UTF-8.
  return IsValidUtf8(replacement) ? std::make_optional(replacement) : std::nullopt;
}

std::optional<CharsMap::Rewrite> CharsMap::Find(absl::string_view text, bool longest) const {
  std::optional<Rewrite> found;
  size_t node = OffsetOf(units_[0]);
  for (size_t i = 0; i < text.size() && text[i] != '\0'; ++i) {
    const uint8_t label = static_cast<uint8_t>(text[i]);
    node ^= label;
    if (node >= units_.size() || LabelOf(units_[node]) != label) break;
    const bool has_value = HasValue(units_[node]);
    node ^= OffsetOf(units_[node]);
    if (!has_value) continue;
    if (node >= units_.size()) break;
    std::optional<absl::string_view> replacement = ReplacementAt(units_[node]);
    // A prefix that ends inside a character would leave the rest of it behind.
    bool whole = i + 1 == text.size() || (static_cast<uint8_t>(text[i + 1]) & 0xC0) != 0x80;
    if (replacement.has_value() && whole) found = Rewrite{i + 1, *replacement};
    if (found.has_value() && !longest) break;
  }
  return found;
}

}  // namespace lastro::engine::tokenizers
