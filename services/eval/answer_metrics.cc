#include "services/eval/answer_metrics.h"

#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "base/utf8.h"

namespace lastro::services::eval {
namespace {

using Words = std::vector<std::string>;

bool IsArticle(const std::string& word, bool portuguese) {
  static const auto* const english = new absl::flat_hash_set<std::string>({"a", "an", "the"});
  static const auto* const of_portuguese =
      new absl::flat_hash_set<std::string>({"o", "a", "os", "as", "um", "uma", "uns", "umas"});
  return (portuguese ? of_portuguese : english)->contains(word);
}

std::string LowerCase(absl::string_view text) {
  icu::UnicodeString unicode = icu::UnicodeString::fromUTF8({text.data(), static_cast<int32_t>(text.size())});
  std::string lower;
  unicode.toLower(icu::Locale::getRoot()).toUTF8String(lower);
  return lower;
}

bool IsPunctuation(char32_t rune, bool portuguese) {
  if (rune < 0x80) return absl::ascii_ispunct(static_cast<unsigned char>(rune));
  return portuguese && (U_GET_GC_MASK(static_cast<UChar32>(rune)) & U_GC_P_MASK) != 0;
}

// What Python's \w matches, but for the underscore, which is gone with the punctuation.
bool IsWordRune(char32_t rune) {
  return (U_GET_GC_MASK(static_cast<UChar32>(rune)) & (U_GC_L_MASK | U_GC_N_MASK)) != 0;
}

// What Python's str.split() splits at.
bool IsSpace(char32_t rune) { return u_isUWhiteSpace(static_cast<UChar32>(rune)) || (rune >= 0x1C && rune <= 0x1F); }

std::string WithoutPunctuation(absl::string_view text, bool portuguese) {
  std::string out;
  while (!text.empty()) {
    const DecodedRune decoded = DecodeRune(text);
    if (!IsPunctuation(decoded.rune, portuguese)) AppendRune(decoded.rune, &out);
    text.remove_prefix(decoded.length);
  }
  return out;
}

// Splits into words at white space; an article, a whole run of word characters, splits as white space does.
Words SplitWithoutArticles(absl::string_view text, bool portuguese) {
  Words words(1);
  std::string run;
  auto end_run = [&] {
    if (IsArticle(run, portuguese)) {
      words.emplace_back();
    } else {
      words.back() += run;
    }
    run.clear();
  };
  while (!text.empty()) {
    const DecodedRune decoded = DecodeRune(text);
    text.remove_prefix(decoded.length);
    if (IsWordRune(decoded.rune)) {
      AppendRune(decoded.rune, &run);
      continue;
    }
    end_run();
    if (IsSpace(decoded.rune)) {
      words.emplace_back();
    } else {
      AppendRune(decoded.rune, &words.back());
    }
  }
  end_run();
  std::erase(words, "");
  return words;
}

double F1(const Words& answer, const Words& gold) {
  if (answer.empty() || gold.empty()) return answer.empty() && gold.empty() ? 1 : 0;
  absl::flat_hash_map<absl::string_view, int> left;
  for (const std::string& word : gold) ++left[word];
  int common = 0;
  for (const std::string& word : answer) common += left[word]-- > 0;
  if (common == 0) return 0;
  const double precision = static_cast<double>(common) / static_cast<double>(answer.size());
  const double recall = static_cast<double>(common) / static_cast<double>(gold.size());
  return 2 * precision * recall / (precision + recall);
}

bool Contains(const Words& answer, const Words& gold) {
  if (gold.empty()) return answer.empty();
  return std::search(answer.begin(), answer.end(), gold.begin(), gold.end()) != answer.end();
}

}  // namespace

std::vector<std::string> NormalizedWords(absl::string_view text, absl::string_view language) {
  const bool portuguese = language == "pt";
  return SplitWithoutArticles(WithoutPunctuation(LowerCase(text), portuguese), portuguese);
}

AnswerMatch MatchAnswer(absl::string_view answer, absl::Span<const std::string> gold, absl::string_view language) {
  std::vector<Words> wanted;
  for (const std::string& text : gold) {
    Words words = NormalizedWords(text, language);
    if (!words.empty()) wanted.push_back(std::move(words));
  }
  if (wanted.empty()) wanted.emplace_back();
  const Words given = NormalizedWords(answer, language);
  AnswerMatch match;
  for (const Words& words : wanted) {
    match.exact = std::max(match.exact, given == words ? 1.0 : 0.0);
    match.f1 = std::max(match.f1, F1(given, words));
    match.contained = std::max(match.contained, Contains(given, words) ? 1.0 : 0.0);
  }
  return match;
}

}  // namespace lastro::services::eval
