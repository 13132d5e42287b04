#include "engine/tokenizers/normalizer.h"

#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "base/utf8.h"
#include "engine/tokenizers/byte_level.h"
#include "engine/tokenizers/component.h"
#include "engine/tokenizers/pattern.h"
#include "engine/tokenizers/unicode.h"

namespace lastro::engine::tokenizers {
namespace {

void KeepIf(bool (*keep)(char32_t), AlignedText* text) {
  text->RewriteEach([keep](char32_t rune, std::string* out) {
    if (keep(rune)) AppendRune(rune, out);
  });
}

class Form : public Normalizer {
 public:
  Form(bool compatibility, bool composed) : compatibility_(compatibility), composed_(composed) {}
  void Apply(AlignedText* text) const override { ApplyNormalizationForm(compatibility_, composed_, text); }

 private:
  bool compatibility_, composed_;
};

class Lowercase : public Normalizer {
 public:
  void Apply(AlignedText* text) const override {
    std::vector<char32_t> lower;
    text->RewriteEach([&lower](char32_t rune, std::string* out) {
      lower.clear();
      AppendLower(rune, &lower);
      for (char32_t part : lower) AppendRune(part, out);
    });
  }
};

class StripAccents : public Normalizer {
 public:
  void Apply(AlignedText* text) const override {
    KeepIf([](char32_t rune) { return !IsMark(rune); }, text);
  }
};

class Bert : public Normalizer {
 public:
  static absl::StatusOr<std::unique_ptr<Normalizer>> Parse(const JsonValue& component) {
    auto bert = std::make_unique<Bert>();
    LASTRO_ASSIGN_OR_RETURN(bert->clean_text_, component.GetBool("clean_text", true));
    LASTRO_ASSIGN_OR_RETURN(bert->chinese_, component.GetBool("handle_chinese_chars", true));
    LASTRO_ASSIGN_OR_RETURN(bert->lowercase_, component.GetBool("lowercase", true));
    LASTRO_ASSIGN_OR_RETURN(bert->strip_accents_, component.GetBool("strip_accents", bert->lowercase_));
    return std::unique_ptr<Normalizer>(std::move(bert));
  }

  void Apply(AlignedText* text) const override {
    if (clean_text_) text->RewriteEach(Clean);
    if (chinese_) text->RewriteEach(SpaceChinese);
    if (strip_accents_) {
      ApplyNormalizationForm(/*compatibility=*/false, /*composed=*/false, text);
      KeepIf([](char32_t rune) { return !IsBertMark(rune); }, text);
    }
    if (lowercase_) Lowercase().Apply(text);
  }

 private:
  static void Clean(char32_t rune, std::string* out) {
    if (rune == 0 || rune == kReplacementCharacter || IsBertControl(rune)) return;
    AppendRune(IsWhitespace(rune) ? U' ' : rune, out);
  }
  static void SpaceChinese(char32_t rune, std::string* out) {
    bool chinese = IsChinese(rune);
    if (chinese) out->push_back(' ');
    AppendRune(rune, out);
    if (chinese) out->push_back(' ');
  }

  bool clean_text_ = true, chinese_ = true, lowercase_ = true, strip_accents_ = true;
};

class Strip : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  void Apply(AlignedText* text) const override {
    const std::string& content = text->text();
    uint32_t begin = 0, end = 0;  // of what is not white space
    bool found = false;
    for (uint32_t at = 0; at < content.size();) {
      DecodedRune decoded = DecodeRune(absl::string_view(content).substr(at));
      uint32_t next = at + static_cast<uint32_t>(decoded.length);
      if (!IsWhitespace(decoded.rune)) {
        if (!found) begin = at;
        end = next;
        found = true;
      }
      at = next;
    }
    if (!left_) begin = 0;
    if (!right_) end = static_cast<uint32_t>(content.size());
    if (!found && (left_ || right_)) begin = end = 0;
    *text = text->Slice(begin, end);
  }

 private:
  bool left_, right_;
};

class Prepend : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  void Apply(AlignedText* text) const override { text->Prepend(prefix_); }

 private:
  std::string prefix_;
};

class Replace : public Normalizer {
 public:
  Replace(std::unique_ptr<Pattern> pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void Apply(AlignedText* text) const override {
    std::vector<Match> matches;
    pattern_->FindMatches(text->text(), &matches);
    text->ReplaceMatches(matches, content_);
  }

 private:
  std::unique_ptr<Pattern> pattern_;
  std::string content_;
};

// Control characters vanish and unusual white space becomes a space, as in the data of neural machine translation.
class Nmt : public Normalizer {
 public:
  void Apply(AlignedText* text) const override {
    text->RewriteEach([](char32_t rune, std::string* out) {
      if (!IsDropped(rune)) AppendRune(IsSpaceLike(rune) ? U' ' : rune, out);
    });
  }

 private:
  static bool IsDropped(char32_t rune) {
    return (rune >= 0x01 && rune <= 0x08) || rune == 0x0B || (rune >= 0x0E && rune <= 0x1F) || rune == 0x7F ||
           rune == 0x8F || rune == 0x9F;
  }
  static bool IsSpaceLike(char32_t rune) {
    return rune == 0x09 || rune == 0x0A || rune == 0x0C || rune == 0x0D || rune == 0x1680 ||
           (rune >= 0x200B && rune <= 0x200F) || rune == 0x2028 || rune == 0x2029 || rune == 0x2581 || rune == 0xFEFF ||
           rune == 0xFFFD;
  }
};

// Spells each byte in the byte-level alphabet.
class ByteLevel : public Normalizer {
 public:
  void Apply(AlignedText* text) const override { SpellBytes(text); }
};

class Sequence : public Normalizer {
 public:
  explicit Sequence(std::vector<std::unique_ptr<Normalizer>> steps) : steps_(std::move(steps)) {}
  void Apply(AlignedText* text) const override {
    const size_t before = text->text().size();
    for (const auto& step : steps_) {
      step->Apply(text);
      if (GrewTooMuch(before, text->text().size())) return;
    }
  }

 private:
  std::vector<std::unique_ptr<Normalizer>> steps_;
};

using Result = absl::StatusOr<std::unique_ptr<Normalizer>>;

// Appends the steps of a Sequence, those of nested ones included.
absl::Status AppendSteps(const JsonValue& sequence, std::vector<std::unique_ptr<Normalizer>>* steps) {
  LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> items, ItemsOf(sequence, "normalizers"));
  for (const JsonValue& item : items) {
    LASTRO_ASSIGN_OR_RETURN(std::string type, TypeOf(item));
    if (type == "Sequence") {
      LASTRO_RETURN_IF_ERROR(AppendSteps(item, steps));
      continue;
    }
    LASTRO_RETURN_IF_ERROR(CheckSteps(item, steps->size()));
    LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<Normalizer> step, ParseNormalizer(item));
    steps->push_back(std::move(step));
  }
  return absl::OkStatus();
}

Result ParseSequence(const JsonValue& component) {
  std::vector<std::unique_ptr<Normalizer>> steps;
  LASTRO_RETURN_IF_ERROR(AppendSteps(component, &steps));
  return std::make_unique<Sequence>(std::move(steps));
}

Result ParseStrip(const JsonValue& component) {
  LASTRO_ASSIGN_OR_RETURN(bool left, component.GetBool("strip_left", true));
  LASTRO_ASSIGN_OR_RETURN(bool right, component.GetBool("strip_right", true));
  return std::make_unique<Strip>(left, right);
}

Result ParseReplace(const JsonValue& component) {
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<Pattern> pattern, ParsePattern(component));
  LASTRO_ASSIGN_OR_RETURN(std::string content, GetReplacement(component, "content", ""));
  return std::make_unique<Replace>(std::move(pattern), std::move(content));
}

Result ParsePrepend(const JsonValue& component) {
  LASTRO_ASSIGN_OR_RETURN(std::string prefix, GetReplacement(component, "prepend", ""));
  return std::make_unique<Prepend>(std::move(prefix));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Normalizer>> ParseNormalizer(const JsonValue& component) {
  LASTRO_ASSIGN_OR_RETURN(std::string type, TypeOf(component));
  if (type == "BertNormalizer") return Bert::Parse(component);
  if (type == "NFC") return std::make_unique<Form>(false, true);
  if (type == "NFD") return std::make_unique<Form>(false, false);
  if (type == "NFKC") return std::make_unique<Form>(true, true);
  if (type == "NFKD") return std::make_unique<Form>(true, false);
  if (type == "Lowercase") return std::make_unique<Lowercase>();
  if (type == "StripAccents") return std::make_unique<StripAccents>();
  if (type == "Strip") return ParseStrip(component);
  if (type == "Prepend") return ParsePrepend(component);
  if (type == "Replace") return ParseReplace(component);
  if (type == "Nmt") return std::make_unique<Nmt>();
  if (type == "ByteLevel") return std::make_unique<ByteLevel>();
  if (type == "Precompiled") return ParsePrecompiled(component);
  if (type == "Sequence") return ParseSequence(component);
  return UnsupportedType(component, type);
}

}  // namespace lastro::engine::tokenizers
