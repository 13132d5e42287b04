// Quantities as people read them. Pure functions.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"
#include "lastro/v1/common.pb.h"

namespace lastro::services {

std::string FormatBytes(int64_t bytes);                           // "512 B", "3.4 KiB", "1.2 GiB"
std::string FormatCount(int64_t count);                           // "1,234,567"
std::string FormatCount(int64_t count, absl::string_view thing);  // "1 chunk", "1,234 chunks"
std::string FormatNumber(double value, int digits);               // fixed point
std::string FormatShare(double share);                            // 0.873 -> "87%"
std::string ShortDuration(absl::Duration duration);               // "0.4 s", "12 s", "3 min 20 s", "2 h 5 min"
std::string FormatTime(const google::protobuf::Timestamp& time);  // local, "2024-05-01 13:45"; "" when unset
std::string FormatMetadata(const v1::MetadataValue& value);       // strings as they are
std::string FormatLanguage(v1::Language language);                // "en", "pt", ""

}  // namespace lastro::services
