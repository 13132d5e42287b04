// Post-processors: add what the model expects around a text ([CLS] ... [SEP], BOS) and trim offsets. Const after
// construction and thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/json.h"
#include "engine/tokenizer.h"
#include "engine/tokenizers/vocabulary.h"

namespace lastro::engine::tokenizers {

// A token with the text it has in the vocabulary, or, for an added token, in the input.
struct ValuedToken {
  Token token;
  absl::string_view value;
};

class PostProcessor {
 public:
  virtual ~PostProcessor() = default;
  // `input` is the caller's text, to which offsets refer.
  virtual void Apply(absl::string_view input, bool add_special, std::vector<ValuedToken>* tokens) const = 0;
};

// Reads TemplateProcessing (of single texts), BertProcessing, RobertaProcessing, ByteLevel or a Sequence of them.
// UNIMPLEMENTED names any other type. Ids must be in `vocabulary`.
absl::StatusOr<std::unique_ptr<PostProcessor>> ParsePostProcessor(const JsonValue& component,
                                                                  const Vocabulary& vocabulary);

}  // namespace lastro::engine::tokenizers
