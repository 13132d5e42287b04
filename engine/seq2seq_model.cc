#include "engine/seq2seq_model.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/cards.h"
#include "engine/decoder_session.h"

namespace lastro::engine {
namespace {

class LoadedSeq2Seq : public Seq2SeqModel {
 public:
  static absl::StatusOr<std::unique_ptr<Seq2SeqModel>> Create(const std::string& path, const Runtime& runtime);

  const Seq2SeqInfo& info() const override { return info_; }
  const Tokenizer& tokenizer() const override { return *tokenizer_; }
  const ModelFiles& files() const override { return *core_.files; }
  absl::StatusOr<Opening> Open(absl::Span<const int32_t> prompt, int new_tokens, const OpenOptions& options,
                               const CallContext& context) const override;
  absl::StatusOr<std::unique_ptr<DecoderSession>> NewSession(absl::Span<const int32_t> source, int capacity_tokens,
                                                             const CallContext& context) const override;

 private:
  absl::Status CheckRequest(absl::Span<const int32_t> source, int capacity_tokens) const;
  // Into blocks of the pool.
  absl::StatusOr<BlockTable> Encode(absl::Span<const int32_t> source, const CallContext& context) const;

  DecoderCore core_;
  std::unique_ptr<Transformer> encoder_;
  std::unique_ptr<Tokenizer> tokenizer_;
  Seq2SeqInfo info_;
  mutable TransformerScratch encoder_scratch_;  // used inside steps of the backend's queue only
};

absl::StatusOr<std::unique_ptr<Seq2SeqModel>> LoadedSeq2Seq::Create(const std::string& path, const Runtime& runtime) {
  auto model = std::make_unique<LoadedSeq2Seq>();
  DecoderCore& core = model->core_;
  core.backend = &runtime.backend();
  LASTRO_ASSIGN_OR_RETURN(core.files, OpenModel(path));
  LASTRO_ASSIGN_OR_RETURN(Seq2SeqArchitecture both, ReadSeq2SeqArchitecture(*core.files));
  if (runtime.reuse_chunks()) {
    return absl::UnimplementedError(absl::StrCat(path, " attends to what an encoder has read: its keys and values ",
                                                 "cannot be reused at other positions; leave out --reuse-chunks"));
  }
  LASTRO_ASSIGN_OR_RETURN(model->tokenizer_, core.files->LoadTokenizer());
  LASTRO_ASSIGN_OR_RETURN(TransformerWeights encoder,
                          LoadTransformerWeights(core.files->weights(), both.encoder, *core.backend));
  LASTRO_ASSIGN_OR_RETURN(TransformerWeights decoder,
                          LoadTransformerWeights(core.files->weights(), both.decoder, *core.backend));
  Seq2SeqInfo& info = model->info_;
  info.name = core.files->name();
  info.fingerprint = core.files->Fingerprint();
  info.architecture = both.decoder.name;
  info.vocab_size = static_cast<int>(both.decoder.vocab_size);
  info.max_source_tokens = static_cast<int>(both.encoder.max_tokens);
  info.max_tokens = static_cast<int>(both.decoder.max_tokens);
  info.start_id = both.start_id;
  info.forced_bos_id = both.forced_bos_id;
  info.forced_eos_id = both.forced_eos_id;
  info.eos_ids = both.decoder.eos_ids;
  info.bos_id = both.decoder.bos_id;
  info.layers = static_cast<int>(both.decoder.layers);
  info.hidden_size = static_cast<int>(both.decoder.hidden_size);
  info.weight_bytes = encoder.stored_bytes + decoder.stored_bytes;
  LASTRO_ASSIGN_OR_RETURN(core.pool, KvPool::Create(*core.backend, both.decoder, runtime.kv_bytes()));
  info.parameters = encoder.parameters + decoder.parameters - both.encoder.vocab_size * both.encoder.hidden_size;
  model->encoder_ = std::make_unique<Transformer>(std::move(both.encoder), std::move(encoder), *core.backend);
  core.transformer = std::make_unique<Transformer>(std::move(both.decoder), std::move(decoder), *core.backend);
  return model;
}

absl::Status LoadedSeq2Seq::CheckRequest(absl::Span<const int32_t> source, int capacity_tokens) const {
  if (source.empty() || source.size() > static_cast<size_t>(info_.max_source_tokens)) {
    return absl::InvalidArgumentError(absl::StrCat("a source of ", source.size(), " tokens is out of range [1, ",
                                                   info_.max_source_tokens, "] of ", info_.name));
  }
  if (capacity_tokens < 1 || capacity_tokens > info_.max_tokens) {
    return absl::InvalidArgumentError(absl::StrCat("a target of ", capacity_tokens, " tokens is out of range [1, ",
                                                   info_.max_tokens, "] of ", info_.name));
  }
  for (int32_t id : source) {
    if (id < 0 || id >= info_.vocab_size) {
      return absl::InvalidArgumentError(
          absl::StrCat("token id ", id, " is not in the model's vocabulary of ", info_.vocab_size, " ids"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<BlockTable> LoadedSeq2Seq::Encode(absl::Span<const int32_t> source, const CallContext& context) const {
  const int64_t rows = static_cast<int64_t>(source.size());
  Backend& backend = *core_.backend;
  const Architecture& a = encoder_->architecture();
  SequenceSpan sequence = {0, rows, 0, {}, rows};
  const std::vector<int32_t> scratch = AssignScratchBlocks(backend.kv_block_tokens(), absl::MakeSpan(&sequence, 1));
  BlockTable memory(*core_.pool);
  LASTRO_RETURN_IF_ERROR(backend.queue().Run(context, [&]() -> absl::Status {
    LASTRO_RETURN_IF_ERROR(memory.Reserve(0, rows));
    LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<KvStore> kv,
                            backend.AllocateKv({1, a.kv_heads, a.head_dim, backend.kv_block_tokens(),
                                                static_cast<int64_t>(scratch.size()), true}));
    LASTRO_RETURN_IF_ERROR(encoder_->Forward(
        source, absl::MakeConstSpan(&sequence, 1), *kv, [&] { return context.Check(); }, &encoder_scratch_));
    encoder_->NormOutput(&encoder_scratch_);
    LASTRO_RETURN_IF_ERROR(backend.Synchronize());
    return core_.transformer->Remember(encoder_scratch_.hidden, memory.blocks(), core_.pool->store());
  }));
  return memory;
}

absl::StatusOr<std::unique_ptr<DecoderSession>> LoadedSeq2Seq::NewSession(absl::Span<const int32_t> source,
                                                                          int capacity_tokens,
                                                                          const CallContext& context) const {
  LASTRO_RETURN_IF_ERROR(CheckRequest(source, capacity_tokens));
  LASTRO_ASSIGN_OR_RETURN(BlockTable memory, Encode(source, context));
  return NewCachedSession(core_, capacity_tokens, CrossMemory{std::move(memory), static_cast<int64_t>(source.size())},
                          nullptr);
}

absl::StatusOr<Opening> LoadedSeq2Seq::Open(absl::Span<const int32_t> prompt, int new_tokens,
                                            const OpenOptions& options, const CallContext& context) const {
  LASTRO_CHECK(options.adapter == nullptr, "an adapter of another model");
  Opening opening;
  opening.tokens = {info_.start_id};
  if (info_.forced_bos_id >= 0) opening.tokens.push_back(info_.forced_bos_id);
  const int fixed = static_cast<int>(opening.tokens.size());
  if (new_tokens < 0 || new_tokens > info_.max_tokens - fixed) {
    return absl::InvalidArgumentError(absl::StrCat(new_tokens, " new tokens are out of range; ", info_.name,
                                                   " writes at most ", info_.max_tokens - fixed));
  }
  LASTRO_RETURN_IF_ERROR(CheckRequest(prompt, fixed + new_tokens));
  LASTRO_ASSIGN_OR_RETURN(KvPromise room, PromiseRoom(core_, fixed + new_tokens, static_cast<int64_t>(prompt.size()),
                                                      new_tokens, options.forks, context));
  LASTRO_ASSIGN_OR_RETURN(opening.session, NewSession(prompt, fixed + new_tokens, context));
  static_cast<CachedSession&>(*opening.session).Hold(std::move(room));
  return opening;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Seq2SeqModel>> Seq2SeqModel::Load(const std::string& folder, const Runtime& runtime) {
  return LoadedSeq2Seq::Create(folder, runtime);
}

}  // namespace lastro::engine
