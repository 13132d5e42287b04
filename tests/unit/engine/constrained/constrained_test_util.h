// What the tests of constrained decoding share: a small vocabulary with awkward tokens, and an obvious validator.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/json.h"
#include "base/utf8.h"
#include "engine/tokenizer.h"
#include "engine/tokenizers/json_tokenizer.h"
#include "gtest/gtest.h"

namespace lastro::engine::constrained {

// Tiny random models of tests/golden/models, each with a byte-level vocabulary and one of pieces: parameters of a test.
inline auto FamiliesAndVocabularies() {
  return ::testing::Combine(
      ::testing::Values("llama-gqa", "qwen2-tied", "qwen3-tied", "gemma", "phi3-window", "mistral-window", "gpt2"),
      ::testing::Bool());
}

inline std::string FamilyAndVocabulary(const ::testing::TestParamInfo<std::tuple<const char*, bool>>& info) {
  std::string name = std::get<0>(info.param);
  std::replace(name.begin(), name.end(), '-', '_');
  return name + (std::get<1>(info.param) ? "_sentence_pieces" : "_byte_level");
}

// The text of a byte in a byte-level vocabulary.
inline std::string ByteLevelChar(uint8_t byte) {
  const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  std::string out;
  int shifted = 256;
  for (int other = 0; other < byte && !printable; ++other) {
    const bool kept = (other >= 33 && other <= 126) || (other >= 161 && other <= 172) || other >= 174;
    if (!kept) ++shifted;
  }
  AppendRune(printable ? byte : static_cast<char32_t>(shifted), &out);
  return out;
}

inline std::string JsonString(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

// All bytes, then `pieces` (their bytes), then "<end>", special.
inline std::unique_ptr<Tokenizer> ByteTokenizer(const std::vector<std::string>& pieces) {
  std::string vocabulary;
  int id = 0;
  auto add = [&](const std::string& bytes) {
    std::string token;
    for (char byte : bytes) token += ByteLevelChar(static_cast<uint8_t>(byte));
    absl::StrAppend(&vocabulary, id == 0 ? "" : ",", JsonString(token), ":", id);
    ++id;
  };
  for (int byte = 0; byte < 256; ++byte) add(std::string(1, static_cast<char>(byte)));
  for (const std::string& piece : pieces) add(piece);
  const std::string json = absl::StrCat(R"({"added_tokens": [{"special": true, "content": "<end>", "id": )", id,
                                        R"(}], "model": {"type": "BPE", "merges": [], "vocab": {)", vocabulary,
                                        R"(}}, "decoder": {"type": "ByteLevel"},
      "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}})");
  return *tokenizers::ParseTokenizer(*JsonDocument::Parse(json, "test"));
}

// The 72 tokens of the tiny models, with those that cite and quote among them: a byte-level tokenizer.json, or one in
// the manner of SentencePiece, whose byte tokens are few.
inline std::string CitingTokenizerJson(bool sentence_pieces) {
  std::vector<std::string> pieces = {
      " ",   "\n",  "a",   "b",   "c",   "d",   "e",     "f",    "0",     "1",  "2",     "3",  "4",   "5",
      "6",   "7",   "8",   "9",   ".",   "?",   "[",     "]",    "\"",    " [", "[1",    "1]", "] [", "[9]",
      "[4]", "[1]", " \"", "\"a", "b\"", "\".", "\"\"",  "a b",  " a",    " b", " c",    "ab", "cd",  "“",
      "”",   "«",   "»",   "„",   "The", " is", "bilge", "pump", "knots", "25", "\" [1", "[]", "[12"};
  const std::vector<std::string> last = {"\x5B", "\x22", "\xE2", "\x80", "\x9C",
                                         "\x9D", "\xC2", "\xAB", "\xF0", "\x9F"};
  std::string vocabulary = R"("<s>":0,"</s>":1,"<pad>":2)";
  int id = 3;
  auto add = [&](const std::string& token) { absl::StrAppend(&vocabulary, ",", JsonString(token), ":", id++); };
  for (const std::string& piece : pieces) {
    std::string token;
    for (char c : piece)
      token += sentence_pieces ? (c == ' ' ? "▁" : std::string(1, c)) : ByteLevelChar(static_cast<uint8_t>(c));
    add(token == "\n" ? "<0x0A>" : token);
  }
  for (const std::string& byte : last) {
    const auto value = static_cast<uint8_t>(byte[0]);
    if (!sentence_pieces && value < 0x80) continue;  // is there already
    add(sentence_pieces ? absl::StrFormat("<0x%02X>", value) : ByteLevelChar(value));
  }
  const std::string added =
      R"([{"id": 0, "content": "<s>", "special": true}, {"id": 1, "content": "</s>", "special": true},
      {"id": 2, "content": "<pad>", "special": true}])";
  if (!sentence_pieces) {
    return absl::StrCat(R"({"added_tokens": )", added, R"(, "model": {"type": "BPE", "merges": [], "vocab": {)",
                        vocabulary,
                        R"(}}, "decoder": {"type": "ByteLevel"},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}})");
  }
  return absl::StrCat(R"({"added_tokens": )", added, R"(, "normalizer": {"type": "Sequence", "normalizers": [
      {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
      "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
      "model": {"type": "BPE", "merges": [], "byte_fallback": true, "unk_token": "<pad>", "vocab": {)",
                      vocabulary, "}}}");
}

// Tokens that span parts of the grammar, and pieces of characters.
inline std::vector<std::string> AwkwardPieces() {
  return {"{\"",  "\":",    "\": ",         "\", \"",   "\"}",      "},{",     "]}", "}}",   "[[",
          "[1",   ", ",     "true",         "false}",   "null",     "tr",      "0.", "-1",   "12",
          "e+",   "\\u00",  "\\ud83d\\ude", "\xF0\x9F", "\x98\x80", "\xA9\"",  "ab", "name", "\"name\"",
          "\"}]", "\"a\":", "\\\"",         " \"",      ": [",      "d\":{\"", "00"};
}

inline size_t RuneCount(absl::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

// Plain validation of the keywords that the compiler takes, written from the specification.
inline bool Validates(const JsonValue& value, const JsonValue& schema, const JsonValue& root) {
  if (schema.is_bool()) return *schema.AsBool();
  auto same = [](const JsonValue& a, const JsonValue& b) {
    return simdjson::minify(a.element()) == simdjson::minify(b.element());
  };
  if (auto ref = schema.Get("$ref"); ref.ok()) {
    JsonValue target = root;
    std::string pointer(*ref->AsString());
    for (size_t at = 1; at < pointer.size();) {
      const size_t end = std::min(pointer.find('/', at + 1), pointer.size());
      target = *target.Get(pointer.substr(at + 1, end - at - 1));
      at = end;
    }
    if (!Validates(value, target, root)) return false;
  }
  if (auto type = schema.Get("type"); type.ok()) {
    const std::vector<JsonValue> types = type->is_array() ? *type->AsArray() : std::vector<JsonValue>{*type};
    if (!std::any_of(types.begin(), types.end(), [&](const JsonValue& t) {
          const absl::string_view name = *t.AsString();
          return (name == "object" && value.is_object()) || (name == "array" && value.is_array()) ||
                 (name == "string" && value.is_string()) || (name == "boolean" && value.is_bool()) ||
                 (name == "null" && value.is_null()) || (name == "number" && value.is_number()) ||
                 (name == "integer" && value.is_number() &&
                  !(value.element().type() == simdjson::dom::element_type::DOUBLE));
        })) {
      return false;
    }
  }
  if (auto constant = schema.Get("const"); constant.ok() && !same(value, *constant)) return false;
  if (auto list = schema.Get("enum"); list.ok()) {
    const std::vector<JsonValue> entries = *list->AsArray();
    if (std::none_of(entries.begin(), entries.end(), [&](const JsonValue& e) { return same(value, e); })) return false;
  }
  for (const char* keyword : {"anyOf", "oneOf"}) {
    auto list = schema.Get(keyword);
    if (!list.ok()) continue;
    const std::vector<JsonValue> entries = *list->AsArray();
    const auto count =
        std::count_if(entries.begin(), entries.end(), [&](const JsonValue& e) { return Validates(value, e, root); });
    if (count == 0 || (keyword[0] == 'o' && count != 1)) return false;
  }
  if (value.is_string()) {
    const int64_t length = static_cast<int64_t>(RuneCount(*value.AsString()));
    if (length < *schema.GetInt("minLength", 0) || length > *schema.GetInt("maxLength", INT64_MAX)) return false;
  }
  if (value.is_number() && !(value.element().type() == simdjson::dom::element_type::DOUBLE)) {
    const int64_t number = *value.AsInt();
    if (number < *schema.GetInt("minimum", INT64_MIN) || number > *schema.GetInt("maximum", INT64_MAX)) return false;
    if (schema.Has("exclusiveMinimum") && number <= *schema.GetInt("exclusiveMinimum", 0)) return false;
    if (schema.Has("exclusiveMaximum") && number >= *schema.GetInt("exclusiveMaximum", 0)) return false;
  }
  if (value.is_array()) {
    const std::vector<JsonValue> items = *value.AsArray();
    const int64_t count = static_cast<int64_t>(items.size());
    if (count < *schema.GetInt("minItems", 0) || count > *schema.GetInt("maxItems", INT64_MAX)) return false;
    if (auto item = schema.Get("items"); item.ok()) {
      if (!std::all_of(items.begin(), items.end(), [&](const JsonValue& v) { return Validates(v, *item, root); }))
        return false;
    }
  }
  if (value.is_object()) {
    if (auto required = schema.Get("required"); required.ok()) {
      const std::vector<JsonValue> names = *required->AsArray();
      for (const JsonValue& name : names) {
        if (!value.Get(*name.AsString()).ok()) return false;
      }
    }
    const simdjson::dom::object members = value.element().get_object().value();
    for (auto [key, member] : members) {
      const absl::string_view name(key.data(), key.size());
      auto properties = schema.Get("properties");
      auto property = properties.ok() ? properties->Get(name) : properties;
      auto other = schema.Get("additionalProperties");
      const JsonValue child(member, "member");
      if (property.ok() ? !Validates(child, *property, root) : other.ok() && !Validates(child, *other, root))
        return false;
    }
  }
  return true;
}

}  // namespace lastro::engine::constrained
