// Answerer: the local AskApi. Question -> search -> reading, or candidates and their evidence -> answer with citations,
// or an abstention with its reason. No model and no store of its own: it works on the other components, local or
// remote.
#pragma once

#include <memory>

#include "services/api.h"

namespace lastro::services {

// The components must outlive the result. `generation` is asked for readings of the passages, scores, token counts and
// free text; `embedding`, where there is no reader, for the similarity of candidate sentences to the question;
// `retrieval` for passages and for the bytes that citations are verified against.
std::unique_ptr<AskApi> MakeAnswerer(RetrievalApi* retrieval, EmbeddingApi* embedding, GenerationApi* generation);

}  // namespace lastro::services
