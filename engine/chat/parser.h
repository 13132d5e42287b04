// The parser of templates: Jinja2's expressions and the statements for, if, set, macro, call, filter, generation, break
// and continue.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/chat/ast.h"

namespace lastro::engine::chat {

// INVALID_ARGUMENT for a malformed template or one that nests too deep; UNIMPLEMENTED for a statement, filter or test
// that this version does not have. Messages name the construct and the line.
absl::StatusOr<Body> ParseTemplate(absl::string_view source);

}  // namespace lastro::engine::chat
