#include "ingest/css.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/utf8.h"

namespace lastro::ingest {
namespace {

constexpr double kSmallestOpacity = 0.05;
constexpr double kSmallestFontPx = 2;
constexpr double kFarAwayPx = 900;  // beyond the edge of any page
constexpr int kMaxNesting = 4;      // of at-rules

bool TellsOfText(absl::string_view property) {
  static const auto* const known = new absl::flat_hash_set<absl::string_view>{"display",
                                                                              "visibility",
                                                                              "content-visibility",
                                                                              "opacity",
                                                                              "filter",
                                                                              "font-size",
                                                                              "color",
                                                                              "background",
                                                                              "background-color",
                                                                              "overflow",
                                                                              "overflow-x",
                                                                              "overflow-y",
                                                                              "width",
                                                                              "height",
                                                                              "max-width",
                                                                              "max-height",
                                                                              "text-indent",
                                                                              "margin-left",
                                                                              "margin-top",
                                                                              "left",
                                                                              "top",
                                                                              "right",
                                                                              "bottom",
                                                                              "position",
                                                                              "clip",
                                                                              "clip-path",
                                                                              "transform",
                                                                              "-webkit-text-fill-color"};
  return known->contains(property);
}

std::string WithoutComments(absl::string_view css) {
  std::string out;
  while (true) {
    const size_t begin = css.find("/*");
    absl::StrAppend(&out, css.substr(0, begin));
    if (begin == absl::string_view::npos) return out;
    const size_t end = css.find("*/", begin + 2);
    if (end == absl::string_view::npos) return out;
    css.remove_prefix(end + 2);
  }
}

// "\64 isplay" is "display".
std::string WithoutEscapes(absl::string_view css) {
  std::string out;
  while (!css.empty()) {
    if (css[0] != '\\' || css.size() == 1) {
      out.push_back(css[0]);
      css.remove_prefix(1);
      continue;
    }
    css.remove_prefix(1);
    size_t digits = 0;
    while (digits < 6 && digits < css.size() && absl::ascii_isxdigit(css[digits])) ++digits;
    if (digits == 0) {
      out.push_back(css[0]);
      css.remove_prefix(1);
      continue;
    }
    const auto rune = static_cast<char32_t>(std::strtoul(std::string(css.substr(0, digits)).c_str(), nullptr, 16));
    const bool scalar = rune != 0 && rune <= 0x10FFFF && (rune < 0xD800 || rune > 0xDFFF);
    AppendRune(scalar ? rune : kReplacementCharacter, &out);
    css.remove_prefix(digits);
    if (!css.empty() && absl::ascii_isspace(css[0])) css.remove_prefix(1);
  }
  return out;
}

std::string Folded(absl::string_view text) {
  std::string folded = absl::AsciiStrToLower(text);
  absl::RemoveExtraAsciiWhitespace(&folded);
  return folded;
}

absl::string_view ValueOf(const CssDeclarations& declarations, absl::string_view property) {
  auto found = declarations.find(property);
  return found == declarations.end() ? absl::string_view() : absl::string_view(found->second);
}

// The number that `text` begins with; `unit` gets what follows.
std::optional<double> LeadingNumber(absl::string_view text, absl::string_view* unit) {
  size_t length = 0;
  while (length < text.size() && (absl::ascii_isdigit(text[length]) || absl::StrContains("+-.", text[length])))
    ++length;
  double number = 0;
  *unit = text.substr(length);
  if (!absl::SimpleAtod(text.substr(0, length), &number)) return std::nullopt;
  return number;
}

// A length in pixels, taking letters of 16; nullopt for what is none.
std::optional<double> Pixels(absl::string_view value) {
  absl::string_view unit;
  std::optional<double> number = LeadingNumber(value, &unit);
  if (!number) return std::nullopt;
  constexpr std::pair<absl::string_view, double> kUnits[] = {
      {"px", 1},    {"pt", 4.0 / 3}, {"em", 16}, {"rem", 16}, {"ex", 8},    {"ch", 8},    {"pc", 16}, {"in", 96},
      {"cm", 37.8}, {"mm", 3.78},    {"vw", 10}, {"vh", 10},  {"vmin", 10}, {"vmax", 10}, {"%", 0.16}};
  for (const auto& [name, pixels] : kUnits) {
    if (unit == name) return *number * pixels;
  }
  return unit.empty() ? number : std::nullopt;
}

bool IsAtMost(absl::string_view value, double pixels) {
  std::optional<double> length = Pixels(value);
  return length && *length <= pixels;
}

bool IsFaint(absl::string_view opacity) {
  absl::string_view unit;
  std::optional<double> number = LeadingNumber(opacity, &unit);
  return number && *number * (unit == "%" ? 0.01 : 1) < kSmallestOpacity;
}

// The arguments of "name(...)", split at commas and spaces.
std::vector<absl::string_view> Arguments(absl::string_view call) {
  const size_t begin = call.find('('), end = call.find(')');
  if (begin == absl::string_view::npos || end == absl::string_view::npos || end < begin) return {};
  return absl::StrSplit(call.substr(begin + 1, end - begin - 1), absl::ByAnyChar(" ,/"), absl::SkipEmpty());
}

bool IsTransparent(absl::string_view colour) {
  if (colour == "transparent") return true;
  if (absl::StartsWith(colour, "#")) {
    return (colour.size() == 5 && colour[4] == '0') || (colour.size() == 9 && absl::EndsWith(colour, "00"));
  }
  if (!absl::StartsWith(colour, "rgb") && !absl::StartsWith(colour, "hsl")) return false;
  const std::vector<absl::string_view> parts = Arguments(colour);
  return parts.size() == 4 && IsFaint(parts[3]);
}

bool HasNoArea(const CssDeclarations& declarations) {
  const std::string overflow = absl::StrCat(ValueOf(declarations, "overflow"), ValueOf(declarations, "overflow-x"),
                                            ValueOf(declarations, "overflow-y"));
  if (!absl::StrContains(overflow, "hidden") && !absl::StrContains(overflow, "clip")) return false;
  for (absl::string_view side : {"width", "height", "max-width", "max-height"}) {
    if (IsAtMost(ValueOf(declarations, side), 1)) return true;
  }
  return false;
}

bool IsOutOfPage(const CssDeclarations& declarations) {
  for (absl::string_view property : {"text-indent", "margin-left", "margin-top", "left", "top", "right", "bottom"}) {
    if (IsAtMost(ValueOf(declarations, property), -kFarAwayPx)) return true;
  }
  const absl::string_view position = ValueOf(declarations, "position");
  if (position != "absolute" && position != "fixed") return false;
  for (absl::string_view property : {"left", "top", "right", "bottom"}) {
    std::optional<double> length = Pixels(ValueOf(declarations, property));
    if (length && *length >= 10 * kFarAwayPx) return true;
  }
  return false;
}

bool IsClipped(const CssDeclarations& declarations) {
  const absl::string_view clip = ValueOf(declarations, "clip"), path = ValueOf(declarations, "clip-path");
  if (absl::StartsWith(clip, "rect(")) {
    const std::vector<absl::string_view> sides = Arguments(clip);
    return !sides.empty() &&
           std::all_of(sides.begin(), sides.end(), [](absl::string_view side) { return IsAtMost(side, 1); });
  }
  const std::vector<absl::string_view> arguments = Arguments(path);
  if (arguments.empty()) return false;
  absl::string_view unit;
  const double first = LeadingNumber(arguments[0], &unit).value_or(1);
  if (absl::StartsWith(path, "inset(")) return unit == "%" && first >= 50;
  return (absl::StartsWith(path, "circle(") || absl::StartsWith(path, "ellipse(")) && first == 0;
}

bool IsTransformedAway(absl::string_view transform) {
  const std::vector<absl::string_view> arguments = Arguments(transform);
  if (arguments.empty()) return false;
  if (absl::StartsWith(transform, "scale")) return IsFaint(arguments[0]);
  if (!absl::StartsWith(transform, "translate")) return false;
  return std::any_of(arguments.begin(), arguments.end(), [](absl::string_view argument) {
    std::optional<double> length = Pixels(argument);
    return length && std::abs(*length) >= kFarAwayPx && !absl::EndsWith(argument, "%");
  });
}

bool IsName(absl::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '-' || c == '_' || (c & 0x80) != 0;
  });
}

// "div.note#top"; nullopt for anything but names.
std::optional<CssCompound> ParseCompound(absl::string_view text) {
  CssCompound compound;
  while (!text.empty()) {
    const char kind = text[0] == '.' || text[0] == '#' ? text[0] : ' ';
    if (kind != ' ') text.remove_prefix(1);
    const size_t end = std::min(text.find_first_of(".#"), text.size());
    const std::string name(text.substr(0, end));
    if (!IsName(name)) return std::nullopt;
    if (kind == '.') compound.classes.push_back(name);
    if (kind == '#') compound.id = name;
    if (kind == ' ') compound.tag = absl::AsciiStrToLower(name);
    text.remove_prefix(end);
  }
  return compound;
}

std::vector<CssCompound> ParseSelector(absl::string_view text) {
  std::vector<CssCompound> selector;
  for (absl::string_view part : absl::StrSplit(text, absl::ByAnyChar(" \t\r\n\f>"), absl::SkipEmpty())) {
    std::optional<CssCompound> compound = ParseCompound(part);
    if (!compound) return {};
    selector.push_back(*std::move(compound));
  }
  return selector;
}

void AddRules(absl::string_view selectors, absl::string_view body, std::vector<CssRule>* rules) {
  const auto declarations = std::make_shared<const CssDeclarations>(ParseCssDeclarations(body));
  if (declarations->empty()) return;
  for (absl::string_view text : absl::StrSplit(selectors, ',')) {
    std::vector<CssCompound> selector = ParseSelector(text);
    if (!selector.empty() && rules->size() < kMaxCssRules) rules->push_back({std::move(selector), declarations});
  }
}

// Where the block that opens at `open` ends; the text's end when it is not closed.
size_t BlockEnd(absl::string_view css, size_t open) {
  int depth = 0;
  for (size_t at = open; at < css.size(); ++at) {
    if (css[at] == '{') ++depth;
    if (css[at] == '}' && --depth == 0) return at;
  }
  return css.size();
}

bool AppliesToScreens(absl::string_view at_rule) {
  const std::string rule = Folded(at_rule);
  return rule == "@media screen" || rule == "@media all" || absl::StartsWith(rule, "@layer");
}

void ParseSheet(absl::string_view css, int nesting, std::vector<CssRule>* rules) {
  while (!css.empty() && rules->size() < kMaxCssRules) {
    const size_t open = css.find_first_of("{;");
    if (open == absl::string_view::npos) return;
    if (css[open] == ';') {  // "@import ...;"
      css.remove_prefix(open + 1);
      continue;
    }
    const absl::string_view head = absl::StripAsciiWhitespace(css.substr(0, open));
    const size_t end = BlockEnd(css, open);
    const absl::string_view body = css.substr(open + 1, end - open - 1);
    if (!absl::StartsWith(head, "@")) {
      AddRules(head, body, rules);
    } else if (AppliesToScreens(head) && nesting < kMaxNesting) {
      ParseSheet(body, nesting + 1, rules);
    }
    css.remove_prefix(std::min(end + 1, css.size()));
  }
}

}  // namespace

CssDeclarations ParseCssDeclarations(absl::string_view style) {
  CssDeclarations declarations;
  const std::string clean = WithoutEscapes(WithoutComments(style));
  for (absl::string_view declaration : absl::StrSplit(clean, ';')) {
    const size_t colon = declaration.find(':');
    if (colon == absl::string_view::npos) continue;
    const std::string property = Folded(declaration.substr(0, colon));
    std::string value = Folded(declaration.substr(colon + 1));
    value = value.substr(0, value.find('!'));
    absl::StripTrailingAsciiWhitespace(&value);
    if (TellsOfText(property) && !value.empty()) declarations[property] = std::move(value);
  }
  return declarations;
}

void AppendCssRules(absl::string_view sheet, std::vector<CssRule>* rules) {
  ParseSheet(WithoutComments(sheet), 0, rules);
}

bool HidesText(const CssDeclarations& declarations) {
  auto value = [&](absl::string_view property) { return ValueOf(declarations, property); };
  const absl::string_view visibility = value("visibility");
  if (value("display") == "none" || visibility == "hidden" || visibility == "collapse") return true;
  if (value("content-visibility") == "hidden") return true;
  if (IsFaint(value("opacity"))) return true;
  const absl::string_view filter = value("filter");
  if (absl::StartsWith(filter, "opacity(") && !Arguments(filter).empty() && IsFaint(Arguments(filter)[0])) return true;
  const absl::string_view font = value("font-size");
  if (!font.empty() && IsAtMost(font, kSmallestFontPx)) return true;
  if (IsTransparent(value("color")) || IsTransparent(value("-webkit-text-fill-color"))) return true;
  return HasNoArea(declarations) || IsOutOfPage(declarations) || IsClipped(declarations) ||
         IsTransformedAway(value("transform"));
}

std::string CanonicalCssColour(absl::string_view colour) {
  constexpr std::pair<absl::string_view, absl::string_view> kNames[] = {
      {"white", "#ffffff"}, {"black", "#000000"},  {"red", "#ff0000"},    {"green", "#008000"},
      {"blue", "#0000ff"},  {"gray", "#808080"},   {"grey", "#808080"},   {"snow", "#fffafa"},
      {"ivory", "#fffff0"}, {"silver", "#c0c0c0"}, {"yellow", "#ffff00"}, {"whitesmoke", "#f5f5f5"}};
  for (const auto& [name, code] : kNames) {
    if (absl::EqualsIgnoreCase(colour, name)) return std::string(code);
  }
  std::string code = absl::AsciiStrToLower(colour);
  if (absl::StartsWith(code, "#") && code.size() == 4) {
    return std::string({'#', code[1], code[1], code[2], code[2], code[3], code[3]});
  }
  if (absl::StartsWith(code, "#") && (code.size() == 7 || code.size() == 9)) return code.substr(0, 7);
  if (!absl::StartsWith(code, "rgb")) return "";
  code = "#";
  for (absl::string_view part : Arguments(colour)) {
    absl::string_view unit;
    std::optional<double> number = LeadingNumber(part, &unit);
    if (!number || code.size() == 7) break;
    absl::StrAppendFormat(&code, "%02x", static_cast<int>(std::clamp(*number * (unit == "%" ? 2.55 : 1), 0.0, 255.0)));
  }
  return code.size() == 7 ? code : "";
}

std::string CssBackground(const CssDeclarations& declarations) {
  for (absl::string_view property : {"background-color", "background"}) {
    const std::string colour = CanonicalCssColour(ValueOf(declarations, property));
    if (!colour.empty()) return colour;
  }
  return "";
}

}  // namespace lastro::ingest
