// Which of the supported languages a text is in, by its stop words and letters. Pure function, thread-safe.
#pragma once

#include "absl/strings/string_view.h"
#include "retrieval/types.h"

namespace lastro::ingest {

// Looks at the first 64 KiB. kUnknown when the text is too short to tell, in another language, or mixed.
retrieval::Language DetectLanguage(absl::string_view text);

}  // namespace lastro::ingest
