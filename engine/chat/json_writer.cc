#include "engine/chat/json_writer.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "base/utf8.h"

namespace lastro::engine::chat {
namespace {

class JsonWriter {
 public:
  JsonWriter(const JsonStyle& style, Budget* budget) : style_(style), budget_(budget) {}

  absl::Status Write(const Value& value, int level);
  Text Take() { return std::move(out_); }

 private:
  void Add(absl::string_view text) { out_.Append(text, true); }
  absl::Status BreakLine(int level);
  void WriteString(const Text& text);
  absl::Status WriteList(const List& list, int level);
  absl::Status WriteDict(const Dict& dict, int level);

  const JsonStyle& style_;
  Budget* budget_;
  Text out_;
};

absl::Status JsonWriter::BreakLine(int level) {
  if (style_.indent < 0) return absl::OkStatus();
  const int64_t spaces = int64_t{style_.indent} * level;
  LASTRO_RETURN_IF_ERROR(budget_->Write(spaces + 1));
  Add(absl::StrCat("\n", std::string(static_cast<size_t>(spaces), ' ')));
  return absl::OkStatus();
}

std::string Escaped(char32_t rune) {
  if (rune < 0x10000) return absl::StrFormat("\\u%04x", static_cast<uint32_t>(rune));
  const uint32_t offset = static_cast<uint32_t>(rune) - 0x10000;
  return absl::StrFormat("\\u%04x\\u%04x", 0xD800 + (offset >> 10), 0xDC00 + (offset & 0x3FF));
}

void JsonWriter::WriteString(const Text& text) {
  constexpr absl::string_view kNamed = "\"\\\n\r\t\f\b", kNames = "\"\\nrtfb";
  Add("\"");
  const std::string& bytes = text.bytes();
  for (size_t at = 0; at < bytes.size();) {
    const DecodedRune decoded = DecodeRune(absl::string_view(bytes).substr(at));
    const size_t named = decoded.rune < 0x80 ? kNamed.find(static_cast<char>(decoded.rune)) : absl::string_view::npos;
    if (named != absl::string_view::npos) {
      out_.Append(absl::StrCat("\\", kNames.substr(named, 1)), text.TrustedAt(at));
    } else if (decoded.rune < 0x20 || (style_.ensure_ascii && decoded.rune >= 0x7F)) {
      out_.Append(decoded.rune == 0x7F ? "\x7F" : Escaped(decoded.rune), text.TrustedAt(at));
    } else {
      out_.Append(absl::string_view(bytes).substr(at, decoded.length), text.TrustedAt(at));
    }
    at += decoded.length;
  }
  Add("\"");
}

absl::Status JsonWriter::WriteList(const List& list, int level) {
  if (list.items.empty()) return Add("[]"), absl::OkStatus();
  Add("[");
  for (size_t i = 0; i < list.items.size(); ++i) {
    if (i > 0) Add(style_.item_separator);
    LASTRO_RETURN_IF_ERROR(BreakLine(level + 1));
    LASTRO_RETURN_IF_ERROR(Write(list.items[i], level + 1));
  }
  LASTRO_RETURN_IF_ERROR(BreakLine(level));
  Add("]");
  return absl::OkStatus();
}

absl::Status JsonWriter::WriteDict(const Dict& dict, int level) {
  if (dict.items.empty()) return Add("{}"), absl::OkStatus();
  std::vector<const std::pair<Text, Value>*> items;
  for (const auto& item : dict.items) items.push_back(&item);
  if (style_.sort_keys) {
    std::sort(items.begin(), items.end(),
              [](const auto* a, const auto* b) { return a->first.bytes() < b->first.bytes(); });
  }
  Add("{");
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) Add(style_.item_separator);
    LASTRO_RETURN_IF_ERROR(BreakLine(level + 1));
    WriteString(items[i]->first);
    Add(style_.key_separator);
    LASTRO_RETURN_IF_ERROR(Write(items[i]->second, level + 1));
  }
  LASTRO_RETURN_IF_ERROR(BreakLine(level));
  Add("}");
  return absl::OkStatus();
}

absl::Status JsonWriter::Write(const Value& value, int level) {
  if (const List* list = value.AsList()) return WriteList(*list, level);
  if (const Dict* dict = value.AsDict()) return WriteDict(*dict, level);
  if (const Text* text = value.AsText()) {
    WriteString(*text);
  } else if (value.is_none()) {
    Add("null");
  } else if (const bool* flag = value.AsBool()) {
    Add(*flag ? "true" : "false");
  } else if (const int64_t* number = value.AsInt()) {
    Add(absl::StrCat(*number));
  } else if (const double* real = value.AsFloat()) {
    Add(std::isnan(*real) ? "NaN" : std::isinf(*real) ? (*real < 0 ? "-Infinity" : "Infinity") : FloatToString(*real));
  } else {
    return absl::InvalidArgumentError(absl::StrCat(value.KindName(), " has no JSON form"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Text> ToJson(const Value& value, const JsonStyle& style, Budget* budget) {
  LASTRO_RETURN_IF_ERROR(budget->Write(value.weight()));
  JsonWriter writer(style, budget);
  LASTRO_RETURN_IF_ERROR(writer.Write(value, 0));
  return writer.Take();
}

}  // namespace lastro::engine::chat
