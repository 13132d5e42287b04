// Inspection and the list of models where decoder and embedder are in different processes. Arguments must outlive the
// result. Thread-safe.
#pragma once

#include <memory>

#include "services/api.h"

namespace lastro::services {

// Prompts, and texts for the decoder, go to `decoder`; texts for the embedder to `embedder`.
std::unique_ptr<InspectApi> MakeRoutedInspect(InspectApi* decoder, InspectApi* embedder);

// The models of both, each once. Fails when either fails.
std::unique_ptr<ModelApi> MakeMergedModels(ModelApi* first, ModelApi* second);

}  // namespace lastro::services
