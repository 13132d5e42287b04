#include "engine/decoder_model.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "engine/backend.h"
#include "engine/cards.h"
#include "engine/chunk_reuse.h"
#include "engine/decoder_session.h"
#include "engine/lora.h"
#include "engine/model_files.h"
#include "engine/transformer.h"

namespace lastro::engine {
namespace {

// Of a prompt at least so many tokens are computed, even if all are known: the last one's logits are needed, and fewer
// rows would go another way through the products than those of the whole prompt.
constexpr int64_t kFreshTokens = 9;

class LoadedDecoder : public DecoderModel {
 public:
  static absl::StatusOr<std::unique_ptr<DecoderModel>> Create(const std::string& path, const Runtime& runtime);

  const DecoderInfo& info() const override { return info_; }
  const Tokenizer& tokenizer() const override { return *tokenizer_; }
  const ModelFiles& files() const override { return *core_.files; }
  absl::StatusOr<std::unique_ptr<DecoderSession>> NewSession(int capacity_tokens,
                                                             const LoraAdapter* adapter) const override;
  absl::StatusOr<Opening> Open(absl::Span<const int32_t> prompt, int new_tokens, const OpenOptions& options,
                               const CallContext& context) const override;
  absl::StatusOr<std::unique_ptr<const LoraAdapter>> LoadAdapter(const std::string& folder) const override {
    return LoraAdapter::Load(folder, core_.transformer->architecture(), *core_.backend);
  }

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
  LASTRO_ASSIGN_OR_RETURN(core.pool, KvPool::Create(*core.backend, architecture, runtime.kv_bytes()));
  core.reuse_chunks = runtime.reuse_chunks();
  if (runtime.reuse_bytes() > 0) {
    core.prefixes = std::make_unique<PrefixCache>(*core.pool, runtime.reuse_bytes(), core.reuse_chunks);
  }
  core.transformer = std::make_unique<Transformer>(std::move(architecture), std::move(weights), *core.backend);
  if (core.reuse_chunks) LASTRO_RETURN_IF_ERROR(core.transformer->CanMoveKv());
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

absl::StatusOr<std::unique_ptr<DecoderSession>> LoadedDecoder::NewSession(int capacity_tokens,
                                                                          const LoraAdapter* adapter) const {
  if (capacity_tokens < 1 || capacity_tokens > info_.max_tokens) {
    return absl::InvalidArgumentError(absl::StrCat("a session of ", capacity_tokens, " tokens is out of range [1, ",
                                                   info_.max_tokens, "], the context of ", info_.name));
  }
  return NewCachedSession(core_, capacity_tokens, std::nullopt, adapter);
}

absl::StatusOr<Opening> LoadedDecoder::Open(absl::Span<const int32_t> prompt, int new_tokens,
                                            const OpenOptions& options, const CallContext& context) const {
  const size_t limit = static_cast<size_t>(info_.max_tokens), more = static_cast<size_t>(new_tokens);
  if (prompt.empty()) return absl::InvalidArgumentError("the prompt is empty; at least one token is needed");
  if (new_tokens < 0 || prompt.size() > limit || more > limit - prompt.size()) {
    return absl::InvalidArgumentError(absl::StrCat("a prompt of ", prompt.size(), " tokens and ", new_tokens,
                                                   " new tokens exceed the context of ", info_.name, ", ", limit,
                                                   " tokens: shorten the prompt or ask for fewer"));
  }
  Opening opening;
  opening.tokens.assign(prompt.begin(), prompt.end());
  const int capacity = static_cast<int>(prompt.size() + more);
  LASTRO_ASSIGN_OR_RETURN(KvPromise room, PromiseRoom(core_, capacity, 0, new_tokens, options.forks, context));
  if (options.scope == nullptr || core_.prefixes == nullptr) {
    LASTRO_ASSIGN_OR_RETURN(opening.session, NewSession(capacity, options.adapter));
    static_cast<CachedSession&>(*opening.session).Hold(std::move(room));
    return opening;
  }
  KvScope scope = *options.scope;
  if (options.adapter != nullptr) absl::StrAppend(&scope.name, "\n", options.adapter->fingerprint());
  const int64_t most = static_cast<int64_t>(prompt.size()) - kFreshTokens;
  BlockTable known = core_.prefixes->Find(scope, prompt, most);
  const size_t held = known.blocks().size() * static_cast<size_t>(core_.pool->shape().block_tokens);
  auto session = std::make_unique<CachedSession>(core_, std::move(known), static_cast<int>(held), capacity,
                                                 std::nullopt, options.adapter);
  session->Hold(std::move(room));
  opening.reused_tokens = static_cast<int>(held);
  if (core_.reuse_chunks) {
    LASTRO_ASSIGN_OR_RETURN(const int64_t more, ReuseChunks(scope, prompt, most, context, session.get()));
    opening.reused_tokens += static_cast<int>(more);
  } else {
    session->KeepFor(std::move(scope), prompt.first(held));
  }
  opening.session = std::move(session);
  return opening;
}

}  // namespace

absl::StatusOr<std::unique_ptr<DecoderModel>> DecoderModel::Load(const std::string& folder, const Runtime& runtime) {
  return LoadedDecoder::Create(folder, runtime);
}

}  // namespace lastro::engine
