// Components that are not there: every call fails with the status given, which says which role is missing and how to
// get it. Thread-safe.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "services/api.h"

namespace lastro::services {

// REQUIRES: !status.ok().
std::unique_ptr<EmbeddingApi> MakeUnavailableEmbedding(absl::Status status);
std::unique_ptr<GenerationApi> MakeUnavailableGeneration(absl::Status status);
std::unique_ptr<RetrievalApi> MakeUnavailableRetrieval(absl::Status status);
std::unique_ptr<IngestApi> MakeUnavailableIngest(absl::Status status);
std::unique_ptr<AskApi> MakeUnavailableAsk(absl::Status status);
std::unique_ptr<InspectApi> MakeUnavailableInspect(absl::Status status);
std::unique_ptr<ModelApi> MakeUnavailableModel(absl::Status status);

}  // namespace lastro::services
