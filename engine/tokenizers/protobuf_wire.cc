#include "engine/tokenizers/protobuf_wire.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace lastro::engine::tokenizers {

absl::Status WireReader::Malformed(absl::string_view what) const {
  return absl::InvalidArgumentError(absl::StrCat(where_, " is not a protocol buffer: ", what));
}

absl::StatusOr<uint64_t> WireReader::Varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    if (rest_.empty()) return Malformed("cut off within a number");
    const uint8_t byte = static_cast<uint8_t>(rest_[0]);
    rest_.remove_prefix(1);
    if (shift < 64) value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  return Malformed("a number of more than ten bytes");
}

absl::StatusOr<uint64_t> WireReader::Fixed(size_t bytes) {
  if (rest_.size() < bytes) return Malformed("cut off within a number");
  uint64_t value = 0;
  for (size_t i = bytes; i-- > 0;) value = value << 8 | static_cast<uint8_t>(rest_[i]);
  rest_.remove_prefix(bytes);
  return value;
}

absl::StatusOr<WireReader::Field> WireReader::Next() {
  LASTRO_ASSIGN_OR_RETURN(uint64_t key, Varint());
  if (key >> 3 == 0 || key >> 32 != 0) return Malformed("a field number out of range");
  Field field{static_cast<uint32_t>(key >> 3), static_cast<Field::Type>(key & 7), 0, {}};
  switch (field.type) {
    case Field::Type::kVarint: {
      LASTRO_ASSIGN_OR_RETURN(field.number, Varint());
      return field;
    }
    case Field::Type::kFixed64: {
      LASTRO_ASSIGN_OR_RETURN(field.number, Fixed(8));
      return field;
    }
    case Field::Type::kFixed32: {
      LASTRO_ASSIGN_OR_RETURN(field.number, Fixed(4));
      return field;
    }
    case Field::Type::kBytes: {
      LASTRO_ASSIGN_OR_RETURN(uint64_t length, Varint());
      if (length > rest_.size()) return Malformed("a length beyond its end");
      field.bytes = rest_.substr(0, length);
      rest_.remove_prefix(length);
      return field;
    }
  }
  return Malformed(absl::StrCat("wire type ", key & 7));
}

}  // namespace lastro::engine::tokenizers
