#include "engine/decoder_model.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "engine/backend.h"
#include "engine/cards.h"
#include "engine/model_files.h"
#include "engine/transformer.h"

namespace lastro::engine {
namespace {

// Tokens of a prompt that run as one step of the queue: long enough for efficient products, short enough that another
// session's next token does not wait long.
constexpr int64_t kPromptPiece = 256;
// Logits one Extend call may return.
constexpr int64_t kMaxLogits = int64_t{1} << 30;

// What sessions use of their model.
struct DecoderCore {
  std::unique_ptr<ModelFiles> files;  // the weights may view its mapped files
  std::unique_ptr<Transformer> transformer;
  Backend* backend = nullptr;
  mutable TransformerScratch scratch;  // used inside steps of the backend's queue only
};

class Session : public DecoderSession {
 public:
  Session(const DecoderCore& core, KvCache cache, int capacity)
      : core_(core), cache_(std::move(cache)), capacity_(capacity) {}

  int length() const override { return length_; }
  absl::Status Extend(absl::Span<const int32_t> tokens, LogitsOf which, const CallContext& context,
                      std::vector<float>* logits) override;
  void Truncate(int length) override {
    LASTRO_CHECK(length >= 0 && length <= length_);
    length_ = length;
  }

 private:
  absl::Status CheckRequest(absl::Span<const int32_t> tokens, LogitsOf which) const;
  absl::Status RunPiece(absl::Span<const int32_t> piece, int64_t position, const CallContext& context,
                        int64_t logit_rows, float* logits);

  const DecoderCore& core_;
  KvCache cache_;
  const int capacity_;
  int length_ = 0;
};

absl::Status Session::CheckRequest(absl::Span<const int32_t> tokens, LogitsOf which) const {
  const int64_t vocab = core_.transformer->architecture().vocab_size;
  if (tokens.size() > static_cast<size_t>(capacity_ - length_)) {
    return absl::ResourceExhaustedError(absl::StrCat("the session holds ", length_, " tokens and ", tokens.size(),
                                                     " more exceed its capacity of ", capacity_));
  }
  for (int32_t id : tokens) {
    if (id < 0 || id >= vocab) {
      return absl::InvalidArgumentError(
          absl::StrCat("token id ", id, " is not in the model's vocabulary of ", vocab, " ids"));
    }
  }
  if (which == LogitsOf::kAll && static_cast<int64_t>(tokens.size()) > kMaxLogits / vocab) {
    return absl::ResourceExhaustedError(absl::StrCat("logits of ", tokens.size(), " tokens times ", vocab,
                                                     " ids are more than ", kMaxLogits, "; ask in smaller pieces"));
  }
  return absl::OkStatus();
}

absl::Status Session::RunPiece(absl::Span<const int32_t> piece, int64_t position, const CallContext& context,
                               int64_t logit_rows, float* logits) {
  const int64_t rows = static_cast<int64_t>(piece.size());
  const SequenceSpan sequence = {0, rows, position, 0, capacity_};
  return core_.backend->queue().Run(context, [&]() -> absl::Status {
    LASTRO_RETURN_IF_ERROR(
        core_.transformer->Forward(piece, absl::MakeConstSpan(&sequence, 1), cache_, context, &core_.scratch));
    if (logit_rows == 0) return absl::OkStatus();
    return core_.transformer->Head(rows - logit_rows, logit_rows, &core_.scratch, logits);
  });
}

absl::Status Session::Extend(absl::Span<const int32_t> tokens, LogitsOf which, const CallContext& context,
                             std::vector<float>* logits) {
  LASTRO_CHECK(which == LogitsOf::kNone || logits != nullptr);
  LASTRO_RETURN_IF_ERROR(CheckRequest(tokens, which));
  const int64_t count = static_cast<int64_t>(tokens.size());
  const int64_t vocab = core_.transformer->architecture().vocab_size;
  if (logits != nullptr) {
    const int64_t rows = which == LogitsOf::kAll ? count : which == LogitsOf::kLast ? std::min<int64_t>(count, 1) : 0;
    logits->resize(static_cast<size_t>(rows * vocab));
  }
  for (int64_t begin = 0; begin < count; begin += kPromptPiece) {
    const int64_t rows = std::min(kPromptPiece, count - begin);
    const bool last = begin + rows == count;
    const int64_t logit_rows = which == LogitsOf::kAll ? rows : which == LogitsOf::kLast && last ? 1 : 0;
    float* to = logit_rows == 0 ? nullptr : logits->data() + (which == LogitsOf::kAll ? begin * vocab : 0);
    LASTRO_RETURN_IF_ERROR(RunPiece(tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(rows)),
                                    length_ + begin, context, logit_rows, to));
  }
  length_ += static_cast<int>(count);
  return absl::OkStatus();
}

class LoadedDecoder : public DecoderModel {
 public:
  static absl::StatusOr<std::unique_ptr<DecoderModel>> Create(const std::string& path, const Runtime& runtime);

  const DecoderInfo& info() const override { return info_; }
  const Tokenizer& tokenizer() const override { return *tokenizer_; }
  absl::StatusOr<std::unique_ptr<DecoderSession>> NewSession(int capacity_tokens) const override;

 private:
  void FillInfo();

  DecoderCore core_;
  std::unique_ptr<Tokenizer> tokenizer_;
  DecoderInfo info_;
};

absl::StatusOr<std::unique_ptr<DecoderModel>> LoadedDecoder::Create(const std::string& path, const Runtime& runtime) {
  auto model = std::make_unique<LoadedDecoder>();
  DecoderCore& core = model->core_;
  core.backend = &runtime.backend();
  LASTRO_ASSIGN_OR_RETURN(core.files, OpenModel(path));
  LASTRO_ASSIGN_OR_RETURN(Architecture architecture, ReadArchitecture(*core.files));
  if (!architecture.causal || !architecture.has_head) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " holds a model of type ", architecture.name, ", which does not generate text"));
  }
  LASTRO_ASSIGN_OR_RETURN(model->tokenizer_, core.files->LoadTokenizer());
  LASTRO_ASSIGN_OR_RETURN(TransformerWeights weights,
                          LoadTransformerWeights(core.files->weights(), architecture, *core.backend));
  core.transformer = std::make_unique<Transformer>(std::move(architecture), std::move(weights), *core.backend);
  model->FillInfo();
  return model;
}

void LoadedDecoder::FillInfo() {
  const Architecture& a = core_.transformer->architecture();
  info_.name = core_.files->name();
  info_.fingerprint = core_.files->Fingerprint();
  info_.architecture = a.name;
  info_.vocab_size = static_cast<int>(a.vocab_size);
  info_.max_tokens = static_cast<int>(a.max_tokens);
  info_.layers = static_cast<int>(a.layers);
  info_.hidden_size = static_cast<int>(a.hidden_size);
  info_.parameters = core_.transformer->weights().parameters;
  info_.weight_bytes = core_.transformer->weights().stored_bytes;
  info_.eos_ids = a.eos_ids;
  info_.bos_id = a.bos_id;
}

absl::StatusOr<std::unique_ptr<DecoderSession>> LoadedDecoder::NewSession(int capacity_tokens) const {
  if (capacity_tokens < 1 || capacity_tokens > info_.max_tokens) {
    return absl::InvalidArgumentError(absl::StrCat("a session of ", capacity_tokens, " tokens is out of range [1, ",
                                                   info_.max_tokens, "], the context of ", info_.name));
  }
  const Architecture& a = core_.transformer->architecture();
  LASTRO_ASSIGN_OR_RETURN(KvCache cache,
                          KvCache::Create(*core_.backend, a, a.layers, KvCache::BlocksFor(capacity_tokens)));
  return std::make_unique<Session>(core_, std::move(cache), capacity_tokens);
}

}  // namespace

absl::StatusOr<std::unique_ptr<DecoderModel>> DecoderModel::Load(const std::string& folder, const Runtime& runtime) {
  return LoadedDecoder::Create(folder, runtime);
}

}  // namespace lastro::engine
