// Reads a SentencePiece model (*.model): the protocol buffer `ModelProto` of sentencepiece_model.proto.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/tokenizers/vocabulary_spec.h"

namespace lastro::engine::tokenizers {

// What the file says, for BuildTokenizer; `name` opens error messages. A model file knows BOS and EOS but not whether a
// text gets them: add_bos and add_eos are false, for the caller to set. INVALID_ARGUMENT: not such a file, a piece
// twice; UNIMPLEMENTED: a model of type WORD or CHAR, a denormaliser.
absl::StatusOr<VocabularySpec> ParseSentencePieceModel(absl::string_view content, const std::string& name);

}  // namespace lastro::engine::tokenizers
