#include "engine/sequence_classifier.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/cards.h"
#include "engine/classifier_head.h"
#include "engine/model_files.h"
#include "engine/packed_encoder.h"
#include "engine/sentence_config.h"

namespace lastro::engine {
namespace {

class LoadedClassifier : public SequenceClassifier {
 public:
  static absl::StatusOr<std::unique_ptr<SequenceClassifier>> Create(const std::string& path, const Runtime& runtime);

  const ClassifierInfo& info() const override { return info_; }
  const Tokenizer& tokenizer() const override { return *tokenizer_; }
  absl::StatusOr<ClassifierScores> Score(absl::Span<const TextPair> pairs, bool truncate,
                                         const CallContext& context) const override;

 private:
  absl::Status LoadParts(const std::string& path);
  absl::StatusOr<EncodedText> Encode(size_t index, const TextPair& pair, bool truncate, ClassifierScores* scores) const;
  absl::Status ApplyHead(const EncodedBatch& batch, float* logits) const;

  std::unique_ptr<ModelFiles> files_;  // the weights may view its mapped files
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<Transformer> transformer_;
  std::unique_ptr<PackedEncoder> encoder_;
  Backend* backend_ = nullptr;
  ClassifierHead head_;
  ClassifierWeights weights_;
  ClassifierInfo info_;
  mutable std::unique_ptr<Buffer> scratch_;  // of ApplyHead, inside steps of the backend's queue only
};

absl::StatusOr<std::unique_ptr<SequenceClassifier>> LoadedClassifier::Create(const std::string& path,
                                                                             const Runtime& runtime) {
  auto model = std::make_unique<LoadedClassifier>();
  model->backend_ = &runtime.backend();
  LASTRO_RETURN_IF_ERROR(model->LoadParts(path));
  return model;
}

absl::Status LoadedClassifier::LoadParts(const std::string& path) {
  LASTRO_ASSIGN_OR_RETURN(files_, OpenModel(path));
  LASTRO_ASSIGN_OR_RETURN(Architecture a, ReadArchitecture(*files_));
  LASTRO_ASSIGN_OR_RETURN(head_, ReadClassifierHead(*files_));
  LASTRO_ASSIGN_OR_RETURN(SentenceConfig limits, ReadSentenceConfig(*files_, a.max_tokens));
  LASTRO_ASSIGN_OR_RETURN(tokenizer_, LoadEncoderTokenizer(*files_, a));
  IgnoreHeads(head_, &a);
  LASTRO_ASSIGN_OR_RETURN(TransformerWeights weights, LoadTransformerWeights(files_->weights(), a, *backend_));
  LASTRO_ASSIGN_OR_RETURN(weights_, LoadClassifierWeights(files_->weights(), head_, a, *backend_));
  info_.name = files_->name();
  info_.fingerprint = files_->Fingerprint();
  info_.architecture = a.name;
  info_.labels = static_cast<int>(head_.labels);
  info_.max_tokens = static_cast<int>(limits.max_tokens);
  info_.parameters = weights.parameters;
  transformer_ = std::make_unique<Transformer>(std::move(a), std::move(weights), *backend_);
  encoder_ = std::make_unique<PackedEncoder>(*transformer_, *backend_);
  return absl::OkStatus();
}

absl::StatusOr<EncodedText> LoadedClassifier::Encode(size_t index, const TextPair& pair, bool truncate,
                                                     ClassifierScores* scores) const {
  const bool alone = !pair.second.has_value();
  PairFrame frame = FramePair(*tokenizer_, pair.first, alone ? 1 : head_.pair_separators);
  const std::vector<int32_t>& end = frame.after;
  const size_t limit = static_cast<size_t>(info_.max_tokens);
  EncodedText text;
  text.index = index;
  std::vector<int32_t> cut;  // what truncation may take from
  if (alone) {
    cut = std::move(frame.before);
    cut.resize(cut.size() - end.size());
  } else {
    text.ids = std::move(frame.before);
    text.second_segment = static_cast<int64_t>(text.ids.size());
    cut = tokenizer_->Encode(*pair.second);
  }
  const size_t kept = text.ids.size() + end.size(), total = kept + cut.size();
  if (total > limit && (!truncate || kept >= limit)) {
    return absl::InvalidArgumentError(absl::StrCat("pair ", index, " has ", total, " tokens; ", info_.name,
                                                   " takes at most ", limit,
                                                   " (special tokens included): split it, or allow truncation"));
  }
  if (total == 0) return absl::InvalidArgumentError(absl::StrCat("text ", index, " has no tokens"));
  if (total > limit) scores->truncated.push_back(static_cast<int>(index));
  cut.resize(std::min(cut.size(), limit - kept));
  text.ids.insert(text.ids.end(), cut.begin(), cut.end());
  text.ids.insert(text.ids.end(), end.begin(), end.end());
  scores->tokens += static_cast<int64_t>(text.ids.size());
  return text;
}

absl::Status LoadedClassifier::ApplyHead(const EncodedBatch& batch, float* logits) const {
  const int64_t rows = batch.pooled.rows, row_bytes = head_.labels * static_cast<int64_t>(sizeof(float));
  const int64_t bytes = rows * (row_bytes + batch.pooled.cols * static_cast<int64_t>(sizeof(float)));
  if (scratch_ == nullptr || scratch_->bytes() < bytes) {
    LASTRO_ASSIGN_OR_RETURN(scratch_, backend_->Allocate(bytes));
  }
  const MatrixView out = ApplyClassifier(head_, weights_, transformer_->architecture().norm_eps, batch.pooled,
                                         scratch_->floats(), *backend_);
  for (int64_t i = 0; i < rows; ++i) {
    float* to = logits + static_cast<int64_t>(batch.texts[static_cast<size_t>(i)].index) * head_.labels;
    backend_->CopyToHost(out.Rows(i, 1).data, row_bytes, to);
  }
  return backend_->Synchronize();
}

absl::StatusOr<ClassifierScores> LoadedClassifier::Score(absl::Span<const TextPair> pairs, bool truncate,
                                                         const CallContext& context) const {
  ClassifierScores scores;
  std::vector<EncodedText> encoded;
  for (size_t i = 0; i < pairs.size(); ++i) {
    LASTRO_RETURN_IF_ERROR(context.Check());
    LASTRO_ASSIGN_OR_RETURN(EncodedText text, Encode(i, pairs[i], truncate, &scores));
    encoded.push_back(std::move(text));
  }
  std::vector<float>& logits = scores.logits;
  logits.resize(pairs.size() * static_cast<size_t>(head_.labels));
  LASTRO_RETURN_IF_ERROR(encoder_->Run(std::move(encoded), head_.pooling, false, context,
                                       [&](const EncodedBatch& batch) { return ApplyHead(batch, logits.data()); }));
  if (!std::all_of(logits.begin(), logits.end(), [](float v) { return std::isfinite(v); })) {
    return absl::InternalError(
        absl::StrCat(info_.name, " gave a score that is not finite; its weights or the compute type are at fault"));
  }
  return scores;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SequenceClassifier>> SequenceClassifier::Load(const std::string& folder,
                                                                             const Runtime& runtime) {
  return LoadedClassifier::Create(folder, runtime);
}

}  // namespace lastro::engine
