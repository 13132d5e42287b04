// One forward pass over the next tokens of several sessions of one model: the rows of all of them, packed without
// padding.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/call_context.h"
#include "engine/decoder_session.h"

namespace lastro::engine {

// What one session does in a step.
struct StepPart {
  CachedSession* session = nullptr;
  absl::Span<const int32_t> tokens;
  int64_t position = 0;     // of the first of them
  int64_t logit_rows = 0;   // of the last of them
  float* logits = nullptr;  // [logit_rows, vocab_size]; or, with `choices` [logit_rows], `sampled` [logit_rows]
  const TokenChoice* choices = nullptr;
  kernels::SampledToken* sampled = nullptr;
  const CallContext* context = nullptr;
  absl::Status status;  // set by RunStep
};

// Runs inside a step of the backend's queue; each session at most once. A part whose context ends or that finds no KV
// memory gets that status and its tokens in the session's memory are unspecified; the other parts go on.
void RunStep(const DecoderCore& core, absl::Span<StepPart> parts);

}  // namespace lastro::engine
