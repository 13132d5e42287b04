// Reranking by a cross-encoder. Pure function of its arguments; thread-safe.
#pragma once

#include "absl/status/statusor.h"
#include "base/call_context.h"
#include "engine/sequence_classifier.h"
#include "lastro/v1/generation.pb.h"

namespace lastro::services {

// FAILED_PRECONDITION when `model` tells more than two labels apart, which is no reranker. Else as the RPC's comment
// says.
absl::StatusOr<v1::RerankResponse> Rerank(const engine::SequenceClassifier& model, const v1::RerankRequest& request,
                                          const CallContext& context);

}  // namespace lastro::services
