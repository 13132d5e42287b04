// Regex: a regular expression in the dialect of the reference library (Oniguruma, Ruby syntax, Unicode 14), run by
// PCRE2 with JIT. Const after compilation and thread-safe.
//
// The expression is translated first, because the dialects differ in silence: \s, \w and \b cover other characters, \v
// is one character here and a class there, ^ and $ always work on lines. Constructs whose meaning differs and that no
// known tokenizer uses (negated classes within classes, &&, POSIX classes, \h, inline m, s and x flags, {n,m}+, back
// references) are refused with UNIMPLEMENTED rather than run with another meaning.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lastro::engine::tokenizers {

class Regex {
 public:
  // INVALID_ARGUMENT (`where`, position, what PCRE2 says), UNIMPLEMENTED, RESOURCE_EXHAUSTED (longer than 16,384
  // bytes).
  static absl::StatusOr<Regex> Compile(absl::string_view expression, absl::string_view where);

  // Calls `found(begin, end)` for each match in `text` (valid UTF-8), left to right, never overlapping; an empty match
  // right after the previous match is passed over. An attempt may take 1,000,000 steps and 16 for each byte of the
  // text, which the expressions of known tokenizers never reach. Where another one does, its first character counts as
  // unmatched and the search goes on after it; the 64th such failure ends the search, and the rest of the text is
  // unmatched: a hostile expression costs a bounded time, not a hang.
  void ForEachMatch(absl::string_view text, absl::FunctionRef<void(uint32_t, uint32_t)> found) const;

 private:
  struct Code;
  explicit Regex(std::shared_ptr<const Code> code) : code_(std::move(code)) {}
  std::shared_ptr<const Code> code_;
};

// The PCRE2 form of `expression`; exposed for tests.
absl::StatusOr<std::string> TranslateRegex(absl::string_view expression, absl::string_view where);

}  // namespace lastro::engine::tokenizers
