// NumPy's file format, version 1.0 (numpy.lib.format): little-endian float32 matrices.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lastro::services {

// The header of a row-major float32 array of shape [rows, columns]; its length is a multiple of 64 bytes.
std::string NpyHeader(int64_t rows, int64_t columns);

// Writes the array, replacing `path` as a whole. `values` are the little-endian bytes of rows * columns floats; another
// length is INVALID_ARGUMENT. Else errors of base/file.h.
absl::Status WriteNpy(const std::string& path, int64_t rows, int64_t columns, absl::string_view values);

}  // namespace lastro::services
