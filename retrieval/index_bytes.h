// How the parts of a vector index are written to its file and read back: arrays of numbers, little endian, one after
// the other, whose lengths the reader knows or reads first. Not thread-safe.
#pragma once

#include <cstdint>
#include <cstring>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "retrieval/huge_array.h"

namespace lastro::retrieval {

using IndexSink = absl::FunctionRef<void(absl::string_view)>;

template <typename T>
void WriteNumbers(IndexSink sink, const T* values, size_t count) {
  sink(absl::string_view(reinterpret_cast<const char*>(values), count * sizeof(T)));
}
template <typename T>
void WriteNumber(IndexSink sink, T value) {
  WriteNumbers(sink, &value, 1);
}

// Reads past the end give INVALID_ARGUMENT before anything is allocated.
class IndexReader {
 public:
  explicit IndexReader(absl::string_view bytes) : bytes_(bytes) {}

  template <typename T>
  absl::Status Read(size_t count, HugeArray<T>* out) {
    if (count > bytes_.size() / sizeof(T)) return TooShort();
    out->Resize(count);
    return ReadInto(count, out->data());
  }
  template <typename T>
  absl::Status Read(T* out) {
    return ReadInto(1, out);
  }
  absl::Status Finish() const {
    return bytes_.empty() ? absl::OkStatus() : absl::InvalidArgumentError("vector index: bytes are left over");
  }

 private:
  static absl::Status TooShort() { return absl::InvalidArgumentError("vector index: the file ends too early"); }

  template <typename T>
  absl::Status ReadInto(size_t count, T* out) {
    if (count > bytes_.size() / sizeof(T)) return TooShort();
    if (count > 0) std::memcpy(out, bytes_.data(), count * sizeof(T));
    bytes_.remove_prefix(count * sizeof(T));
    return absl::OkStatus();
  }

  absl::string_view bytes_;
};

}  // namespace lastro::retrieval
