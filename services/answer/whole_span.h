// Whole spans: a reader's tokens end within "1 480,00 €", "help@example.org" or "950 € (in words)"; an answer is all of
// it. Pure function, thread-safe.
#pragma once

#include "absl/strings/string_view.h"
#include "base/sentence.h"

namespace lastro::services::answer {

// `span` of `text`, widened to the whole number where it cuts one, to the unit or currency beside the number (4 °C, 20
// %, 950 €, $ 12), to the whole address or file name where it cuts one (help@example.org, https://example.org/a,
// notes.md), and to the bracket that closes one of its own. Requires a span within `text` of whole characters, as
// the result is. Never crosses a line.
TextRange WholeSpan(absl::string_view text, TextRange span);

}  // namespace lastro::services::answer
