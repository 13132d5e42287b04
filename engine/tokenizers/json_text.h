// Writing JSON. Pure function.
#pragma once

#include <string>

#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace lastro::engine::tokenizers {

// `text` (UTF-8) as a JSON string, quotes included.
inline std::string JsonString(absl::string_view text) {
  std::string json = "\"";
  for (char byte : text) {
    if (byte == '"' || byte == '\\') json.push_back('\\');
    if (static_cast<unsigned char>(byte) < 0x20) {
      json += absl::StrFormat("\\u%04x", byte);
    } else {
      json.push_back(byte);
    }
  }
  json.push_back('"');
  return json;
}

}  // namespace lastro::engine::tokenizers
