// Cards: one function per family that maps its configuration to an Architecture. To add a family, add a file under
// engine/cards/ and a row to the table in cards.cc. Pure functions, thread-safe.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "engine/architecture.h"
#include "engine/model_files.h"

namespace lastro::engine {

// The architecture that config.json's model_type names. UNIMPLEMENTED for a family or option that this version does not
// support (named, with those it does); INVALID_ARGUMENT for a field that is missing, of another type or out of range.
absl::StatusOr<Architecture> ReadArchitecture(const ModelFiles& files);

absl::StatusOr<Architecture> LlamaCard(const ModelFiles& files);  // Llama 1-3; Mistral without sliding window
absl::StatusOr<Architecture> BertCard(const ModelFiles& files);   // BERT encoders (MiniLM, BGE, E5)

}  // namespace lastro::engine
