// Files of vector indexes: DATA/index/<set of vectors>/<generation>.index. Thread-safe.
//
// Format: a header of 4,096 bytes, then the body.
//   header  "LASTRO-INDEX 3\n", a JSON object and '\n', then blanks:
//           {"generation":7,"commit":42,"last_chunk":9000,"fingerprint":"...","dimension":384,"kind":"hnsw",
//            "count":8000,"body_bytes":12352123,"sha256":"..."}: of the body and of the members up to "count"
//   body    arrays of numbers, little endian, as VectorIndex::Write gives them
// A file appears whole under its name or not at all: it is written aside, fsynced and renamed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "retrieval/vector_index.h"

namespace lastro::retrieval {

std::string IndexFolder(const std::string& data_folder, int64_t set);
std::string IndexFileName(const std::string& index_folder, int64_t generation);

// The generations present in `index_folder`, newest first; removes left-over temporary files and what
// earlier versions kept there.
std::vector<int64_t> ListGenerations(const std::string& index_folder);

// Makes `index_folder` when needed.
absl::Status WriteIndexFile(const std::string& index_folder, const VectorIndex& index, const std::string& fingerprint);

// DATA_LOSS naming the file unless everything about it is as expected.
absl::StatusOr<std::shared_ptr<const VectorIndex>> ReadIndexFile(const std::string& index_folder, int64_t generation,
                                                                 int dimension, const std::string& fingerprint);

}  // namespace lastro::retrieval
