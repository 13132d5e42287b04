#include "engine/chat/lexer.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "engine/chat/text.h"

namespace lastro::engine::chat {
namespace {

constexpr size_t kMaxSourceBytes = 1 << 20;
// Longest first.
constexpr absl::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
                                            "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};

// Line ends as "\n", and without one at the end.
std::string NormalizeNewlines(absl::string_view source) {
  std::string out;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (absl::EndsWith(out, "\n")) out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}
  absl::StatusOr<std::vector<LexToken>> Run();

 private:
  absl::string_view Rest() const { return absl::string_view(source_).substr(at_); }
  absl::Status Fail(absl::string_view message) const {
    return absl::InvalidArgumentError(absl::StrCat("line ", line_, ": ", message));
  }
  void Add(LexToken::Kind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }
  // Moves on by `count` bytes, counting lines.
  void Advance(size_t count);
  void SkipSpace();
  // The text up to the next tag, or to the end.
  void AddData();
  absl::Status AddComment();
  // After the characters that end a tag: what its modifier and trim_blocks remove.
  void EndTag(char modifier, bool trims_newline);
  absl::Status AddTag();
  // Adds the token at at_, or the end of the tag: then sets `ended`.
  absl::Status AddInside(bool variable, bool* ended);
  absl::Status AddString();
  void AddNumber();
  absl::Status AddOperator();

  const std::string source_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starts_ = true;  // the tag before ended with a line end
  std::string open_;         // brackets that are open inside the tag
  std::vector<LexToken> tokens_;
};

void Lexer::Advance(size_t count) {
  line_ += static_cast<int>(std::count(source_.begin() + static_cast<ptrdiff_t>(at_),
                                       source_.begin() + static_cast<ptrdiff_t>(at_ + count), '\n'));
  at_ += count;
}

void Lexer::SkipSpace() {
  while (at_ < source_.size()) {
    const DecodedRune rune = DecodeRune(Rest());
    if (!IsPythonSpace(rune.rune)) break;
    Advance(rune.length);
  }
}

void Lexer::AddData() {
  size_t end = at_;
  for (;; ++end) {
    end = source_.find('{', end);
    if (end == std::string::npos || end + 1 >= source_.size()) {
      end = source_.size();
      break;
    }
    if (absl::string_view("{%#").find(source_[end + 1]) != absl::string_view::npos) break;
  }
  Text data(Rest().substr(0, end - at_), true);
  const char tag = end < source_.size() ? source_[end + 1] : ' ';
  const char modifier = end + 2 < source_.size() ? source_[end + 2] : ' ';
  if (end < source_.size() && modifier == '-') {
    data = Strip(data, Side::kRight);
  } else if ((tag == '%' || tag == '#') && modifier != '+') {
    const size_t line_end = data.bytes().rfind('\n');
    const size_t begin = line_end == std::string::npos ? 0 : line_end + 1;
    if ((begin > 0 || line_starts_) && Strip(data.Substring(begin, data.size()), Side::kBoth).empty()) {
      data = data.Substring(0, begin);
    }
  }
  if (!data.empty()) Add(LexToken::Kind::kData, data.bytes());
  Advance(end - at_);
}

void Lexer::EndTag(char modifier, bool trims_newline) {
  const size_t begin = at_;
  if (modifier == '-') {
    SkipSpace();
  } else if (trims_newline && modifier != '+' && absl::StartsWith(Rest(), "\n")) {
    Advance(1);
  }
  line_starts_ = at_ > begin && source_[at_ - 1] == '\n';
}

absl::Status Lexer::AddComment() {
  const size_t end = source_.find("#}", at_ + 2);
  if (end == std::string::npos) return Fail("a comment does not end");
  const char modifier = end > at_ + 2 ? source_[end - 1] : ' ';
  Advance(end + 2 - at_);
  EndTag(modifier, true);
  return absl::OkStatus();
}

absl::Status Lexer::AddString() {
  const char quote = source_[at_];
  size_t end = at_ + 1;
  while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
  if (end >= source_.size()) return Fail("a string does not end");
  const absl::string_view raw = absl::string_view(source_).substr(at_ + 1, end - at_ - 1);
  std::string text;
  for (size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\') {
      text += raw[i];
      continue;
    }
    const char next = raw[++i];
    constexpr absl::string_view kNames = "nrtbfva\\'\"", kValues = "\n\r\t\b\f\v\a\\'\"";
    const size_t digits = next == 'x' ? 2 : next == 'u' ? 4 : next == 'U' ? 8 : 0;
    if (const size_t name = kNames.find(next); name != absl::string_view::npos) {
      text += kValues[name];
    } else if (digits > 0) {
      uint32_t rune = 0;
      if (raw.size() - i - 1 < digits) return Fail("an escape in a string is too short");
      for (size_t d = 0; d < digits; ++d) {
        const char digit = raw[++i];
        if (!absl::ascii_isxdigit(static_cast<unsigned char>(digit))) return Fail("an escape in a string is malformed");
        rune = rune * 16 + static_cast<uint32_t>(digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
      }
      if (rune > 0x10FFFF || (rune >= 0xD800 && rune < 0xE000)) return Fail("an escape in a string is no code point");
      AppendRune(rune, &text);
    } else if (next >= '0' && next <= '7') {
      uint32_t rune = 0;
      size_t count = 0;
      for (; count < 3 && i + count < raw.size() && raw[i + count] >= '0' && raw[i + count] <= '7'; ++count) {
        rune = rune * 8 + static_cast<uint32_t>(raw[i + count] - '0');
      }
      i += count - 1;
      AppendRune(rune, &text);
    } else if (next != '\n') {
      text += {'\\', next};
    }
  }
  Add(LexToken::Kind::kString, std::move(text));
  Advance(end + 1 - at_);
  return absl::OkStatus();
}

void Lexer::AddNumber() {
  auto digits_from = [&](size_t at) {
    while (at < source_.size() && absl::ascii_isdigit(static_cast<unsigned char>(source_[at]))) ++at;
    return at;
  };
  auto is_digit = [&](size_t at) { return digits_from(at) > at; };
  size_t end = digits_from(at_);
  bool integer = true;
  if (end < source_.size() && source_[end] == '.' && is_digit(end + 1)) {
    end = digits_from(end + 1);
    integer = false;
  }
  if (end < source_.size() && (source_[end] | 0x20) == 'e') {
    const size_t sign = end + 1 < source_.size() && (source_[end + 1] == '+' || source_[end + 1] == '-') ? 1 : 0;
    if (is_digit(end + 1 + sign)) {
      end = digits_from(end + 1 + sign);
      integer = false;
    }
  }
  Add(integer ? LexToken::Kind::kInteger : LexToken::Kind::kFloat, source_.substr(at_, end - at_));
  Advance(end - at_);
}

absl::Status Lexer::AddOperator() {
  for (absl::string_view op : kOperators) {
    if (!absl::StartsWith(Rest(), op)) continue;
    const size_t opening = absl::string_view("([{").find(op), closing = absl::string_view(")]}").find(op);
    if (opening != absl::string_view::npos) open_ += ")]}"[opening];
    if (closing != absl::string_view::npos) {
      if (open_.empty() || open_.back() != op[0]) return Fail(absl::StrCat("unexpected '", op, "'"));
      open_.pop_back();
    }
    Add(LexToken::Kind::kOperator, std::string(op));
    Advance(op.size());
    return absl::OkStatus();
  }
  return Fail(absl::StrCat("unexpected character '", Rest().substr(0, DecodeRune(Rest()).length), "'"));
}

absl::Status Lexer::AddInside(bool variable, bool* ended) {
  SkipSpace();
  if (at_ == source_.size()) return Fail("a tag does not end");
  const absl::string_view close = variable ? "}}" : "%}";
  const bool modified = source_[at_] == '-' || (source_[at_] == '+' && !variable);
  if (open_.empty() && absl::StartsWith(Rest().substr(modified ? 1 : 0), close)) {
    const char modifier = modified ? source_[at_] : ' ';
    Add(variable ? LexToken::Kind::kVariableEnd : LexToken::Kind::kBlockEnd, "");
    Advance(modified ? 3 : 2);
    EndTag(modifier, !variable);
    *ended = true;
    return absl::OkStatus();
  }
  const unsigned char first = static_cast<unsigned char>(source_[at_]);
  if (first == '\'' || first == '"') return AddString();
  if (absl::ascii_isdigit(first)) {
    AddNumber();
    return absl::OkStatus();
  }
  if (!absl::ascii_isalpha(first) && first != '_') return AddOperator();
  size_t end = at_;
  while (end < source_.size() &&
         (absl::ascii_isalnum(static_cast<unsigned char>(source_[end])) || source_[end] == '_')) {
    ++end;
  }
  Add(LexToken::Kind::kName, source_.substr(at_, end - at_));
  Advance(end - at_);
  return absl::OkStatus();
}

absl::Status Lexer::AddTag() {
  const bool variable = source_[at_ + 1] == '{';
  Add(variable ? LexToken::Kind::kVariableBegin : LexToken::Kind::kBlockBegin, "");
  const char modifier = at_ + 2 < source_.size() ? source_[at_ + 2] : ' ';
  Advance(modifier == '-' || modifier == '+' ? 3 : 2);
  for (bool ended = false; !ended;) LASTRO_RETURN_IF_ERROR(AddInside(variable, &ended));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<LexToken>> Lexer::Run() {
  while (at_ < source_.size()) {
    AddData();
    if (at_ == source_.size()) break;
    if (source_[at_ + 1] == '#') {
      LASTRO_RETURN_IF_ERROR(AddComment());
      continue;
    }
    LASTRO_RETURN_IF_ERROR(AddTag());
  }
  Add(LexToken::Kind::kEnd, "");
  return std::move(tokens_);
}

}  // namespace

absl::StatusOr<std::vector<LexToken>> Tokenize(absl::string_view source) {
  if (source.size() > kMaxSourceBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("a template of ", source.size(), " bytes; the limit is ", kMaxSourceBytes));
  }
  if (!IsValidUtf8(source)) return absl::InvalidArgumentError("the template is not valid UTF-8");
  return Lexer(NormalizeNewlines(source)).Run();
}

}  // namespace lastro::engine::chat
