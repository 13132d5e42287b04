#include "engine/constrained/json_grammar.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace lastro::engine::constrained {
namespace {

constexpr int kMaxDigits = 18;
constexpr absl::string_view kShortEscapes = "\"\\\b\f\n\r\t";
constexpr absl::string_view kShortNames = "\"\\bfnrt";

}  // namespace

std::string CanonicalString(absl::string_view text) {
  std::string out = "\"";
  for (char byte : text) {
    const size_t at = kShortEscapes.find(byte);
    if (at != absl::string_view::npos) {
      out += {'\\', kShortNames[at]};
    } else if (static_cast<uint8_t>(byte) < 0x20) {
      absl::StrAppendFormat(&out, "\\u%04x", static_cast<uint8_t>(byte));
    } else {
      out += byte;
    }
  }
  return out + "\"";
}

NodeId JsonGrammar::AddSeparator(NodeId from, char separator) {
  const std::string text(1, separator);
  const NodeId end = automaton_->AddLiteral(from, text);
  const NodeId behind = automaton_->AddLiteral(end, " ");
  automaton_->AddEmpty(end, behind);
  return behind;
}

NodeId JsonGrammar::Literal(absl::string_view text) {
  const NodeId start = automaton_->NewNode();
  automaton_->AddEmpty(automaton_->AddLiteral(start, text), automaton_->NewFinal());
  return start;
}

// ---- strings

// The well-formed sequences of more than one byte: Unicode, table 3-7.
void JsonGrammar::AddMultiByteCharacters(NodeId from, NodeId to) {
  const NodeId last = automaton_->NewNode(), last_two = automaton_->NewNode();
  automaton_->AddBytes(last, 0x80, 0xBF, to);
  automaton_->AddBytes(last_two, 0x80, 0xBF, last);
  automaton_->AddBytes(from, 0xC2, 0xDF, last);
  struct Lead {
    uint8_t low, high, second_low, second_high;
  };
  for (const Lead& lead : {Lead{0xE0, 0xE0, 0xA0, 0xBF}, Lead{0xE1, 0xEC, 0x80, 0xBF}, Lead{0xED, 0xED, 0x80, 0x9F},
                           Lead{0xEE, 0xEF, 0x80, 0xBF}, Lead{0xF0, 0xF0, 0x90, 0xBF}, Lead{0xF1, 0xF3, 0x80, 0xBF},
                           Lead{0xF4, 0xF4, 0x80, 0x8F}}) {
    const NodeId second = automaton_->NewNode();
    automaton_->AddBytes(from, lead.low, lead.high, second);
    automaton_->AddBytes(second, lead.second_low, lead.second_high, lead.low < 0xF0 ? last : last_two);
  }
}

void JsonGrammar::AddRawCharacters(NodeId from, NodeId to) {
  automaton_->AddBytes(from, 0x20, '"' - 1, to);
  automaton_->AddBytes(from, '"' + 1, '\\' - 1, to);
  automaton_->AddBytes(from, '\\' + 1, 0x7F, to);
  AddMultiByteCharacters(from, to);
}

void JsonGrammar::AddHexDigit(NodeId from, int low, int high, NodeId to) {
  for (int digit = low; digit <= high; ++digit) {
    const char lower = "0123456789abcdef"[digit], upper = "0123456789ABCDEF"[digit];
    automaton_->AddBytes(from, static_cast<uint8_t>(lower), static_cast<uint8_t>(lower), to);
    if (upper != lower) automaton_->AddBytes(from, static_cast<uint8_t>(upper), static_cast<uint8_t>(upper), to);
  }
}

NodeId JsonGrammar::AddHexDigits(NodeId from, int count) {
  for (; count > 0; --count) {
    const NodeId next = automaton_->NewNode();
    AddHexDigit(from, 0, 15, next);
    from = next;
  }
  return from;
}

// Behind "\u": a code point of the basic plane, or a pair of surrogates.
void JsonGrammar::AddUnicodeEscapes(NodeId from, NodeId to) {
  const NodeId rest = automaton_->NewNode(), after_d = automaton_->NewNode(), low_plane = automaton_->NewNode();
  AddHexDigit(from, 0, 12, rest);
  AddHexDigit(from, 14, 15, rest);
  automaton_->AddEmpty(AddHexDigits(rest, 3), to);
  AddHexDigit(from, 13, 13, after_d);
  AddHexDigit(after_d, 0, 7, low_plane);
  automaton_->AddEmpty(AddHexDigits(low_plane, 2), to);
  const NodeId high = automaton_->NewNode();
  AddHexDigit(after_d, 8, 11, high);
  const NodeId second = automaton_->AddLiteral(AddHexDigits(high, 2), "\\u");
  const NodeId second_d = automaton_->NewNode(), second_low = automaton_->NewNode();
  AddHexDigit(second, 13, 13, second_d);
  AddHexDigit(second_d, 12, 15, second_low);
  automaton_->AddEmpty(AddHexDigits(second_low, 2), to);
}

NodeId JsonGrammar::Character() {
  if (character_ != 0) return character_;
  character_ = automaton_->NewNode();
  const NodeId end = automaton_->NewFinal();
  AddRawCharacters(character_, end);
  const NodeId escape = automaton_->AddLiteral(character_, "\\");
  for (char name : absl::string_view("\"\\/bfnrt")) {
    automaton_->AddBytes(escape, static_cast<uint8_t>(name), static_cast<uint8_t>(name), end);
  }
  AddUnicodeEscapes(automaton_->AddLiteral(escape, "u"), end);
  return character_;
}

NodeId JsonGrammar::String() {
  if (string_ == 0) string_ = StringOfLength(0, -1);
  return string_;
}

NodeId JsonGrammar::StringOfLength(int64_t least, int64_t most) {
  const NodeId start = automaton_->NewNode(), end = automaton_->NewFinal();
  NodeId at = automaton_->AddLiteral(start, "\"");
  const int64_t unrolled = most < 0 ? least : most;
  for (int64_t length = 0;; ++length) {
    if (length >= least) automaton_->AddBytes(at, '"', '"', end);
    if (length == unrolled) break;
    const NodeId next = automaton_->NewNode();
    automaton_->AddCall(at, Character(), next);
    at = next;
  }
  if (most < 0) automaton_->AddCall(at, Character(), at);
  return start;
}

// Follows the names as far as they go; what leaves them goes on as free text, whose automaton is walked alongside.
NodeId JsonGrammar::KeyOtherThan(const std::vector<std::string>& names) {
  const NodeId start = automaton_->NewNode(), end = automaton_->NewFinal();
  const NodeId free = automaton_->NewNode(), escape = automaton_->NewNode();
  AddRawCharacters(free, free);
  automaton_->AddBytes(free, '\\', '\\', escape);
  for (char name : kShortNames) AddByte(escape, name, free);
  automaton_->AddBytes(free, '"', '"', end);
  std::vector<std::string> keys;
  for (const std::string& name : names) keys.push_back(CanonicalString(name));
  std::sort(keys.begin(), keys.end());
  struct Branch {
    size_t begin, end, depth;  // the keys [begin, end) share their first `depth` bytes
    NodeId node, alongside;    // alongside: where free text would be after these bytes
  };
  std::vector<Branch> open = {{0, keys.size(), 1, automaton_->AddLiteral(start, "\""), free}};
  while (!open.empty()) {
    const Branch branch = open.back();
    open.pop_back();
    std::map<int, std::pair<size_t, size_t>> children;  // next byte -> keys that have it
    for (size_t i = branch.begin; i < branch.end; ++i) {
      if (branch.depth == keys[i].size()) continue;
      auto [at, inserted] = children.emplace(static_cast<uint8_t>(keys[i][branch.depth]), std::pair(i, i + 1));
      at->second.second = i + 1;
    }
    const std::vector<Edge> edges = automaton_->node(branch.alongside).edges;
    for (const Edge& edge : edges) {
      int low = edge.low;
      for (auto child = children.lower_bound(edge.low); child != children.end() && child->first <= edge.high; ++child) {
        const uint8_t byte = static_cast<uint8_t>(child->first);
        if (low < byte) automaton_->AddBytes(branch.node, static_cast<uint8_t>(low), byte - 1, edge.target);
        low = byte + 1;
        if (edge.target == end) continue;  // the closing quote of one of the names
        const NodeId node = automaton_->NewNode();
        automaton_->AddBytes(branch.node, byte, byte, node);
        open.push_back({child->second.first, child->second.second, branch.depth + 1, node, edge.target});
      }
      if (low <= edge.high) automaton_->AddBytes(branch.node, static_cast<uint8_t>(low), edge.high, edge.target);
    }
  }
  return start;
}

// ---- numbers

void JsonGrammar::AddByte(NodeId from, char byte, NodeId to) {
  automaton_->AddBytes(from, static_cast<uint8_t>(byte), static_cast<uint8_t>(byte), to);
}

NodeId JsonGrammar::AddDigits(NodeId from, int least, int most) {
  const NodeId end = automaton_->NewNode();
  for (int count = 0;; ++count) {
    if (count >= least) automaton_->AddEmpty(from, end);
    if (count == most) return end;
    const NodeId next = automaton_->NewNode();
    automaton_->AddBytes(from, '0', '9', next);
    from = next;
  }
}

// -?(0|[1-9][0-9]*) behind `from`.
NodeId JsonGrammar::AddIntegerPart(NodeId from) {
  const NodeId unsigned_part = automaton_->AddLiteral(from, "-"), first = automaton_->NewNode();
  automaton_->AddEmpty(from, unsigned_part);
  automaton_->AddBytes(unsigned_part, '1', '9', first);
  const NodeId end = AddDigits(first, 0, kMaxDigits - 1);
  AddByte(unsigned_part, '0', end);
  return end;
}

NodeId JsonGrammar::Integer() {
  if (integer_ != 0) return integer_;
  integer_ = automaton_->NewNode();
  automaton_->AddEmpty(AddIntegerPart(integer_), automaton_->NewFinal());
  return integer_;
}

NodeId JsonGrammar::Number() {
  if (number_ != 0) return number_;
  number_ = automaton_->NewNode();
  const NodeId whole = AddIntegerPart(number_);
  const NodeId real = AddDigits(automaton_->AddLiteral(whole, "."), 1, kMaxDigits);
  automaton_->AddEmpty(whole, real);
  const NodeId exponent = automaton_->NewNode(), sign = automaton_->NewNode();
  for (char letter : {'e', 'E'}) AddByte(real, letter, exponent);
  for (char letter : {'+', '-'}) AddByte(exponent, letter, sign);
  automaton_->AddEmpty(exponent, sign);
  const NodeId end = AddDigits(sign, 1, 2);
  automaton_->AddEmpty(real, end);
  automaton_->AddEmpty(end, automaton_->NewFinal());
  return number_;
}

void JsonGrammar::AddDigitsBetween(NodeId from, absl::string_view low, absl::string_view high, NodeId to) {
  // Along the digits low and high share, then: low's next digit with all that is not below its rest, the digits between
  // with any rest, high's with all that is not above its rest.
  while (!low.empty() && low[0] == high[0]) {
    const NodeId next = automaton_->NewNode();
    AddByte(from, low[0], next);
    from = next;
    low.remove_prefix(1);
    high.remove_prefix(1);
  }
  if (low.empty()) {
    automaton_->AddEmpty(from, to);
    return;
  }
  // Any digits: without this, both sides of a range would split again and again.
  const int length = static_cast<int>(low.size()), rest = length - 1;
  if (low.find_first_not_of('0') == absl::string_view::npos && high.find_first_not_of('9') == absl::string_view::npos) {
    automaton_->AddEmpty(AddDigits(from, length, length), to);
    return;
  }
  const NodeId after_low = automaton_->NewNode(), after_high = automaton_->NewNode();
  AddByte(from, low[0], after_low);
  AddDigitsBetween(after_low, low.substr(1), std::string(static_cast<size_t>(rest), '9'), to);
  AddByte(from, high[0], after_high);
  AddDigitsBetween(after_high, std::string(static_cast<size_t>(rest), '0'), high.substr(1), to);
  if (low[0] + 1 > high[0] - 1) return;
  const NodeId between = automaton_->NewNode();
  automaton_->AddBytes(from, static_cast<uint8_t>(low[0] + 1), static_cast<uint8_t>(high[0] - 1), between);
  automaton_->AddEmpty(AddDigits(between, rest, rest), to);
}

// One length of digits after another.
void JsonGrammar::AddNaturalBetween(NodeId from, uint64_t low, uint64_t high, NodeId to) {
  for (uint64_t begin = 0, end = 9;; begin = end + 1, end = end * 10 + 9) {
    if (high >= begin && low <= end) {
      AddDigitsBetween(from, absl::StrCat(std::max(low, begin)), absl::StrCat(std::min(high, end)), to);
    }
    if (high <= end) return;
  }
}

NodeId JsonGrammar::IntegerBetween(int64_t low, int64_t high) {
  const NodeId start = automaton_->NewNode(), end = automaton_->NewFinal();
  if (low < 0) {
    const NodeId minus = automaton_->AddLiteral(start, "-");
    AddNaturalBetween(minus, static_cast<uint64_t>(std::max<int64_t>(1, -high)), static_cast<uint64_t>(-low), end);
  }
  if (high >= 0)
    AddNaturalBetween(start, static_cast<uint64_t>(std::max<int64_t>(low, 0)), static_cast<uint64_t>(high), end);
  return start;
}

// ---- the other values

NodeId JsonGrammar::Boolean() {
  if (boolean_ != 0) return boolean_;
  boolean_ = automaton_->NewNode();
  const NodeId end = automaton_->NewFinal();
  automaton_->AddEmpty(automaton_->AddLiteral(boolean_, "true"), end);
  automaton_->AddEmpty(automaton_->AddLiteral(boolean_, "false"), end);
  return boolean_;
}

NodeId JsonGrammar::Null() {
  if (null_ == 0) null_ = Literal("null");
  return null_;
}

NodeId JsonGrammar::Any() {
  if (any_ != 0) return any_;
  any_ = automaton_->NewNode();
  const NodeId end = automaton_->NewFinal();
  for (NodeId scalar : {String(), Number(), Boolean(), Null()}) automaton_->AddCall(any_, scalar, end);
  automaton_->AddCall(any_, AnyObject(), end, true);
  automaton_->AddCall(any_, AnyArray(), end, true);
  return any_;
}

NodeId JsonGrammar::AnyArray() {
  if (array_ != 0) return array_;
  array_ = automaton_->NewNode();
  const NodeId end = automaton_->NewFinal(), open = automaton_->AddLiteral(array_, "["), behind = automaton_->NewNode();
  AddByte(open, ']', end);
  automaton_->AddCall(open, Any(), behind);
  automaton_->AddCall(AddSeparator(behind, ','), Any(), behind);
  AddByte(behind, ']', end);
  return array_;
}

NodeId JsonGrammar::AnyObject() {
  if (object_ != 0) return object_;
  object_ = automaton_->NewNode();
  const NodeId end = automaton_->NewFinal(), open = automaton_->AddLiteral(object_, "{");
  const NodeId key = automaton_->NewNode(), colon = automaton_->NewNode(), behind = automaton_->NewNode();
  AddByte(open, '}', end);
  automaton_->AddEmpty(open, key);
  automaton_->AddCall(key, String(), colon);
  automaton_->AddCall(AddSeparator(colon, ':'), Any(), behind);
  automaton_->AddEmpty(AddSeparator(behind, ','), key);
  AddByte(behind, '}', end);
  return object_;
}

}  // namespace lastro::engine::constrained
