#include "retrieval/byte_codec.h"

#include <cstring>

#include "absl/strings/str_cat.h"

namespace lastro::retrieval {

void ByteWriter::Varint(uint64_t value) {
  while (value >= 0x80) {
    bytes_.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  bytes_.push_back(static_cast<char>(value));
}

void ByteWriter::Signed(int64_t value) {
  Varint((static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63));
}

void ByteWriter::Double(double value) {
  char raw[sizeof(value)];
  std::memcpy(raw, &value, sizeof(value));
  bytes_.append(raw, sizeof(raw));
}

void ByteWriter::String(absl::string_view value) {
  Varint(value.size());
  bytes_.append(value.data(), value.size());
}

uint64_t ByteReader::Fail() {
  failed_ = true;
  bytes_ = {};
  return 0;
}

uint64_t ByteReader::Varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (bytes_.empty()) return Fail();
    uint8_t byte = static_cast<uint8_t>(bytes_[0]);
    bytes_.remove_prefix(1);
    if (shift == 63 && byte > 1) return Fail();
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  return Fail();
}

int64_t ByteReader::Signed() {
  uint64_t value = Varint();
  return static_cast<int64_t>((value >> 1) ^ (~(value & 1) + 1));
}

double ByteReader::Double() {
  double value = 0;
  if (bytes_.size() < sizeof(value)) return static_cast<double>(Fail());
  std::memcpy(&value, bytes_.data(), sizeof(value));
  bytes_.remove_prefix(sizeof(value));
  return value;
}

std::string ByteReader::String() {
  uint64_t size = Varint();
  if (failed_ || size > bytes_.size()) {
    Fail();
    return "";
  }
  std::string value(bytes_.substr(0, size));
  bytes_.remove_prefix(size);
  return value;
}

uint64_t ByteReader::Count() {
  uint64_t count = Varint();
  return failed_ || count > bytes_.size() ? Fail() : count;
}

absl::Status ByteReader::Finish(absl::string_view what) const {
  if (!failed_ && bytes_.empty()) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("store: the stored ", what, " is malformed"));
}

}  // namespace lastro::retrieval
