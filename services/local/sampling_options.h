// From the protos' sampling fields, whose zero means the default, to the engine's. Pure functions.
#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "base/scope.h"
#include "engine/beam_search.h"
#include "engine/generator.h"
#include "lastro/v1/generation.pb.h"

namespace lastro::services {

// INVALID_ARGUMENT names the field, its value and the limit.
absl::StatusOr<engine::GenerateOptions> ToGenerateOptions(const v1::GenerateRequest& request, const Scope& caller);

// Of Prompt.reuse; nothing where it is unset. Callers of different scopes share nothing.
absl::StatusOr<std::optional<engine::KvScope>> ToKvScope(const v1::Prompt& prompt, const Scope& caller);

// Of a request with beams. INVALID_ARGUMENT also where something is asked for that beam search does not do.
absl::StatusOr<engine::BeamOptions> ToBeamOptions(const v1::GenerateRequest& request);

}  // namespace lastro::services
