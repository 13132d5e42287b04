#include "services/milvus/milvus_rows.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace lastro::services {
namespace {

absl::Status Malformed(const std::string& field, absl::string_view what) {
  return absl::InternalError(absl::StrCat("the answer of Milvus is malformed: column \"", field, "\" ", what,
                                          "; check that the address is a Milvus of version 2.5 or newer"));
}

}  // namespace

milvus_api::FieldData& MilvusRows::Column(const std::string& field, milvus_api::DataType type) {
  auto [entry, is_new] = by_name_.try_emplace(field, columns_.size());
  if (is_new) {
    milvus_api::FieldData& column = columns_.emplace_back();
    column.set_field_name(field);
    column.set_type(type);
  }
  return columns_[entry->second];
}

void MilvusRows::AddInt(const std::string& field, int64_t value) {
  bytes_ += sizeof value;
  Column(field, milvus_api::INT64).mutable_scalars()->mutable_long_data()->add_data(value);
}

void MilvusRows::AddText(const std::string& field, std::string value) {
  bytes_ += value.size();
  Column(field, milvus_api::VARCHAR).mutable_scalars()->mutable_string_data()->add_data(std::move(value));
}

void MilvusRows::AddTexts(const std::string& field, std::vector<std::string> values) {
  milvus_api::ArrayArray* rows = Column(field, milvus_api::ARRAY).mutable_scalars()->mutable_array_data();
  rows->set_element_type(milvus_api::VARCHAR);
  milvus_api::StringArray* row = rows->add_data()->mutable_string_data();
  for (std::string& value : values) {
    bytes_ += value.size();
    row->add_data(std::move(value));
  }
}

void MilvusRows::AddJson(const std::string& field, std::string json) {
  bytes_ += json.size();
  Column(field, milvus_api::JSON).mutable_scalars()->mutable_json_data()->add_data(std::move(json));
}

void MilvusRows::AddVector(const std::string& field, const std::vector<float>& vector) {
  bytes_ += vector.size() * sizeof(float);
  milvus_api::VectorField* vectors = Column(field, milvus_api::FLOAT_VECTOR).mutable_vectors();
  vectors->set_dim(static_cast<int64_t>(vector.size()));
  vectors->mutable_float_vector()->mutable_data()->Add(vector.begin(), vector.end());
}

void MilvusRows::MoveTo(milvus_api::RowsRequest* request) {
  for (milvus_api::FieldData& column : columns_) *request->add_fields_data() = std::move(column);
  request->set_num_rows(static_cast<uint32_t>(rows_));
  *this = MilvusRows();
}

absl::StatusOr<const milvus_api::FieldData*> MilvusTable::Find(const std::string& field) const {
  for (const milvus_api::FieldData& column : columns_) {
    if (column.field_name() == field) return &column;
  }
  return Malformed(field, "is missing");
}

absl::StatusOr<std::vector<int64_t>> MilvusTable::Ints(const std::string& field) const {
  if (columns_.empty()) return std::vector<int64_t>();
  LASTRO_ASSIGN_OR_RETURN(const milvus_api::FieldData* column, Find(field));
  const milvus_api::ScalarField& scalars = column->scalars();
  const bool empty = scalars.data_case() == milvus_api::ScalarField::DATA_NOT_SET;
  if (!scalars.has_long_data() && !empty) return Malformed(field, "has no whole numbers");
  return std::vector<int64_t>(scalars.long_data().data().begin(), scalars.long_data().data().end());
}

absl::StatusOr<std::vector<std::string>> MilvusTable::Texts(const std::string& field) const {
  if (columns_.empty()) return std::vector<std::string>();
  LASTRO_ASSIGN_OR_RETURN(const milvus_api::FieldData* column, Find(field));
  const milvus_api::ScalarField& scalars = column->scalars();
  const bool empty = scalars.data_case() == milvus_api::ScalarField::DATA_NOT_SET;
  if (!scalars.has_string_data() && !empty) return Malformed(field, "has no texts");
  return std::vector<std::string>(scalars.string_data().data().begin(), scalars.string_data().data().end());
}

absl::StatusOr<std::vector<std::vector<float>>> MilvusTable::Vectors(const std::string& field, int dimension) const {
  std::vector<std::vector<float>> vectors;
  if (columns_.empty()) return vectors;
  LASTRO_ASSIGN_OR_RETURN(const milvus_api::FieldData* column, Find(field));
  const auto& data = column->vectors().float_vector().data();
  if (data.size() % dimension != 0) {
    return Malformed(field, absl::StrCat("has ", data.size(), " numbers, no multiple of ", dimension));
  }
  if (!std::all_of(data.begin(), data.end(), [](float value) { return std::isfinite(value); })) {
    return Malformed(field, "has something that is no number");
  }
  for (auto row = data.begin(); row != data.end(); row += dimension) vectors.emplace_back(row, row + dimension);
  return vectors;
}

}  // namespace lastro::services
