#include "engine/tokenizers/model.h"

#include "base/status_macros.h"
#include "engine/tokenizers/component.h"

namespace lastro::engine::tokenizers {

absl::StatusOr<std::unique_ptr<Model>> ParseModel(const JsonValue& component, const Vocabulary& vocabulary,
                                                  const ModelContext& context) {
  LASTRO_ASSIGN_OR_RETURN(std::string type, component.GetString("type", component.Has("merges") ? "BPE" : "WordPiece"));
  if (type == "BPE") return ParseBpe(component, vocabulary, context);
  if (type == "WordPiece") return ParseWordPiece(component, vocabulary, context);
  return UnsupportedType(component, type);
}

}  // namespace lastro::engine::tokenizers
