// The reader's answer to a request, checked: it may come from another process. Thread-safe function.
#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "base/call_context.h"
#include "lastro/v1/generation.pb.h"
#include "services/api.h"

namespace lastro::services::answer {

// What the reader says to `request`, with as many readings and at most as many spans as asked for, all of them whole
// characters of the passages, and numbers where they belong; INTERNAL when it is not so. nullopt when there is no
// reader.
absl::StatusOr<std::optional<v1::ReadResponse>> AskReader(const v1::ReadRequest& request, GenerationApi& generation,
                                                          const CallContext& context);

}  // namespace lastro::services::answer
