#include "engine/gguf_writer.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace lastro::engine {
namespace {

template <typename T>
void AppendNumber(T value, std::string* out) {
  static_assert(std::is_arithmetic_v<T>);
  out->append(reinterpret_cast<const char*>(&value), sizeof(T));
}

void AppendText(absl::string_view text, std::string* out) {
  AppendNumber<uint64_t>(text.size(), out);
  out->append(text.data(), text.size());
}

int64_t Padding(int64_t bytes) {
  constexpr int64_t kAlignment = kGgufAlignment;
  return (kAlignment - bytes % kAlignment) % kAlignment;
}

absl::StatusOr<int64_t> BytesOf(absl::string_view name, StoredType type, absl::Span<const int64_t> shape) {
  const BlockSize block = BlockOf(type);
  if (shape.empty() || shape.size() > 4 || shape.back() % block.elements != 0) {
    return absl::InvalidArgumentError(absl::StrCat("tensor ", name, " cannot be written as ", NameOf(type),
                                                   ": 1 to 4 dimensions and rows of whole blocks of ", block.elements,
                                                   " elements are needed"));
  }
  int64_t bytes = block.bytes;
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t count = i + 1 == shape.size() ? shape[i] / block.elements : shape[i];
    if (count <= 0 || __builtin_mul_overflow(bytes, count, &bytes)) {
      return absl::InvalidArgumentError(absl::StrCat("tensor ", name, " has a dimension that cannot be written"));
    }
  }
  return bytes;
}

// A file that is removed unless it was finished.
class PartFile {
 public:
  explicit PartFile(std::string path) : path_(std::move(path)), file_(std::fopen(path_.c_str(), "wb")) {}
  ~PartFile() {
    if (file_ == nullptr) return;
    std::fclose(file_);
    std::remove(path_.c_str());
  }
  absl::Status Append(absl::string_view bytes) {
    if (file_ == nullptr || std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) {
      return ErrnoToStatus(errno, "write " + path_);
    }
    return absl::OkStatus();
  }
  absl::Status FinishAs(const std::string& path) {
    if (std::fflush(file_) != 0 || fsync(fileno(file_)) != 0) return ErrnoToStatus(errno, "write " + path_);
    FILE* file = std::exchange(file_, nullptr);
    if (std::fclose(file) != 0) return ErrnoToStatus(errno, "write " + path_);
    std::error_code error;
    std::filesystem::rename(path_, path, error);
    if (error) return ErrnoToStatus(error.value(), absl::StrCat("rename ", path_, " to ", path));
    return absl::OkStatus();
  }

 private:
  const std::string path_;
  FILE* file_;
};

}  // namespace

void GgufWriter::AddKey(absl::string_view key, GgufType type) {
  AppendText(key, &pairs_);
  AppendNumber(static_cast<uint32_t>(type), &pairs_);
  ++pair_count_;
}

template <typename T>
void GgufWriter::AddValue(absl::string_view key, GgufType type, T value) {
  AddKey(key, type);
  AppendNumber(value, &pairs_);
}

template <typename T>
void GgufWriter::AddArray(absl::string_view key, GgufType type, absl::Span<const T> values) {
  AddKey(key, GgufType::kArray);
  AppendNumber(static_cast<uint32_t>(type), &pairs_);
  AppendNumber<uint64_t>(values.size(), &pairs_);
  for (const T& value : values) {
    if constexpr (std::is_same_v<T, std::string>) {
      AppendText(value, &pairs_);
    } else {
      AppendNumber(value, &pairs_);
    }
  }
}

void GgufWriter::AddUint(absl::string_view key, uint32_t value) { AddValue(key, GgufType::kU32, value); }
void GgufWriter::AddInt(absl::string_view key, int32_t value) { AddValue(key, GgufType::kI32, value); }
void GgufWriter::AddFloat(absl::string_view key, float value) { AddValue(key, GgufType::kF32, value); }
void GgufWriter::AddBool(absl::string_view key, bool value) {
  AddValue(key, GgufType::kBool, static_cast<uint8_t>(value));
}
void GgufWriter::AddString(absl::string_view key, absl::string_view value) {
  AddKey(key, GgufType::kString);
  AppendText(value, &pairs_);
}
void GgufWriter::AddStrings(absl::string_view key, absl::Span<const std::string> values) {
  AddArray(key, GgufType::kString, values);
}
void GgufWriter::AddInts(absl::string_view key, absl::Span<const int32_t> values) {
  AddArray(key, GgufType::kI32, values);
}
void GgufWriter::AddFloats(absl::string_view key, absl::Span<const float> values) {
  AddArray(key, GgufType::kF32, values);
}
void GgufWriter::AddRaw(absl::string_view key, absl::string_view typed_value) {
  AppendText(key, &pairs_);
  pairs_.append(typed_value.data(), typed_value.size());
  ++pair_count_;
}

absl::Status GgufWriter::AddTensor(absl::string_view name, StoredType type, absl::Span<const int64_t> shape,
                                   Fill fill) {
  if (name.empty() || name.size() > kMaxGgufTensorName) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor ", name, ": a name of 1 to ", kMaxGgufTensorName, " bytes is needed"));
  }
  LASTRO_ASSIGN_OR_RETURN(uint32_t number, GgufTensorType(type));
  LASTRO_ASSIGN_OR_RETURN(int64_t bytes, BytesOf(name, type, shape));
  AppendText(name, &infos_);
  AppendNumber(static_cast<uint32_t>(shape.size()), &infos_);
  for (size_t i = shape.size(); i-- > 0;) AppendNumber<uint64_t>(static_cast<uint64_t>(shape[i]), &infos_);
  AppendNumber(number, &infos_);
  AppendNumber<uint64_t>(static_cast<uint64_t>(data_bytes_), &infos_);
  tensors_.push_back({bytes, std::move(fill)});
  data_bytes_ += bytes + Padding(bytes);
  return absl::OkStatus();
}

absl::Status GgufWriter::Write(const std::string& path) const {
  PartFile file(path + ".part");
  std::string head = kGgufMagic;
  AppendNumber(kGgufVersion, &head);
  AppendNumber<uint64_t>(tensors_.size(), &head);
  AppendNumber<uint64_t>(pair_count_, &head);
  absl::StrAppend(&head, pairs_, infos_);
  head.append(static_cast<size_t>(Padding(static_cast<int64_t>(head.size()))), '\0');
  LASTRO_RETURN_IF_ERROR(file.Append(head));
  std::string bytes;
  for (const Tensor& tensor : tensors_) {
    bytes.clear();
    LASTRO_RETURN_IF_ERROR(tensor.fill(&bytes));
    if (static_cast<int64_t>(bytes.size()) != tensor.bytes) {
      return absl::InternalError(
          absl::StrCat(path, ": a tensor of ", tensor.bytes, " bytes was written as ", bytes.size()));
    }
    bytes.append(static_cast<size_t>(Padding(tensor.bytes)), '\0');
    LASTRO_RETURN_IF_ERROR(file.Append(bytes));
  }
  return file.FinishAs(path);
}

}  // namespace lastro::engine
