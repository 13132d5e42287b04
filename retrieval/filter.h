// Metadata filters: which documents a search or a listing may see. A tree of comparisons; an empty filter sees all.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "retrieval/types.h"

namespace lastro::retrieval {

// Field names: any metadata key, or the built-in "uri", "title", "media_type", "language" ("en", "pt", ""), "origin",
// "label" (the access labels; "" when there are none), "modified_at", "ingested_at" (times).
// Comparisons are typed: a string never equals a number; a document without the field matches nothing but kNot. A list
// matches when one of its values does, kNotEqual when none is equal; a list without values is as if it were not there.
struct Filter {
  enum class Op {
    kAll,
    kAnd,
    kOr,
    kNot,
    kEqual,
    kNotEqual,
    kLess,
    kLessOrEqual,
    kGreater,
    kGreaterOrEqual,
    kIn,
    kPrefix
  };
  Op op = Op::kAll;
  std::vector<Filter> children;       // of kAnd, kOr, kNot (exactly one)
  std::string field;                  // of comparisons
  std::vector<MetadataScalar> values;  // one; any number for kIn; a string for kPrefix

  // INVALID_ARGUMENT: malformed, deeper than 16, or more than 256 nodes.
  absl::Status Validate() const;
  bool Matches(const Document& document) const;
};

// Matches what both match.
Filter Both(const Filter& left, const Filter& right);

}  // namespace lastro::retrieval
