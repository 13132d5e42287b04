#include "base/list_marker.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace lastro {

size_t BulletLength(absl::string_view line) {
  for (absl::string_view bullet : {"- ", "* ", "+ ", "• ", "– ", "· ", "‣ ", "◦ ", "▪ "}) {
    if (absl::StartsWith(line, bullet)) return bullet.size();
  }
  return 0;
}

size_t ListMarkerLength(absl::string_view line) {
  if (const size_t bullet = BulletLength(line)) return bullet;
  size_t digits = 0;
  while (digits < line.size() && digits < 3 && absl::ascii_isdigit(static_cast<unsigned char>(line[digits]))) ++digits;
  const bool letter =
      digits == 0 && line.size() > 2 && absl::ascii_islower(static_cast<unsigned char>(line[0])) && line[1] == ')';
  const size_t end = letter ? 1 : digits;
  if (end == 0 || end + 1 >= line.size() || line[end + 1] != ' ') return 0;
  return line[end] == '.' || line[end] == ')' ? end + 2 : 0;
}

}  // namespace lastro
