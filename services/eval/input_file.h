// Files of evaluation data: read whole, decompressed when they are zstd, and taken apart into lines. They may come from
// anywhere: sizes are checked, and errors name the file and the line. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/json.h"

namespace lastro::services::eval {

inline constexpr uint64_t kMaxInputBytes = 1ull << 30;  // of a file, decompressed
inline constexpr size_t kMaxLineBytes = 16u << 20;

// The bytes of `path`. A zstd file (told by its first bytes; windows up to 128 MiB, several frames) is decompressed.
// Errors: those of ReadFile; INVALID_ARGUMENT for a damaged or cut zstd file; RESOURCE_EXHAUSTED above `max_bytes`.
absl::StatusOr<std::string> ReadInput(const std::string& path, uint64_t max_bytes = kMaxInputBytes);

// `path` or `path`.zst, whichever there is; nothing when there is neither.
std::optional<std::string> FindInput(const std::string& path);

// Calls visit(line, "PATH line N") for every line of `content` that is not blank, without its line break. Ends with the
// first error. INVALID_ARGUMENT for a line longer than kMaxLineBytes or that is no UTF-8.
absl::Status ForEachLine(absl::string_view content, const std::string& path,
                         const std::function<absl::Status(absl::string_view, const std::string&)>& visit);

// As ForEachLine, each line parsed as a JSON object.
absl::Status ForEachJsonLine(absl::string_view content, const std::string& path,
                             const std::function<absl::Status(const JsonValue&, const std::string&)>& visit);

}  // namespace lastro::services::eval
