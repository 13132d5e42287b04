#include "services/cli/format.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace lastro::services {

std::string FormatBytes(int64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (std::abs(value) >= 1023.5 && unit < 4) {
    value /= 1024;
    ++unit;
  }
  bool whole = unit == 0 || value >= 99.95;
  return whole ? absl::StrFormat("%.0f %s", value, kUnits[unit]) : absl::StrFormat("%.1f %s", value, kUnits[unit]);
}

std::string FormatCount(int64_t count) {
  std::string digits = absl::StrCat(count);
  size_t first = count < 0 ? 1 : 0;
  for (size_t i = digits.size(); i > first + 3;) {
    i -= 3;
    digits.insert(i, ",");
  }
  return digits;
}

std::string FormatCount(int64_t count, absl::string_view thing) {
  return absl::StrCat(FormatCount(count), " ", thing, count == 1 ? "" : "s");
}

std::string FormatNumber(double value, int digits) { return absl::StrFormat("%.*f", digits, value); }

std::string FormatShare(double share) { return absl::StrFormat("%.0f%%", share * 100); }

std::string ShortDuration(absl::Duration duration) {
  double seconds = absl::ToDoubleSeconds(duration);
  if (!std::isfinite(seconds)) return "?";
  if (seconds < 9.95) return absl::StrFormat("%.1f s", seconds);
  int64_t whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 60) return absl::StrCat(whole, " s");
  if (whole < 3600) return absl::StrCat(whole / 60, " min ", whole % 60, " s");
  return absl::StrCat(whole / 3600, " h ", whole % 3600 / 60, " min");
}

std::string FormatTime(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0) return "";
  return absl::FormatTime("%Y-%m-%d %H:%M", absl::FromUnixSeconds(time.seconds()), absl::LocalTimeZone());
}

std::string FormatMetadata(const v1::MetadataValue& value) {
  switch (value.value_case()) {
    case v1::MetadataValue::kStringValue:
      return value.string_value();
    case v1::MetadataValue::kNumberValue:
      return absl::StrFormat("%.15g", value.number_value());
    case v1::MetadataValue::kBoolValue:
      return value.bool_value() ? "true" : "false";
    case v1::MetadataValue::kTimeValue:
      return absl::FormatTime(
          absl::RFC3339_full,
          absl::FromUnixSeconds(value.time_value().seconds()) + absl::Nanoseconds(value.time_value().nanos()),
          absl::UTCTimeZone());
    case v1::MetadataValue::kListValue:
      return absl::StrJoin(value.list_value().values(), ", ", [](std::string* out, const v1::MetadataValue& element) {
        absl::StrAppend(out, element.has_list_value() ? "" : FormatMetadata(element));
      });
    case v1::MetadataValue::VALUE_NOT_SET:
      break;
  }
  return "";
}

std::string FormatLanguage(v1::Language language) {
  switch (language) {
    case v1::LANGUAGE_ENGLISH:
      return "en";
    case v1::LANGUAGE_PORTUGUESE:
      return "pt";
    default:
      return "";
  }
}

}  // namespace lastro::services
