// Filter -> SQL over the table `fields`, which holds every field of FieldsOf() of every document as a typed value. The
// meaning is that of Filter::Matches; a property test holds the two together. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "retrieval/filter.h"
#include "retrieval/sqlite.h"

namespace lastro::retrieval {

// How a value is kept in fields(type, value): strings as blobs (compared by bytes), numbers as reals, booleans as 0
// and 1, times as nanoseconds since 1970.
int64_t StoredType(const MetadataScalar& value);
// The value of a row, by the columns of its type and of its stored form.
MetadataScalar StoredValue(const Statement& row, int type_column, int value_column);
// Binds the stored form of `value`, which must live until the last Step().
void BindStoredValue(Statement& statement, int parameter, const MetadataScalar& value);

// A condition on the document row `d.row`, with parameters numbered from `first_parameter`.
class FilterSql {
 public:
  // REQUIRES: filter.Validate().ok(); `filter` outlives this object; `collection` is the collection's row id.
  FilterSql(const Filter& filter, int64_t collection, int first_parameter);
  const std::string& condition() const { return condition_; }
  void BindTo(Statement& statement) const;

 private:
  std::string Node(const Filter& filter);
  std::string Logical(const Filter& filter, const char* separator);
  std::string Comparison(const Filter& filter);
  std::string RowsWith(const std::string& field, const std::string& test);
  std::string Test(const Filter& filter);
  std::string Prefix(const std::string& prefix);
  std::string Parameter(MetadataScalar value);
  std::string TypedTest(const char* comparison, const MetadataScalar& value);

  const int64_t collection_;
  const int first_parameter_;
  std::vector<MetadataScalar> parameters_;
  std::vector<bool> is_text_;  // a field name, bound as text
  std::string condition_;
};

}  // namespace lastro::retrieval
