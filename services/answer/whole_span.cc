#include "services/answer/whole_span.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace lastro::services::answer {
namespace {

constexpr size_t kGroupDigits = 3;        // of thousands: "1 480"
constexpr size_t kMaxAddressBytes = 256;  // a longer run is no address to answer with

bool IsDigit(char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); }
bool IsLetterOrDigit(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)); }
bool IsPoint(char c) { return c == '.' || c == ',' || c == ':'; }

size_t DigitsAt(absl::string_view text) {
  return static_cast<size_t>(std::find_if_not(text.begin(), text.end(), IsDigit) - text.begin());
}

// Length of a space within a line at the start of `text`; 0 where there is none.
size_t SpaceLength(absl::string_view text) {
  for (absl::string_view space : {" ", "\u00a0", "\u202f"}) {
    if (absl::StartsWith(text, space)) return space.size();
  }
  return 0;
}

// What of a number follows `before`, which ends with a digit of it: ",00", ".5", " 480".
size_t NumberRest(absl::string_view before, absl::string_view behind) {
  if (!behind.empty() && IsPoint(behind[0])) {
    const size_t digits = DigitsAt(behind.substr(1));
    return digits == 0 ? 0 : 1 + digits;
  }
  const size_t space = SpaceLength(behind);
  if (space == 0 || DigitsAt(behind.substr(space)) != kGroupDigits) return 0;
  const absl::string_view after = behind.substr(space + kGroupDigits);
  size_t group = 0;
  while (group < before.size() && IsDigit(before[before.size() - 1 - group])) ++group;
  const bool first = group == before.size() || !IsLetterOrDigit(before[before.size() - 1 - group]);
  return group <= kGroupDigits && first && (after.empty() || !IsLetterOrDigit(after[0])) ? space + kGroupDigits : 0;
}

// Of a unit behind a number, the space before it counted; 0 where there is none.
size_t UnitLength(absl::string_view behind) {
  const size_t space = SpaceLength(behind);
  for (absl::string_view unit : {"%", "‰", "°C", "°F", "ºC", "°", "€", "£"}) {
    if (absl::StartsWith(behind.substr(space), unit)) return space + unit.size();
  }
  return 0;
}

// Of a currency before a number, the space behind it counted.
size_t CurrencyLength(absl::string_view before) {
  const size_t space = absl::EndsWith(before, " ") ? 1 : 0;
  before.remove_suffix(space);
  for (absl::string_view currency : {"US$", "R$", "$", "€", "£"}) {
    if (absl::EndsWith(before, currency)) return space + currency.size();
  }
  return 0;
}

// Of the beginning of a number before one of its digits: "950," before "00".
size_t NumberBeginning(absl::string_view before) {
  size_t length = 0;
  while (before.size() > length + 1 && IsPoint(before[before.size() - 1 - length]) &&
         IsDigit(before[before.size() - 2 - length])) {
    ++length;
    while (before.size() > length && IsDigit(before[before.size() - 1 - length])) ++length;
  }
  return length;
}

// Between spaces, without the brackets, quotes and points around it.
TextRange RunAround(absl::string_view text, size_t at) {
  const auto is_space = [&](size_t i) { return absl::ascii_isspace(static_cast<unsigned char>(text[i])); };
  const auto is_around = [&](size_t i) { return absl::StrContains("()[]{}<>\"'`.,;:!?", text[i]); };
  TextRange run{at, at};
  while (run.begin > 0 && !is_space(run.begin - 1)) --run.begin;
  while (run.end < text.size() && !is_space(run.end)) ++run.end;
  while (run.begin < run.end && is_around(run.begin)) ++run.begin;
  while (run.begin < run.end && is_around(run.end - 1)) --run.end;
  return run;
}

// Of mail, of the web, or a name with an ending, such as of a host or a file.
bool IsAddress(absl::string_view run) {
  if (run.size() > kMaxAddressBytes) return false;
  if (absl::StrContains(run, "://")) return true;
  for (size_t i = 1; i + 2 < run.size(); ++i) {
    if (!IsLetterOrDigit(run[i - 1])) continue;
    if (run[i] == '@' && IsLetterOrDigit(run[i + 1])) return true;
    if (run[i] == '.' && absl::ascii_islower(static_cast<unsigned char>(run[i + 1])) &&
        absl::ascii_islower(static_cast<unsigned char>(run[i + 2]))) {
      return true;
    }
  }
  return false;
}

TextRange WithWholeAddresses(absl::string_view text, TextRange span) {
  const auto is_cut = [&](const TextRange& run, size_t at) {
    return run.begin < at && at < run.end && IsAddress(text.substr(run.begin, run.end - run.begin));
  };
  const TextRange first = RunAround(text, span.begin), last = RunAround(text, span.end - 1);
  if (is_cut(first, span.begin)) span.begin = first.begin;
  if (is_cut(last, span.end)) span.end = last.end;
  return span;
}

}  // namespace

TextRange WholeSpan(absl::string_view text, TextRange span) {
  if (span.begin == span.end) return span;
  if (IsDigit(text[span.begin])) {
    span.begin -= NumberBeginning(text.substr(0, span.begin));
    span.begin -= CurrencyLength(text.substr(0, span.begin));
  }
  if (IsDigit(text[span.end - 1])) {
    while (const size_t rest = NumberRest(text.substr(0, span.end), text.substr(span.end))) span.end += rest;
    span.end += UnitLength(text.substr(span.end));
  }
  span = WithWholeAddresses(text, span);
  const absl::string_view whole = text.substr(span.begin, span.end - span.begin);
  const bool open = std::count(whole.begin(), whole.end(), '(') > std::count(whole.begin(), whole.end(), ')');
  if (open && absl::StartsWith(text.substr(span.end), ")")) ++span.end;
  return span;
}

}  // namespace lastro::services::answer
