// GgufModel: a model in one GGUF file, as ModelFiles. Const after Open and thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "engine/gguf.h"
#include "engine/gguf_weights.h"
#include "engine/model_files.h"

namespace lastro::engine {

class GgufModel : public ModelFiles {
 public:
  // Errors: NOT_FOUND, INVALID_ARGUMENT (malformed: what, and where), UNIMPLEMENTED (an architecture or option that is
  // not supported, named; one file of several).
  static absl::StatusOr<std::unique_ptr<GgufModel>> Open(const std::string& path);

  const std::string& path() const override { return path_; }
  const std::string& name() const override { return name_; }

  JsonValue config() const override { return config_->root(); }
  const TensorFile& weights() const override { return *weights_; }
  absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer() const override;

  std::optional<JsonValue> generation_config() const override { return std::nullopt; }
  std::optional<JsonValue> tokenizer_config() const override { return Root(tokenizer_config_); }
  std::optional<JsonValue> modules() const override { return Root(modules_); }
  std::optional<JsonValue> sentence_bert_config() const override { return Root(sentence_bert_config_); }
  std::optional<JsonValue> pooling_config() const override { return Root(pooling_config_); }

  using ModelFiles::Fingerprint;
  std::string Fingerprint(absl::Span<const std::pair<std::string, std::string>> extra) const override;

  const GgufMetadata& metadata() const { return contents_->metadata; }
  // The tensors under the names and in the layout of the file.
  const std::vector<std::pair<std::string, StoredTensor>>& stored_tensors() const { return contents_->tensors; }

 private:
  static std::optional<JsonValue> Root(const std::optional<JsonDocument>& json) {
    return json.has_value() ? std::optional<JsonValue>(json->root()) : std::nullopt;
  }

  explicit GgufModel(std::string path);
  absl::Status ReadJson(const GgufFamily& family);
  absl::StatusOr<std::optional<JsonDocument>> Parse(const std::optional<std::string>& text, const char* name) const;

  std::string path_;
  std::string name_;
  std::optional<GgufContents> contents_;  // views of the weights' file
  std::unique_ptr<GgufWeights> weights_;
  std::optional<JsonDocument> config_;
  std::optional<JsonDocument> tokenizer_config_;
  std::optional<JsonDocument> modules_;
  std::optional<JsonDocument> sentence_bert_config_;
  std::optional<JsonDocument> pooling_config_;
};

}  // namespace lastro::engine
