#include "services/cli/answer_view.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/cli/format.h"
#include "services/cli/text_width.h"

namespace lastro::services {
namespace {

bool SameSource(const v1::Citation& a, const v1::Citation& b) {
  return a.document_id() == b.document_id() && a.source_range().begin() == b.source_range().begin() &&
         a.source_range().end() == b.source_range().end();
}

size_t NumberOf(const v1::Citation& citation, absl::Span<const v1::Citation> citations) {
  auto same = [&](const v1::Citation& other) { return SameSource(citation, other); };
  return std::find_if(citations.begin(), citations.end(), same) - citations.begin() + 1;
}

std::string Markers(const v1::Claim& claim, absl::Span<const v1::Citation> citations) {
  if (!claim.supported()) return "[?]";
  std::vector<size_t> numbers;
  for (const v1::Citation& citation : claim.citations()) numbers.push_back(NumberOf(citation, citations));
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  std::string markers;
  for (size_t number : numbers) absl::StrAppend(&markers, "[", number, "]");
  return markers;
}

constexpr double kSure = 0.5;  // evidence, which is a probability where a reader gave it

bool IsWeak(const v1::Answer& answer) { return answer.evidence() < answer.evidence_threshold(); }

absl::string_view ReasonOf(const v1::Answer& answer) {
  switch (answer.answerability()) {
    case v1::NO_HIT:
      return "no document matches the question";
    case v1::WEAK_EVIDENCE:
      return IsWeak(answer) ? "what was found does not answer the question well enough"
                            : "the decoder wrote nothing that the sources support";
    case v1::CONFLICTING:
      return "the sources contradict each other";
    case v1::OUT_OF_SCOPE:
      return "the question is not about these documents";
    case v1::OVER_BUDGET:
      return "not even one passage fits into the prompt";
    default:
      return "the server gave no reason";
  }
}

void PrintWrapped(const std::string& text, const std::string& indent, const Terminal& terminal, std::ostream& out) {
  int columns = terminal.is_terminal ? std::max(terminal.columns - static_cast<int>(indent.size()), 20) : 0;
  for (const std::string& line : WrapText(text, columns)) out << indent << line << "\n";
}

// Where it is the reason: of what was too weak, with as many digits as tell it from what was needed.
std::string EvidenceOf(const v1::Answer& answer) {
  if (answer.answerability() == v1::NO_HIT || !IsWeak(answer)) return "";
  const auto with = [&](int digits) {
    return std::pair(FormatNumber(answer.evidence(), digits), FormatNumber(answer.evidence_threshold(), digits));
  };
  auto [evidence, needed] = with(2);
  if (evidence == needed) std::tie(evidence, needed) = with(4);
  return absl::StrCat("; evidence ", evidence, ", needed ", needed);
}

// Answers that contradict each other are claims with sources.
void PrintAbstention(const v1::Answer& answer, absl::Span<const v1::Citation> citations, const Terminal& terminal,
                     std::ostream& out) {
  Style style(terminal.colours);
  out << style.Yellow("No answer.") << "\n";
  PrintWrapped(Printable(TextWithMarkers(answer, citations), true), "", terminal, out);
  out << style.Dim(absl::StrCat("Reason: ", v1::Answerability_Name(answer.answerability()), " (", ReasonOf(answer), ")",
                                EvidenceOf(answer), "."))
      << "\n";
}

std::string HeadingPath(const google::protobuf::RepeatedPtrField<std::string>& headings) {
  std::vector<std::string> lines;
  for (const std::string& heading : headings) lines.push_back(OneLine(heading));
  return absl::StrJoin(lines, " › ");
}

size_t InkBytes(absl::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return c != ' '; }));
}

// The bytes of `line` that are among bytes [begin, end) of ink, counted from the first line on, stand out; `ink` is
// what the lines before had, and then this one too.
std::string Emphasized(absl::string_view line, size_t begin, size_t end, const Style& style, size_t* ink) {
  size_t from = line.size(), to = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == ' ') continue;
    if (*ink >= begin && *ink < end) {
      from = std::min(from, i);
      to = i + 1;
    }
    ++*ink;
  }
  if (from >= to) return std::string(line);
  return absl::StrCat(line.substr(0, from), style.Bold(line.substr(from, to - from)), line.substr(to));
}

// The quote, the answer in it standing out where the terminal can; of one that hides something, what a reader sees.
void PrintQuote(const v1::Citation& citation, const Terminal& terminal, std::ostream& out) {
  if (!citation.shown_text().empty()) {
    return PrintWrapped(absl::StrCat("\"", OneLine(citation.shown_text()), "\""), "    ", terminal, out);
  }
  const absl::string_view quote = citation.quote();
  const v1::ByteRange& range = citation.answer_in_quote();
  size_t begin = 0, end = 0;
  if (range.begin() >= 0 && range.begin() < range.end() && range.end() <= static_cast<int64_t>(quote.size())) {
    begin = 1 + InkBytes(OneLine(quote.substr(0, range.begin())));  // behind the quotation mark
    end = 1 + InkBytes(OneLine(quote.substr(0, range.end())));
  }
  constexpr const char* kIndent = "    ";
  const int columns = terminal.is_terminal ? std::max(terminal.columns - 4, 20) : 0;
  size_t ink = 0;
  for (const std::string& line : WrapText(absl::StrCat("\"", OneLine(quote), "\""), columns)) {
    out << kIndent << Emphasized(line, begin, end, Style(terminal.colours), &ink) << "\n";
  }
}

void PrintSource(size_t number, const v1::Citation& citation, const LineRange& lines, const Terminal& terminal,
                 std::ostream& out) {
  Style style(terminal.colours);
  std::string headings = HeadingPath(citation.headings());
  bool extracted = citation.source_kind() == v1::SOURCE_KIND_EXTRACTED_TEXT;
  out << style.Bold(absl::StrCat("[", number, "] ", Location(citation, lines)));
  if (!headings.empty()) out << "  " << headings;
  out << "  "
      << style.Dim(absl::StrCat("bytes ", citation.source_range().begin(), "-", citation.source_range().end(),
                                extracted ? " of the extracted text" : ""))
      << "\n";
  PrintQuote(citation, terminal, out);
}

void PrintSources(absl::Span<const v1::Citation> citations, absl::Span<const LineRange> lines, const Terminal& terminal,
                  std::ostream& out) {
  if (!citations.empty()) out << "\n" << Style(terminal.colours).Bold("Sources") << "\n";
  for (size_t i = 0; i < citations.size(); ++i) PrintSource(i + 1, citations[i], lines[i], terminal, out);
}

// What the reader found in a passage.
std::string AnswerOf(const v1::Passage& passage) {
  const int64_t begin = passage.answer_range().begin(), end = passage.answer_range().end();
  const bool inside = begin >= 0 && begin < end && end <= static_cast<int64_t>(passage.text().size());
  const std::string text = inside ? OneLine(absl::string_view(passage.text()).substr(begin, end - begin)) : "";
  return absl::StrCat("answer ", FormatNumber(passage.answer_probability(), 3), ": ", text);
}

}  // namespace

std::vector<v1::Citation> DistinctCitations(const v1::Answer& answer) {
  std::vector<v1::Citation> distinct;
  for (const v1::Claim& claim : answer.claims()) {
    for (const v1::Citation& citation : claim.citations()) {
      if (NumberOf(citation, distinct) > distinct.size()) distinct.push_back(citation);
    }
  }
  return distinct;
}

std::string TextWithMarkers(const v1::Answer& answer, absl::Span<const v1::Citation> citations) {
  absl::string_view text = answer.text();
  std::string result;
  size_t position = 0;
  for (const v1::Claim& claim : answer.claims()) {
    int64_t end = claim.range().end();
    if (end < static_cast<int64_t>(position) || end > static_cast<int64_t>(text.size())) continue;
    absl::string_view piece = text.substr(position, end - position);
    absl::string_view trimmed = absl::StripTrailingAsciiWhitespace(piece);
    std::string markers = Markers(claim, citations);
    absl::StrAppend(&result, trimmed, markers.empty() ? "" : " ", markers, piece.substr(trimmed.size()));
    position = end;
  }
  absl::StrAppend(&result, text.substr(position));
  return result;
}

std::string Location(const v1::Citation& citation, const LineRange& lines) {
  std::string uri = OneLine(citation.document_uri());
  if (lines.first == 0) return uri;
  if (lines.first == lines.last) return absl::StrCat(uri, ":", lines.first);
  return absl::StrCat(uri, ":", lines.first, "-", lines.last);
}

void PrintAnswer(const v1::Answer& answer, absl::Span<const v1::Citation> citations, absl::Span<const LineRange> lines,
                 const Terminal& terminal, std::ostream& out) {
  if (answer.answerability() != v1::ANSWERED) {
    PrintAbstention(answer, citations, terminal, out);
    return PrintSources(citations, lines, terminal, out);
  }
  Style style(terminal.colours);
  PrintWrapped(Printable(TextWithMarkers(answer, citations), true), "", terminal, out);
  bool unsupported = std::any_of(answer.claims().begin(), answer.claims().end(),
                                 [](const v1::Claim& claim) { return !claim.supported(); });
  if (unsupported) out << style.Yellow("[?] no source says this") << "\n";
  if (answer.evidence() < kSure) {
    out << style.Yellow(
               absl::StrCat("Unsure: evidence ", FormatNumber(answer.evidence(), 2), " of 1; read the source."))
        << "\n";
  }
  PrintSources(citations, lines, terminal, out);
}

void PrintPassages(const v1::Answer& answer, const Terminal& terminal, std::ostream& out) {
  Style style(terminal.colours);
  out << "\n" << style.Bold("Passages considered") << "\n";
  for (const v1::Passage& passage : answer.passages()) {
    out << style.Bold(absl::StrCat("(", passage.number(), ") ", OneLine(passage.document_uri()))) << "  "
        << HeadingPath(passage.headings()) << "  " << style.Dim("score " + FormatNumber(passage.score(), 3)) << "\n";
    PrintWrapped(OneLine(passage.text()), "    ", terminal, out);
    if (passage.has_answer_range()) out << "    " << style.Dim(AnswerOf(passage)) << "\n";
  }
}

void LiveText::Append(const std::string& text) {
  if (!terminal_.is_terminal) return;
  std::string printable = Printable(text, true);
  shown_ += printable;
  out_ << printable << std::flush;
}

void LiveText::Clear() {
  if (shown_.empty()) return;
  int rows = RowsOnTerminal(shown_, terminal_.columns);
  if (rows < terminal_.rows) {
    if (rows > 1) out_ << "\x1b[" << rows - 1 << "A";
    out_ << "\r\x1b[J";
  } else {
    out_ << "\n\n" << Style(terminal_.colours).Dim("After checking against the sources:") << "\n";
  }
  shown_.clear();
}

}  // namespace lastro::services
