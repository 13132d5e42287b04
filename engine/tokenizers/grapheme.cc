#include "engine/tokenizers/grapheme.h"

#include <unicode/uchar.h>

#include "base/utf8.h"

namespace lastro::engine::tokenizers {
namespace {

UGraphemeClusterBreak ClassOf(char32_t rune) {
  return static_cast<UGraphemeClusterBreak>(
      u_getIntPropertyValue(static_cast<UChar32>(rune), UCHAR_GRAPHEME_CLUSTER_BREAK));
}

bool IsPictograph(char32_t rune) {
  return u_hasBinaryProperty(static_cast<UChar32>(rune), UCHAR_EXTENDED_PICTOGRAPHIC);
}

bool IsControl(UGraphemeClusterBreak c) { return c == U_GCB_CONTROL || c == U_GCB_CR || c == U_GCB_LF; }

// GB6 to GB8: the parts of a Hangul syllable stay together.
bool JoinsHangul(UGraphemeClusterBreak a, UGraphemeClusterBreak b) {
  if (a == U_GCB_L) return b == U_GCB_L || b == U_GCB_V || b == U_GCB_LV || b == U_GCB_LVT;
  if (a == U_GCB_LV || a == U_GCB_V) return b == U_GCB_V || b == U_GCB_T;
  return (a == U_GCB_LVT || a == U_GCB_T) && b == U_GCB_T;
}

// What has been read of a cluster.
class Cluster {
 public:
  explicit Cluster(char32_t first) : last_(ClassOf(first)), pictograph_(IsPictograph(first)) {
    regional_ = last_ == U_GCB_REGIONAL_INDICATOR ? 1 : 0;
  }

  // Whether `rune` belongs to the cluster; if so, takes it in.
  bool Take(char32_t rune) {
    UGraphemeClusterBreak next = ClassOf(rune);
    if (!Joins(rune, next)) return false;
    if (next == U_GCB_REGIONAL_INDICATOR) ++regional_;
    joiner_ = next == U_GCB_ZWJ && pictograph_;
    if (next != U_GCB_EXTEND && next != U_GCB_ZWJ) pictograph_ = IsPictograph(rune);
    last_ = next;
    return true;
  }

 private:
  bool Joins(char32_t rune, UGraphemeClusterBreak next) const {
    if (last_ == U_GCB_CR && next == U_GCB_LF) return true;
    if (IsControl(last_) || IsControl(next)) return false;
    if (JoinsHangul(last_, next)) return true;
    if (next == U_GCB_EXTEND || next == U_GCB_ZWJ || next == U_GCB_SPACING_MARK) return true;
    if (last_ == U_GCB_PREPEND) return true;
    if (joiner_ && IsPictograph(rune)) return true;
    return last_ == U_GCB_REGIONAL_INDICATOR && next == U_GCB_REGIONAL_INDICATOR && regional_ % 2 == 1;
  }

  UGraphemeClusterBreak last_;
  bool pictograph_;      // a pictograph, and only Extend characters after it
  bool joiner_ = false;  // and then a joiner
  int regional_ = 0;     // regional indicators read
};

}  // namespace

size_t FirstGraphemeLength(absl::string_view text) {
  DecodedRune decoded = DecodeRune(text);
  size_t length = decoded.length;
  Cluster cluster(decoded.rune);
  while (length < text.size()) {
    // Between two ASCII characters there is a boundary, but in CR LF.
    if (length == 1 && static_cast<uint8_t>(text[1]) < 0x80 && text[0] != '\r' &&
        static_cast<uint8_t>(text[0]) < 0x80) {
      break;
    }
    decoded = DecodeRune(text.substr(length));
    if (!cluster.Take(decoded.rune)) break;
    length += decoded.length;
  }
  return length;
}

}  // namespace lastro::engine::tokenizers
