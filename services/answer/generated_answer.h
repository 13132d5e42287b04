// The GENERATE mode: the decoder writes freely, but for the passages it names and what it quotes, which are held to its
// prompt (ResponseFormat.cited_text); what it wrote is then held against the passages, and only what stands in them
// word for word, or is found by the reader to be said by them, is given a citation.
#pragma once

#include "absl/status/status.h"
#include "base/call_context.h"
#include "services/answer/answer_request.h"
#include "services/answer/passages.h"
#include "services/api.h"
#include "services/stages.h"

namespace lastro::services::answer {

// Fills text, claims, usage and answerability of `answer`. Tokens go to `sink` as they are made, when given, unless the
// request withholds what is unsupported: then the text does, checked. `has_reader`: sentences may be supported by it.
absl::Status AnswerByGenerating(const AnswerRequest& request, absl::Span<const v1::SearchHit> passages,
                                const GroundedPrompt& prompt, bool has_reader, RetrievalApi& retrieval,
                                GenerationApi& generation, const CallContext& context,
                                const Sink<v1::AskStreamResponse>& sink, Stages* stages, v1::Answer* answer);

}  // namespace lastro::services::answer
