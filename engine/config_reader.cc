#include "engine/config_reader.h"

#include "absl/strings/str_cat.h"

namespace lastro::engine {

template <typename T>
T ConfigReader::InRange(absl::string_view key, absl::StatusOr<T> value, T low, T high) {
  if (!value.ok()) {
    Fail(value.status());
    return low;
  }
  if (!(*value >= low && *value <= high)) {  // also NaN
    Fail(absl::InvalidArgumentError(
        absl::StrCat(config_.path(), " ", key, " = ", *value, " is out of range [", low, ", ", high, "]")));
    return low;
  }
  return *value;
}

int64_t ConfigReader::Int(absl::string_view key, int64_t low, int64_t high, std::optional<int64_t> otherwise) {
  if (!otherwise.has_value() && !config_.Has(key)) {
    Fail(absl::InvalidArgumentError(absl::StrCat(config_.path(), " ", key, " is missing")));
    return low;
  }
  return InRange<int64_t>(key, config_.GetInt(key, otherwise.value_or(low)), low, high);
}

double ConfigReader::Double(absl::string_view key, double low, double high, std::optional<double> otherwise) {
  if (!otherwise.has_value() && !config_.Has(key)) {
    Fail(absl::InvalidArgumentError(absl::StrCat(config_.path(), " ", key, " is missing")));
    return low;
  }
  return InRange<double>(key, config_.GetDouble(key, otherwise.value_or(low)), low, high);
}

double ConfigReader::DoubleOrNull(absl::string_view key, double low, double high, double otherwise) {
  if (!config_.Has(key)) return config_.Get(key).ok() ? 0.0 : otherwise;
  return Double(key, low, high);
}

absl::string_view ConfigReader::FirstOf(std::initializer_list<absl::string_view> keys) const {
  for (absl::string_view key : keys) {
    if (config_.Has(key)) return key;
  }
  return *keys.begin();
}

void ConfigReader::ExpectBool(absl::string_view key, bool only) {
  if (Bool(key, only) == only) return;
  Fail(absl::UnimplementedError(absl::StrCat(config_.path(), " ", key, " = ", only ? "false" : "true",
                                             " is not supported; supported: ", only ? "true" : "false")));
}

void ConfigReader::ExpectString(absl::string_view key, absl::string_view only) {
  const std::string value = String(key, only);
  if (value == only) return;
  Fail(absl::UnimplementedError(
      absl::StrCat(config_.path(), " ", key, " \"", value, "\" is not supported; supported: ", only)));
}

void ConfigReader::ExpectAbsent(absl::string_view key) {
  if (!config_.Has(key)) return;
  Fail(absl::UnimplementedError(absl::StrCat(config_.path(), " ", key, " is not supported for this model_type")));
}

bool ConfigReader::Bool(absl::string_view key, bool otherwise) {
  absl::StatusOr<bool> value = config_.GetBool(key, otherwise);
  if (!value.ok()) Fail(value.status());
  return value.value_or(otherwise);
}

std::string ConfigReader::String(absl::string_view key, absl::string_view otherwise) {
  absl::StatusOr<std::string> value = config_.GetString(key, otherwise);
  if (!value.ok()) Fail(value.status());
  return value.value_or(std::string(otherwise));
}

kernels::ActivationKind ConfigReader::Activation(absl::string_view key, absl::string_view otherwise) {
  using kernels::ActivationKind;
  const std::string name = String(key, otherwise);
  if (name == "silu" || name == "swish") return ActivationKind::kSilu;
  if (name == "gelu") return ActivationKind::kGeluErf;
  if (name == "gelu_new" || name == "gelu_fast" || name == "gelu_pytorch_tanh") return ActivationKind::kGeluTanh;
  if (name == "relu") return ActivationKind::kRelu;
  Fail(absl::UnimplementedError(
      absl::StrCat(config_.path(), " ", key, " \"", name,
                   "\" is not supported; supported: silu, gelu, gelu_new, gelu_fast, gelu_pytorch_tanh, relu")));
  return ActivationKind::kSilu;
}

}  // namespace lastro::engine
