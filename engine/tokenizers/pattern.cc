#include "engine/tokenizers/pattern.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "engine/tokenizers/regex.h"
#include "engine/tokenizers/unicode.h"

namespace lastro::engine::tokenizers {
namespace {

// Appends the unmatched stretch before `begin`, then the match.
void PushMatch(uint32_t previous_end, uint32_t begin, uint32_t end, std::vector<Match>* matches) {
  if (previous_end < begin) matches->push_back({previous_end, begin, false});
  matches->push_back({begin, end, true});
}

void PushRest(uint32_t previous_end, absl::string_view text, std::vector<Match>* matches) {
  uint32_t size = static_cast<uint32_t>(text.size());
  if (previous_end < size) matches->push_back({previous_end, size, false});
}

class Literal : public Pattern {
 public:
  explicit Literal(absl::string_view literal) : literal_(literal) {}
  void FindMatches(absl::string_view text, std::vector<Match>* matches) const override {
    matches->clear();
    uint32_t previous = 0;
    for (size_t at = text.find(literal_); at != absl::string_view::npos; at = text.find(literal_, previous)) {
      uint32_t end = static_cast<uint32_t>(at + literal_.size());
      PushMatch(previous, static_cast<uint32_t>(at), end, matches);
      previous = end;
    }
    PushRest(previous, text, matches);
  }

 private:
  std::string literal_;
};

class RuneClass : public Pattern {
 public:
  explicit RuneClass(bool (*predicate)(char32_t)) : predicate_(predicate) {}
  void FindMatches(absl::string_view text, std::vector<Match>* matches) const override {
    matches->clear();
    uint32_t previous = 0;
    for (uint32_t at = 0; at < text.size();) {
      DecodedRune decoded = DecodeRune(text.substr(at));
      uint32_t end = at + static_cast<uint32_t>(decoded.length);
      if (predicate_(decoded.rune)) {
        PushMatch(previous, at, end, matches);
        previous = end;
      }
      at = end;
    }
    PushRest(previous, text, matches);
  }

 private:
  bool (*predicate_)(char32_t);
};

class WordOrSymbol : public Pattern {
 public:
  void FindMatches(absl::string_view text, std::vector<Match>* matches) const override {
    matches->clear();
    Kind previous = Kind::kNone;
    for (uint32_t at = 0; at < text.size();) {
      DecodedRune decoded = DecodeRune(text.substr(at));
      uint32_t end = at + static_cast<uint32_t>(decoded.length);
      Kind kind = KindOf(decoded.rune);
      if (kind == previous) {
        matches->back().end = end;
      } else {
        matches->push_back({at, end, kind != Kind::kSpace});
      }
      previous = kind;
      at = end;
    }
  }

 private:
  enum class Kind { kNone, kSpace, kWord, kSymbol };
  static Kind KindOf(char32_t rune) {
    if (IsWordRune(rune)) return Kind::kWord;
    return IsWhitespace(rune) ? Kind::kSpace : Kind::kSymbol;
  }
};

class ScriptRuns : public Pattern {
 public:
  void FindMatches(absl::string_view text, std::vector<Match>* matches) const override {
    matches->clear();
    int previous = kNoScript;
    for (uint32_t at = 0; at < text.size();) {
      DecodedRune decoded = DecodeRune(text.substr(at));
      uint32_t end = at + static_cast<uint32_t>(decoded.length);
      const int script = ScriptOf(decoded.rune);
      if (script != kNoScript && script != previous) {
        matches->push_back({at, end, true});
        previous = script;
      } else if (matches->empty()) {
        matches->push_back({at, end, false});
      } else {
        matches->back().end = end;
      }
      at = end;
    }
  }
};

class RegexMatches : public Pattern {
 public:
  explicit RegexMatches(Regex regex) : regex_(std::move(regex)) {}
  void FindMatches(absl::string_view text, std::vector<Match>* matches) const override {
    matches->clear();
    uint32_t previous = 0;
    regex_.ForEachMatch(text, [&](uint32_t begin, uint32_t end) {
      PushMatch(previous, begin, end, matches);
      previous = end;
    });
    PushRest(previous, text, matches);
  }

 private:
  Regex regex_;
};

// Joins each delimiter to the piece before it in iteration order; pieces are visited forwards or, for
// kMergedWithNext, backwards.
template <typename Iterator>
std::vector<Match> MergeDelimiters(Iterator first, Iterator last) {
  std::vector<Match> pieces;
  bool previous_match = false;
  for (; first != last; ++first) {
    if (first->is_match && !previous_match && !pieces.empty()) {
      pieces.back().begin = std::min(pieces.back().begin, first->begin);
      pieces.back().end = std::max(pieces.back().end, first->end);
    } else {
      pieces.push_back(*first);
    }
    previous_match = first->is_match;
  }
  return pieces;
}

std::vector<Match> MergeContiguous(const std::vector<Match>& matches) {
  std::vector<Match> pieces;
  bool previous_match = false;
  for (const Match& match : matches) {
    if (match.is_match == previous_match && !pieces.empty()) {
      pieces.back().end = match.end;
    } else {
      pieces.push_back(match);
    }
    previous_match = match.is_match;
  }
  return pieces;
}

}  // namespace

std::unique_ptr<Pattern> LiteralPattern(absl::string_view literal) { return std::make_unique<Literal>(literal); }

std::unique_ptr<Pattern> RunePattern(bool (*predicate)(char32_t)) { return std::make_unique<RuneClass>(predicate); }

std::unique_ptr<Pattern> WordOrSymbolPattern() { return std::make_unique<WordOrSymbol>(); }

std::unique_ptr<Pattern> ScriptPattern() { return std::make_unique<ScriptRuns>(); }

absl::StatusOr<std::unique_ptr<Pattern>> RegexPattern(absl::string_view expression, absl::string_view where) {
  LASTRO_ASSIGN_OR_RETURN(Regex regex, Regex::Compile(expression, where));
  return std::unique_ptr<Pattern>(std::make_unique<RegexMatches>(std::move(regex)));
}

absl::StatusOr<std::unique_ptr<Pattern>> ParsePattern(const JsonValue& owner) {
  LASTRO_ASSIGN_OR_RETURN(JsonValue pattern, owner.Get("pattern"));
  if (pattern.Has("Regex")) {
    LASTRO_ASSIGN_OR_RETURN(std::string expression, pattern.GetString("Regex", ""));
    return RegexPattern(expression, pattern.path());
  }
  LASTRO_ASSIGN_OR_RETURN(std::string literal, pattern.GetString("String", ""));
  if (literal.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(pattern.path(), " must be {\"Regex\": ...} or a non-empty {\"String\": ...}"));
  }
  return LiteralPattern(literal);
}

absl::StatusOr<SplitBehavior> ParseSplitBehavior(const JsonValue& owner, absl::string_view otherwise) {
  LASTRO_ASSIGN_OR_RETURN(std::string name, owner.GetString("behavior", otherwise));
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  return absl::InvalidArgumentError(
      absl::StrCat(owner.path(), ".behavior is \"", name,
                   "\"; expected Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous"));
}

void ApplySplitBehavior(SplitBehavior behavior, bool invert, std::vector<Match>* matches) {
  if (invert) {
    for (Match& match : *matches) match.is_match = !match.is_match;
  }
  switch (behavior) {
    case SplitBehavior::kIsolated:
      return;
    case SplitBehavior::kRemoved:
      std::erase_if(*matches, [](const Match& match) { return match.is_match; });
      return;
    case SplitBehavior::kMergedWithPrevious:
      *matches = MergeDelimiters(matches->begin(), matches->end());
      return;
    case SplitBehavior::kMergedWithNext:
      *matches = MergeDelimiters(matches->rbegin(), matches->rend());
      std::reverse(matches->begin(), matches->end());
      return;
    case SplitBehavior::kContiguous:
      *matches = MergeContiguous(*matches);
      return;
  }
}

}  // namespace lastro::engine::tokenizers
