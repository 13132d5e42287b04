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
#include "engine/transformer_weights.h"

namespace lastro::engine {

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

// The head of the family that config.json's model_type names. UNIMPLEMENTED for a family without one here;
// INVALID_ARGUMENT when the weights have none.
absl::StatusOr<ClassifierHead> ReadClassifierHead(const ModelFiles& files);

// Errors as LoadTransformerWeights.
absl::StatusOr<ClassifierWeights> LoadClassifierWeights(const TensorFile& file, const ClassifierHead& head,
                                                        const Architecture& architecture, Backend& backend);

}  // namespace lastro::engine
