#include "engine/safetensors.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "engine/hf_folder.h"

namespace lastro::engine {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the reference implementation's limit
constexpr size_t kMaxTensors = 1'000'000;
constexpr size_t kMaxShards = 4096;
constexpr size_t kMaxDimensions = 8;
constexpr uint64_t kLengthBytes = 8;

// The types of this format.
constexpr StoredType kTypes[] = {StoredType::kF64, StoredType::kF32, StoredType::kF16, StoredType::kBF16,
                                 StoredType::kI64, StoredType::kI32, StoredType::kI16, StoredType::kI8,
                                 StoredType::kU8,  StoredType::kBool};

using Tensors = std::vector<std::pair<std::string, StoredTensor>>;

absl::StatusOr<StoredType> ParseType(const JsonValue& entry) {
  LASTRO_ASSIGN_OR_RETURN(JsonValue field, entry.Get("dtype"));
  LASTRO_ASSIGN_OR_RETURN(absl::string_view name, field.AsString());
  for (StoredType type : kTypes) {
    if (name == NameOf(type)) return type;
  }
  return absl::UnimplementedError(
      absl::StrCat(field.path(), " is ", name, "; supported: F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL"));
}

absl::StatusOr<std::vector<int64_t>> ParseIntegers(const JsonValue& entry, absl::string_view key) {
  LASTRO_ASSIGN_OR_RETURN(JsonValue field, entry.Get(key));
  LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> items, field.AsArray());
  if (items.size() > kMaxDimensions) {
    return absl::InvalidArgumentError(
        absl::StrCat(field.path(), " has ", items.size(), " entries; at most ", kMaxDimensions, " are expected"));
  }
  std::vector<int64_t> values;
  for (const JsonValue& item : items) {
    LASTRO_ASSIGN_OR_RETURN(int64_t value, item.AsInt());
    if (value < 0) return absl::InvalidArgumentError(absl::StrCat(item.path(), " is negative"));
    values.push_back(value);
  }
  return values;
}

// product(shape) * size of the type; INVALID_ARGUMENT when it does not fit.
absl::StatusOr<int64_t> ByteLength(const std::vector<int64_t>& shape, StoredType type, const std::string& where) {
  int64_t bytes = BlockOf(type).bytes;
  for (int64_t dimension : shape) {
    if (__builtin_mul_overflow(bytes, dimension, &bytes)) {
      return absl::InvalidArgumentError(absl::StrCat(where, ": the product of the shape does not fit 64 bits"));
    }
  }
  return bytes;
}

// simdjson keeps duplicate keys: a reader that takes the first and one that takes the last would see different tensors.
absl::Status CheckFieldsDiffer(const JsonValue& entry) {
  simdjson::dom::object fields;
  if (entry.element().get(fields) != simdjson::SUCCESS) {
    return absl::InvalidArgumentError(absl::StrCat(entry.path(), " must be an object"));
  }
  std::set<std::string_view> keys;
  for (const auto& field : fields) {
    if (keys.insert(field.key).second) continue;
    return absl::InvalidArgumentError(absl::StrCat(entry.path(), ": field ", std::string(field.key), " occurs twice"));
  }
  return absl::OkStatus();
}

absl::StatusOr<StoredTensor> ParseTensor(const JsonValue& entry, absl::Span<const uint8_t> data) {
  StoredTensor tensor;
  LASTRO_RETURN_IF_ERROR(CheckFieldsDiffer(entry));
  LASTRO_ASSIGN_OR_RETURN(tensor.type, ParseType(entry));
  LASTRO_ASSIGN_OR_RETURN(tensor.shape, ParseIntegers(entry, "shape"));
  LASTRO_ASSIGN_OR_RETURN(std::vector<int64_t> offsets, ParseIntegers(entry, "data_offsets"));
  if (offsets.size() != 2 || offsets[0] > offsets[1] || static_cast<uint64_t>(offsets[1]) > data.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(entry.path(), ".data_offsets must be [begin, end] with begin <= end <= ", data.size(),
                     ", the bytes after the header"));
  }
  LASTRO_ASSIGN_OR_RETURN(int64_t expected, ByteLength(tensor.shape, tensor.type, entry.path()));
  if (offsets[1] - offsets[0] != expected) {
    return absl::InvalidArgumentError(absl::StrCat(entry.path(), ": data_offsets span ", offsets[1] - offsets[0],
                                                   " bytes; shape and dtype need ", expected));
  }
  tensor.data = data.subspan(static_cast<size_t>(offsets[0]), static_cast<size_t>(expected));
  return tensor;
}

absl::Status CheckMetadata(const JsonValue& metadata) {
  simdjson::dom::object fields;
  if (metadata.element().get(fields) != simdjson::SUCCESS) {
    return absl::InvalidArgumentError(absl::StrCat(metadata.path(), " must be an object"));
  }
  for (const auto& field : fields) {
    if (!field.value.is_string()) {
      return absl::InvalidArgumentError(absl::StrCat(metadata.path(), " must hold strings only"));
    }
  }
  return absl::OkStatus();
}

// The JSON header and what follows it.
struct Sections {
  absl::string_view header;
  absl::Span<const uint8_t> data;
};

absl::StatusOr<Sections> SplitFile(absl::Span<const uint8_t> bytes, const std::string& name) {
  if (bytes.size() < kLengthBytes) {
    return absl::InvalidArgumentError(absl::StrCat(name, " has ", bytes.size(), " bytes: not a safetensors file"));
  }
  uint64_t length = 0;
  for (size_t i = kLengthBytes; i-- > 0;) length = (length << 8) | bytes[i];
  if (length > kMaxHeaderBytes || length > bytes.size() - kLengthBytes) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": header length ", length, " exceeds the file (",
                                                   bytes.size(), " bytes) or the limit of ", kMaxHeaderBytes,
                                                   "; is the download complete?"));
  }
  absl::string_view header(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes, length);
  if (!absl::StartsWith(header, "{")) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": the header must start with '{'"));
  }
  return Sections{header, bytes.subspan(kLengthBytes + length)};
}

// Tensors, ordered by offset, must follow each other from the first to the last byte of the data section.
absl::Status CheckCoverage(const Tensors& tensors, absl::Span<const uint8_t> data, const std::string& name) {
  std::vector<const std::pair<std::string, StoredTensor>*> order;
  for (const auto& tensor : tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return std::make_tuple(a->second.data.data(), a->second.data.size()) <
           std::make_tuple(b->second.data.data(), b->second.data.size());
  });
  const uint8_t* expected = data.data();
  for (const auto* tensor : order) {
    if (tensor->second.data.data() != expected) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": tensor ", tensor->first, " begins at byte ",
                                                     tensor->second.data.data() - data.data(), " of the data; byte ",
                                                     expected - data.data(), " was expected (hole or overlap)"));
    }
    expected += tensor->second.data.size();
  }
  if (expected != data.data() + data.size()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": the tensors end at byte ", expected - data.data(), " of ",
                                                   data.size(), "; the file is truncated or has trailing bytes"));
  }
  return absl::OkStatus();
}

absl::Status CheckNamesDiffer(const Tensors& tensors, const std::string& name) {
  std::vector<absl::string_view> names;
  for (const auto& tensor : tensors) names.push_back(tensor.first);
  std::sort(names.begin(), names.end());
  auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice == names.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name, ": tensor ", *twice, " occurs twice"));
}

// The distinct shard names of an index, sorted, and how many tensors it lists.
struct ShardList {
  std::set<std::string> shards;
  std::vector<std::pair<std::string, std::string>> weight_map;
};

absl::StatusOr<ShardList> ReadIndex(const std::string& path) {
  LASTRO_ASSIGN_OR_RETURN(JsonDocument document, JsonDocument::ParseFile(path, kMaxHeaderBytes));
  LASTRO_ASSIGN_OR_RETURN(JsonValue map, document.root().Get("weight_map"));
  simdjson::dom::object fields;
  if (map.element().get(fields) != simdjson::SUCCESS) {
    return absl::InvalidArgumentError(absl::StrCat(map.path(), " must be an object"));
  }
  ShardList list;
  for (const auto& field : fields) {
    JsonValue value(field.value, absl::StrCat(map.path(), ".", absl::string_view(field.key.data(), field.key.size())));
    LASTRO_ASSIGN_OR_RETURN(absl::string_view shard, value.AsString());
    if (!StaysInFolder(shard) || !absl::EndsWith(shard, ".safetensors")) {
      return absl::InvalidArgumentError(
          absl::StrCat(value.path(), " must be the relative path of a .safetensors file inside the model folder"));
    }
    list.shards.emplace(shard);
    list.weight_map.emplace_back(std::string(field.key), std::string(shard));
    if (list.shards.size() > kMaxShards || list.weight_map.size() > kMaxTensors) {
      return absl::ResourceExhaustedError(absl::StrCat(map.path(), " lists too many shards or tensors"));
    }
  }
  return list;
}

}  // namespace

absl::StatusOr<Tensors> ParseSafetensors(absl::Span<const uint8_t> bytes, const std::string& name) {
  LASTRO_ASSIGN_OR_RETURN(Sections sections, SplitFile(bytes, name));
  LASTRO_ASSIGN_OR_RETURN(JsonDocument document, JsonDocument::Parse(sections.header, name, kMaxHeaderBytes));
  simdjson::dom::object fields;
  if (document.root().element().get(fields) != simdjson::SUCCESS) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": the header must be an object"));
  }
  Tensors tensors;
  for (const auto& field : fields) {
    std::string key(field.key);
    JsonValue entry(field.value, absl::StrCat(name, ": ", key));
    if (key == "__metadata__") {
      LASTRO_RETURN_IF_ERROR(CheckMetadata(entry));
      continue;
    }
    if (tensors.size() == kMaxTensors) {
      return absl::ResourceExhaustedError(absl::StrCat(name, " holds more than ", kMaxTensors, " tensors"));
    }
    LASTRO_ASSIGN_OR_RETURN(StoredTensor tensor, ParseTensor(entry, sections.data));
    tensors.emplace_back(std::move(key), std::move(tensor));
  }
  LASTRO_RETURN_IF_ERROR(CheckNamesDiffer(tensors, name));
  LASTRO_RETURN_IF_ERROR(CheckCoverage(tensors, sections.data, name));
  return tensors;
}

absl::Status SafetensorsFile::AddFile(const std::string& path) {
  LASTRO_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  LASTRO_ASSIGN_OR_RETURN(Tensors tensors, ParseSafetensors(file.bytes(), path));
  files_.push_back(std::move(file));
  for (auto& [name, tensor] : tensors) {
    if (!tensors_.emplace(name, std::move(tensor)).second) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": tensor ", name, " occurs in another shard too"));
    }
    names_.push_back(name);
  }
  if (names_.size() > kMaxTensors) return absl::ResourceExhaustedError(absl::StrCat(path_, " holds too many tensors"));
  return absl::OkStatus();
}

absl::StatusOr<SafetensorsFile> SafetensorsFile::Open(const std::string& path) {
  SafetensorsFile result;
  result.path_ = path;
  if (absl::EndsWith(path, ".index.json")) {
    LASTRO_ASSIGN_OR_RETURN(ShardList list, ReadIndex(path));
    const std::string folder = path.substr(0, path.find_last_of('/') + 1);
    for (const std::string& shard : list.shards) LASTRO_RETURN_IF_ERROR(result.AddFile(folder + shard));
    for (const auto& [tensor, shard] : list.weight_map) {
      if (result.Contains(tensor)) continue;
      return absl::InvalidArgumentError(absl::StrCat(path, ": tensor ", tensor, " is not in ", shard));
    }
  } else {
    LASTRO_RETURN_IF_ERROR(result.AddFile(path));
  }
  std::sort(result.names_.begin(), result.names_.end());
  return result;
}

absl::StatusOr<const StoredTensor*> SafetensorsFile::Find(absl::string_view name) const {
  auto found = tensors_.find(name);
  if (found == tensors_.end()) return absl::NotFoundError(absl::StrCat(path_, " has no tensor ", name));
  return &found->second;
}

}  // namespace lastro::engine
