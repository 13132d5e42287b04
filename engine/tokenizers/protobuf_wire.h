// The wire format of protocol buffers, read field by field over bytes that may be hostile. Not thread-safe; owns
// nothing.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lastro::engine::tokenizers {

class WireReader {
 public:
  // A field: `number` holds varints and fixed-width values (raw bits), `bytes` what is length-delimited.
  struct Field {
    enum class Type { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
    uint32_t tag = 0;
    Type type = Type::kVarint;
    uint64_t number = 0;
    absl::string_view bytes;  // of the message
  };

  // `where` opens error messages; both must outlive this.
  WireReader(absl::string_view message, absl::string_view where) : rest_(message), where_(where) {}

  bool AtEnd() const { return rest_.empty(); }
  // INVALID_ARGUMENT: cut off, a varint of more than ten bytes, a length beyond the message, tag 0, a group.
  absl::StatusOr<Field> Next();

 private:
  absl::Status Malformed(absl::string_view what) const;
  absl::StatusOr<uint64_t> Varint();
  absl::StatusOr<uint64_t> Fixed(size_t bytes);

  absl::string_view rest_;
  absl::string_view where_;
};

}  // namespace lastro::engine::tokenizers
