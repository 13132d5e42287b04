#include "engine/tokenizers/pre_tokenizer.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/tokenizers/byte_level.h"
#include "engine/tokenizers/component.h"
#include "engine/tokenizers/pattern.h"
#include "engine/tokenizers/unicode.h"

namespace lastro::engine::tokenizers {
namespace {

constexpr char kGpt2Expression[] = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

absl::string_view TextOf(const Segment& segment, const Piece& piece) {
  return absl::string_view(segment.text.text()).substr(piece.begin, piece.end - piece.begin);
}

class Split : public PreTokenizer {
 public:
  Split(std::unique_ptr<Pattern> pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  void Apply(Segment* segment) const override {
    std::vector<Piece> pieces;
    pieces.reserve(segment->pieces.size());
    std::vector<Match> matches;
    for (const Piece& piece : segment->pieces) {
      if (piece.added_id >= 0) {
        pieces.push_back(piece);
        continue;
      }
      pattern_->FindMatches(TextOf(*segment, piece), &matches);
      ApplySplitBehavior(behavior_, invert_, &matches);
      for (const Match& match : matches) {
        if (match.begin < match.end) pieces.push_back({piece.begin + match.begin, piece.begin + match.end, -1});
      }
    }
    segment->pieces = std::move(pieces);
  }

 private:
  std::unique_ptr<Pattern> pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

// Puts `prefix` before every piece for which `wanted(piece, its text)` holds.
template <typename Wanted>
void PrefixPieces(Segment* segment, absl::string_view prefix, const Wanted& wanted) {
  AlignedText text;
  std::vector<Piece> pieces;
  pieces.reserve(segment->pieces.size());
  for (const Piece& piece : segment->pieces) {
    bool add = piece.added_id < 0 && wanted(piece, TextOf(*segment, piece));
    uint32_t begin = static_cast<uint32_t>(text.text().size());
    text.AppendPiece(segment->text, piece.begin, piece.end, add ? prefix : absl::string_view());
    pieces.push_back({begin, static_cast<uint32_t>(text.text().size()), piece.added_id});
  }
  segment->text = std::move(text);
  segment->pieces = std::move(pieces);
}

// Rewrites every piece that is no added token: `rewrite(part)` changes an AlignedText.
template <typename Rewrite>
void RewritePieces(Segment* segment, const Rewrite& rewrite) {
  AlignedText text;
  std::vector<Piece> pieces;
  pieces.reserve(segment->pieces.size());
  for (const Piece& piece : segment->pieces) {
    AlignedText part = segment->text.Slice(piece.begin, piece.end);
    if (piece.added_id < 0) rewrite(&part);
    uint32_t begin = static_cast<uint32_t>(text.text().size());
    text.AppendPiece(part, 0, static_cast<uint32_t>(part.text().size()), "");
    pieces.push_back({begin, static_cast<uint32_t>(text.text().size()), piece.added_id});
  }
  segment->text = std::move(text);
  segment->pieces = std::move(pieces);
}

class SpellPieces : public PreTokenizer {
 public:
  void Apply(Segment* segment) const override { RewritePieces(segment, SpellBytes); }
};

class PrefixSpace : public PreTokenizer {
 public:
  void Apply(Segment* segment) const override {
    PrefixPieces(segment, " ", [](const Piece&, absl::string_view text) { return text.front() != ' '; });
  }
};

class Metaspace : public PreTokenizer {
 public:
  enum class Scheme { kAlways, kFirst, kNever };
  Metaspace(std::string replacement, Scheme scheme, bool split)
      : replacement_(std::move(replacement)), scheme_(scheme) {
    if (split) {
      split_ = std::make_unique<Split>(LiteralPattern(replacement_), SplitBehavior::kMergedWithNext, false);
    }
  }

  void Apply(Segment* segment) const override {
    ReplaceSpaces(segment);
    if (scheme_ != Scheme::kNever) {
      PrefixPieces(segment, replacement_, [&](const Piece& piece, absl::string_view text) {
        bool here = scheme_ == Scheme::kAlways || segment->text.SourceOf(piece.begin, piece.end).begin == 0;
        return here && !absl::StartsWith(text, replacement_);
      });
    }
    if (split_ != nullptr) split_->Apply(segment);
  }

 private:
  // Every space outside added tokens.
  void ReplaceSpaces(Segment* segment) const {
    std::vector<Match> matches;
    std::unique_ptr<Pattern> space = LiteralPattern(" ");
    RewritePieces(segment, [&](AlignedText* part) {
      space->FindMatches(part->text(), &matches);
      part->ReplaceMatches(matches, replacement_);
    });
  }

  std::string replacement_;
  Scheme scheme_;
  std::unique_ptr<Split> split_;
};

class Sequence : public PreTokenizer {
 public:
  explicit Sequence(std::vector<std::unique_ptr<PreTokenizer>> steps) : steps_(std::move(steps)) {}
  void Apply(Segment* segment) const override {
    const size_t before = segment->text.text().size();
    for (const auto& step : steps_) {
      step->Apply(segment);
      if (GrewTooMuch(before, segment->text.text().size())) return;
    }
  }

 private:
  std::vector<std::unique_ptr<PreTokenizer>> steps_;
};

using Result = absl::StatusOr<PreTokenization>;

PreTokenization Plain(std::unique_ptr<PreTokenizer> pre_tokenizer) { return {std::move(pre_tokenizer), false}; }

PreTokenization SplitAt(bool (*predicate)(char32_t), SplitBehavior behavior) {
  return Plain(std::make_unique<Split>(RunePattern(predicate), behavior, false));
}

PreTokenization SplitScripts() {
  return Plain(std::make_unique<Split>(ScriptPattern(), SplitBehavior::kRemoved, /*invert=*/true));
}

PreTokenization WordsAndSymbols() {
  return Plain(std::make_unique<Split>(WordOrSymbolPattern(), SplitBehavior::kRemoved, /*invert=*/true));
}

Result ParseByteLevel(const JsonValue& component, bool looks_up_bytes) {
  LASTRO_ASSIGN_OR_RETURN(bool prefix, component.GetBool("add_prefix_space", true));
  LASTRO_ASSIGN_OR_RETURN(bool use_regex, component.GetBool("use_regex", true));
  std::vector<std::unique_ptr<PreTokenizer>> steps;
  if (prefix) steps.push_back(std::make_unique<PrefixSpace>());
  if (use_regex) {
    LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<Pattern> words, RegexPattern(kGpt2Expression, component.path()));
    steps.push_back(std::make_unique<Split>(std::move(words), SplitBehavior::kIsolated, /*invert=*/false));
  }
  if (!looks_up_bytes) steps.push_back(std::make_unique<SpellPieces>());
  return PreTokenization{std::make_unique<Sequence>(std::move(steps)), looks_up_bytes};
}

Result ParseSplit(const JsonValue& component) {
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<Pattern> pattern, ParsePattern(component));
  LASTRO_ASSIGN_OR_RETURN(SplitBehavior behavior, ParseSplitBehavior(component, ""));
  LASTRO_ASSIGN_OR_RETURN(bool invert, component.GetBool("invert", false));
  return Plain(std::make_unique<Split>(std::move(pattern), behavior, invert));
}

Result ParseDigits(const JsonValue& component) {
  LASTRO_ASSIGN_OR_RETURN(bool individual, component.GetBool("individual_digits", false));
  return SplitAt(IsNumeric, individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous);
}

Result ParsePunctuation(const JsonValue& component) {
  LASTRO_ASSIGN_OR_RETURN(SplitBehavior behavior, ParseSplitBehavior(component, "Isolated"));
  return SplitAt(IsPunctuation, behavior);
}

PreTokenization BertWords() {
  std::vector<std::unique_ptr<PreTokenizer>> steps;
  steps.push_back(SplitAt(IsWhitespace, SplitBehavior::kRemoved).pre_tokenizer);
  steps.push_back(SplitAt(IsPunctuation, SplitBehavior::kIsolated).pre_tokenizer);
  return Plain(std::make_unique<Sequence>(std::move(steps)));
}

absl::StatusOr<Metaspace::Scheme> ParseScheme(const JsonValue& component) {
  LASTRO_ASSIGN_OR_RETURN(bool legacy, component.GetBool("add_prefix_space", true));
  LASTRO_ASSIGN_OR_RETURN(std::string scheme, component.GetString("prepend_scheme", legacy ? "always" : "never"));
  if (scheme == "always") return Metaspace::Scheme::kAlways;
  if (scheme == "first") return Metaspace::Scheme::kFirst;
  if (scheme == "never") return Metaspace::Scheme::kNever;
  return absl::InvalidArgumentError(
      absl::StrCat(component.path(), ".prepend_scheme is \"", scheme, "\"; expected always, first or never"));
}

Result ParseMetaspace(const JsonValue& component) {
  LASTRO_ASSIGN_OR_RETURN(std::string replacement, GetReplacement(component, "replacement", "\u2581"));
  LASTRO_ASSIGN_OR_RETURN(Metaspace::Scheme scheme, ParseScheme(component));
  LASTRO_ASSIGN_OR_RETURN(bool split, component.GetBool("split", true));
  if (replacement.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(component.path(), ".replacement must not be empty"));
  }
  return Plain(std::make_unique<Metaspace>(std::move(replacement), scheme, split));
}

Result ParseCharDelimiterSplit(const JsonValue& component) {
  LASTRO_ASSIGN_OR_RETURN(std::string delimiter, component.GetString("delimiter", ""));
  if (delimiter.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(component.path(), ".delimiter must be one character"));
  }
  return Plain(std::make_unique<Split>(LiteralPattern(delimiter), SplitBehavior::kRemoved, /*invert=*/false));
}

// Appends the components of a Sequence that are none, in order.
absl::Status Flatten(const JsonValue& sequence, std::vector<JsonValue>* components) {
  LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> items, ItemsOf(sequence, "pretokenizers"));
  for (const JsonValue& item : items) {
    LASTRO_ASSIGN_OR_RETURN(std::string type, TypeOf(item));
    if (type == "Sequence") {
      LASTRO_RETURN_IF_ERROR(Flatten(item, components));
      continue;
    }
    LASTRO_RETURN_IF_ERROR(CheckSteps(item, components->size()));
    components->push_back(item);
  }
  return absl::OkStatus();
}

Result ParseSequence(const JsonValue& component, bool looks_up_bytes) {
  std::vector<JsonValue> components;
  LASTRO_RETURN_IF_ERROR(Flatten(component, &components));
  std::vector<std::unique_ptr<PreTokenizer>> steps;
  bool byte_level = false;
  int spellings = 0;  // each may double the text: no file needs two
  for (size_t i = 0; i < components.size(); ++i) {
    LASTRO_ASSIGN_OR_RETURN(std::string type, TypeOf(components[i]));
    if (type == "ByteLevel" && ++spellings > 1) {
      return absl::InvalidArgumentError(absl::StrCat(components[i].path(), ": ByteLevel occurs twice"));
    }
    const bool last = i + 1 == components.size();
    LASTRO_ASSIGN_OR_RETURN(PreTokenization step, ParsePreTokenizer(components[i], looks_up_bytes && last));
    byte_level = step.byte_level;
    steps.push_back(std::move(step.pre_tokenizer));
  }
  return PreTokenization{std::make_unique<Sequence>(std::move(steps)), byte_level};
}

}  // namespace

absl::StatusOr<PreTokenization> ParsePreTokenizer(const JsonValue& component, bool looks_up_bytes) {
  LASTRO_ASSIGN_OR_RETURN(std::string type, TypeOf(component));
  if (type == "ByteLevel") return ParseByteLevel(component, looks_up_bytes);
  if (type == "Split") return ParseSplit(component);
  if (type == "Digits") return ParseDigits(component);
  if (type == "BertPreTokenizer") return BertWords();
  if (type == "Whitespace") return WordsAndSymbols();
  if (type == "WhitespaceSplit") return SplitAt(IsWhitespace, SplitBehavior::kRemoved);
  if (type == "Punctuation") return ParsePunctuation(component);
  if (type == "Metaspace") return ParseMetaspace(component);
  if (type == "CharDelimiterSplit") return ParseCharDelimiterSplit(component);
  if (type == "UnicodeScripts") return SplitScripts();
  if (type == "Sequence") return ParseSequence(component, looks_up_bytes);
  return UnsupportedType(component, type);
}

}  // namespace lastro::engine::tokenizers
