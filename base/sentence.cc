#include "base/sentence.h"

#include <unicode/brkiter.h>
#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/utext.h>

#include <memory>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "base/check.h"
#include "base/list_marker.h"
#include "base/utf8.h"

namespace lastro {
namespace {

// Abbreviations after which a sentence goes on, whatever follows. Lower case, without the last dot.
const absl::flat_hash_set<absl::string_view>& Abbreviations() {
  static const auto* const set = new absl::flat_hash_set<absl::string_view>{
      "mr",   "mrs",    "ms",    "dr",   "dra",   "drs",  "prof", "profa", "sr",  "sra", "srs",  "sras", "sto",
      "sta",  "st",     "rev",   "gen",  "col",   "capt", "lt",   "sgt",   "hon", "gov", "sen",  "rep",  "eng",
      "enga", "arq",    "exmo",  "exma", "exmos", "v.ex", "dom",  "cf",    "e.g", "i.e", "vs",   "viz",  "p.ex",
      "ca",   "approx", "aprox", "al",   "av",    "mt",   "ft",   "ph.d",  "n.b", "d",   "ilmo", "ilma", "ref"};
  return *set;
}

// Abbreviations that only announce a number: "no. 5", "art. 12", "p. 3"; before anything else they end the sentence.
const absl::flat_hash_set<absl::string_view>& NumberAbbreviations() {
  static const auto* const set = new absl::flat_hash_set<absl::string_view>{
      "no",   "nos",  "n",    "nr",  "nrs",  "num", "p",    "pp",  "pg",  "pág", "págs", "pag", "vol",
      "vols", "cap",  "caps", "art", "arts", "fig", "figs", "tab", "eq",  "sec", "secs", "ch",  "chap",
      "tel",  "ext",  "al",   "par", "jan",  "feb", "fev",  "mar", "apr", "abr", "jun",  "jul", "aug",
      "ago",  "sept", "set",  "sep", "oct",  "out", "nov",  "dec", "dez", "lei", "séc",  "ed"};
  return *set;
}

bool IsSpace(char c) { return absl::ascii_isspace(static_cast<unsigned char>(c)); }
bool IsDigit(char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); }

TextRange Trim(absl::string_view text, TextRange range) {
  while (range.begin < range.end && IsSpace(text[range.begin])) ++range.begin;
  while (range.end > range.begin && IsSpace(text[range.end - 1])) --range.end;
  return range;
}

// The last word of `sentence`, its final dot left out, in lower case; empty when it does not end with a dot.
std::string WordBeforeDot(absl::string_view sentence) {
  if (!absl::EndsWith(sentence, ".")) return "";
  sentence.remove_suffix(1);
  size_t begin = sentence.find_last_of(" \t\n(\"'[/");
  return absl::AsciiStrToLower(begin == absl::string_view::npos ? sentence : sentence.substr(begin + 1));
}

// "J" of "J. Smith": one upper-case letter. "I" ends sentences too often to count.
bool EndsWithInitial(absl::string_view sentence) {
  if (sentence.size() < 2) return false;
  char letter = sentence[sentence.size() - 2];
  if (!absl::ascii_isupper(static_cast<unsigned char>(letter)) || letter == 'I') return false;
  return sentence.size() == 2 || sentence[sentence.size() - 3] == ' ' || sentence[sentence.size() - 3] == '.';
}

// "3.", "1.2.", "a)" or "(iv)": the marker of a list item, not a sentence.
bool IsListNumber(absl::string_view sentence) {
  if (sentence.empty() || sentence.size() > 8) return false;
  if (sentence.back() != '.' && sentence.back() != ')') return false;
  int letters = 0;
  for (char c : sentence) {
    if (absl::ascii_isalpha(static_cast<unsigned char>(c))) ++letters;
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '.' && c != ')' && c != '(') return false;
  }
  return letters <= 1 || sentence.back() == ')';
}

// Whether the break between `before` and `after`, two neighbours on one line, is no end of a sentence.
bool IsFalseBreak(absl::string_view before, absl::string_view after) {
  if (after.empty()) return false;
  if (IsListNumber(before)) return true;
  std::string word = WordBeforeDot(before);
  if (word.empty()) return false;
  if (Abbreviations().contains(word)) return true;
  if (IsDigit(after.front()) && NumberAbbreviations().contains(word)) return true;
  return EndsWithInitial(before);
}

// ICU's boundaries of `text`, the end included.
std::vector<size_t> RawBreaks(absl::string_view text) {
  static thread_local std::unique_ptr<icu::BreakIterator> iterator;
  UErrorCode error = U_ZERO_ERROR;
  if (iterator == nullptr) {
    iterator.reset(icu::BreakIterator::createSentenceInstance(icu::Locale::getEnglish(), error));
    LASTRO_CHECK(U_SUCCESS(error), u_errorName(error));
  }
  UText utext = UTEXT_INITIALIZER;
  utext_openUTF8(&utext, text.data(), static_cast<int64_t>(text.size()), &error);
  iterator->setText(&utext, error);
  LASTRO_CHECK(U_SUCCESS(error), u_errorName(error));
  std::vector<size_t> breaks;
  iterator->first();
  for (int32_t at = iterator->next(); at != icu::BreakIterator::DONE; at = iterator->next()) {
    breaks.push_back(static_cast<size_t>(at));
  }
  utext_close(&utext);
  return breaks;
}

// Appends the sentences of one line; `offset` is where it lies in the text.
void SplitLine(absl::string_view line, size_t offset, std::vector<TextRange>* sentences) {
  TextRange trimmed = Trim(line, {0, line.size()});
  while (size_t bullet = BulletLength(line.substr(trimmed.begin, trimmed.end - trimmed.begin))) {
    trimmed = Trim(line, {trimmed.begin + bullet, trimmed.end});
  }
  line = line.substr(0, trimmed.end);
  TextRange current{trimmed.begin, trimmed.begin};
  if (current.begin >= line.size()) return;
  for (size_t at : RawBreaks(line.substr(trimmed.begin))) {
    current.end = trimmed.begin + at;
    TextRange sentence = Trim(line, current);
    TextRange rest = Trim(line, {current.end, line.size()});
    if (sentence.begin == sentence.end) continue;
    absl::string_view before = line.substr(sentence.begin, sentence.end - sentence.begin);
    if (IsFalseBreak(before, line.substr(rest.begin, rest.end - rest.begin))) continue;
    sentences->push_back({offset + sentence.begin, offset + sentence.end});
    current.begin = current.end;
  }
}

}  // namespace

std::vector<TextRange> SplitSentences(absl::string_view text) {
  std::vector<TextRange> sentences;
  size_t begin = 0;
  while (begin < text.size()) {
    size_t end = std::min(text.find('\n', begin), text.size());
    SplitLine(text.substr(begin, end - begin), begin, &sentences);
    begin = end + 1;
  }
  return sentences;
}

}  // namespace lastro
