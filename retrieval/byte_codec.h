// A compact byte encoding for records kept in blobs: varints (LEB128), length-prefixed strings, IEEE doubles. Not
// thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace lastro::retrieval {

class ByteWriter {
 public:
  void Varint(uint64_t value);
  void Signed(int64_t value);  // zigzag
  void Double(double value);   // 8 bytes, little endian
  void String(absl::string_view value);
  std::string Take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

// Reads what ByteWriter wrote. A read past the end or of a malformed value gives zero or "" and makes the reader fail
// for good: read everything, then ask Finish().
class ByteReader {
 public:
  explicit ByteReader(absl::string_view bytes) : bytes_(bytes) {}

  uint64_t Varint();
  int64_t Signed();
  double Double();
  std::string String();
  // As Varint, for a count of records of at least one byte each that follow: fails when there is no room for them.
  uint64_t Count();

  bool failed() const { return failed_; }
  bool at_end() const { return bytes_.empty(); }
  // DATA_LOSS naming `what` unless every read succeeded and nothing is left.
  absl::Status Finish(absl::string_view what) const;

 private:
  uint64_t Fail();
  absl::string_view bytes_;
  bool failed_ = false;
};

}  // namespace lastro::retrieval
