#include "engine/chat/operators.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"

namespace lastro::engine::chat {
namespace {

absl::Status Invalid(absl::string_view message) { return absl::InvalidArgumentError(message); }

absl::Status UndefinedOperand(const Value& value) {
  return Invalid(absl::StrCat("'", value.MissingWhat(), "' is undefined"));
}

absl::Status WrongOperands(absl::string_view op, const Value& a, const Value& b) {
  if (a.is_undefined()) return UndefinedOperand(a);
  if (b.is_undefined()) return UndefinedOperand(b);
  return Invalid(absl::StrCat("'", op, "' does not work between ", a.KindName(), " and ", b.KindName()));
}

// Rounds to the lower integer, as Python does. REQUIRES: b != 0, not (a == min and b == -1).
int64_t FloorDivide(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0); }

absl::StatusOr<int64_t> IntPower(int64_t base, int64_t exponent) {
  int64_t result = 1;
  for (bool overflow = false; exponent > 0; --exponent) {
    overflow = __builtin_mul_overflow(result, base, &result);
    if (overflow) return Invalid("a power is beyond 64 bits");
    if (result == 0 || (result == 1 && base == 1)) break;
    if (base == -1) return exponent % 2 == 0 ? 1 : -1;
  }
  return result;
}

absl::StatusOr<Value> IntOperation(absl::string_view op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  if (op == "+") {
    overflow = __builtin_add_overflow(a, b, &result);
  } else if (op == "-") {
    overflow = __builtin_sub_overflow(a, b, &result);
  } else if (op == "*") {
    overflow = __builtin_mul_overflow(a, b, &result);
  } else if (op == "**") {
    LASTRO_ASSIGN_OR_RETURN(result, IntPower(a, b));
  } else {
    if (b == 0) return Invalid("division by zero");
    overflow = a == std::numeric_limits<int64_t>::min() && b == -1;
    if (!overflow) result = op == "//" ? FloorDivide(a, b) : a - b * FloorDivide(a, b);
  }
  if (overflow) return Invalid(absl::StrCat("the result of '", op, "' is beyond 64 bits"));
  return Value(result);
}

absl::StatusOr<Value> FloatOperation(absl::string_view op, double a, double b) {
  if (op == "+") return Value(a + b);
  if (op == "-") return Value(a - b);
  if (op == "*") return Value(a * b);
  if (op == "**") return Value(std::pow(a, b));
  if (b == 0) return Invalid("division by zero");
  if (op == "/") return Value(a / b);
  const double quotient = std::floor(a / b);
  return Value(op == "//" ? quotient : a - quotient * b);
}

absl::StatusOr<Value> NumberOperation(absl::string_view op, const Value& a, const Value& b) {
  const bool floats = a.AsFloat() || b.AsFloat() || op == "/" || (op == "**" && b.ToDouble() < 0);
  return floats ? FloatOperation(op, a.ToDouble(), b.ToDouble()) : IntOperation(op, a.ToInt(), b.ToInt());
}

absl::StatusOr<Value> Repeat(const Value& value, int64_t count, Budget* budget) {
  count = std::max<int64_t>(count, 0);
  if (count > kMaxValueWeight) return absl::ResourceExhaustedError(absl::StrCat("'*' repeats ", count, " times"));
  LASTRO_RETURN_IF_ERROR(budget->Write(count * std::min(value.weight(), kMaxValueWeight)));
  if (const Text* text = value.AsText()) {
    Text repeated;
    for (int64_t i = 0; i < count; ++i) repeated.Append(*text);
    return Value(std::move(repeated));
  }
  std::vector<Value> items;
  for (int64_t i = 0; i < count; ++i) {
    items.insert(items.end(), value.AsList()->items.begin(), value.AsList()->items.end());
  }
  return Value::MakeList(std::move(items), value.AsList()->tuple);
}

absl::StatusOr<Value> Add(const Value& a, const Value& b, Budget* budget) {
  if (a.AsText() && b.AsText()) {
    LASTRO_RETURN_IF_ERROR(budget->Write(a.weight() + b.weight()));
    Text joined = *a.AsText();
    joined.Append(*b.AsText());
    return Value(std::move(joined));
  }
  if (!a.AsList() || !b.AsList() || a.AsList()->tuple != b.AsList()->tuple) return WrongOperands("+", a, b);
  std::vector<Value> items = a.AsList()->items;
  items.insert(items.end(), b.AsList()->items.begin(), b.AsList()->items.end());
  LASTRO_RETURN_IF_ERROR(budget->Write(static_cast<int64_t>(items.size() * sizeof(Value))));
  return Value::MakeList(std::move(items), a.AsList()->tuple);
}

absl::StatusOr<bool> Contains(const Value& item, const Value& container, Budget* budget) {
  if (const Text* text = container.AsText()) {
    if (item.AsText() == nullptr) return WrongOperands("in", item, container);
    LASTRO_RETURN_IF_ERROR(budget->Step(container.weight() / 64));
    return text->bytes().find(item.AsText()->bytes()) != std::string::npos;
  }
  if (const Dict* dict = container.AsDict()) {
    return item.AsText() != nullptr && dict->index.contains(item.AsText()->bytes());
  }
  LASTRO_ASSIGN_OR_RETURN(std::vector<Value> items, ItemsOf(container, budget));
  LASTRO_RETURN_IF_ERROR(budget->Step(container.weight() / 16));
  return std::any_of(items.begin(), items.end(), [&](const Value& other) { return Equal(item, other); });
}

// One conversion of a "%" format: what stands between '%' and its letter.
struct Conversion {
  bool zero = false, left = false;
  int width = 0, precision = -1;
};

Text Pad(Text text, const Conversion& conversion) {
  const size_t length = text.Length(), width = static_cast<size_t>(conversion.width);
  if (length >= width) return text;
  const std::string fill(width - length, conversion.zero && !conversion.left ? '0' : ' ');
  if (conversion.left) {
    text.Append(fill, true);
    return text;
  }
  Text padded(fill, true);
  padded.Append(text);
  return padded;
}

absl::StatusOr<Text> Convert(char letter, const Conversion& conversion, const Value& value, Budget* budget) {
  if (letter == 's' || letter == 'r') {
    LASTRO_RETURN_IF_ERROR(budget->Write(value.weight()));
    Text text = letter == 's' ? ToText(value) : ToRepr(value);
    if (conversion.precision >= 0 && static_cast<size_t>(conversion.precision) < text.Length()) {
      text = text.Substring(0, text.Offsets()[static_cast<size_t>(conversion.precision)]);
    }
    return Pad(std::move(text), {false, conversion.left, conversion.width, -1});
  }
  if (!value.is_number()) return Invalid(absl::StrCat("'%", std::string(1, letter), "' of ", value.KindName()));
  if (letter == 'f') {
    const int precision = conversion.precision < 0 ? 6 : conversion.precision;
    return Pad(Text(absl::StrFormat("%.*f", precision, value.ToDouble()), true), conversion);
  }
  if (letter != 'd' && letter != 'i') return Invalid(absl::StrCat("'%", std::string(1, letter), "' is not supported"));
  if (value.AsFloat() && !(std::abs(*value.AsFloat()) < 9e18)) return Invalid("'%d' of a number beyond 64 bits");
  const int64_t number = value.AsFloat() ? static_cast<int64_t>(*value.AsFloat()) : value.ToInt();
  return Pad(Text(absl::StrCat(number), true), conversion);
}

}  // namespace

absl::StatusOr<Text> PrintedText(const Value& value, Budget* budget) {
  LASTRO_RETURN_IF_ERROR(budget->Write(value.weight()));
  return ToText(value);
}

absl::StatusOr<Text> FormatPercent(const Text& format, const Value& arguments, Budget* budget) {
  const bool tuple = arguments.AsList() != nullptr && arguments.AsList()->tuple;
  const std::vector<Value> values = tuple ? arguments.AsList()->items : std::vector<Value>{arguments};
  const std::string& bytes = format.bytes();
  Text out;
  size_t used = 0;
  for (size_t at = 0; at < bytes.size();) {
    const size_t percent = std::min(bytes.find('%', at), bytes.size());
    out.Append(format.Substring(at, percent));
    if (percent == bytes.size()) break;
    at = percent + 1;
    Conversion conversion;
    for (; at < bytes.size() && (bytes[at] == '0' || bytes[at] == '-'); ++at) {
      (bytes[at] == '0' ? conversion.zero : conversion.left) = true;
    }
    auto read_number = [&](int* number) {
      for (*number = 0; at < bytes.size() && absl::ascii_isdigit(static_cast<unsigned char>(bytes[at])); ++at) {
        *number = std::min(*number * 10 + (bytes[at] - '0'), 1000);
      }
    };
    read_number(&conversion.width);
    if (at < bytes.size() && bytes[at] == '.') read_number((++at, &conversion.precision));
    if (at >= bytes.size()) return Invalid("a '%' format is incomplete");
    const char letter = bytes[at++];
    if (letter == '%') {
      out.Append("%", format.TrustedAt(percent));
      continue;
    }
    if (used == values.size()) return Invalid("not enough arguments for a '%' format");
    LASTRO_ASSIGN_OR_RETURN(Text text, Convert(letter, conversion, values[used++], budget));
    out.Append(text);
  }
  if (used < values.size() && (tuple || arguments.AsDict() == nullptr)) {
    return Invalid("too many arguments for a '%' format");
  }
  LASTRO_RETURN_IF_ERROR(budget->Write(static_cast<int64_t>(out.size())));
  return out;
}

absl::StatusOr<Value> ApplyBinary(absl::string_view op, const Value& a, const Value& b, Budget* budget) {
  if (op == "~") {
    LASTRO_ASSIGN_OR_RETURN(Text text, PrintedText(a, budget));
    LASTRO_ASSIGN_OR_RETURN(Text more, PrintedText(b, budget));
    text.Append(more);
    return Value(std::move(text));
  }
  if (a.is_number() && b.is_number()) return NumberOperation(op, a, b);
  if (op == "+") return Add(a, b, budget);
  const bool a_repeats = a.AsText() || a.AsList(), b_repeats = b.AsText() || b.AsList();
  if (op == "*" && a_repeats && (b.AsInt() || b.AsBool())) return Repeat(a, b.ToInt(), budget);
  if (op == "*" && b_repeats && (a.AsInt() || a.AsBool())) return Repeat(b, a.ToInt(), budget);
  if (op == "%" && a.AsText()) {
    LASTRO_ASSIGN_OR_RETURN(Text text, FormatPercent(*a.AsText(), b, budget));
    return Value(std::move(text));
  }
  return WrongOperands(op, a, b);
}

absl::StatusOr<bool> ApplyComparison(absl::string_view op, const Value& a, const Value& b, Budget* budget) {
  if (op == "==" || op == "!=") {
    LASTRO_RETURN_IF_ERROR(budget->Step(std::min(a.weight(), b.weight()) / 16));
    return Equal(a, b) == (op == "==");
  }
  if (op == "in" || op == "not in") {
    LASTRO_ASSIGN_OR_RETURN(bool contains, Contains(a, b, budget));
    return contains == (op == "in");
  }
  int order = 0;  // sign of a - b
  if (a.AsText() && b.AsText()) {
    order = a.AsText()->bytes().compare(b.AsText()->bytes());
  } else if (!a.is_number() || !b.is_number()) {
    return WrongOperands(op, a, b);
  } else if (a.AsFloat() || b.AsFloat()) {
    const double left = a.ToDouble(), right = b.ToDouble();
    if (std::isnan(left) || std::isnan(right)) return false;
    order = (left > right) - (left < right);
  } else {
    order = (a.ToInt() > b.ToInt()) - (a.ToInt() < b.ToInt());
  }
  return op == "<" ? order < 0 : op == "<=" ? order <= 0 : op == ">" ? order > 0 : order >= 0;
}

absl::StatusOr<Value> Negate(const Value& value) {
  if (const double* number = value.AsFloat()) return Value(-*number);
  if (!value.is_number()) return Invalid(absl::StrCat("'-' of ", value.KindName()));
  return IntOperation("-", 0, value.ToInt());
}

absl::StatusOr<std::vector<Value>> ItemsOf(const Value& value, Budget* budget) {
  std::vector<Value> items;
  if (value.is_undefined()) return items;
  if (const List* list = value.AsList()) {
    items = list->items;
  } else if (const Dict* dict = value.AsDict()) {
    for (const auto& [key, member] : dict->items) items.emplace_back(key);
  } else if (const Text* text = value.AsText()) {
    const std::vector<size_t> offsets = text->Offsets();
    LASTRO_RETURN_IF_ERROR(budget->Write(static_cast<int64_t>(offsets.size()) * 128));
    for (size_t i = 0; i + 1 < offsets.size(); ++i) items.emplace_back(text->Substring(offsets[i], offsets[i + 1]));
  } else {
    return Invalid(absl::StrCat(value.KindName(), " cannot be iterated over"));
  }
  LASTRO_RETURN_IF_ERROR(budget->Step(static_cast<int64_t>(items.size())));
  return items;
}

}  // namespace lastro::engine::chat
