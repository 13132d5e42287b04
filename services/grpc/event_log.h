// EventLog: one line an event, as key=value text or as JSON, on standard error through spdlog. Thread-safe.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spdlog {
class logger;
}

namespace lastro::services {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

// "debug", "info", "warning", "error" or "off"; INVALID_ARGUMENT names them.
absl::StatusOr<LogLevel> ParseLogLevel(absl::string_view name);

class EventLog {
 public:
  using Value = std::variant<std::string, double, int64_t>;
  using Fields = std::vector<std::pair<std::string, Value>>;

  EventLog(LogLevel level, bool json);
  // As above, into a logger of the caller's: for tests.
  EventLog(std::shared_ptr<spdlog::logger> logger, bool json) : logger_(std::move(logger)), json_(json) {}

  // Fields must not hold text of documents, questions or answers.
  void Write(LogLevel level, absl::string_view event, const Fields& fields) const;

 private:
  std::shared_ptr<spdlog::logger> logger_;
  const bool json_;
};

}  // namespace lastro::services
