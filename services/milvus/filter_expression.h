// Filters as expressions of Milvus. A row carries the fields of its document (FieldsOf) in three columns, and a filter
// becomes comparisons with these that mean exactly what Filter::Matches does. Pure functions, thread-safe.
//
//   facets  array of texts: "k<field>" for each field that has a value, "k<field>t<type>" for each type among its
//           values, "k<field>t<type>v<value>" for each value
//   ranges  JSON: "k<field>t<type>b" the least and "k<field>t<type>e" the greatest value of a type
//   flat    text: "|k<field>v<value>" for each text among the values, then "|"
//
// Names of fields and values are written in hexadecimal digits that are ordered as what they stand for: texts byte by
// byte, numbers and times by their 64 bits. So nothing that a user or a document says can end a string of an expression
// or be read as a wildcard, and an expression has but one kind of literal. A value of more than 256 digits is a facet
// by its SHA-256.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "retrieval/filter.h"
#include "retrieval/types.h"
#include "services/milvus/milvus_rows.h"

namespace lastro::services {

inline constexpr char kFacetsColumn[] = "facets";
inline constexpr char kRangesColumn[] = "ranges";
inline constexpr char kFlatColumn[] = "flat";
inline constexpr int kMaxFacets = 4096;        // Milvus's limit of an array
inline constexpr int kMaxColumnBytes = 65535;  // of a text
inline constexpr int kMaxRangesBytes = 65536;  // of a JSON

struct FacetColumns {
  std::vector<std::string> facets;
  std::string ranges = "{}";
  std::string flat;

  void AddTo(MilvusRows* rows) const;
};

// INVALID_ARGUMENT naming the document: its metadata is more than a row of Milvus holds.
absl::StatusOr<FacetColumns> FacetsOf(const retrieval::Document& document);

// "" matches all. REQUIRES: filter.Validate().ok().
std::string FilterExpression(const retrieval::Filter& filter);

// Lower-case hexadecimal digits of the bytes.
std::string Hex(absl::string_view bytes);

// "a and b"; either may be "", which matches all.
std::string AllOf(const std::string& left, const std::string& right);

}  // namespace lastro::services
