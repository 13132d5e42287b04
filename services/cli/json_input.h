// Messages from JSON: the proto JSON mapping, as json_output.h writes it.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"

namespace lastro::services {

// Fills `message`; members that it does not know are ignored. INVALID_ARGUMENT, opening with `what`, when it is no JSON
// object or a member has another type.
absl::Status FromJson(absl::string_view json, absl::string_view what, google::protobuf::Message* message);

}  // namespace lastro::services
