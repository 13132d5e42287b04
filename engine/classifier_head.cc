#include "engine/classifier_head.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/config_reader.h"

namespace lastro::engine {
namespace {

constexpr int64_t kMaxLabels = 1 << 16;

// transformers/models/bert: the pooler, then BertForSequenceClassification's classifier. GGUF names have no prefix.
ClassifierHead BertHead(const TensorFile& weights) {
  ClassifierHead head;
  head.dense = weights.Contains("pooler.dense.weight") ? "pooler.dense" : "bert.pooler.dense";
  head.out = "classifier";
  return head;
}

// transformers/models/roberta: RobertaClassificationHead. Pairs are <s> a </s></s> b </s>.
ClassifierHead RobertaHead() {
  ClassifierHead head;
  head.dense = "classifier.dense";
  head.out = "classifier.out_proj";
  head.pair_separators = 2;
  return head;
}

// transformers/models/distilbert: DistilBertForSequenceClassification.
ClassifierHead DistilBertHead() {
  ClassifierHead head;
  head.activation = ClassifierActivation::kRelu;
  head.dense = "pre_classifier";
  head.out = "classifier";
  return head;
}

// transformers/models/modernbert: ModernBertPredictionHead and classifier.
absl::StatusOr<ClassifierHead> ModernBertHead(ConfigReader& config) {
  ClassifierHead head;
  head.dense = "head.dense";
  head.norm = "head.norm";
  head.out = "classifier";
  head.dense_bias = config.Bool("classifier_bias", false);
  const kernels::ActivationKind activation = config.Activation("classifier_activation", "gelu");
  head.activation = activation == kernels::ActivationKind::kSilu       ? ClassifierActivation::kSilu
                    : activation == kernels::ActivationKind::kRelu     ? ClassifierActivation::kRelu
                    : activation == kernels::ActivationKind::kGeluTanh ? ClassifierActivation::kGeluTanh
                                                                       : ClassifierActivation::kGeluErf;
  const std::string pooling = config.String("classifier_pooling", "cls");
  if (pooling == "mean") {
    head.pooling = Pooling::kMean;
  } else {
    config.ExpectString("classifier_pooling", "cls");
  }
  LASTRO_RETURN_IF_ERROR(config.status());
  return head;
}

void Activate(ClassifierActivation activation, MatrixView x, Backend& backend) {
  switch (activation) {
    case ClassifierActivation::kTanh:
      return backend.Map(MapKind::kSoftcap, 1.0f, x);
    case ClassifierActivation::kRelu:
      return backend.Activation(ActivationKind::kRelu, false, x, x);
    case ClassifierActivation::kGeluErf:
      return backend.Activation(ActivationKind::kGeluErf, false, x, x);
    case ClassifierActivation::kGeluTanh:
      return backend.Activation(ActivationKind::kGeluTanh, false, x, x);
    case ClassifierActivation::kSilu:
      return backend.Activation(ActivationKind::kSilu, false, x, x);
  }
}

absl::StatusOr<std::unique_ptr<Buffer>> DeviceVector(TensorSource& source, const std::string& name, int64_t size,
                                                     Backend& backend) {
  LASTRO_ASSIGN_OR_RETURN(std::vector<float> values, source.Vector(name, size));
  const int64_t bytes = size * static_cast<int64_t>(sizeof(float));
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<Buffer> buffer, backend.Allocate(bytes));
  LASTRO_RETURN_IF_ERROR(backend.CopyToDevice(values.data(), bytes, buffer->data()));
  return buffer;
}

}  // namespace

absl::StatusOr<ClassifierHead> FamilyHead(const ModelFiles& files) {
  ConfigReader config(files.config());
  const std::string family = config.String("model_type", "");
  if (family == "bert") return BertHead(files.weights());
  if (family == "roberta" || family == "xlm-roberta" || family == "camembert") return RobertaHead();
  if (family == "distilbert") return DistilBertHead();
  if (family == "modernbert") return ModernBertHead(config);
  return absl::UnimplementedError(
      absl::StrCat(files.config().path(), " model_type \"", family,
                   "\" is not supported as a classifier; supported: bert, camembert, distilbert, modernbert, roberta, "
                   "xlm-roberta"));
}

absl::StatusOr<ClassifierHead> ReadClassifierHead(const ModelFiles& files) {
  LASTRO_ASSIGN_OR_RETURN(ClassifierHead head, FamilyHead(files));
  const std::string name = absl::StrCat(head.out, ".weight");
  if (!files.weights().Contains(name)) {
    return absl::InvalidArgumentError(
        absl::StrCat(files.weights().path(), " has no tensor ", name, ": this model was not trained to score texts"));
  }
  LASTRO_ASSIGN_OR_RETURN(const StoredTensor* tensor, files.weights().Find(name));
  if (tensor->shape.size() != 2 || tensor->shape[0] < 1 || tensor->shape[0] > kMaxLabels) {
    return absl::InvalidArgumentError(absl::StrCat(files.weights().path(), ": tensor ", name,
                                                   " must be [labels, hidden_size] with 1 to ", kMaxLabels, " labels"));
  }
  head.labels = tensor->shape[0];
  return head;
}

void IgnoreHeads(const ClassifierHead& head, Architecture* architecture) {
  for (const std::string& name : {head.dense, head.norm, head.out, std::string(kSpanHead)}) {
    if (!name.empty()) architecture->tensors.ignored.push_back(absl::StrCat(name, "."));
  }
}

absl::StatusOr<std::unique_ptr<LinearWeight>> LoadHeadLinear(TensorSource& source, const std::string& name,
                                                             int64_t rows, int64_t cols, bool bias, Backend& backend) {
  LASTRO_ASSIGN_OR_RETURN(HostMatrix matrix, source.Matrix(absl::StrCat(name, ".weight"), rows, cols));
  std::vector<float> values;
  if (bias) {
    LASTRO_ASSIGN_OR_RETURN(values, source.Vector(absl::StrCat(name, ".bias"), rows));
  }
  return backend.LoadLinear({matrix}, values, LinearHints());
}

absl::StatusOr<ClassifierWeights> LoadClassifierWeights(const TensorFile& file, const ClassifierHead& head,
                                                        const Architecture& a, Backend& backend) {
  TensorSource source(file, "");
  ClassifierWeights weights;
  LASTRO_ASSIGN_OR_RETURN(weights.dense,
                          LoadHeadLinear(source, head.dense, a.hidden_size, a.hidden_size, head.dense_bias, backend));
  LASTRO_ASSIGN_OR_RETURN(weights.out, LoadHeadLinear(source, head.out, head.labels, a.hidden_size, true, backend));
  if (head.norm.empty()) return weights;
  LASTRO_ASSIGN_OR_RETURN(weights.norm.weight,
                          DeviceVector(source, absl::StrCat(head.norm, ".weight"), a.hidden_size, backend));
  if (a.norm_bias) {
    LASTRO_ASSIGN_OR_RETURN(weights.norm.bias,
                            DeviceVector(source, absl::StrCat(head.norm, ".bias"), a.hidden_size, backend));
  }
  return weights;
}

MatrixView ApplyClassifier(const ClassifierHead& head, const ClassifierWeights& weights, float norm_eps,
                           MatrixView pooled, float* scratch, Backend& backend) {
  const MatrixView dense = {scratch, pooled.rows, pooled.cols, pooled.cols};
  const MatrixView out = {scratch + pooled.rows * pooled.cols, pooled.rows, head.labels, head.labels};
  backend.Linear(*weights.dense, pooled, dense);
  Activate(head.activation, dense, backend);
  if (weights.norm.weight != nullptr) {
    const float* bias = weights.norm.bias != nullptr ? weights.norm.bias->floats() : nullptr;
    backend.Norm({weights.norm.weight->floats(), bias, norm_eps, false}, dense, dense);
  }
  backend.Linear(*weights.out, dense, out);
  return out;
}

}  // namespace lastro::engine
