#include "engine/tokenizers/normalizer.h"

#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "base/utf8.h"
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

class Sequence : public Normalizer {
 public:
  explicit Sequence(std::vector<std::unique_ptr<Normalizer>> steps) : steps_(std::move(steps)) {}
  void Apply(AlignedText* text) const override {
    for (const auto& step : steps_) step->Apply(text);
  }

 private:
  std::vector<std::unique_ptr<Normalizer>> steps_;
};

using Result = absl::StatusOr<std::unique_ptr<Normalizer>>;

Result ParseSequence(const JsonValue& component) {
  LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> items, ItemsOf(component, "normalizers"));
  std::vector<std::unique_ptr<Normalizer>> steps;
  for (const JsonValue& item : items) {
    LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<Normalizer> step, ParseNormalizer(item));
    steps.push_back(std::move(step));
  }
  return std::make_unique<Sequence>(std::move(steps));
}

Result ParseStrip(const JsonValue& component) {
  LASTRO_ASSIGN_OR_RETURN(bool left, component.GetBool("strip_left", true));
  LASTRO_ASSIGN_OR_RETURN(bool right, component.GetBool("strip_right", true));
  return std::make_unique<Strip>(left, right);
}

Result ParseReplace(const JsonValue& component) {
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<Pattern> pattern, ParsePattern(component));
  LASTRO_ASSIGN_OR_RETURN(std::string content, component.GetString("content", ""));
  return std::make_unique<Replace>(std::move(pattern), std::move(content));
}

Result ParsePrepend(const JsonValue& component) {
  LASTRO_ASSIGN_OR_RETURN(std::string prefix, component.GetString("prepend", ""));
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
  if (type == "Sequence") return ParseSequence(component);
  return UnsupportedType(component, type);
}

}  // namespace lastro::engine::tokenizers
