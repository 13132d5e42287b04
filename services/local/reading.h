// Reading: answers pointed at in passages. Thread-safe.
#pragma once

#include "absl/status/statusor.h"
#include "base/call_context.h"
#include "base/lru_cache.h"
#include "engine/reader.h"
#include "lastro/v1/generation.pb.h"

namespace lastro::services {

// What a reader said of passages, by all that it depends on and the caller's scope. No text is kept: keys are hashes,
// and readings numbers.
using ReadingCache = LruCache<v1::ReadResponse::Reading>;

// All of the response but the device. What `known` has is not read again, and what is read is kept there. Errors as the
// RPC's comment says.
absl::StatusOr<v1::ReadResponse> ReadPassages(const engine::Reader& reader, const v1::ReadRequest& request,
                                              const CallContext& context, ReadingCache* known);

}  // namespace lastro::services
