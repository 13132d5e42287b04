// Reading: answers pointed at in passages. Pure function of its arguments; thread-safe.
#pragma once

#include "absl/status/statusor.h"
#include "base/call_context.h"
#include "engine/reader.h"
#include "lastro/v1/generation.pb.h"

namespace lastro::services {

// All of the response but the device. Errors as the RPC's comment says.
absl::StatusOr<v1::ReadResponse> ReadPassages(const engine::Reader& reader, const v1::ReadRequest& request,
                                              const CallContext& context);

}  // namespace lastro::services
