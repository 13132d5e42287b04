// JsonObjectText: writes one JSON object, member by member. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lastro::engine {

// `text`, which must be UTF-8, as a JSON string with its quotes.
std::string JsonQuoted(absl::string_view text);

class JsonObjectText {
 public:
  void Add(absl::string_view name, absl::string_view text) { AddRaw(name, JsonQuoted(text)); }
  void Add(absl::string_view name, const char* text) { Add(name, absl::string_view(text)); }
  void Add(absl::string_view name, int64_t number);
  void Add(absl::string_view name, double number);  // finite
  void Add(absl::string_view name, bool value) { AddRaw(name, value ? "true" : "false"); }
  void Add(absl::string_view name, absl::Span<const double> numbers);
  // `json` is a whole JSON value.
  void AddRaw(absl::string_view name, absl::string_view json);

  std::string text() const { return "{" + members_ + "}"; }

 private:
  std::string members_;
};

}  // namespace lastro::engine
