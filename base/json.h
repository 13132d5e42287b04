// Strict JSON (RFC 8259) over simdjson: a parsed document that owns its memory, and typed look-ups whose errors name the
// path of the field. Thread-safe for reads once parsed.
//
// For files from outside (config.json, tokenizer.json, safetensors headers): size and depth are capped.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include <simdjson.h>

namespace lastro {

// One value inside a JsonDocument; valid as long as the document lives. Cheap to copy.
class JsonValue {
 public:
  JsonValue(simdjson::dom::element element, std::string path) : element_(element), path_(std::move(path)) {}

  bool is_object() const { return element_.is_object(); }
  bool is_array() const { return element_.is_array(); }
  bool is_string() const { return element_.is_string(); }
  bool is_number() const { return element_.is_number(); }
  bool is_bool() const { return element_.is_bool(); }
  bool is_null() const { return element_.is_null(); }

  // The member `key` of an object: NOT_FOUND when absent, INVALID_ARGUMENT when this is no object.
  absl::StatusOr<JsonValue> Get(absl::string_view key) const;
  // True when this is an object with a member `key` that is not null.
  bool Has(absl::string_view key) const;

  // Conversions: INVALID_ARGUMENT naming the path when the type is another. AsString views the document's memory.
  absl::StatusOr<absl::string_view> AsString() const;
  absl::StatusOr<int64_t> AsInt() const;     // integral numbers within int64
  absl::StatusOr<double> AsDouble() const;   // any number
  absl::StatusOr<bool> AsBool() const;
  absl::StatusOr<std::vector<JsonValue>> AsArray() const;

  // The member `key` converted; `otherwise` when it is absent or null; an error when it has another type.
  absl::StatusOr<std::string> GetString(absl::string_view key, absl::string_view otherwise) const;
  absl::StatusOr<int64_t> GetInt(absl::string_view key, int64_t otherwise) const;
  absl::StatusOr<double> GetDouble(absl::string_view key, double otherwise) const;
  absl::StatusOr<bool> GetBool(absl::string_view key, bool otherwise) const;

  const std::string& path() const { return path_; }            // such as "config.json: rope_scaling.factor"
  const simdjson::dom::element& element() const { return element_; }  // for hot loops over large arrays and objects

 private:
  absl::Status TypeError(absl::string_view expected) const;
  simdjson::dom::element element_;
  std::string path_;
};

// A parsed document. Movable; values obtained from it die with it.
class JsonDocument {
 public:
  // `name` opens every error message, e.g. the file's path. INVALID_ARGUMENT for malformed JSON or nesting deeper than
  // 256; RESOURCE_EXHAUSTED for text longer than `max_bytes`.
  static absl::StatusOr<JsonDocument> Parse(absl::string_view text, const std::string& name,
                                            uint64_t max_bytes = 256u << 20);
  static absl::StatusOr<JsonDocument> ParseFile(const std::string& path, uint64_t max_bytes = 256u << 20);

  JsonValue root() const { return JsonValue(root_, name_ + ":"); }

 private:
  std::unique_ptr<simdjson::dom::parser> parser_;
  simdjson::dom::element root_;
  std::string name_;
};

}  // namespace lastro
