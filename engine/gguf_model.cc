#include "engine/gguf_model.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "engine/gguf_config.h"
#include "engine/gguf_tokenizer.h"
#include "engine/hf_folder.h"

namespace lastro::engine {
namespace {

absl::StatusOr<const GgufFamily*> FamilyOf(const GgufContents& contents) {
  const GgufMetadata& metadata = contents.metadata;
  LASTRO_ASSIGN_OR_RETURN(absl::string_view architecture, metadata.String("general.architecture"));
  auto contains = [&contents](absl::string_view name) {
    return std::any_of(contents.tensors.begin(), contents.tensors.end(),
                       [name](const auto& tensor) { return tensor.first == name; });
  };
  const GgufFamily* family = FindGgufFamily(architecture, contains);
  if (family != nullptr) return family;
  return absl::UnimplementedError(absl::StrCat(metadata.name(), ": general.architecture \"", architecture,
                                               "\" is not supported; supported: ", SupportedGgufArchitectures()));
}

absl::Status CheckWhole(const GgufMetadata& metadata) {
  if (!metadata.Has("split.count")) return absl::OkStatus();
  LASTRO_ASSIGN_OR_RETURN(int64_t count, metadata.Int("split.count"));
  if (count <= 1) return absl::OkStatus();
  return absl::UnimplementedError(absl::StrCat(metadata.name(), " is one of ", count,
                                               " files of a split model; merge them first (gguf-split --merge)"));
}

}  // namespace

GgufModel::GgufModel(std::string path) : path_(std::move(path)), name_(std::filesystem::path(path_).stem().string()) {}

absl::StatusOr<std::unique_ptr<GgufModel>> GgufModel::Open(const std::string& path) {
  std::unique_ptr<GgufModel> model(new GgufModel(path));
  LASTRO_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  LASTRO_ASSIGN_OR_RETURN(model->contents_, ParseGguf(file.bytes(), path));
  const GgufMetadata& metadata = model->metadata();
  LASTRO_RETURN_IF_ERROR(CheckWhole(metadata));
  LASTRO_ASSIGN_OR_RETURN(const GgufFamily* family, FamilyOf(*model->contents_));
  LASTRO_RETURN_IF_ERROR(model->ReadJson(*family));
  LASTRO_ASSIGN_OR_RETURN(HeadCounts heads, ReadGgufHeads(metadata, *family));
  LASTRO_ASSIGN_OR_RETURN(model->weights_,
                          GgufWeights::Create(std::move(file), path, *family, heads, model->contents_->tensors));
  return model;
}

absl::StatusOr<std::optional<JsonDocument>> GgufModel::Parse(const std::optional<std::string>& text,
                                                             const char* name) const {
  if (!text.has_value()) return std::optional<JsonDocument>();
  LASTRO_ASSIGN_OR_RETURN(JsonDocument json, JsonDocument::Parse(*text, absl::StrCat(path_, " (", name, ")")));
  return std::optional<JsonDocument>(std::move(json));
}

absl::Status GgufModel::ReadJson(const GgufFamily& family) {
  LASTRO_ASSIGN_OR_RETURN(std::string config, GgufConfigJson(*contents_, family));
  LASTRO_ASSIGN_OR_RETURN(config_, Parse(config, "metadata"));
  LASTRO_ASSIGN_OR_RETURN(std::optional<std::string> tokenizer_config, GgufTokenizerConfigJson(metadata()));
  LASTRO_ASSIGN_OR_RETURN(tokenizer_config_, Parse(tokenizer_config, "tokenizer"));
  LASTRO_ASSIGN_OR_RETURN(std::optional<GgufSentenceJson> sentence, ReadGgufSentenceJson(metadata(), family));
  if (!sentence.has_value()) return absl::OkStatus();
  LASTRO_ASSIGN_OR_RETURN(modules_, Parse(sentence->modules, "modules"));
  LASTRO_ASSIGN_OR_RETURN(pooling_config_, Parse(sentence->pooling, "pooling"));
  LASTRO_ASSIGN_OR_RETURN(sentence_bert_config_, Parse(sentence->sentence_bert, "sentence"));
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Tokenizer>> GgufModel::LoadTokenizer() const { return LoadGgufTokenizer(metadata()); }

std::string GgufModel::Fingerprint(absl::Span<const std::pair<std::string, std::string>> extra) const {
  FingerprintBuilder builder;
  for (const MappedFile& file : weights_->files()) {
    builder.AddMapped("gguf", file.bytes(), [this] { weights_->ForgetReplaced(); });
  }
  for (const auto& [name, value] : extra) builder.Add(name, value);
  return builder.FinishHex();
}

}  // namespace lastro::engine
