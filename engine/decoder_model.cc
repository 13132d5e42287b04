#include "engine/decoder_model.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "engine/backend.h"
#include "engine/cards.h"
#include "engine/decoder_session.h"
#include "engine/model_files.h"
#include "engine/transformer.h"

namespace lastro::engine {
namespace {

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
  LASTRO_ASSIGN_OR_RETURN(core.pool, KvPool::Create(*core.backend, architecture, runtime.kv_bytes()));
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
  return NewCachedSession(core_, capacity_tokens, std::nullopt);
}

}  // namespace

absl::StatusOr<std::unique_ptr<DecoderModel>> DecoderModel::Load(const std::string& folder, const Runtime& runtime) {
  return LoadedDecoder::Create(folder, runtime);
}

}  // namespace lastro::engine
