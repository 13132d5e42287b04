#include "engine/gguf.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>
#include <optional>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "base/utf8.h"

namespace lastro::engine {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is read in place");

constexpr uint64_t kMaxPairs = 1'000'000;
constexpr uint64_t kMaxTensors = 1'000'000;
constexpr uint64_t kMaxAlignment = 1 << 20;
constexpr uint32_t kMaxDimensions = 4;
constexpr uint64_t kMaxKeyBytes = 65535;
constexpr int kMaxArrayDepth = 4;
constexpr uint64_t kStringHead = 8;  // bytes before the first character
constexpr uint64_t kArrayHead = 12;  // bytes before the first element
constexpr uint64_t kSmallestPair = kStringHead + 1 + 4 + 1;
constexpr uint64_t kSmallestTensor = kStringHead + 1 + 4 + 8 + 4 + 8;

struct TypeRow {
  const char* name;
  uint64_t size;  // the smallest, for strings and arrays
};
constexpr TypeRow kTypes[] = {{"u8", 1},
                              {"i8", 1},
                              {"u16", 2},
                              {"i16", 2},
                              {"u32", 4},
                              {"i32", 4},
                              {"f32", 4},
                              {"bool", 1},
                              {"string", kStringHead},
                              {"array", kArrayHead},
                              {"u64", 8},
                              {"i64", 8},
                              {"f64", 8}};

struct TensorTypeRow {
  uint32_t number;
  StoredType type;
};
constexpr TensorTypeRow kTensorTypes[] = {
    {0, StoredType::kF32},   {1, StoredType::kF16},   {2, StoredType::kQ4_0},  {3, StoredType::kQ4_1},
    {6, StoredType::kQ5_0},  {7, StoredType::kQ5_1},  {8, StoredType::kQ8_0},  {10, StoredType::kQ2_K},
    {11, StoredType::kQ3_K}, {12, StoredType::kQ4_K}, {13, StoredType::kQ5_K}, {14, StoredType::kQ6_K},
    {24, StoredType::kI8},   {25, StoredType::kI16},  {26, StoredType::kI32},  {27, StoredType::kI64},
    {28, StoredType::kF64},  {30, StoredType::kBF16}, {39, StoredType::kMXFP4}};

bool IsInteger(GgufType type) {
  return type != GgufType::kF32 && type != GgufType::kF64 && type != GgufType::kBool && type != GgufType::kString &&
         type != GgufType::kArray;
}
bool IsFloat(GgufType type) { return type == GgufType::kF32 || type == GgufType::kF64; }
uint64_t SizeOf(GgufType type) { return kTypes[static_cast<size_t>(type)].size; }

template <typename T>
T ReadAs(const uint8_t* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

// Nullopt when a u64 does not fit.
std::optional<int64_t> ReadInteger(GgufType type, const uint8_t* bytes) {
  switch (type) {
    case GgufType::kU8:
      return *bytes;
    case GgufType::kI8:
      return ReadAs<int8_t>(bytes);
    case GgufType::kU16:
      return ReadAs<uint16_t>(bytes);
    case GgufType::kI16:
      return ReadAs<int16_t>(bytes);
    case GgufType::kU32:
      return ReadAs<uint32_t>(bytes);
    case GgufType::kI32:
      return ReadAs<int32_t>(bytes);
    case GgufType::kI64:
      return ReadAs<int64_t>(bytes);
    default: {
      const uint64_t value = ReadAs<uint64_t>(bytes);
      return value <= INT64_MAX ? std::optional<int64_t>(static_cast<int64_t>(value)) : std::nullopt;
    }
  }
}

double ReadFloat(GgufType type, const uint8_t* bytes) {
  return type == GgufType::kF32 ? ReadAs<float>(bytes) : ReadAs<double>(bytes);
}

uint64_t AlignUp(uint64_t value, uint64_t alignment) { return (value + alignment - 1) / alignment * alignment; }

}  // namespace

absl::string_view NameOf(GgufType type) { return kTypes[static_cast<size_t>(type)].name; }

absl::StatusOr<uint32_t> GgufTensorType(StoredType type) {
  for (const TensorTypeRow& row : kTensorTypes) {
    if (row.type == type) return row.number;
  }
  return absl::InvalidArgumentError(absl::StrCat("GGUF has no tensors of type ", NameOf(type)));
}

// One parse: a cursor over the bytes, and what was read.
class GgufParser {
 public:
  GgufParser(absl::Span<const uint8_t> bytes, const std::string& name)
      : bytes_(bytes), name_(name), contents_{0, GgufMetadata(name), {}} {}

  absl::StatusOr<GgufContents> Parse();

 private:
  using Value = GgufMetadata::Value;
  struct TensorInfo {
    std::string name;
    StoredTensor tensor;
    uint64_t offset = 0;  // in the data section
    uint64_t size = 0;
  };

  uint64_t left() const { return bytes_.size() - at_; }
  template <typename... Parts>
  absl::Status Bad(const Parts&... parts) const {
    return absl::InvalidArgumentError(absl::StrCat(name_, ": ", parts...));
  }
  absl::StatusOr<absl::Span<const uint8_t>> Take(uint64_t count, absl::string_view what);
  template <typename T>
  absl::StatusOr<T> Number(absl::string_view what);
  absl::StatusOr<absl::string_view> Text(absl::string_view what);
  absl::StatusOr<std::string> Name(uint64_t max_bytes, absl::string_view what);
  absl::StatusOr<GgufType> Type(absl::string_view what);

  absl::Status Header();
  absl::Status Pair();
  absl::StatusOr<Value> ReadValue(absl::string_view key);
  absl::Status SkipElements(GgufType type, uint64_t count, int depth, absl::string_view key);
  absl::Status SkipArrayOfArrays(uint64_t count, int depth, absl::string_view key);
  absl::Status ReadAlignment();
  absl::StatusOr<TensorInfo> ReadTensorInfo();
  absl::Status ReadShape(TensorInfo* info);
  absl::Status ReadTensorType(TensorInfo* info);
  absl::Status PlaceTensors(std::vector<TensorInfo> infos);

  const absl::Span<const uint8_t> bytes_;
  const std::string& name_;
  uint64_t at_ = 0;
  uint64_t alignment_ = kGgufAlignment;
  uint64_t tensor_count_ = 0;
  uint64_t pair_count_ = 0;
  GgufContents contents_;
};

absl::StatusOr<absl::Span<const uint8_t>> GgufParser::Take(uint64_t count, absl::string_view what) {
  if (count > left()) {
    return Bad(what, " of ", count, " bytes at byte ", at_, " exceeds the file of ", bytes_.size(),
               " bytes; is the download complete?");
  }
  const absl::Span<const uint8_t> taken = bytes_.subspan(at_, count);
  at_ += count;
  return taken;
}

template <typename T>
absl::StatusOr<T> GgufParser::Number(absl::string_view what) {
  LASTRO_ASSIGN_OR_RETURN(absl::Span<const uint8_t> bytes, Take(sizeof(T), what));
  return ReadAs<T>(bytes.data());
}

absl::StatusOr<absl::string_view> GgufParser::Text(absl::string_view what) {
  LASTRO_ASSIGN_OR_RETURN(uint64_t length, Number<uint64_t>(what));
  LASTRO_ASSIGN_OR_RETURN(absl::Span<const uint8_t> bytes, Take(length, what));
  return absl::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

absl::StatusOr<std::string> GgufParser::Name(uint64_t max_bytes, absl::string_view what) {
  LASTRO_ASSIGN_OR_RETURN(absl::string_view text, Text(what));
  if (text.empty() || text.size() > max_bytes) {
    return Bad(what, " of ", text.size(), " bytes; between 1 and ", max_bytes, " are expected");
  }
  if (!IsValidUtf8(text) || text.find('\0') != absl::string_view::npos) {
    return Bad(what, " before byte ", at_, " is not UTF-8 text");
  }
  return std::string(text);
}

absl::StatusOr<GgufType> GgufParser::Type(absl::string_view what) {
  LASTRO_ASSIGN_OR_RETURN(uint32_t type, Number<uint32_t>(what));
  if (type >= std::size(kTypes)) return Bad("the type of ", what, " is ", type, "; 0 to 12 are defined");
  return static_cast<GgufType>(type);
}

absl::Status GgufParser::Header() {
  LASTRO_ASSIGN_OR_RETURN(absl::Span<const uint8_t> magic, Take(4, "the magic"));
  if (std::memcmp(magic.data(), kGgufMagic, 4) != 0) return Bad("not a GGUF file: it does not start with \"GGUF\"");
  LASTRO_ASSIGN_OR_RETURN(contents_.version, Number<uint32_t>("the version"));
  if (contents_.version != 2 && contents_.version != 3) {
    const bool swapped = contents_.version == __builtin_bswap32(2) || contents_.version == __builtin_bswap32(3);
    return absl::UnimplementedError(absl::StrCat(
        name_, ": ", swapped ? "a big-endian file" : absl::StrCat("GGUF version ", contents_.version),
        " is not read; supported: little-endian versions 2 and 3 (convert the model again with current tools)"));
  }
  LASTRO_ASSIGN_OR_RETURN(tensor_count_, Number<uint64_t>("the number of tensors"));
  LASTRO_ASSIGN_OR_RETURN(pair_count_, Number<uint64_t>("the number of metadata pairs"));
  if (tensor_count_ > left() / kSmallestTensor) return Bad(tensor_count_, " tensors do not fit the file");
  if (pair_count_ > left() / kSmallestPair) return Bad(pair_count_, " metadata pairs do not fit the file");
  if (tensor_count_ > kMaxTensors || pair_count_ > kMaxPairs) {
    return absl::ResourceExhaustedError(absl::StrCat(name_, " holds ", tensor_count_, " tensors and ", pair_count_,
                                                     " metadata pairs; at most ", kMaxTensors, " and ", kMaxPairs,
                                                     " are read"));
  }
  return absl::OkStatus();
}

absl::Status GgufParser::SkipArrayOfArrays(uint64_t count, int depth, absl::string_view key) {
  if (depth == kMaxArrayDepth) return Bad(key, ": arrays nested deeper than ", kMaxArrayDepth);
  for (uint64_t i = 0; i < count; ++i) {
    LASTRO_ASSIGN_OR_RETURN(GgufType type, Type(key));
    LASTRO_ASSIGN_OR_RETURN(uint64_t inner, Number<uint64_t>(key));
    LASTRO_RETURN_IF_ERROR(SkipElements(type, inner, depth + 1, key));
  }
  return absl::OkStatus();
}

absl::Status GgufParser::SkipElements(GgufType type, uint64_t count, int depth, absl::string_view key) {
  if (count > left() / SizeOf(type)) {
    return Bad(key, ": an array of ", count, " elements of type ", NameOf(type), " exceeds the file");
  }
  if (type == GgufType::kArray) return SkipArrayOfArrays(count, depth, key);
  if (type == GgufType::kString) {
    for (uint64_t i = 0; i < count; ++i) LASTRO_RETURN_IF_ERROR(Text(key).status());
    return absl::OkStatus();
  }
  LASTRO_ASSIGN_OR_RETURN(absl::Span<const uint8_t> bytes, Take(count * SizeOf(type), key));
  if (type != GgufType::kBool) return absl::OkStatus();
  if (std::any_of(bytes.begin(), bytes.end(), [](uint8_t b) { return b > 1; })) {
    return Bad(key, ": a boolean is neither 0 nor 1");
  }
  return absl::OkStatus();
}

absl::StatusOr<GgufMetadata::Value> GgufParser::ReadValue(absl::string_view key) {
  Value value;
  LASTRO_ASSIGN_OR_RETURN(value.type, Type(key));
  GgufType element = value.type;
  if (value.type == GgufType::kArray) {
    LASTRO_ASSIGN_OR_RETURN(element, Type(key));
    LASTRO_ASSIGN_OR_RETURN(value.count, Number<uint64_t>(key));
    value.element = element;
  }
  const uint64_t begin = at_;
  LASTRO_RETURN_IF_ERROR(SkipElements(element, value.count, 1, key));
  value.bytes = bytes_.subspan(begin, at_ - begin);
  return value;
}

absl::Status GgufParser::Pair() {
  LASTRO_ASSIGN_OR_RETURN(std::string key, Name(kMaxKeyBytes, "a metadata key"));
  LASTRO_ASSIGN_OR_RETURN(Value value, ReadValue(key));
  if (!contents_.metadata.values_.emplace(key, value).second) return Bad("metadata key ", key, " occurs twice");
  return absl::OkStatus();
}

absl::Status GgufParser::ReadAlignment() {
  if (!contents_.metadata.Has("general.alignment")) return absl::OkStatus();
  LASTRO_ASSIGN_OR_RETURN(int64_t alignment, contents_.metadata.Int("general.alignment"));
  if (alignment < 8 || alignment > static_cast<int64_t>(kMaxAlignment) || (alignment & (alignment - 1)) != 0) {
    return Bad("general.alignment is ", alignment, "; a power of two between 8 and ", kMaxAlignment, " is expected");
  }
  alignment_ = static_cast<uint64_t>(alignment);
  return absl::OkStatus();
}

absl::Status GgufParser::ReadShape(TensorInfo* info) {
  LASTRO_ASSIGN_OR_RETURN(uint32_t dimensions, Number<uint32_t>("a number of dimensions"));
  if (dimensions < 1 || dimensions > kMaxDimensions) {
    return Bad("tensor ", info->name, " has ", dimensions, " dimensions; 1 to ", kMaxDimensions, " are expected");
  }
  for (uint32_t i = 0; i < dimensions; ++i) {
    LASTRO_ASSIGN_OR_RETURN(uint64_t dimension, Number<uint64_t>("a dimension"));
    if (dimension == 0 || dimension > INT64_MAX) return Bad("tensor ", info->name, " has a dimension of ", dimension);
    info->tensor.shape.insert(info->tensor.shape.begin(), static_cast<int64_t>(dimension));
  }
  return absl::OkStatus();
}

absl::Status GgufParser::ReadTensorType(TensorInfo* info) {
  LASTRO_ASSIGN_OR_RETURN(uint32_t number, Number<uint32_t>("a tensor type"));
  for (const TensorTypeRow& row : kTensorTypes) {
    if (row.number != number) continue;
    info->tensor.type = row.type;
    return absl::OkStatus();
  }
  return absl::UnimplementedError(
      absl::StrCat(name_, ": tensor ", info->name, " is of type number ", number,
                   "; supported: F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K, MXFP4, I8 to I64, F64"));
}

absl::StatusOr<GgufParser::TensorInfo> GgufParser::ReadTensorInfo() {
  TensorInfo info;
  LASTRO_ASSIGN_OR_RETURN(info.name, Name(kMaxGgufTensorName, "a tensor name"));
  LASTRO_RETURN_IF_ERROR(ReadShape(&info));
  LASTRO_RETURN_IF_ERROR(ReadTensorType(&info));
  LASTRO_ASSIGN_OR_RETURN(info.offset, Number<uint64_t>("a tensor offset"));
  const BlockSize block = BlockOf(info.tensor.type);
  const int64_t columns = info.tensor.shape.back();
  if (columns % block.elements != 0) {
    return Bad("tensor ", info.name, ": rows of ", columns, " elements are not whole blocks of ", block.elements,
               " of type ", NameOf(info.tensor.type));
  }
  int64_t size = columns / block.elements;
  bool overflow = __builtin_mul_overflow(size, block.bytes, &size);
  for (size_t i = 0; i + 1 < info.tensor.shape.size(); ++i) {
    overflow = __builtin_mul_overflow(size, info.tensor.shape[i], &size) || overflow;
  }
  if (overflow || static_cast<uint64_t>(size) > bytes_.size()) {
    return Bad("tensor ", info.name, ": the product of its dimensions exceeds the file; is the download complete?");
  }
  info.size = static_cast<uint64_t>(size);
  return info;
}

// Tensors, ordered by offset, follow each other, each padded to the alignment.
absl::Status GgufParser::PlaceTensors(std::vector<TensorInfo> infos) {
  const uint64_t begin = AlignUp(at_, alignment_);
  if (!infos.empty() && begin > bytes_.size()) return Bad("the file ends before its data section");
  std::vector<const TensorInfo*> order;
  for (const TensorInfo& info : infos) order.push_back(&info);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) { return a->offset < b->offset; });
  uint64_t expected = 0;
  for (const TensorInfo* info : order) {
    if (info->offset != expected) {
      return Bad("tensor ", info->name, " begins at byte ", info->offset, " of the data; byte ", expected,
                 " was expected (hole, overlap or wrong alignment)");
    }
    if (info->size > bytes_.size() - begin || info->offset > bytes_.size() - begin - info->size) {
      return Bad("tensor ", info->name, " ends at byte ", info->offset + info->size, " of the data; the file has ",
                 bytes_.size() - begin, "; is the download complete?");
    }
    expected = AlignUp(info->offset + info->size, alignment_);
  }
  for (TensorInfo& info : infos) {
    info.tensor.data = bytes_.subspan(begin + info.offset, info.size);
    contents_.tensors.emplace_back(std::move(info.name), std::move(info.tensor));
  }
  return absl::OkStatus();
}

absl::StatusOr<GgufContents> GgufParser::Parse() {
  LASTRO_RETURN_IF_ERROR(Header());
  for (uint64_t i = 0; i < pair_count_; ++i) LASTRO_RETURN_IF_ERROR(Pair());
  LASTRO_RETURN_IF_ERROR(ReadAlignment());
  std::vector<TensorInfo> infos;
  absl::flat_hash_set<std::string> names;
  for (uint64_t i = 0; i < tensor_count_; ++i) {
    LASTRO_ASSIGN_OR_RETURN(TensorInfo info, ReadTensorInfo());
    if (!names.insert(info.name).second) return Bad("tensor ", info.name, " occurs twice");
    infos.push_back(std::move(info));
  }
  LASTRO_RETURN_IF_ERROR(PlaceTensors(std::move(infos)));
  return std::move(contents_);
}

absl::StatusOr<GgufContents> ParseGguf(absl::Span<const uint8_t> bytes, const std::string& name) {
  return GgufParser(bytes, name).Parse();
}

absl::Status GgufMetadata::TypeError(absl::string_view key, absl::string_view expected, const Value& found) const {
  const std::string type = found.type == GgufType::kArray ? absl::StrCat("array of ", NameOf(found.element))
                                                          : std::string(NameOf(found.type));
  return absl::InvalidArgumentError(absl::StrCat(name_, ": ", key, " must be ", expected, ", found ", type));
}

absl::StatusOr<const GgufMetadata::Value*> GgufMetadata::Find(absl::string_view key) const {
  auto found = values_.find(key);
  if (found == values_.end()) return absl::InvalidArgumentError(absl::StrCat(name_, ": ", key, " is missing"));
  return &found->second;
}

absl::StatusOr<const GgufMetadata::Value*> GgufMetadata::FindArray(absl::string_view key) const {
  LASTRO_ASSIGN_OR_RETURN(const Value* value, Find(key));
  if (value->type != GgufType::kArray) return TypeError(key, "an array", *value);
  return value;
}

bool GgufMetadata::IsArray(absl::string_view key) const {
  auto found = values_.find(key);
  return found != values_.end() && found->second.type == GgufType::kArray;
}

absl::StatusOr<int64_t> GgufMetadata::Int(absl::string_view key) const {
  LASTRO_ASSIGN_OR_RETURN(const Value* value, Find(key));
  if (!IsInteger(value->type)) return TypeError(key, "an integer", *value);
  const std::optional<int64_t> number = ReadInteger(value->type, value->bytes.data());
  if (!number.has_value()) return absl::InvalidArgumentError(absl::StrCat(name_, ": ", key, " exceeds 64 bits"));
  return *number;
}

absl::StatusOr<double> GgufMetadata::Double(absl::string_view key) const {
  LASTRO_ASSIGN_OR_RETURN(const Value* value, Find(key));
  if (IsFloat(value->type)) return ReadFloat(value->type, value->bytes.data());
  if (!IsInteger(value->type)) return TypeError(key, "a number", *value);
  LASTRO_ASSIGN_OR_RETURN(int64_t number, Int(key));
  return static_cast<double>(number);
}

absl::StatusOr<bool> GgufMetadata::Bool(absl::string_view key) const {
  LASTRO_ASSIGN_OR_RETURN(const Value* value, Find(key));
  if (value->type != GgufType::kBool) return TypeError(key, "a boolean", *value);
  return value->bytes[0] != 0;
}

absl::StatusOr<absl::string_view> GgufMetadata::String(absl::string_view key) const {
  LASTRO_ASSIGN_OR_RETURN(const Value* value, Find(key));
  if (value->type != GgufType::kString) return TypeError(key, "a string", *value);
  return absl::string_view(reinterpret_cast<const char*>(value->bytes.data()) + kStringHead,
                           value->bytes.size() - kStringHead);
}

absl::StatusOr<std::vector<absl::string_view>> GgufMetadata::Strings(absl::string_view key) const {
  LASTRO_ASSIGN_OR_RETURN(const Value* value, FindArray(key));
  if (value->element != GgufType::kString) return TypeError(key, "an array of strings", *value);
  std::vector<absl::string_view> strings;
  strings.reserve(value->count);
  const uint8_t* at = value->bytes.data();
  for (uint64_t i = 0; i < value->count; ++i) {
    const uint64_t length = ReadAs<uint64_t>(at);
    strings.emplace_back(reinterpret_cast<const char*>(at) + kStringHead, length);
    at += kStringHead + length;
  }
  return strings;
}

absl::StatusOr<std::vector<int64_t>> GgufMetadata::Ints(absl::string_view key) const {
  LASTRO_ASSIGN_OR_RETURN(const Value* value, FindArray(key));
  if (!IsInteger(value->element)) return TypeError(key, "an array of integers", *value);
  std::vector<int64_t> numbers;
  numbers.reserve(value->count);
  for (uint64_t i = 0; i < value->count; ++i) {
    const std::optional<int64_t> number = ReadInteger(value->element, value->bytes.data() + i * SizeOf(value->element));
    if (!number.has_value()) return absl::InvalidArgumentError(absl::StrCat(name_, ": ", key, " exceeds 64 bits"));
    numbers.push_back(*number);
  }
  return numbers;
}

absl::StatusOr<std::vector<double>> GgufMetadata::Doubles(absl::string_view key) const {
  LASTRO_ASSIGN_OR_RETURN(const Value* value, FindArray(key));
  if (!IsFloat(value->element)) return TypeError(key, "an array of f32 or f64", *value);
  std::vector<double> numbers;
  numbers.reserve(value->count);
  for (uint64_t i = 0; i < value->count; ++i) {
    numbers.push_back(ReadFloat(value->element, value->bytes.data() + i * SizeOf(value->element)));
  }
  return numbers;
}

std::string GgufMetadata::TypedBytes(absl::string_view key) const {
  auto found = values_.find(key);
  LASTRO_CHECK(found != values_.end(), std::string(key));
  const Value& value = found->second;
  std::string bytes(reinterpret_cast<const char*>(&value.type), sizeof(value.type));
  if (value.type == GgufType::kArray) {
    bytes.append(reinterpret_cast<const char*>(&value.element), sizeof(value.element));
    bytes.append(reinterpret_cast<const char*>(&value.count), sizeof(value.count));
  }
  bytes.append(reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size());
  return bytes;
}

std::vector<std::string> GgufMetadata::keys() const {
  std::vector<std::string> keys;
  for (const auto& [key, value] : values_) keys.push_back(key);
  std::sort(keys.begin(), keys.end());
  return keys;
}

}  // namespace lastro::engine
