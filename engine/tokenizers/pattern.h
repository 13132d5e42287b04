// Patterns that split and replace text: a literal string, a regular expression, or a class of characters. Const after
// construction and thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/json.h"
#include "engine/tokenizers/aligned_text.h"

namespace lastro::engine::tokenizers {

class Pattern {
 public:
  virtual ~Pattern() = default;
  // Fills `matches` with stretches that cover `text` (valid UTF-8) in order; matches never overlap. Empty matches may
  // occur.
  virtual void FindMatches(absl::string_view text, std::vector<Match>* matches) const = 0;
};

// {"String": "..."} or {"Regex": "..."}, as Split and Replace hold it in member "pattern" of `owner`.
absl::StatusOr<std::unique_ptr<Pattern>> ParsePattern(const JsonValue& owner);

// Every occurrence of `literal`. REQUIRES: !literal.empty().
std::unique_ptr<Pattern> LiteralPattern(absl::string_view literal);

// Every single character for which `predicate` holds. (A plain function pointer: it is called for each character.)
std::unique_ptr<Pattern> RunePattern(bool (*predicate)(char32_t));

// Runs of word characters, and runs of other characters that are not white space: what the Whitespace pre-tokeniser
// keeps. (Its \w is that of another library than RegexPattern's.)
std::unique_ptr<Pattern> WordOrSymbolPattern();

// Stretches of one script, Japanese counted as Chinese; characters of no script belong to the stretch before them, and
// those at the start of the text to none.
std::unique_ptr<Pattern> ScriptPattern();

// A regular expression in the reference's dialect; see regex.h. `where` opens error messages.
absl::StatusOr<std::unique_ptr<Pattern>> RegexPattern(absl::string_view expression, absl::string_view where);

// What becomes of the matches when a text is split.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

absl::StatusOr<SplitBehavior> ParseSplitBehavior(const JsonValue& owner, absl::string_view otherwise);

// Turns matches into the pieces that remain, in place; with `invert`, what did not match is the delimiter. Pieces may
// be empty; is_match is meaningless afterwards.
void ApplySplitBehavior(SplitBehavior behavior, bool invert, std::vector<Match>* matches);

}  // namespace lastro::engine::tokenizers
