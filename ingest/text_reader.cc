#include "ingest/text_reader.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "base/list_marker.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "ingest/block_text.h"

namespace lastro::ingest {
namespace {

constexpr int kMaxHeadingColumns = 80;
constexpr double kMaxHeadingShare = 0.7;  // of the width of the text below a heading on its own line
constexpr uint64_t kCheckInterval = 256;  // paragraphs between two looks at the deadline

// One line without its line end and the white space at its ends.
struct Line {
  absl::string_view text;
  size_t begin = 0;  // of `text`
  int columns = 0;   // code points
  bool indented = false;
};

bool IsBlank(const Line& line) { return line.text.empty(); }

int CountRunes(absl::string_view text) {
  return static_cast<int>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::vector<Line> SplitLines(absl::string_view text) {
  std::vector<Line> lines;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = std::min(text.find('\n', begin), text.size());
    absl::string_view line = text.substr(begin, end - begin);
    absl::string_view stripped = absl::StripAsciiWhitespace(line);
    size_t offset = stripped.empty() ? begin : static_cast<size_t>(stripped.data() - text.data());
    lines.push_back({stripped, offset, CountRunes(stripped), offset > begin});
    begin = end + 1;
  }
  return lines;
}

bool IsUnderline(const Line& line, char c) {
  return line.text.size() >= 3 && line.text.find_first_not_of(c) == absl::string_view::npos;
}

// "=====" or "-----" about as long as the line above it: the level of the heading it makes, else 0.
int UnderlineLevel(const Line& title, const Line& underline) {
  if (IsBlank(title) || title.columns > kMaxHeadingColumns || underline.columns * 2 < title.columns) return 0;
  if (IsUnderline(underline, '=')) return 1;
  return IsUnderline(underline, '-') ? 2 : 0;
}

struct CaseCounts {
  int upper = 0;
  int lower = 0;
};

CaseCounts CountCases(absl::string_view text) {
  CaseCounts counts;
  for (size_t at = 0; at < text.size();) {
    DecodedRune decoded = DecodeRune(text.substr(at));
    counts.upper += u_isupper(static_cast<UChar32>(decoded.rune));
    counts.lower += u_islower(static_cast<UChar32>(decoded.rune));
    at += decoded.length;
  }
  return counts;
}

bool StartsUpper(absl::string_view text) {
  return !text.empty() && u_isupper(static_cast<UChar32>(DecodeRune(text).rune));
}

bool EndsLikeSentence(absl::string_view text) {
  return !text.empty() && absl::string_view(".,;:!?").find(text.back()) != absl::string_view::npos;
}

// "1.2 Scope": one more than the number of its components; 0 when there are none. A single number ("1. Scope") is
// too often a list item to count.
int NumberedLevel(absl::string_view text) {
  int components = 0;
  size_t at = 0;
  while (at < text.size() && absl::ascii_isdigit(text[at])) {
    size_t end = at;
    while (end < text.size() && absl::ascii_isdigit(text[end])) ++end;
    if (end - at > 3) return 0;
    ++components;
    at = end;
    if (at < text.size() && text[at] == '.') ++at;
  }
  if (components < 2 || at + 1 >= text.size() || text[at] != ' ') return 0;
  return StartsUpper(text.substr(at + 1)) ? components + 1 : 0;
}

// The level of a heading that a line alone between blank lines makes; 0 when it is none.
int LoneHeadingLevel(const Line& line) {
  if (line.columns > kMaxHeadingColumns || EndsLikeSentence(line.text)) return 0;
  if (int level = NumberedLevel(line.text); level > 0) return level;
  CaseCounts cases = CountCases(line.text);
  return cases.upper >= 4 && cases.lower == 0 ? 2 : 0;
}

// A line that a machine or an author laid out: columns or tabs.
bool IsLaidOut(absl::string_view text) { return absl::StrContains(text, "   ") || absl::StrContains(text, "\t"); }

int FirstWordColumns(absl::string_view text) { return CountRunes(text.substr(0, text.find_first_of(" \t"))); }

// Words with a hyphen inside, in lower case: evidence that a hyphen at a line end belongs to its word.
absl::flat_hash_set<std::string> HyphenatedWords(absl::string_view text) {
  absl::flat_hash_set<std::string> words;
  for (size_t hyphen = text.find('-'); hyphen != absl::string_view::npos; hyphen = text.find('-', hyphen + 1)) {
    constexpr absl::string_view kEnds = " \t\n.,;:!?()\"";
    size_t begin = hyphen, end = hyphen;
    while (begin > 0 && hyphen - begin < 40 && kEnds.find(text[begin - 1]) == absl::string_view::npos) --begin;
    while (end < text.size() && end - hyphen < 40 && kEnds.find(text[end]) == absl::string_view::npos) ++end;
    if (begin < hyphen && hyphen + 1 < end) words.insert(absl::AsciiStrToLower(text.substr(begin, end - begin)));
  }
  return words;
}

// Portuguese pronouns that follow their verb with a hyphen ("torna-se").
bool IsEnclitic(absl::string_view word) {
  static const auto* const set = new absl::flat_hash_set<absl::string_view>{
      "se", "me", "te", "lo", "la", "los", "las", "lhe", "lhes", "nos", "vos", "o", "a", "os", "as", "no", "na", "nas"};
  return set->contains(word);
}

class PlainTextReader {
 public:
  PlainTextReader(absl::string_view text, const PlainTextOptions& options)
      : options_(options), lines_(SplitLines(text)) {
    if (options.join_hyphens) hyphenated_ = HyphenatedWords(text);
  }

  absl::StatusOr<std::vector<Block>> Read(const CallContext& context) {
    for (size_t at = 0, paragraphs = 0; at < lines_.size(); ++paragraphs) {
      if (paragraphs % kCheckInterval == 0) LASTRO_RETURN_IF_ERROR(context.Check());
      if (IsBlank(lines_[at])) {
        ++at;
        continue;
      }
      size_t end = at;
      while (end < lines_.size() && !IsBlank(lines_[end])) ++end;
      ReadParagraph(at, end);
      at = end;
    }
    return std::move(blocks_);
  }

 private:
  // Lines [begin, end) between blank ones.
  void ReadParagraph(size_t begin, size_t end) {
    width_ = 0;
    for (size_t i = begin; i < end; ++i) width_ = std::max(width_, lines_[i].columns);
    begin += ReadHeading(begin, end);
    for (size_t i = begin; i < end; ++i) AddLine(i, i + 1 < end);
    Flush();
  }

  // The heading that lines [begin, end) open with; the number of lines it takes.
  size_t ReadHeading(size_t begin, size_t end) {
    const Line& line = lines_[begin];
    int level = 0;
    if (end - begin == 1) level = LoneHeadingLevel(line);
    if (level == 2 && blocks_.empty() && options_.page <= 1) level = 1;  // what a file opens with is its title
    if (end - begin >= 2) level = UnderlineLevel(line, lines_[begin + 1]);
    if (level > 0) {
      AddHeading(line, level);
      return std::min<size_t>(end - begin, 2);
    }
    if (!options_.first_line_headings) return 0;
    bool opens_file = options_.page == 1 && blocks_.empty();
    level = FirstLineLevel(line, end - begin > 1 ? &lines_[begin + 1] : nullptr, opens_file);
    if (level == 0) return 0;
    AddHeading(line, level);
    return 1;
  }

  // The title a file opens with, or a short numbered line ("2. Scope") before text that starts anew.
  int FirstLineLevel(const Line& line, const Line* next, bool opens_file) const {
    bool short_line = line.columns <= kMaxHeadingColumns && !EndsLikeSentence(line.text);
    if (!short_line || (next != nullptr && !StartsUpper(next->text))) return 0;
    if (opens_file && StartsUpper(line.text)) return 1;
    if (next != nullptr && line.columns > kMaxHeadingShare * width_) return 0;
    if (int level = NumberedLevel(line.text); level > 0) return level;
    size_t marker = absl::ascii_isdigit(line.text[0]) ? ListMarkerLength(line.text) : 0;
    if (marker == 0 || !StartsUpper(line.text.substr(marker))) return 0;
    // At the foot of a page the text below is missing: the number must then be the next one.
    int number = LeadingNumber(line.text);
    if (next == nullptr && (SectionBefore() == 0 || number != SectionBefore() + 1)) return 0;
    return 2;
  }

  int SectionBefore() const {
    for (auto block = blocks_.rbegin(); block != blocks_.rend(); ++block) {
      if (block->kind != BlockKind::kHeading) continue;
      if (int number = LeadingNumber(block->content.text); number > 0) return number;
    }
    return options_.section_before;
  }

  void AddHeading(const Line& line, int level) {
    text_.Text(line.text, line.begin);
    kind_ = BlockKind::kHeading;
    Flush(level);
  }

  void AddLine(size_t index, bool has_next) {
    const Line& line = lines_[index];
    if (ListMarkerLength(line.text) > 0) {
      Flush();
      kind_ = BlockKind::kListItem;
    }
    absl::string_view text = line.text;
    const bool join = has_next && options_.join_hyphens && EndsWithSplitWord(line, lines_[index + 1]);
    if (join && !KeepsHyphen(line, lines_[index + 1])) text.remove_suffix(1);
    text_.Text(text, line.begin);
    if (!has_next || join) return;
    const Line& next = lines_[index + 1];
    size_t line_end = line.begin + line.text.size();
    if (IsSoftBreak(line, next)) {
      text_.Space(line_end, next.begin - line_end);
    } else {
      text_.LineBreak(line_end, next.begin - line_end);
    }
  }

  bool IsSoftBreak(const Line& line, const Line& next) const {
    if (IsLaidOut(line.text) || IsLaidOut(next.text)) return false;
    if (kind_ == BlockKind::kListItem && next.indented && ListMarkerLength(next.text) == 0) return true;
    if (width_ < options_.min_wrap_columns) return false;
    double reach = line.columns + 1 + FirstWordColumns(next.text);
    return reach > options_.wrap_slack * width_;
  }

  // "informa-" before "ção": lower-case letters on both sides of the hyphen.
  static bool EndsWithSplitWord(const Line& line, const Line& next) {
    if (line.text.size() < 3 || !absl::EndsWith(line.text, "-")) return false;
    size_t letter = line.text.size() - 2;
    while (letter > 0 && (line.text[letter] & 0xC0) == 0x80) --letter;
    return u_islower(static_cast<UChar32>(DecodeRune(line.text.substr(letter)).rune)) &&
           u_islower(static_cast<UChar32>(DecodeRune(next.text).rune));
  }

  bool KeepsHyphen(const Line& line, const Line& next) const {
    constexpr absl::string_view kEnds = " \t.,;:!?()\"";
    absl::string_view tail = next.text.substr(0, next.text.find_first_of(kEnds.data()));
    if (IsEnclitic(tail)) return true;
    size_t space = line.text.find_last_of(kEnds.data());
    absl::string_view head = line.text.substr(space == absl::string_view::npos ? 0 : space + 1);
    return hyphenated_.contains(absl::AsciiStrToLower(std::string(head) + std::string(tail)));
  }

  void Flush(int level = 0) {
    Block block;
    block.kind = std::exchange(kind_, BlockKind::kParagraph);
    block.level = level;
    block.page = options_.page;
    block.content = text_.Take();
    if (!block.content.text.empty()) blocks_.push_back(std::move(block));
  }

  const PlainTextOptions options_;
  const std::vector<Line> lines_;
  absl::flat_hash_set<std::string> hyphenated_;
  BlockText text_;
  std::vector<Block> blocks_;
  BlockKind kind_ = BlockKind::kParagraph;
  int width_ = 0;  // of the widest line of the paragraph, in columns
};

}  // namespace

int LeadingNumber(absl::string_view text) {
  int number = 0;
  for (size_t i = 0; i < text.size() && absl::ascii_isdigit(text[i]); ++i) {
    if (i == 3) return 0;
    number = number * 10 + (text[i] - '0');
  }
  return number;
}

absl::StatusOr<std::vector<Block>> ReadPlainText(absl::string_view text, const PlainTextOptions& options,
                                                 const CallContext& context) {
  return PlainTextReader(text, options).Read(context);
}

}  // namespace lastro::ingest
