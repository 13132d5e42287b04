#include "services/milvus/milvus_options.h"

#include "absl/strings/str_cat.h"

namespace lastro::services {

absl::StatusOr<MilvusConsistency> ParseMilvusConsistency(absl::string_view text) {
  if (text == "strong") return MilvusConsistency::kStrong;
  if (text == "bounded") return MilvusConsistency::kBounded;
  if (text == "eventually") return MilvusConsistency::kEventually;
  return absl::InvalidArgumentError(
      absl::StrCat("consistency \"", text, "\" is none of strong, bounded and eventually"));
}

}  // namespace lastro::services
