#include "engine/language_model.h"

#include "base/status_macros.h"
#include "engine/cards.h"
#include "engine/decoder_model.h"
#include "engine/seq2seq_model.h"

namespace lastro::engine {

absl::StatusOr<std::unique_ptr<LanguageModel>> LanguageModel::Load(const std::string& path, const Runtime& runtime) {
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<ModelFiles> files, OpenModel(path));
  if (IsSeq2Seq(*files)) return Seq2SeqModel::Load(path, runtime);
  return DecoderModel::Load(path, runtime);
}

}  // namespace lastro::engine
