#include "services/cli/json_input.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/json_util.h"

namespace lastro::services {

absl::Status FromJson(absl::string_view json, absl::string_view what, google::protobuf::Message* message) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  auto status = google::protobuf::util::JsonStringToMessage(std::string(json), message, options);
  if (status.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(what, " is not the JSON that lastro writes: ",
                                                 std::string(status.message())));
}

}  // namespace lastro::services
