#include "engine/embedding_model.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/backend.h"
#include "engine/cards.h"
#include "engine/model_files.h"
#include "engine/packed_encoder.h"
#include "engine/sentence_config.h"
#include "engine/transformer.h"

namespace lastro::engine {
namespace {

class LoadedEncoder : public EmbeddingModel {
 public:
  static absl::StatusOr<std::unique_ptr<EmbeddingModel>> Create(const std::string& path, const Runtime& runtime);

  const EmbeddingInfo& info() const override { return info_; }
  const Tokenizer& tokenizer() const override { return *tokenizer_; }
  absl::StatusOr<std::vector<float>> Embed(absl::Span<const std::string> texts, bool truncate,
                                           const CallContext& context, std::vector<size_t>* tokens) const override;

 private:
  absl::Status LoadParts(const std::string& path);
  void FillInfo();
  absl::StatusOr<EncodedText> Encode(size_t index, const std::string& text, bool truncate, size_t* count) const;
  absl::StatusOr<std::vector<EncodedText>> EncodeAll(absl::Span<const std::string> texts, bool truncate,
                                                     const CallContext& context, std::vector<size_t>* counts) const;

  std::unique_ptr<ModelFiles> files_;  // the weights may view its mapped files
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<Transformer> transformer_;
  std::unique_ptr<PackedEncoder> encoder_;
  Backend* backend_ = nullptr;
  ThreadPool* tokenizing_ = nullptr;
  SentenceConfig config_;
  EmbeddingInfo info_;
};

absl::StatusOr<std::unique_ptr<EmbeddingModel>> LoadedEncoder::Create(const std::string& path, const Runtime& runtime) {
  auto model = std::make_unique<LoadedEncoder>();
  model->backend_ = &runtime.backend();
  model->tokenizing_ = &runtime.tokenizing();
  LASTRO_RETURN_IF_ERROR(model->LoadParts(path));
  model->FillInfo();
  return model;
}

absl::Status LoadedEncoder::LoadParts(const std::string& path) {
  LASTRO_ASSIGN_OR_RETURN(files_, OpenModel(path));
  LASTRO_ASSIGN_OR_RETURN(Architecture architecture, ReadArchitecture(*files_));
  if (architecture.causal && !files_->pooling_config().has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " holds a model of type ", architecture.name, ", which is no sentence encoder"));
  }
  architecture.has_head = false;
  LASTRO_ASSIGN_OR_RETURN(config_, ReadSentenceConfig(*files_, architecture.max_tokens));
  LASTRO_ASSIGN_OR_RETURN(tokenizer_, LoadEncoderTokenizer(*files_, architecture));
  LASTRO_ASSIGN_OR_RETURN(TransformerWeights weights,
                          LoadTransformerWeights(files_->weights(), architecture, *backend_));
  transformer_ = std::make_unique<Transformer>(std::move(architecture), std::move(weights), *backend_);
  encoder_ = std::make_unique<PackedEncoder>(*transformer_, *backend_);
  return absl::OkStatus();
}

void LoadedEncoder::FillInfo() {
  const Architecture& a = transformer_->architecture();
  info_.name = files_->name();
  info_.architecture = a.name;
  info_.dimension = static_cast<int>(a.hidden_size);
  info_.max_tokens = static_cast<int>(config_.max_tokens);
  info_.normalized = config_.normalize;
  info_.parameters = transformer_->weights().parameters;
  info_.query_prefix = config_.query_prefix;
  info_.document_prefix = config_.document_prefix;
  const char* pooling = config_.pooling == Pooling::kMean ? "mean" : config_.pooling == Pooling::kCls ? "cls" : "last";
  const std::vector<std::pair<std::string, std::string>> extra = {{"pooling", pooling},
                                                                  {"normalize", config_.normalize ? "1" : "0"},
                                                                  {"dimension", absl::StrCat(info_.dimension)},
                                                                  {"max_tokens", absl::StrCat(info_.max_tokens)}};
  info_.fingerprint = files_->Fingerprint(extra);
}

// The tokens of `text`, and their number before a cut. When cut, the special tokens that the template adds at the end
// stay.
absl::StatusOr<EncodedText> LoadedEncoder::Encode(size_t index, const std::string& text, bool truncate,
                                                  size_t* count) const {
  EncodeOptions options;
  options.add_special = true;
  std::vector<Token> tokens = tokenizer_->EncodeWithOffsets(text, options);
  const size_t limit = static_cast<size_t>(config_.max_tokens);
  *count = tokens.size();
  if (tokens.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("text ", index, " has no tokens"));
  }
  if (tokens.size() > limit) {
    if (!truncate) {
      return absl::InvalidArgumentError(absl::StrCat("text ", index, " has ", tokens.size(), " tokens; ", info_.name,
                                                     " takes at most ", limit,
                                                     " (special tokens included): split it, or allow truncation"));
    }
    const size_t tail = std::min(limit, TemplateTail(*tokenizer_, tokens));
    tokens.erase(tokens.begin() + static_cast<ptrdiff_t>(limit - tail), tokens.end() - static_cast<ptrdiff_t>(tail));
  }
  EncodedText encoded;
  encoded.index = index;
  encoded.ids.reserve(tokens.size());
  for (const Token& token : tokens) encoded.ids.push_back(token.id);
  return encoded;
}

absl::StatusOr<std::vector<EncodedText>> LoadedEncoder::EncodeAll(absl::Span<const std::string> texts, bool truncate,
                                                                  const CallContext& context,
                                                                  std::vector<size_t>* counts) const {
  std::vector<EncodedText> encoded(texts.size());
  std::vector<absl::Status> statuses(texts.size());
  counts->assign(texts.size(), 0);
  tokenizing_->ParallelFor(static_cast<int64_t>(texts.size()), 1, [&](int64_t begin, int64_t end) {
    for (size_t i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      statuses[i] = context.Check();
      if (!statuses[i].ok()) continue;
      absl::StatusOr<EncodedText> text = Encode(i, texts[i], truncate, &(*counts)[i]);
      statuses[i] = text.status();
      if (text.ok()) encoded[i] = *std::move(text);
    }
  });
  for (const absl::Status& status : statuses) LASTRO_RETURN_IF_ERROR(status);
  return encoded;
}

absl::StatusOr<std::vector<float>> LoadedEncoder::Embed(absl::Span<const std::string> texts, bool truncate,
                                                        const CallContext& context,
                                                        std::vector<size_t>* tokens) const {
  std::vector<size_t> counts;
  LASTRO_ASSIGN_OR_RETURN(std::vector<EncodedText> encoded, EncodeAll(texts, truncate, context, &counts));
  if (tokens != nullptr) *tokens = std::move(counts);
  const int64_t dimension = info_.dimension;
  std::vector<float> vectors(texts.size() * static_cast<size_t>(dimension));
  const int64_t bytes = dimension * static_cast<int64_t>(sizeof(float));
  LASTRO_RETURN_IF_ERROR(
      encoder_->Run(std::move(encoded), config_.pooling, config_.normalize, context, [&](const EncodedBatch& batch) {
        for (size_t i = 0; i < batch.texts.size(); ++i) {
          float* to = vectors.data() + static_cast<int64_t>(batch.texts[i].index) * dimension;
          backend_->CopyToHost(batch.pooled.Rows(static_cast<int64_t>(i), 1).data, bytes, to);
        }
        return backend_->Synchronize();
      }));
  // A vector that is not a number would poison every search it meets.
  if (!std::all_of(vectors.begin(), vectors.end(), [](float v) { return std::isfinite(v); })) {
    return absl::InternalError(
        absl::StrCat(info_.name, " gave a vector that is not finite; its weights or the compute type are at fault"));
  }
  return vectors;
}

}  // namespace

absl::StatusOr<std::unique_ptr<EmbeddingModel>> EmbeddingModel::Load(const std::string& folder,
                                                                     const Runtime& runtime) {
  return LoadedEncoder::Create(folder, runtime);
}

}  // namespace lastro::engine
