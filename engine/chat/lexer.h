// The lexer of templates: Jinja2's, with trim_blocks and lstrip_blocks on and keep_trailing_newline off, as
// transformers configures it. White space control is done here: what remains of the text between tags is exactly what
// is printed. Source: the Jinja2 documentation, "Whitespace Control"; the behaviour of Jinja2 3.1 where that leaves
// room.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lastro::engine::chat {

struct LexToken {
  enum class Kind {
    kData,           // text between tags
    kBlockBegin,     // {%
    kBlockEnd,       // %}
    kVariableBegin,  // {{
    kVariableEnd,    // }}
    kName,
    kInteger,
    kFloat,
    kString,  // unescaped
    kOperator,
    kEnd,
  };
  Kind kind = Kind::kEnd;
  std::string text;
  int line = 1;

  bool Is(absl::string_view operator_text) const { return kind == Kind::kOperator && text == operator_text; }
  bool IsName(absl::string_view name) const { return kind == Kind::kName && text == name; }
};

// The tokens of `source`, ended by kEnd. INVALID_ARGUMENT: source of over 1 MiB, a tag or string that does not end, an
// unknown character.
absl::StatusOr<std::vector<LexToken>> Tokenize(absl::string_view source);

}  // namespace lastro::engine::chat
