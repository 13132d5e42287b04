#include "engine/gguf_weights.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/status_macros.h"

namespace lastro::engine {
namespace {

constexpr int64_t kMaxExperts = 4096;

// Read into the configuration (gguf_config.h), not weights of a layer.
constexpr absl::string_view kConfigTensors[] = {"rope_freqs.weight", "rope_factors_long.weight",
                                                "rope_factors_short.weight"};

bool IsConfig(absl::string_view name) {
  return std::find(std::begin(kConfigTensors), std::end(kConfigTensors), name) != std::end(kConfigTensors);
}

}  // namespace

absl::StatusOr<std::unique_ptr<GgufWeights>> GgufWeights::Create(
    MappedFile file, std::string path, const GgufFamily& family, const HeadCounts& heads,
    const std::vector<std::pair<std::string, StoredTensor>>& tensors) {
  std::unique_ptr<GgufWeights> weights(new GgufWeights(std::move(file), std::move(path)));
  const absl::Span<const uint8_t> bytes = weights->file_.bytes();
  const uint8_t* first = bytes.data() + bytes.size();
  for (const auto& [name, tensor] : tensors) first = std::min(first, tensor.data.data());
  weights->replaced_.push_back(bytes.first(static_cast<size_t>(first - bytes.data())));
  for (const auto& [name, tensor] : tensors) {
    if (IsConfig(name)) continue;
    const GgufTensorMatch match = HfNameOf(family, name).value_or(GgufTensorMatch{name});
    LASTRO_RETURN_IF_ERROR(weights->Add(name, match, heads, tensor));
  }
  std::sort(weights->names_.begin(), weights->names_.end());
  return weights;
}

absl::Status GgufWeights::Add(const std::string& gguf_name, const GgufTensorMatch& match, const HeadCounts& heads,
                              StoredTensor tensor) {
  if (match.change == GgufChange::kExperts) return AddExperts(gguf_name, match.name, tensor);
  if (match.change == GgufChange::kNormPlusOne) {
    LASTRO_RETURN_IF_ERROR(SubtractOne(gguf_name, &tensor));
  } else if (match.change != GgufChange::kNone && match.change != GgufChange::kTransposed) {
    LASTRO_RETURN_IF_ERROR(ReorderRows(gguf_name, match.change, heads, &tensor));
  }
  if (!tensors_.emplace(match.name, std::move(tensor)).second) {
    return absl::InvalidArgumentError(absl::StrCat(path_, ": more than one tensor stands for ", match.name));
  }
  names_.push_back(match.name);
  return absl::OkStatus();
}

// A view of each expert's part.
absl::Status GgufWeights::AddExperts(const std::string& gguf_name, const std::string& hf_name,
                                     const StoredTensor& tensor) {
  const int64_t experts = tensor.shape.front();
  if (tensor.shape.size() < 2 || experts < 1 || experts > kMaxExperts) {
    return absl::InvalidArgumentError(absl::StrCat(path_, ": tensor ", gguf_name, " must hold from 1 to ", kMaxExperts,
                                                   " experts in its last dimension but has ", experts));
  }
  StoredTensor part = tensor;
  part.shape.erase(part.shape.begin());
  const size_t bytes = tensor.data.size() / static_cast<size_t>(experts);
  for (int64_t e = 0; e < experts; ++e) {
    part.data = tensor.data.subspan(static_cast<size_t>(e) * bytes, bytes);
    const std::string name = absl::StrReplaceAll(hf_name, {{"{e}", absl::StrCat(e)}});
    LASTRO_RETURN_IF_ERROR(Add(gguf_name, GgufTensorMatch{name}, {}, part));
  }
  return absl::OkStatus();
}

absl::Span<uint8_t> GgufWeights::NewCopy(absl::Span<const uint8_t> replaced) {
  replaced_.push_back(replaced);
  return absl::MakeSpan(copies_.emplace_back(replaced.size()));  // moving a vector keeps its memory
}

void GgufWeights::ForgetReplaced() const {
  for (absl::Span<const uint8_t> part : replaced_) file_.Forget(part);
}

absl::Status GgufWeights::ReorderRows(const std::string& name, GgufChange change, const HeadCounts& heads,
                                      StoredTensor* tensor) {
  const int64_t rows = tensor->shape.front();
  const std::vector<int64_t> order = GgufRowOrder(change, heads, rows);
  if (order.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path_, ": tensor ", name, " has ", rows, " rows, which ",
                                                   heads.heads, " heads and ", heads.kv_heads,
                                                   " key-value heads do not make"));
  }
  const size_t row_bytes = tensor->data.size() / static_cast<size_t>(rows);
  const absl::Span<uint8_t> copy = NewCopy(tensor->data);
  for (size_t row = 0; row < order.size(); ++row) {
    std::memcpy(copy.data() + row * row_bytes, tensor->data.data() + static_cast<size_t>(order[row]) * row_bytes,
                row_bytes);
  }
  tensor->data = copy;
  return absl::OkStatus();
}

absl::Status GgufWeights::SubtractOne(const std::string& name, StoredTensor* tensor) {
  if (tensor->type != StoredType::kF32) {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": tensor ", name, " is of type ", NameOf(tensor->type), "; a norm must be F32"));
  }
  const absl::Span<uint8_t> copy = NewCopy(tensor->data);
  for (size_t at = 0; at < copy.size(); at += sizeof(float)) {
    float value;
    std::memcpy(&value, tensor->data.data() + at, sizeof(float));
    value -= 1.0f;
    std::memcpy(copy.data() + at, &value, sizeof(float));
  }
  tensor->data = copy;
  return absl::OkStatus();
}

absl::StatusOr<const StoredTensor*> GgufWeights::Find(absl::string_view name) const {
  auto found = tensors_.find(name);
  if (found == tensors_.end()) return absl::NotFoundError(absl::StrCat(path_, " has no tensor ", name));
  return &found->second;
}

}  // namespace lastro::engine
