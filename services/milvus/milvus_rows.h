// Rows as Milvus carries them, column by column: what is sent is put together here, and what comes back is checked
// before it is believed. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "milvus/milvus.pb.h"

namespace lastro::services {

namespace milvus_api = ::milvus::proto::milvus;

// Columns of equal length. A column begins with its first value.
class MilvusRows {
 public:
  void AddInt(const std::string& field, int64_t value);
  void AddText(const std::string& field, std::string value);  // UTF-8
  void AddTexts(const std::string& field, std::vector<std::string> values);
  void AddJson(const std::string& field, std::string json);
  void AddVector(const std::string& field, const std::vector<float>& vector);
  // Counts the row whose values were added last.
  void EndRow() { ++rows_; }

  int rows() const { return rows_; }
  size_t bytes() const { return bytes_; }
  // Fills the request, and is empty afterwards.
  void MoveTo(milvus_api::RowsRequest* request);

 private:
  milvus_api::FieldData& Column(const std::string& field, milvus_api::DataType type);

  std::vector<milvus_api::FieldData> columns_;
  absl::flat_hash_map<std::string, size_t> by_name_;
  int rows_ = 0;
  size_t bytes_ = 0;
};

// The columns of an answer. Every access is checked: a column that is missing, of another type or of another length is
// an INTERNAL error that names it.
class MilvusTable {
 public:
  MilvusTable() = default;
  explicit MilvusTable(google::protobuf::RepeatedPtrField<milvus_api::FieldData> columns)
      : columns_(std::move(columns)) {}

  absl::StatusOr<std::vector<int64_t>> Ints(const std::string& field) const;
  absl::StatusOr<std::vector<std::string>> Texts(const std::string& field) const;
  absl::StatusOr<std::vector<std::vector<float>>> Vectors(const std::string& field, int dimension) const;

 private:
  absl::StatusOr<const milvus_api::FieldData*> Find(const std::string& field) const;

  google::protobuf::RepeatedPtrField<milvus_api::FieldData> columns_;
};

}  // namespace lastro::services
