// ReaderHead: what stands on an encoder that reads a question and a passage together and points at the answer: a map to
// start and end logits, in Lastro's readers a classifier beside it, and how long texts are cut. Facts and loading;
// engine/reader.h runs it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/architecture.h"
#include "engine/backend.h"
#include "engine/classifier_head.h"
#include "engine/model_files.h"
#include "engine/reader.h"

namespace lastro::engine {

struct ReaderHead {
  // Of one label: that the passage answers. Absent in transformers' ...ForQuestionAnswering.
  std::optional<ClassifierHead> relevance;
  int64_t pair_separators = 1;  // as ClassifierHead
  // config.json's lastro_reader. Passages longer than a window are read in several that overlap.
  int64_t window_tokens = 0;    // question and special tokens included
  int64_t overlap_tokens = 0;   // that two neighbours share
  int64_t question_tokens = 0;  // of a longer question the end is cut
  int64_t context_tokens = 0;   // of a longer context the beginning is cut
  int64_t answer_tokens = 0;    // the longest answer
  // probability = sigmoid(relevance_weight * relevance + span_weight * answerability + bias)
  double relevance_weight = 0, span_weight = 1, bias = 0;
  // As ReaderInfo's.
  std::vector<OperatingPoint> calibration;
  std::optional<AnswerWeights> answer_weights;
  std::optional<AnswerWeights> probability_weights;
};

struct ReaderWeights {
  std::optional<ClassifierWeights> relevance;
  std::unique_ptr<LinearWeight> spans;  // [2, hidden]: start and end
};

// True where the weights point at spans: the model is a reader.
bool HasReaderHead(const ModelFiles& files);

// UNIMPLEMENTED for a family without a pair template here; INVALID_ARGUMENT when the weights point at no spans or the
// limits leave a passage no room.
absl::StatusOr<ReaderHead> ReadReaderHead(const ModelFiles& files, const Architecture& architecture);

// Errors as LoadTransformerWeights.
absl::StatusOr<ReaderWeights> LoadReaderWeights(const TensorFile& file, const ReaderHead& head,
                                                const Architecture& architecture, Backend& backend);

}  // namespace lastro::engine
