#include "engine/decoder_step.h"

#include <algorithm>
#include <vector>

#include "base/status_macros.h"

namespace lastro::engine {
namespace {

// The rows of a step.
struct Batch {
  std::vector<int32_t> ids;
  std::vector<SequenceSpan> sequences;
  std::vector<HeadRow> heads;
};

absl::Status AddPart(const StepPart& part, int64_t vocab, Batch* batch) {
  LASTRO_RETURN_IF_ERROR(part.context->Check());
  const int64_t first = static_cast<int64_t>(batch->ids.size()), rows = static_cast<int64_t>(part.tokens.size());
  LASTRO_ASSIGN_OR_RETURN(SequenceSpan span, part.session->Reserve(part.position, rows));
  span.first_row = first;
  batch->sequences.push_back(span);
  batch->ids.insert(batch->ids.end(), part.tokens.begin(), part.tokens.end());
  for (int64_t i = 0; i < part.logit_rows; ++i) {
    HeadRow head = {static_cast<int32_t>(first + rows - part.logit_rows + i)};
    if (part.choices != nullptr) {
      head.choice = part.choices + i;
      head.token = part.sampled + i;
    } else {
      head.logits = part.logits + i * vocab;
    }
    batch->heads.push_back(head);
  }
  return absl::OkStatus();
}

// OK while somebody wants the result.
absl::Status CheckParts(absl::Span<StepPart> parts) {
  bool wanted = false;
  for (StepPart& part : parts) {
    if (part.status.ok()) part.status = part.context->Check();
    wanted |= part.status.ok();
  }
  return wanted ? absl::OkStatus() : absl::CancelledError("nobody wants the step's result");
}

// Decoding steps of a model are alike: a token of each session, and the logits of all or tokens chosen from them.
uint64_t RepeatsOf(const DecoderCore& core, const Batch& batch) {
  bool alike = batch.heads.size() == batch.sequences.size() &&
               static_cast<int64_t>(batch.ids.size()) <= core.transformer->most_alike_rows();
  // Adapters come and go.
  for (const SequenceSpan& s : batch.sequences) alike &= s.rows == 1 && s.adapter == nullptr;
  const size_t chosen = static_cast<size_t>(std::count_if(batch.heads.begin(), batch.heads.end(),
                                                          [](const HeadRow& head) { return head.choice != nullptr; }));
  alike &= chosen == 0 || chosen == batch.heads.size();
  if (!alike) return 0;
  static_assert(alignof(Transformer) > 1, "an address leaves a bit for whether tokens are chosen");
  return reinterpret_cast<uintptr_t>(core.transformer.get()) + (chosen > 0 ? 1 : 0);
}

}  // namespace

void RunStep(const DecoderCore& core, absl::Span<StepPart> parts) {
  Batch batch;
  for (StepPart& part : parts) part.status = AddPart(part, core.transformer->architecture().vocab_size, &batch);
  if (batch.sequences.empty()) return;
  absl::Status status = core.transformer->Forward(
      batch.ids, batch.sequences, core.pool->store(), [&] { return CheckParts(parts); }, &core.scratch,
      RepeatsOf(core, batch));
  if (status.ok()) status = core.transformer->Head(batch.heads, &core.scratch);
  for (StepPart& part : parts) part.status.Update(status);
}

}  // namespace lastro::engine
