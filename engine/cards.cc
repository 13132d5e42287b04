#include "engine/cards.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace lastro::engine {
namespace {

struct Family {
  const char* model_type;
  absl::StatusOr<Architecture> (*card)(const ModelFiles& files);
};

// clang-format off
constexpr Family kFamilies[] = {
    {"bert", BertCard},
    {"bloom", BloomCard},
    {"camembert", RobertaCard},
    {"distilbert", DistilBertCard},
    {"falcon", FalconCard},
    {"gemma", GemmaCard},
    {"gemma2", Gemma2Card},
    {"gemma3_text", Gemma3Card},
    {"gpt2", Gpt2Card},
    {"gpt_neox", GptNeoxCard},
    {"gpt_oss", GptOssCard},
    {"llama", LlamaCard},
    {"mistral", MistralCard},
    {"mixtral", MixtralCard},
    {"modernbert", ModernBertCard},
    {"mpt", MptCard},
    {"phi3", Phi3Card},
    {"qwen2", Qwen2Card},
    {"qwen3", Qwen3Card},
    {"qwen3_moe", Qwen3MoeCard},
    {"roberta", RobertaCard},
    {"xlm-roberta", RobertaCard},
};
// clang-format on

std::string SupportedFamilies() {
  std::string names;
  for (const Family& family : kFamilies) absl::StrAppend(&names, names.empty() ? "" : ", ", family.model_type);
  return names;
}

// The value of model_type, which must be there, and weights that are not quantised in a way no card reads.
absl::StatusOr<std::string> ReadModelType(const JsonValue& config) {
  LASTRO_ASSIGN_OR_RETURN(std::string model_type, config.GetString("model_type", ""));
  if (model_type.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(config.path(), " model_type is missing; it names the architecture"));
  }
  if (config.Has("quantization_config") && model_type != "gpt_oss") {  // its card reads MXFP4
    return absl::UnimplementedError(
        absl::StrCat(config.path(), " quantization_config: quantised weights are not supported yet"));
  }
  return model_type;
}

}  // namespace

absl::StatusOr<Architecture> ReadArchitecture(const ModelFiles& files) {
  const JsonValue config = files.config();
  LASTRO_ASSIGN_OR_RETURN(std::string model_type, ReadModelType(config));
  for (const Family& family : kFamilies) {
    if (model_type == family.model_type) return family.card(files);
  }
  return absl::UnimplementedError(absl::StrCat(config.path(), " model_type \"", model_type,
                                               "\" is not supported; supported: ", SupportedFamilies()));
}

bool IsSeq2Seq(const ModelFiles& files) {
  const absl::StatusOr<std::string> model_type = ReadModelType(files.config());
  return model_type.ok() && (*model_type == "bart" || *model_type == "t5");
}

absl::StatusOr<Seq2SeqArchitecture> ReadSeq2SeqArchitecture(const ModelFiles& files) {
  const JsonValue config = files.config();
  LASTRO_ASSIGN_OR_RETURN(std::string model_type, ReadModelType(config));
  if (model_type == "bart") return BartCard(files);
  if (model_type == "t5") return T5Card(files);
  return absl::UnimplementedError(absl::StrCat(config.path(), " model_type \"", model_type,
                                               "\" is not supported as encoder and decoder; supported: bart, t5"));
}

}  // namespace lastro::engine
