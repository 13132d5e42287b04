// FindOrCompute: what a cache has of several results; what it lacks is computed at once and kept there. Thread-safe.
#pragma once

#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/check.h"
#include "base/lru_cache.h"
#include "base/status_macros.h"

namespace lastro::services {

// The values of `keys`, in their order. `compute` gives one value for each of some places among them, in their order.
// Where it fails, nothing is kept; where it fails with INVALID_ARGUMENT, it is asked for all places, so that a message
// which names one by its place names it by that among all.
template <typename Value>
absl::StatusOr<std::vector<std::shared_ptr<const Value>>> FindOrCompute(
    LruCache<Value>& known, absl::Span<const std::string> keys,
    absl::FunctionRef<absl::StatusOr<std::vector<Value>>(absl::Span<const size_t> places)> compute,
    absl::FunctionRef<size_t(const Value&)> bytes_of) {
  std::vector<std::shared_ptr<const Value>> values;
  std::vector<size_t> missing;
  for (size_t i = 0; i < keys.size(); ++i) {
    values.push_back(known.Find(keys[i]));
    if (values.back() == nullptr) missing.push_back(i);
  }
  if (missing.empty()) return values;
  absl::StatusOr<std::vector<Value>> computed = compute(missing);
  if (absl::IsInvalidArgument(computed.status()) && missing.size() < keys.size()) {
    std::vector<size_t> all(keys.size());
    std::iota(all.begin(), all.end(), size_t{0});
    const absl::Status named = compute(all).status();
    return named.ok() ? computed.status() : named;
  }
  LASTRO_RETURN_IF_ERROR(computed.status());
  LASTRO_CHECK(computed->size() == missing.size(), "a value for each place");
  for (size_t i = 0; i < missing.size(); ++i) {
    auto value = std::make_shared<const Value>(std::move((*computed)[i]));
    known.Insert(keys[missing[i]], value, bytes_of(*value));
    values[missing[i]] = std::move(value);
  }
  return values;
}

}  // namespace lastro::services
