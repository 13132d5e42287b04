#include "engine/tokenizers/model.h"

#include "base/status_macros.h"
#include "engine/tokenizers/component.h"

namespace lastro::engine::tokenizers {

absl::StatusOr<std::string> ModelType(const JsonValue& component) {
  absl::string_view otherwise = "WordPiece";
  if (component.Has("merges")) otherwise = "BPE";
  if (component.Has("unk_id")) otherwise = "Unigram";
  return component.GetString("type", otherwise);
}

absl::StatusOr<bool> LooksUpBytes(const JsonValue& component) {
  LASTRO_ASSIGN_OR_RETURN(std::string type, ModelType(component));
  if (type != "BPE") return false;
  LASTRO_ASSIGN_OR_RETURN(std::string prefix, component.GetString("continuing_subword_prefix", ""));
  LASTRO_ASSIGN_OR_RETURN(std::string suffix, component.GetString("end_of_word_suffix", ""));
  return prefix.empty() && suffix.empty();
}

absl::StatusOr<std::unique_ptr<Model>> ParseModel(const JsonValue& component, const Vocabulary& vocabulary,
                                                  const ModelContext& context) {
  LASTRO_ASSIGN_OR_RETURN(std::string type, ModelType(component));
  if (type == "BPE") return ParseBpe(component, vocabulary, context);
  if (type == "WordPiece") return ParseWordPiece(component, vocabulary, context);
  if (type == "Unigram") return ParseUnigram(component, vocabulary, context);
  if (type == "WordLevel") return ParseWordLevel(component, vocabulary, context);
  return UnsupportedType(component, type);
}

}  // namespace lastro::engine::tokenizers
