#include "engine/embedding_model.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/backend.h"
#include "engine/cards.h"
#include "engine/model_files.h"
#include "engine/sentence_config.h"
#include "engine/transformer.h"

namespace lastro::engine {
namespace {

// Tokens of one packed batch (one step of the queue): enough for efficient products while activations stay in cache.
constexpr int64_t kBatchTokens = 512;

struct EncodedText {
  size_t index = 0;  // in the caller's order
  std::vector<int32_t> ids;
};

class LoadedEncoder : public EmbeddingModel {
 public:
  static absl::StatusOr<std::unique_ptr<EmbeddingModel>> Create(const std::string& path, const Runtime& runtime);

  const EmbeddingInfo& info() const override { return info_; }
  const Tokenizer& tokenizer() const override { return *tokenizer_; }
  absl::StatusOr<std::vector<float>> Embed(absl::Span<const std::string> texts, bool truncate,
                                           const CallContext& context) const override;

 private:
  absl::Status LoadParts(const std::string& path);
  void FillInfo();
  absl::StatusOr<EncodedText> Encode(size_t index, const std::string& text, bool truncate) const;
  absl::Status RunBatch(absl::Span<const EncodedText> batch, const CallContext& context, float* vectors) const;
  absl::Status ReserveBatch(int64_t blocks, int64_t texts) const;

  std::unique_ptr<ModelFiles> files_;  // the weights may view its mapped files
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<Transformer> transformer_;
  Backend* backend_ = nullptr;
  SentenceConfig config_;
  EmbeddingInfo info_;

  // Used inside steps of the backend's queue only.
  mutable TransformerScratch scratch_;
  mutable KvCache cache_;
  mutable std::unique_ptr<Buffer> pooled_;
};

absl::StatusOr<std::unique_ptr<EmbeddingModel>> LoadedEncoder::Create(const std::string& path, const Runtime& runtime) {
  auto model = std::make_unique<LoadedEncoder>();
  model->backend_ = &runtime.backend();
  LASTRO_RETURN_IF_ERROR(model->LoadParts(path));
  model->FillInfo();
  return model;
}

absl::Status LoadedEncoder::LoadParts(const std::string& path) {
  LASTRO_ASSIGN_OR_RETURN(files_, OpenModel(path));
  LASTRO_ASSIGN_OR_RETURN(Architecture architecture, ReadArchitecture(*files_));
  if (architecture.causal) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " holds a model of type ", architecture.name, ", which is no sentence encoder"));
  }
  LASTRO_ASSIGN_OR_RETURN(config_, ReadSentenceConfig(*files_, architecture.max_tokens));
  LASTRO_ASSIGN_OR_RETURN(tokenizer_, files_->LoadTokenizer());
  if (tokenizer_->vocab_size() > architecture.vocab_size) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": the tokenizer has ids up to ", tokenizer_->vocab_size() - 1,
                                                   ", the model's vocabulary only ", architecture.vocab_size));
  }
  LASTRO_ASSIGN_OR_RETURN(TransformerWeights weights,
                          LoadTransformerWeights(files_->weights(), architecture, *backend_));
  transformer_ = std::make_unique<Transformer>(std::move(architecture), std::move(weights), *backend_);
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
  const std::vector<std::pair<std::string, std::string>> extra = {
      {"pooling", config_.pooling == Pooling::kMean ? "mean" : "cls"},
      {"normalize", config_.normalize ? "1" : "0"},
      {"dimension", absl::StrCat(info_.dimension)},
      {"max_tokens", absl::StrCat(info_.max_tokens)}};
  info_.fingerprint = files_->Fingerprint(extra);
}

// The tokens of `text`. When cut, the special tokens that the template adds at the end stay.
absl::StatusOr<EncodedText> LoadedEncoder::Encode(size_t index, const std::string& text, bool truncate) const {
  EncodeOptions options;
  options.add_special = true;
  std::vector<Token> tokens = tokenizer_->EncodeWithOffsets(text, options);
  const size_t limit = static_cast<size_t>(config_.max_tokens);
  if (tokens.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("text ", index, " has no tokens"));
  }
  if (tokens.size() > limit) {
    if (!truncate) {
      return absl::InvalidArgumentError(absl::StrCat("text ", index, " has ", tokens.size(), " tokens; ", info_.name,
                                                     " takes at most ", limit,
                                                     " (special tokens included): split it, or allow truncation"));
    }
    size_t tail = 0;  // added by the template: special and of no bytes
    while (tail < limit && tokenizer_->IsSpecial(tokens[tokens.size() - 1 - tail].id) &&
           tokens[tokens.size() - 1 - tail].begin == tokens[tokens.size() - 1 - tail].end) {
      ++tail;
    }
    tokens.erase(tokens.begin() + static_cast<ptrdiff_t>(limit - tail), tokens.end() - static_cast<ptrdiff_t>(tail));
  }
  EncodedText encoded;
  encoded.index = index;
  encoded.ids.reserve(tokens.size());
  for (const Token& token : tokens) encoded.ids.push_back(token.id);
  return encoded;
}

absl::Status LoadedEncoder::ReserveBatch(int64_t blocks, int64_t texts) const {
  if (cache_.blocks() < blocks) {
    cache_ = KvCache();
    LASTRO_ASSIGN_OR_RETURN(cache_, KvCache::Create(*backend_, transformer_->architecture(), 1, blocks));
  }
  const int64_t floats = texts * info_.dimension;
  if (pooled_ == nullptr || pooled_->floats() < floats) {
    LASTRO_ASSIGN_OR_RETURN(pooled_, backend_->Allocate(floats));
  }
  return absl::OkStatus();
}

// `vectors` is the whole result; each text's vector goes to its own place.
absl::Status LoadedEncoder::RunBatch(absl::Span<const EncodedText> batch, const CallContext& context,
                                     float* vectors) const {
  std::vector<int32_t> ids;
  std::vector<SequenceSpan> sequences;
  int64_t blocks = 0;
  for (const EncodedText& text : batch) {
    const int64_t rows = static_cast<int64_t>(text.ids.size());
    sequences.push_back({static_cast<int64_t>(ids.size()), rows, 0, blocks});
    ids.insert(ids.end(), text.ids.begin(), text.ids.end());
    blocks += KvCache::BlocksFor(rows);
  }
  const int64_t count = static_cast<int64_t>(batch.size()), dimension = info_.dimension;
  return backend_->queue().Run(context, [&]() -> absl::Status {
    LASTRO_RETURN_IF_ERROR(ReserveBatch(blocks, count));
    LASTRO_RETURN_IF_ERROR(transformer_->Forward(ids, sequences, cache_, context, &scratch_));
    const MatrixView pooled = {pooled_->data(), count, dimension, dimension};
    backend_->Pool(config_.pooling, config_.normalize, sequences, scratch_.hidden, pooled);
    for (int64_t i = 0; i < count; ++i) {
      float* to = vectors + static_cast<int64_t>(batch[static_cast<size_t>(i)].index) * dimension;
      backend_->CopyToHost(pooled.data + i * dimension, dimension, to);
    }
    backend_->Synchronize();
    return absl::OkStatus();
  });
}

absl::StatusOr<std::vector<float>> LoadedEncoder::Embed(absl::Span<const std::string> texts, bool truncate,
                                                        const CallContext& context) const {
  std::vector<EncodedText> encoded;
  encoded.reserve(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    LASTRO_RETURN_IF_ERROR(context.Check());
    LASTRO_ASSIGN_OR_RETURN(EncodedText text, Encode(i, texts[i], truncate));
    encoded.push_back(std::move(text));
  }
  std::stable_sort(encoded.begin(), encoded.end(),
                   [](const EncodedText& a, const EncodedText& b) { return a.ids.size() < b.ids.size(); });
  std::vector<float> vectors(texts.size() * static_cast<size_t>(info_.dimension));
  size_t begin = 0;
  while (begin < encoded.size()) {
    size_t end = begin;
    int64_t tokens = 0;
    do {
      tokens += static_cast<int64_t>(encoded[end++].ids.size());
    } while (end < encoded.size() && tokens + static_cast<int64_t>(encoded[end].ids.size()) <= kBatchTokens);
    LASTRO_RETURN_IF_ERROR(RunBatch(absl::MakeConstSpan(encoded).subspan(begin, end - begin), context, vectors.data()));
    begin = end;
  }
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
