#include "services/grpc/event_log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdio>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace lastro::services {
namespace {

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      break;
  }
  return spdlog::level::off;
}

const char* Name(LogLevel level) {
  static constexpr const char* kNames[] = {"debug", "info", "warning", "error", "off"};
  return kNames[static_cast<int>(level)];
}

std::string JsonString(absl::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&out, "\\u%04x", static_cast<int>(c));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string JsonValue(const EventLog::Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return JsonString(*text);
  if (const auto* number = std::get_if<double>(&value)) return absl::StrFormat("%.3f", *number);
  return absl::StrCat(std::get<int64_t>(value));
}

// Quoted only where it must be.
std::string TextValue(const EventLog::Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr) return JsonValue(value);
  const bool plain = !text->empty() && text->find_first_of(" \"\\=\n\r\t") == std::string::npos;
  return plain ? *text : JsonString(*text);
}

std::string JsonLine(const std::string& time, LogLevel level, absl::string_view event, const EventLog::Fields& fields) {
  std::string line =
      absl::StrCat("{\"time\":\"", time, "\",\"level\":\"", Name(level), "\",\"event\":", JsonString(event));
  for (const auto& [key, value] : fields) absl::StrAppend(&line, ",", JsonString(key), ":", JsonValue(value));
  return line + "}";
}

std::string TextLine(const std::string& time, LogLevel level, absl::string_view event, const EventLog::Fields& fields) {
  std::string line = absl::StrCat(time, " ", Name(level), " ", event);
  for (const auto& [key, value] : fields) absl::StrAppend(&line, " ", key, "=", TextValue(value));
  return line;
}

}  // namespace

absl::StatusOr<LogLevel> ParseLogLevel(absl::string_view name) {
  for (LogLevel level : {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning, LogLevel::kError, LogLevel::kOff}) {
    if (name == Name(level)) return level;
  }
  return absl::InvalidArgumentError(absl::StrCat("log level '", name, "' is none of debug, info, warning, error, off"));
}

EventLog::EventLog(LogLevel level, bool json)
    : logger_(std::make_shared<spdlog::logger>("lastro", std::make_shared<spdlog::sinks::stderr_sink_mt>())),
      json_(json) {
  logger_->set_pattern("%v");
  logger_->set_level(ToSpdlog(level));
}

void EventLog::Write(LogLevel level, absl::string_view event, const Fields& fields) const {
  if (!logger_->should_log(ToSpdlog(level))) return;
  const std::string time = absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone());
  const std::string line = json_ ? JsonLine(time, level, event, fields) : TextLine(time, level, event, fields);
  logger_->log(ToSpdlog(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace lastro::services
