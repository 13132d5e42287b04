// ConfigReader: fields of a config.json with their range checked where they are read, so that nothing behind a card
// meets a hostile number. Errors are INVALID_ARGUMENT and name the field, its value and the range. Not thread-safe: it
// remembers the first error, so that a card reads like a table and asks status() once.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/json.h"
#include "kernels/kernels.h"

namespace lastro::engine {

// Upper limits, far above any published model, far below overflow.
inline constexpr int64_t kMaxLayers = 1024;
inline constexpr int64_t kMaxHeads = 4096;
inline constexpr int64_t kMaxHeadDim = 4096;
inline constexpr int64_t kMaxWidth = int64_t{1} << 20;
inline constexpr int64_t kMaxVocab = int64_t{1} << 24;
inline constexpr int64_t kMaxTokens = int64_t{1} << 24;

class ConfigReader {
 public:
  explicit ConfigReader(JsonValue config) : config_(std::move(config)) {}

  // The value of `key` within [low, high]. An absent or null field gives `otherwise`, or an error where there is none.
  // After an error `low` is returned.
  int64_t Int(absl::string_view key, int64_t low, int64_t high, std::optional<int64_t> otherwise = std::nullopt);
  double Double(absl::string_view key, double low, double high, std::optional<double> otherwise = std::nullopt);
  // As Double, but null gives 0: "none" where the family's default is a number.
  double DoubleOrNull(absl::string_view key, double low, double high, double otherwise);
  bool Bool(absl::string_view key, bool otherwise);
  std::string String(absl::string_view key, absl::string_view otherwise);
  // "silu", "gelu" (erf), "gelu_new" / "gelu_fast" / "gelu_pytorch_tanh" (tanh), "relu".
  kernels::ActivationKind Activation(absl::string_view key, absl::string_view otherwise);

  // The first of `keys` that is there, or the first: configurations of one family name a field in several ways.
  absl::string_view FirstOf(std::initializer_list<absl::string_view> keys) const;

  // For options that only one value of is supported: UNIMPLEMENTED, naming the field, for any other.
  void ExpectBool(absl::string_view key, bool only);
  void ExpectString(absl::string_view key, absl::string_view only);
  void ExpectAbsent(absl::string_view key);  // or null

  void Fail(absl::Status status) {
    if (status_.ok()) status_ = std::move(status);
  }
  const absl::Status& status() const { return status_; }
  const JsonValue& config() const { return config_; }

 private:
  template <typename T>
  T InRange(absl::string_view key, absl::StatusOr<T> value, T low, T high);

  JsonValue config_;
  absl::Status status_;
};

}  // namespace lastro::engine
