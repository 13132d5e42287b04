#include "engine/json_text.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace lastro::engine {
namespace {

// Enough digits to read the same number back; JSON has no infinities.
std::string NumberText(double number) { return std::isfinite(number) ? absl::StrFormat("%.17g", number) : "null"; }

}  // namespace

std::string JsonQuoted(absl::string_view text) {
  std::string quoted = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&quoted, "\\u%04x", static_cast<unsigned>(c));
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

void JsonObjectText::AddRaw(absl::string_view name, absl::string_view json) {
  absl::StrAppend(&members_, members_.empty() ? "" : ", ", JsonQuoted(name), ": ", json);
}

void JsonObjectText::Add(absl::string_view name, int64_t number) { AddRaw(name, absl::StrCat(number)); }
void JsonObjectText::Add(absl::string_view name, double number) { AddRaw(name, NumberText(number)); }

void JsonObjectText::Add(absl::string_view name, absl::Span<const double> numbers) {
  std::string list = "[";
  for (double number : numbers) absl::StrAppend(&list, list.size() == 1 ? "" : ", ", NumberText(number));
  AddRaw(name, list + "]");
}

}  // namespace lastro::engine
