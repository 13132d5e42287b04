// ModelFiles: what a model is loaded from, whatever its format: the configuration, the weights, the tokenizer and the
// optional files around them, under the names that Hugging Face gives them. HfFolder is a folder of the hub's layout,
// GgufModel one file.
// Const after it is opened and thread-safe; JSON values and tensors live as long as the object.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/json.h"
#include "engine/tensor_file.h"
#include "engine/tokenizer.h"

namespace lastro::engine {

class ModelFiles {
 public:
  virtual ~ModelFiles() = default;
  ModelFiles(const ModelFiles&) = delete;
  ModelFiles& operator=(const ModelFiles&) = delete;

  virtual const std::string& path() const = 0;
  virtual const std::string& name() const = 0;  // the last component of the path, without ".gguf"

  virtual JsonValue config() const = 0;  // an object, as in config.json
  virtual const TensorFile& weights() const = 0;
  // Errors as Tokenizer::Load.
  virtual absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer() const = 0;

  // Optional; nullopt when absent.
  virtual std::optional<JsonValue> generation_config() const = 0;
  virtual std::optional<JsonValue> tokenizer_config() const = 0;
  virtual std::optional<JsonValue> modules() const = 0;
  virtual std::optional<JsonValue> sentence_bert_config() const = 0;
  virtual std::optional<JsonValue> sentence_transformers_config() const { return std::nullopt; }
  virtual std::optional<JsonValue> special_tokens_map() const { return std::nullopt; }
  // config.json of the module of type ...Pooling in modules.json, else 1_Pooling/config.json.
  virtual std::optional<JsonValue> pooling_config() const = 0;

  // The Jinja text that writes conversations: chat_template.jinja, else of tokenizer_config.json (of several, the one
  // named "default"); nullopt when there is none. INVALID_ARGUMENT when it is no text.
  virtual absl::StatusOr<std::optional<std::string>> ChatTemplate() const;
  // The text of a special token such as "bos_token": of tokenizer_config.json, else special_tokens_map.json; "" when
  // neither names one.
  absl::StatusOr<std::string> SpecialToken(absl::string_view name) const;

  // Lower-case hexadecimal SHA-256 over the content of all files that make the model and over `extra` parts (name,
  // value), such as prefixes and the dimension. Reads the weights once (45 MB take about 30 ms with SHA instructions).
  // Names and dates of files play no part.
  virtual std::string Fingerprint(absl::Span<const std::pair<std::string, std::string>> extra) const = 0;
  std::string Fingerprint() const { return Fingerprint({}); }

 protected:
  ModelFiles() = default;
};

// Opens a path that ends in ".gguf" as GgufModel, any other as HfFolder. Errors: NOT_FOUND, INVALID_ARGUMENT
// (malformed; which file and field), UNIMPLEMENTED (a format that is not read).
absl::StatusOr<std::unique_ptr<ModelFiles>> OpenModel(const std::string& path);

}  // namespace lastro::engine
