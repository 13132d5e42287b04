#include "engine/hf_folder.h"

#include <filesystem>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "engine/hf_tokenizer.h"

namespace lastro::engine {
namespace {

constexpr uint64_t kMaxConfigBytes = 16u << 20;
constexpr char kChatTemplate[] = "chat_template.jinja";

bool Exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

std::string LastComponent(const std::string& path) {
  std::filesystem::path normal = std::filesystem::path(path).lexically_normal();
  if (!normal.has_filename()) normal = normal.parent_path();
  return normal.filename().string();
}

absl::string_view AsText(absl::Span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The folder of the module whose type ends in ".Pooling"; "" when there is none.
absl::StatusOr<std::string> PoolingFolder(const JsonValue& modules) {
  LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> items, modules.AsArray());
  for (const JsonValue& module : items) {
    LASTRO_ASSIGN_OR_RETURN(std::string type, module.GetString("type", ""));
    if (!absl::EndsWith(type, ".Pooling")) continue;
    LASTRO_ASSIGN_OR_RETURN(std::string folder, module.GetString("path", ""));
    if (folder.empty() || !StaysInFolder(folder)) {
      return absl::InvalidArgumentError(
          absl::StrCat(module.path(), ".path must be a relative path inside the model folder"));
    }
    return folder;
  }
  return std::string();
}

}  // namespace

bool StaysInFolder(absl::string_view relative) {
  if (relative.empty() || relative.front() == '/') return false;
  if (relative.find('\0') != absl::string_view::npos || absl::StrContains(relative, '\\')) return false;
  for (absl::string_view part : absl::StrSplit(relative, '/')) {
    if (part == "..") return false;
  }
  return true;
}

void FingerprintBuilder::Add(absl::string_view name, absl::string_view value) {
  hash_.Update(absl::StrCat(name.size(), ":", name, value.size(), ":"));
  hash_.Update(value);
}

void FingerprintBuilder::AddMapped(absl::string_view name, absl::Span<const uint8_t> bytes,
                                   absl::FunctionRef<void()> after_piece) {
  constexpr size_t kPiece = size_t{16} << 20;
  hash_.Update(absl::StrCat(name.size(), ":", name, bytes.size(), ":"));
  for (size_t at = 0; at < bytes.size(); at += kPiece) {
    const absl::Span<const uint8_t> piece = bytes.subspan(at, kPiece);
    hash_.Update({reinterpret_cast<const char*>(piece.data()), piece.size()});
    after_piece();
  }
}

absl::StatusOr<HfFolder::File> HfFolder::ReadJson(const std::string& folder, const std::string& name) {
  const std::string path = folder + "/" + name;
  LASTRO_ASSIGN_OR_RETURN(std::string text, ReadFile(path, kMaxConfigBytes));
  LASTRO_ASSIGN_OR_RETURN(JsonDocument json, JsonDocument::Parse(text, path, kMaxConfigBytes));
  return File{name, std::move(text), std::move(json)};
}

absl::StatusOr<std::optional<HfFolder::File>> HfFolder::ReadJsonIfThere(const std::string& folder,
                                                                        const std::string& name) {
  if (!Exists(folder + "/" + name)) return std::optional<File>();
  LASTRO_ASSIGN_OR_RETURN(File file, ReadJson(folder, name));
  return std::optional<File>(std::move(file));
}

HfFolder::HfFolder(std::string path, File config)
    : path_(std::move(path)), name_(LastComponent(path_)), config_(std::move(config)) {}

absl::StatusOr<std::unique_ptr<HfFolder>> HfFolder::Open(const std::string& path) {
  LASTRO_ASSIGN_OR_RETURN(File config, ReadJson(path, "config.json"));
  if (!config.json.root().is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(path, "/config.json must hold an object"));
  }
  std::unique_ptr<HfFolder> folder(new HfFolder(path, std::move(config)));
  LASTRO_RETURN_IF_ERROR(folder->ReadOptionalFiles());
  LASTRO_RETURN_IF_ERROR(folder->ReadPooling());
  LASTRO_RETURN_IF_ERROR(folder->OpenTokenizer());
  LASTRO_RETURN_IF_ERROR(folder->OpenWeights());
  return folder;
}

absl::Status HfFolder::ReadOptionalFiles() {
  LASTRO_ASSIGN_OR_RETURN(generation_config_, ReadJsonIfThere(path_, "generation_config.json"));
  LASTRO_ASSIGN_OR_RETURN(tokenizer_config_, ReadJsonIfThere(path_, "tokenizer_config.json"));
  LASTRO_ASSIGN_OR_RETURN(modules_, ReadJsonIfThere(path_, "modules.json"));
  LASTRO_ASSIGN_OR_RETURN(sentence_bert_config_, ReadJsonIfThere(path_, "sentence_bert_config.json"));
  LASTRO_ASSIGN_OR_RETURN(sentence_transformers_config_, ReadJsonIfThere(path_, "config_sentence_transformers.json"));
  LASTRO_ASSIGN_OR_RETURN(special_tokens_map_, ReadJsonIfThere(path_, "special_tokens_map.json"));
  const std::string chat_template = absl::StrCat(path_, "/", kChatTemplate);
  if (!Exists(chat_template)) return absl::OkStatus();
  LASTRO_ASSIGN_OR_RETURN(chat_template_, ReadFile(chat_template, kMaxConfigBytes));
  return absl::OkStatus();
}

absl::Status HfFolder::ReadPooling() {
  std::string folder = "1_Pooling";
  if (modules_.has_value()) {
    LASTRO_ASSIGN_OR_RETURN(folder, PoolingFolder(modules_->json.root()));
    if (folder.empty()) return absl::OkStatus();
  }
  LASTRO_ASSIGN_OR_RETURN(pooling_config_, ReadJsonIfThere(path_, folder + "/config.json"));
  if (modules_.has_value() && !pooling_config_.has_value()) {
    return absl::NotFoundError(absl::StrCat(path_, "/", folder, "/config.json is missing; modules.json names it"));
  }
  return absl::OkStatus();
}

absl::Status HfFolder::OpenTokenizer() {
  LASTRO_ASSIGN_OR_RETURN(tokenizer_path_, FindHfTokenizer(path_));
  LASTRO_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(tokenizer_path_));
  tokenizer_sha256_ = Sha256Hex(AsText(file.bytes()));
  return absl::OkStatus();
}

absl::Status HfFolder::OpenWeights() {
  for (const char* name : {"/model.safetensors", "/model.safetensors.index.json"}) {
    if (!Exists(path_ + name)) continue;
    LASTRO_ASSIGN_OR_RETURN(weights_, SafetensorsFile::Open(path_ + name));
    return absl::OkStatus();
  }
  return absl::NotFoundError(
      absl::StrCat(path_,
                   " has neither model.safetensors nor model.safetensors.index.json; .bin files are not read: convert "
                   "them to safetensors, or name a .gguf file itself"));
}

absl::StatusOr<std::unique_ptr<Tokenizer>> HfFolder::LoadTokenizer() const {
  return LoadHfTokenizer(tokenizer_path_, tokenizer_config());
}

absl::StatusOr<std::optional<std::string>> HfFolder::ChatTemplate() const {
  return chat_template_.has_value() ? chat_template_ : ModelFiles::ChatTemplate();
}

std::string HfFolder::Fingerprint(absl::Span<const std::pair<std::string, std::string>> extra) const {
  FingerprintBuilder builder;
  for (const MappedFile& file : weights_->files()) builder.Add("weights", AsText(file.bytes()));
  builder.Add(LastComponent(tokenizer_path_), tokenizer_sha256_);
  builder.Add(config_.name, config_.text);
  for (const std::optional<File>* file : {&generation_config_, &tokenizer_config_, &modules_, &sentence_bert_config_,
                                          &sentence_transformers_config_, &pooling_config_}) {
    if (file->has_value()) builder.Add((*file)->name, (*file)->text);
  }
  if (chat_template_.has_value()) builder.Add(kChatTemplate, *chat_template_);
  for (const auto& [name, value] : extra) builder.Add(name, value);
  return builder.FinishHex();
}

}  // namespace lastro::engine
