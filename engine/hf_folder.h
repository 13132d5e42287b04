// HfFolder: a model folder as the Hugging Face hub lays it out: config.json, weights and tokenizer.json, and, when they
// are there, generation_config.json and the sentence-transformers files. Const after Open and thread-safe; JSON values
// and tensors live as long as the object.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/hash.h"
#include "base/json.h"
#include "engine/model_files.h"
#include "engine/safetensors.h"

namespace lastro::engine {

class HfFolder : public ModelFiles {
 public:
  // Opens `path`. Weights are model.safetensors, or else the shards of model.safetensors.index.json. Errors: NOT_FOUND
  // (config.json, the tokenizer or the weights are missing: named), INVALID_ARGUMENT (malformed; which file and
  // field).
  static absl::StatusOr<std::unique_ptr<HfFolder>> Open(const std::string& path);

  const std::string& path() const override { return path_; }
  const std::string& name() const override { return name_; }
  const std::string& tokenizer_path() const { return tokenizer_path_; }

  JsonValue config() const override { return config_.json.root(); }
  const TensorFile& weights() const override { return *weights_; }
  absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer() const override;

  std::optional<JsonValue> generation_config() const override { return Root(generation_config_); }
  std::optional<JsonValue> tokenizer_config() const override { return Root(tokenizer_config_); }
  std::optional<JsonValue> modules() const override { return Root(modules_); }
  std::optional<JsonValue> sentence_bert_config() const override { return Root(sentence_bert_config_); }
  std::optional<JsonValue> sentence_transformers_config() const override { return Root(sentence_transformers_config_); }
  std::optional<JsonValue> special_tokens_map() const override { return Root(special_tokens_map_); }
  std::optional<JsonValue> pooling_config() const override { return Root(pooling_config_); }
  absl::StatusOr<std::optional<std::string>> ChatTemplate() const override;

  using ModelFiles::Fingerprint;
  std::string Fingerprint(absl::Span<const std::pair<std::string, std::string>> extra) const override;

 private:
  struct File {
    std::string name;  // relative to the folder
    std::string text;
    JsonDocument json;
  };
  static std::optional<JsonValue> Root(const std::optional<File>& file) {
    return file.has_value() ? std::optional<JsonValue>(file->json.root()) : std::nullopt;
  }

  static absl::StatusOr<File> ReadJson(const std::string& folder, const std::string& name);
  static absl::StatusOr<std::optional<File>> ReadJsonIfThere(const std::string& folder, const std::string& name);

  HfFolder(std::string path, File config);
  absl::Status ReadOptionalFiles();
  absl::Status ReadPooling();
  absl::Status OpenTokenizer();
  absl::Status OpenWeights();

  std::string path_;
  std::string name_;
  std::string tokenizer_path_;
  std::string tokenizer_sha256_;
  File config_;
  std::optional<File> generation_config_;
  std::optional<File> tokenizer_config_;
  std::optional<File> modules_;
  std::optional<File> sentence_bert_config_;
  std::optional<File> sentence_transformers_config_;
  std::optional<File> special_tokens_map_;
  std::optional<File> pooling_config_;
  std::optional<std::string> chat_template_;  // of chat_template.jinja
  std::optional<SafetensorsFile> weights_;
};

// SHA-256 over named parts: each name and value is preceded by its length, so that no two lists of parts give the same
// bytes. Not thread-safe.
class FingerprintBuilder {
 public:
  void Add(absl::string_view name, absl::string_view value);
  // The same of a mapped file, with a call after each piece of it: time to take out of memory what should not stay.
  void AddMapped(absl::string_view name, absl::Span<const uint8_t> bytes, absl::FunctionRef<void()> after_piece);
  std::string FinishHex() { return hash_.FinishHex(); }  // once

 private:
  Sha256 hash_;
};

// True when `relative` is a relative path without "..", root, backslash or NUL: it cannot name a file outside its
// folder (symbolic links inside the folder are the owner's own).
bool StaysInFolder(absl::string_view relative);

}  // namespace lastro::engine
