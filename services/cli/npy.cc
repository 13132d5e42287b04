#include "services/cli/npy.h"

#include "absl/strings/str_cat.h"
#include "base/file.h"

namespace lastro::services {

std::string NpyHeader(int64_t rows, int64_t columns) {
  constexpr size_t kPreambleBytes = 10;  // magic, version, length of the dictionary
  constexpr size_t kAlignment = 64;
  std::string dictionary =
      absl::StrCat("{'descr': '<f4', 'fortran_order': False, 'shape': (", rows, ", ", columns, "), }");
  size_t unpadded = kPreambleBytes + dictionary.size() + 1;
  dictionary.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ').push_back('\n');
  std::string header("\x93NUMPY\x01\x00", 8);
  header.push_back(static_cast<char>(dictionary.size() & 0xFF));
  header.push_back(static_cast<char>(dictionary.size() >> 8));
  return header + dictionary;
}

absl::Status WriteNpy(const std::string& path, int64_t rows, int64_t columns, absl::string_view values) {
  uint64_t expected = 0;
  bool overflow = rows < 0 || columns < 0 ||
                  __builtin_mul_overflow(static_cast<uint64_t>(rows), static_cast<uint64_t>(columns), &expected) ||
                  __builtin_mul_overflow(expected, sizeof(float), &expected);
  if (overflow || values.size() != expected) {
    return absl::InvalidArgumentError(absl::StrCat("cannot write ", path, ": ", values.size(),
                                                   " bytes do not make a float32 array of ", rows, " x ", columns));
  }
  std::string content = NpyHeader(rows, columns);
  content.append(values.data(), values.size());
  return WriteFileAtomically(path, content);
}

}  // namespace lastro::services
