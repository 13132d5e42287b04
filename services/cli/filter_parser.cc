#include "services/cli/filter_parser.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "services/cli/text_width.h"

namespace lastro::services {
namespace {

using Comparison = v1::Filter::Comparison;

constexpr size_t kMaxFilterBytes = 64 << 10;
constexpr int kMaxLevels = 16;
constexpr int kMaxNodes = 256;
constexpr int kShownColumns = 20;
// What errors call a text.
constexpr char kFilter[] = "filter", kValue[] = "value";

enum class TokenKind { kEnd, kWord, kQuotedField, kString, kNumber, kTime, kSymbol };

struct FilterToken {
  TokenKind kind = TokenKind::kEnd;
  std::string text;   // of strings: the content; else as written
  double number = 0;  // of numbers
  absl::Time time;    // of times
  size_t begin = 0;   // byte offset
};

bool IsWordStart(char c) { return absl::ascii_isalpha(c) || c == '_' || static_cast<unsigned char>(c) >= 0x80; }
bool IsWordPart(char c) { return IsWordStart(c) || absl::ascii_isdigit(c) || c == '.' || c == '-'; }
bool IsNumberStart(char c) { return absl::ascii_isdigit(c) || c == '-' || c == '+' || c == '.'; }
bool IsNumberPart(char c) { return absl::ascii_isalnum(c) || c == '.' || c == '+' || c == '-' || c == ':'; }

// "2026-11-28" or an RFC 3339 time.
std::optional<absl::Time> ParseTime(absl::string_view text) {
  if (text.empty() || !absl::ascii_isdigit(text[0])) return std::nullopt;  // absl also reads "infinite-future"
  absl::Time time;
  for (const char* format : {"%Y-%m-%d", "%Y-%m-%dT%H:%M:%E*S%Ez"}) {
    if (absl::ParseTime(format, text, &time, nullptr)) return time;
  }
  return std::nullopt;
}

// Such as "2026-1": digits, then "-", which no number has there.
bool LooksLikeTime(absl::string_view text) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  return digits > 0 && digits < text.size() && text[digits] == '-';
}

void SetTime(absl::Time time, v1::MetadataValue* value) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  value->mutable_time_value()->set_seconds(seconds);
  value->mutable_time_value()->set_nanos(
      static_cast<int32_t>((time - absl::FromUnixSeconds(seconds)) / absl::Nanoseconds(1)));
}

size_t ColumnOf(absl::string_view text, size_t offset) {
  size_t column = 1;
  for (char c : text.substr(0, offset)) column += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return column;
}

// `name`: what `text` is.
absl::Status ErrorAt(absl::string_view name, absl::string_view text, size_t offset, absl::string_view what) {
  std::string rest = OneLine(text.substr(offset));
  std::string found = rest.empty() ? "the end" : absl::StrCat("'", CutToWidth(rest, kShownColumns), "'");
  return absl::InvalidArgumentError(
      absl::StrCat(name, ", column ", ColumnOf(text, offset), ": ", what, ", found ", found));
}

// Cuts the text into tokens, one at a time.
class Lexer {
 public:
  Lexer(absl::string_view name, absl::string_view text) : name_(name), text_(text) {}

  absl::StatusOr<FilterToken> Next() {
    while (position_ < text_.size() && absl::ascii_isspace(text_[position_])) ++position_;
    FilterToken token;
    token.begin = position_;
    if (position_ == text_.size()) return token;
    char c = text_[position_];
    if (c == '"' || c == '\'') return Quoted(token, c);
    if (c == '`') return QuotedField(token);
    if (IsNumberStart(c)) return Number(token);
    if (IsWordStart(c)) return Word(token);
    return Symbol(token);
  }

 private:
  absl::StatusOr<FilterToken> Quoted(FilterToken token, char quote) {
    token.kind = TokenKind::kString;
    ++position_;
    while (position_ < text_.size() && text_[position_] != quote) {
      char c = text_[position_++];
      if (c == '\\') {
        LASTRO_ASSIGN_OR_RETURN(c, Escaped());
      }
      token.text.push_back(c);
    }
    if (position_ == text_.size()) return ErrorAt(name_, text_, token.begin, "expected a closing quote");
    ++position_;
    return token;
  }

  absl::StatusOr<char> Escaped() {
    char c = position_ < text_.size() ? text_[position_] : '\0';
    size_t backslash = position_ - 1;
    ++position_;
    switch (c) {
      case 'n':
        return '\n';
      case 't':
        return '\t';
      case '"':
      case '\'':
      case '\\':
        return c;
      default:
        return ErrorAt(name_, text_, backslash, "expected one of the escapes \\\" \\' \\\\ \\n \\t");
    }
  }

  absl::StatusOr<FilterToken> QuotedField(FilterToken token) {
    size_t end = text_.find('`', position_ + 1);
    if (end == absl::string_view::npos) return ErrorAt(name_, text_, token.begin, "expected a closing backquote");
    token.kind = TokenKind::kQuotedField;
    token.text = std::string(text_.substr(position_ + 1, end - position_ - 1));
    position_ = end + 1;
    return token;
  }

  absl::StatusOr<FilterToken> Number(FilterToken token) {
    TakeWhile(IsNumberPart, &token);
    if (LooksLikeTime(token.text)) {
      std::optional<absl::Time> time = ParseTime(token.text);
      if (!time)
        return ErrorAt(name_, text_, token.begin, "expected a time such as 2026-11-28 or 2026-11-28T09:30:00Z");
      token.kind = TokenKind::kTime;
      token.time = *time;
      return token;
    }
    token.kind = TokenKind::kNumber;
    bool plain = token.text.find_first_not_of("0123456789+-.eE") == std::string::npos;
    if (!plain || !absl::SimpleAtod(token.text, &token.number) || !std::isfinite(token.number)) {
      return ErrorAt(name_, text_, token.begin, "expected a number (put text into quotes)");
    }
    return token;
  }

  absl::StatusOr<FilterToken> Word(FilterToken token) {
    TakeWhile(IsWordPart, &token);
    token.kind = TokenKind::kWord;
    return token;
  }

  absl::StatusOr<FilterToken> Symbol(FilterToken token) {
    token.kind = TokenKind::kSymbol;
    absl::string_view rest = text_.substr(position_);
    for (absl::string_view symbol : {"==", "!=", "<=", ">=", "^=", "=", "<", ">", "(", ")", "[", "]", ","}) {
      if (!absl::StartsWith(rest, symbol)) continue;
      token.text = std::string(symbol);
      position_ += symbol.size();
      return token;
    }
    return ErrorAt(name_, text_, position_, "expected a field, an operator or a value");
  }

  void TakeWhile(bool (*belongs)(char), FilterToken* token) {
    while (position_ < text_.size() && belongs(text_[position_])) token->text.push_back(text_[position_++]);
  }

  const absl::string_view name_;
  const absl::string_view text_;
  size_t position_ = 0;
};

std::optional<Comparison::Operator> OperatorOf(absl::string_view symbol) {
  if (symbol == "=" || symbol == "==") return Comparison::EQUAL;
  if (symbol == "!=") return Comparison::NOT_EQUAL;
  if (symbol == "<") return Comparison::LESS;
  if (symbol == "<=") return Comparison::LESS_OR_EQUAL;
  if (symbol == ">") return Comparison::GREATER;
  if (symbol == ">=") return Comparison::GREATER_OR_EQUAL;
  if (symbol == "^=") return Comparison::PREFIX;
  return std::nullopt;
}

// False when `token` is no value. A word that is not true or false is text.
bool SetScalar(const FilterToken& token, v1::MetadataValue* value) {
  const bool is_true = absl::EqualsIgnoreCase(token.text, "true");
  switch (token.kind) {
    case TokenKind::kString:
      value->set_string_value(token.text);
      return true;
    case TokenKind::kNumber:
      value->set_number_value(token.number);
      return true;
    case TokenKind::kTime:
      SetTime(token.time, value);
      return true;
    case TokenKind::kWord:
      if (is_true || absl::EqualsIgnoreCase(token.text, "false")) {
        value->set_bool_value(is_true);
      } else {
        value->set_string_value(token.text);
      }
      return true;
    default:
      return false;
  }
}

// Recursive descent with one token of look-ahead. Recursion is bounded by kMaxLevels.
class Parser {
 public:
  explicit Parser(absl::string_view text) : text_(text), lexer_(kFilter, text) {}

  absl::StatusOr<v1::Filter> Run() {
    LASTRO_RETURN_IF_ERROR(Advance());
    if (token_.kind == TokenKind::kEnd) return v1::Filter();
    LASTRO_ASSIGN_OR_RETURN(v1::Filter filter, Any(1));
    if (token_.kind != TokenKind::kEnd) return Error("expected 'and', 'or' or the end");
    return filter;
  }

 private:
  absl::Status Advance() {
    LASTRO_ASSIGN_OR_RETURN(token_, lexer_.Next());
    return absl::OkStatus();
  }

  absl::Status Error(absl::string_view what) const { return ErrorAt(kFilter, text_, token_.begin, what); }

  bool AtKeyword(absl::string_view keyword) const {
    return token_.kind == TokenKind::kWord && absl::EqualsIgnoreCase(token_.text, keyword);
  }
  bool AtSymbol(absl::string_view symbol) const { return token_.kind == TokenKind::kSymbol && token_.text == symbol; }

  absl::Status CountNode() {
    if (++nodes_ <= kMaxNodes) return absl::OkStatus();
    return Error(absl::StrCat("expected at most ", kMaxNodes, " conditions"));
  }

  absl::StatusOr<v1::Filter> Any(int level) { return Joined(level, "or"); }
  absl::StatusOr<v1::Filter> All(int level) { return Joined(level, "and"); }

  // operand (keyword operand)*; a single operand comes back as it is.
  absl::StatusOr<v1::Filter> Joined(int level, absl::string_view keyword) {
    bool any = keyword == "or";
    LASTRO_ASSIGN_OR_RETURN(v1::Filter first, any ? All(level) : Factor(level));
    if (!AtKeyword(keyword)) return first;
    LASTRO_RETURN_IF_ERROR(CountNode());
    v1::Filter joined;
    v1::Filter::List* list = any ? joined.mutable_any_of() : joined.mutable_all_of();
    *list->add_filters() = std::move(first);
    while (AtKeyword(keyword)) {
      LASTRO_RETURN_IF_ERROR(Advance());
      LASTRO_ASSIGN_OR_RETURN(*list->add_filters(), any ? All(level) : Factor(level));
    }
    return joined;
  }

  absl::StatusOr<v1::Filter> Factor(int level) {
    if (level > kMaxLevels) return Error(absl::StrCat("expected at most ", kMaxLevels, " levels of 'not' and '('"));
    if (AtKeyword("not")) {
      LASTRO_RETURN_IF_ERROR(CountNode());
      LASTRO_RETURN_IF_ERROR(Advance());
      LASTRO_ASSIGN_OR_RETURN(v1::Filter inner, Factor(level + 1));
      return Negated(std::move(inner));
    }
    if (AtSymbol("(")) {
      LASTRO_RETURN_IF_ERROR(Advance());
      LASTRO_ASSIGN_OR_RETURN(v1::Filter inner, Any(level + 1));
      LASTRO_RETURN_IF_ERROR(Expect(")"));
      return inner;
    }
    return ComparisonOf();
  }

  static v1::Filter Negated(v1::Filter inner) {
    v1::Filter negated;
    *negated.mutable_not_() = std::move(inner);
    return negated;
  }

  absl::Status Expect(absl::string_view symbol) {
    if (!AtSymbol(symbol)) return Error(absl::StrCat("expected '", symbol, "'"));
    return Advance();
  }

  absl::StatusOr<v1::Filter> ComparisonOf() {
    LASTRO_RETURN_IF_ERROR(CountNode());
    v1::Filter filter;
    LASTRO_ASSIGN_OR_RETURN(*filter.mutable_comparison()->mutable_field(), Field());
    if (AtKeyword("not")) {
      LASTRO_RETURN_IF_ERROR(CountNode());
      LASTRO_RETURN_IF_ERROR(Advance());
      if (!AtKeyword("in")) return Error("expected 'in'");
      LASTRO_RETURN_IF_ERROR(InList(filter.mutable_comparison()));
      return Negated(std::move(filter));
    }
    if (AtKeyword("in")) {
      LASTRO_RETURN_IF_ERROR(InList(filter.mutable_comparison()));
    } else {
      LASTRO_RETURN_IF_ERROR(OperatorAndValue(filter.mutable_comparison()));
    }
    return filter;
  }

  absl::StatusOr<std::string> Field() {
    bool keyword = AtKeyword("and") || AtKeyword("or") || AtKeyword("in");
    bool field = (token_.kind == TokenKind::kWord && !keyword) || token_.kind == TokenKind::kQuotedField;
    if (!field || token_.text.empty()) return Error("expected a field name");
    std::string name = token_.text;
    LASTRO_RETURN_IF_ERROR(Advance());
    return name;
  }

  absl::Status InList(Comparison* comparison) {
    comparison->set_op(Comparison::IN);
    LASTRO_RETURN_IF_ERROR(Advance());
    LASTRO_RETURN_IF_ERROR(Expect("("));
    LASTRO_RETURN_IF_ERROR(Value(comparison->add_values()));
    while (AtSymbol(",")) {
      LASTRO_RETURN_IF_ERROR(Advance());
      LASTRO_RETURN_IF_ERROR(Value(comparison->add_values()));
    }
    return AtSymbol(")") ? Advance() : Error("expected ',' or ')'");
  }

  absl::Status OperatorAndValue(Comparison* comparison) {
    auto op = token_.kind == TokenKind::kSymbol ? OperatorOf(token_.text) : std::nullopt;
    if (!op) return Error("expected one of = != < <= > >= ^= in");
    comparison->set_op(*op);
    LASTRO_RETURN_IF_ERROR(Advance());
    if (*op == Comparison::PREFIX && token_.kind != TokenKind::kString) return Error("expected text in quotes");
    return Value(comparison->add_values());
  }

  absl::Status Value(v1::MetadataValue* value) {
    const bool word = token_.kind == TokenKind::kWord && !AtKeyword("true") && !AtKeyword("false");
    if (word || !SetScalar(token_, value)) {
      return Error("expected text in quotes, a number, a time, true or false");
    }
    return Advance();
  }

  const absl::string_view text_;
  Lexer lexer_;
  FilterToken token_;
  int nodes_ = 0;
};

absl::Status CheckText(absl::string_view text) {
  if (text.size() > kMaxFilterBytes) {
    return absl::InvalidArgumentError(absl::StrCat("filter of ", text.size(), " bytes, at most ", kMaxFilterBytes));
  }
  if (!IsValidUtf8(text)) return absl::InvalidArgumentError("filter is not valid UTF-8");
  return absl::OkStatus();
}

// "[" (value ("," value)*)? "]"
absl::StatusOr<v1::MetadataValue> ParseList(absl::string_view text) {
  Lexer lexer(kValue, text);
  LASTRO_RETURN_IF_ERROR(lexer.Next().status());  // the bracket
  v1::MetadataValue list;
  list.mutable_list_value();
  LASTRO_ASSIGN_OR_RETURN(FilterToken token, lexer.Next());
  auto is = [&](absl::string_view symbol) { return token.kind == TokenKind::kSymbol && token.text == symbol; };
  while (!is("]")) {
    if (!SetScalar(token, list.mutable_list_value()->add_values())) {
      return ErrorAt(kValue, text, token.begin, "expected a value or ']'");
    }
    LASTRO_ASSIGN_OR_RETURN(token, lexer.Next());
    if (is("]")) break;
    if (!is(",")) return ErrorAt(kValue, text, token.begin, "expected ',' or ']'");
    LASTRO_ASSIGN_OR_RETURN(token, lexer.Next());
    if (is("]")) return ErrorAt(kValue, text, token.begin, "expected a value");
  }
  LASTRO_ASSIGN_OR_RETURN(token, lexer.Next());
  if (token.kind != TokenKind::kEnd) return ErrorAt(kValue, text, token.begin, "expected the end of the value");
  return list;
}

}  // namespace

absl::StatusOr<v1::Filter> ParseFilter(absl::string_view text) {
  LASTRO_RETURN_IF_ERROR(CheckText(text));
  return Parser(text).Run();
}

absl::StatusOr<v1::MetadataValue> ParseMetadataValue(absl::string_view text) {
  if (!IsValidUtf8(text)) return absl::InvalidArgumentError("value is not valid UTF-8");
  if (absl::StartsWith(text, "[")) return ParseList(text);
  v1::MetadataValue value;
  double number = 0;
  if (absl::StartsWith(text, "\"") || absl::StartsWith(text, "'")) {
    Lexer lexer(kValue, text);
    LASTRO_ASSIGN_OR_RETURN(FilterToken token, lexer.Next());
    LASTRO_ASSIGN_OR_RETURN(FilterToken end, lexer.Next());
    if (end.kind != TokenKind::kEnd) return ErrorAt(kValue, text, end.begin, "expected the end of the value");
    value.set_string_value(token.text);
  } else if (text == "true" || text == "false") {
    value.set_bool_value(text == "true");
  } else if (std::optional<absl::Time> time = ParseTime(text)) {
    SetTime(*time, &value);
  } else if (!text.empty() && IsNumberStart(text[0]) && absl::SimpleAtod(text, &number)) {
    if (!std::isfinite(number)) return absl::InvalidArgumentError(absl::StrCat("number out of range: ", text));
    value.set_number_value(number);
  } else {
    value.set_string_value(std::string(text));
  }
  return value;
}

}  // namespace lastro::services
