// From a JSON schema to an Automaton that accepts texts that are JSON and satisfy it, each of them in the form of
// json_grammar.h, with the members of an object in the order of `properties`, members that are declared before others.
//
// Keywords: type, properties, required, additionalProperties, items, minItems, maxItems, enum, const, anyOf, oneOf (of
// alternatives that visibly exclude each other), $ref into the document, $defs, definitions, minLength, maxLength;
// minimum, maximum, exclusiveMinimum and exclusiveMaximum of integers; annotations are passed over. Any other keyword,
// or one of these where it would not be obeyed, is refused by name. Source: JSON Schema 2020-12, core and validation.
#pragma once

#include "absl/status/statusor.h"
#include "base/json.h"
#include "engine/constrained/automaton.h"

namespace lastro::engine::constrained {

// INVALID_ARGUMENT: malformed, nested deeper than 64 or too large, or no document satisfies it; UNIMPLEMENTED: a
// keyword not supported. Messages name the path.
absl::StatusOr<Automaton> CompileSchema(const JsonValue& schema);

// Any JSON object.
absl::StatusOr<Automaton> CompileJsonObject();

}  // namespace lastro::engine::constrained
