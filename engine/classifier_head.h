// ClassifierHead: what stands on an encoder that scores texts or pairs of texts: pooling, a dense layer with an
// activation, a norm in some families, and the map to the labels. Facts and loading; engine/sequence_classifier.h runs
// it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engine/architecture.h"
#include "engine/backend.h"
#include "engine/model_files.h"
#include "engine/tensor_source.h"
#include "engine/transformer_weights.h"

namespace lastro::engine {

// The map to start and end logits in every ...ForQuestionAnswering of transformers.
inline constexpr char kSpanHead[] = "qa_outputs";

enum class ClassifierActivation { kTanh, kRelu, kGeluErf, kGeluTanh, kSilu };

struct ClassifierHead {
  Pooling pooling = Pooling::kCls;
  ClassifierActivation activation = ClassifierActivation::kTanh;
  bool dense_bias = true;
  // Whole names without ".weight" / ".bias"; `norm` is "" where there is none.
  std::string dense, norm, out;
  int64_t labels = 0;
  // Special tokens between the texts of a pair, each as the template puts after a single text: [SEP], or </s></s>.
  int64_t pair_separators = 1;
};

struct ClassifierWeights {
  std::unique_ptr<LinearWeight> dense;  // [hidden, hidden]
  NormWeights norm;
  std::unique_ptr<LinearWeight> out;  // [labels, hidden]
};

// The names and facts of the family that config.json's model_type names, without labels; the weights are not looked at.
// UNIMPLEMENTED for a family without a head here.
absl::StatusOr<ClassifierHead> FamilyHead(const ModelFiles& files);

// The same with the labels of the weights. INVALID_ARGUMENT when they have no head.
absl::StatusOr<ClassifierHead> ReadClassifierHead(const ModelFiles& files);

// Says that the encoder's weights file holds tensors of heads beside it: this one's, and a reader's (engine/reader.h).
void IgnoreHeads(const ClassifierHead& head, Architecture* architecture);

// The map `name`.weight [rows, cols], with `name`.bias [rows] where `bias`. Errors as LoadTransformerWeights.
absl::StatusOr<std::unique_ptr<LinearWeight>> LoadHeadLinear(TensorSource& source, const std::string& name,
                                                             int64_t rows, int64_t cols, bool bias, Backend& backend);

// Errors as LoadTransformerWeights.
absl::StatusOr<ClassifierWeights> LoadClassifierWeights(const TensorFile& file, const ClassifierHead& head,
                                                        const Architecture& architecture, Backend& backend);

// The logits [rows, labels] of `pooled` [rows, hidden], in `scratch`: device memory for rows * (hidden + labels)
// floats. Inside a step of the backend's queue.
MatrixView ApplyClassifier(const ClassifierHead& head, const ClassifierWeights& weights, float norm_eps,
                           MatrixView pooled, float* scratch, Backend& backend);

}  // namespace lastro::engine
