// TranslateRegex: Oniguruma (Ruby syntax) to PCRE2 (UTF, UCP, MULTILINE).
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/tokenizers/regex.h"

namespace lastro::engine::tokenizers {
namespace {

// Contents of character classes, for use inside [...].
constexpr char kSpace[] =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr char kNotSpace[] =
    R"(\x{0}-\x{8}\x{e}-\x{1f}\x{21}-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027})"
    R"(\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff})";
// Letters, marks, decimal digits, letter numbers, connectors, circled letters; and superscripts and fractions of
// Latin-1, which Oniguruma counts as word characters too.
constexpr char kWord[] =
    R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{24b6}-\x{24e9}\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189})"
    R"(\x{b2}\x{b3}\x{b9}\x{bc}-\x{be})";

class Translator {
 public:
  Translator(absl::string_view in, absl::string_view where) : in_(in), where_(where) {}

  absl::StatusOr<std::string> Run() {
    while (at_ < in_.size()) {
      absl::Status status = in_class_ ? InsideClass() : OutsideClass();
      if (!status.ok()) return status;
    }
    return std::move(out_);
  }

 private:
  absl::Status Unsupported(absl::string_view what) const {
    return absl::UnimplementedError(
        absl::StrCat(where_, ": regular expression: ", what, " at byte ", at_, " is not supported"));
  }
  bool LooksAt(absl::string_view text) const { return absl::StartsWith(in_.substr(at_), text); }
  void Copy(size_t count) {
    absl::StrAppend(&out_, in_.substr(at_, count));
    at_ += count;
  }
  void Emit(absl::string_view text, size_t consumed) {
    absl::StrAppend(&out_, text);
    at_ += consumed;
  }

  absl::Status OutsideClass() {
    switch (in_[at_]) {
      case '\\':
        return Escape();
      case '[':
        return OpenClass();
      case '(':
        return OpenGroup();
      case '{':
        if (LooksAt("{,")) return Unsupported("{,n}");
        break;
      case '}':
        if (LooksAt("}+")) return Unsupported("{n,m}+");
        break;
    }
    Copy(1);
    return absl::OkStatus();
  }

  absl::Status OpenClass() {
    Copy(LooksAt("[^") ? 2 : 1);
    if (LooksAt("]")) return Unsupported("an empty character class");
    in_class_ = true;
    return absl::OkStatus();
  }

  absl::Status OpenGroup() {
    if (LooksAt("(*")) return Unsupported("(*");
    if (!LooksAt("(?")) {
      Copy(1);
      return absl::OkStatus();
    }
    for (absl::string_view opening : {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?-i:"}) {
      if (!LooksAt(opening)) continue;
      Copy(opening.size());
      return absl::OkStatus();
    }
    if (at_ != 0 || !LooksAt("(?i)")) return Unsupported("this kind of group");
    Copy(4);
    return absl::OkStatus();
  }

  absl::Status InsideClass() {
    if (in_[at_] == '\\') return Escape();
    if (in_[at_] == '[') return OpenUnion();
    if (LooksAt("&&")) return Unsupported("&&");
    if (in_[at_] == ']' && unions_ > 0) {
      --unions_;
      Emit("", 1);
      return absl::OkStatus();
    }
    if (in_[at_] == ']') in_class_ = false;
    Copy(1);
    return absl::OkStatus();
  }

  // A class within a class adds its characters to it: its brackets go.
  absl::Status OpenUnion() {
    if (LooksAt("[^") || LooksAt("[:") || LooksAt("[]")) return Unsupported("this class within a class");
    ++unions_;
    Emit("", 1);
    return absl::OkStatus();
  }

  // Copies \p{...} and \P{...}; the names are checked by PCRE2.
  absl::Status Property() {
    size_t close = in_.find('}', at_);
    if (at_ + 2 >= in_.size() || in_[at_ + 2] != '{' || close == absl::string_view::npos) {
      return Unsupported("a property without braces");
    }
    Copy(close + 1 - at_);
    return absl::OkStatus();
  }

  absl::Status UnicodeEscape() {
    absl::string_view digits = in_.substr(at_ + 2, 4);
    for (char digit : digits) {
      if (!absl::ascii_isxdigit(static_cast<unsigned char>(digit))) digits = "";
    }
    if (digits.size() != 4) return Unsupported("\\u without four hexadecimal digits");
    Emit(absl::StrCat("\\x{", digits, "}"), 6);
    return absl::OkStatus();
  }

  void ClassEscape(absl::string_view contents, bool negated) {
    if (in_class_) {
      Emit(contents, 2);
    } else {
      Emit(absl::StrCat(negated ? "[^" : "[", contents, "]"), 2);
    }
  }

  absl::Status WordBoundary(bool negated) {
    if (in_class_) {
      if (negated) return Unsupported("\\B in a class");
      Emit("\\x08", 2);
      return absl::OkStatus();
    }
    absl::string_view after = negated ? "=" : "!", before = negated ? "!" : "=";
    Emit(absl::StrCat("(?:(?<=[", kWord, "])(?", after, "[", kWord, "])|(?<![", kWord, "])(?", before, "[", kWord,
                      "]))"),
         2);
    return absl::OkStatus();
  }

  absl::Status Escape() {
    if (at_ + 1 >= in_.size()) return Unsupported("a backslash at the end");
    char next = in_[at_ + 1];
    switch (next) {
      case 's':
        ClassEscape(kSpace, false);
        return absl::OkStatus();
      case 'S':
        in_class_ ? ClassEscape(kNotSpace, false) : ClassEscape(kSpace, true);
        return absl::OkStatus();
      case 'w':
        ClassEscape(kWord, false);
        return absl::OkStatus();
      case 'd':
        Emit("\\p{Nd}", 2);
        return absl::OkStatus();
      case 'D':
        Emit("\\P{Nd}", 2);
        return absl::OkStatus();
      case 'v':
        Emit("\\x{b}", 2);
        return absl::OkStatus();
      case 'p':
      case 'P':
        return Property();
      case 'u':
        return UnicodeEscape();
      case 'b':
        return WordBoundary(false);
      case 'B':
        return WordBoundary(true);
      case 'W':
        if (in_class_) return Unsupported("\\W in a class");
        ClassEscape(kWord, true);
        return absl::OkStatus();
    }
    bool same_meaning = absl::StrContains("nrtfaex", std::string(1, next)) ||
                        (!in_class_ && absl::StrContains("Az", std::string(1, next)));
    if (absl::ascii_isalnum(static_cast<unsigned char>(next)) && !same_meaning) {
      return Unsupported(absl::StrCat("\\", std::string(1, next)));
    }
    Copy(2);
    return absl::OkStatus();
  }

  absl::string_view in_;
  absl::string_view where_;
  size_t at_ = 0;
  bool in_class_ = false;
  int unions_ = 0;  // classes open within the class
  std::string out_;
};

}  // namespace

absl::StatusOr<std::string> TranslateRegex(absl::string_view expression, absl::string_view where) {
  return Translator(expression, where).Run();
}

}  // namespace lastro::engine::tokenizers
