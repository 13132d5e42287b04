// Messages as JSON: the proto JSON mapping with the protos' field names and zero values printed.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "google/protobuf/message.h"
#include "google/protobuf/struct.pb.h"

namespace lastro::services {

// One object without a line break at its end; on one line unless `pretty`. INTERNAL when the message cannot be mapped.
absl::StatusOr<std::string> ToJson(const google::protobuf::Message& message, bool pretty);

// Values of objects that have no message of their own.
google::protobuf::Value JsonNumber(int64_t number);
google::protobuf::Value JsonText(const std::string& text);

}  // namespace lastro::services
