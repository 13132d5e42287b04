#include "engine/language_model.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/cards.h"
#include "engine/decoder_model.h"
#include "engine/lora.h"
#include "engine/seq2seq_model.h"

namespace lastro::engine {

absl::StatusOr<std::unique_ptr<LanguageModel>> LanguageModel::Load(const std::string& path, const Runtime& runtime) {
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<ModelFiles> files, OpenModel(path));
  if (IsSeq2Seq(*files)) return Seq2SeqModel::Load(path, runtime);
  return DecoderModel::Load(path, runtime);
}

absl::StatusOr<std::unique_ptr<const LoraAdapter>> LanguageModel::LoadAdapter(const std::string& folder) const {
  return absl::UnimplementedError(
      absl::StrCat(info().name, " is an encoder and decoder; adapters (", folder, ") are for decoders alone"));
}

}  // namespace lastro::engine
