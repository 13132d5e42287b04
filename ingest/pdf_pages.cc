#include "ingest/pdf_pages.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/status_macros.h"
#include "base/utf8.h"

namespace lastro::ingest {
namespace {

constexpr int kMaxSide = 1 << 16;  // of a drawing, in pixels

absl::Status Malformed(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("poppler's output cannot be read: ", what));
}

// Takes `prefix` and white space before it off `text`; false when it does not begin so.
bool Take(absl::string_view prefix, absl::string_view* text) {
  const size_t begin = text->find_first_not_of(" \t\r\n");
  if (begin == absl::string_view::npos || !absl::StartsWith(text->substr(begin), prefix)) return false;
  text->remove_prefix(begin + prefix.size());
  return true;
}

// Takes ` name="number"`.
bool TakeNumber(absl::string_view name, absl::string_view* text, double* number) {
  if (!Take(name, text) || !Take("=\"", text)) return false;
  const size_t end = text->find('"');
  if (end == absl::string_view::npos || !absl::SimpleAtod(text->substr(0, end), number)) return false;
  text->remove_prefix(end + 1);
  return true;
}

bool TakeBox(absl::string_view* text, PdfBox* box) {
  return TakeNumber("xMin", text, &box->left) && TakeNumber("yMin", text, &box->top) &&
         TakeNumber("xMax", text, &box->right) && TakeNumber("yMax", text, &box->bottom) && Take(">", text);
}

bool TakeWord(absl::string_view* text, PdfPage* page) {
  PdfWord word;
  if (!TakeBox(text, &word.box)) return false;
  const size_t length = text->find("</word>");
  if (length == absl::string_view::npos) return false;
  word.text = ReplaceInvalidUtf8(absl::StrReplaceAll(
      text->substr(0, length),
      {{"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&apos;", "'"}, {"&#39;", "'"}}));
  page->words.push_back(std::move(word));
  text->remove_prefix(length);
  return Take("</word>", text);
}

// What is between <page ...> and </page>.
bool TakePage(absl::string_view* text, PdfPage* page) {
  if (!TakeNumber("width", text, &page->width) || !TakeNumber("height", text, &page->height) || !Take(">", text)) {
    return false;
  }
  PdfBox unused;
  while (!Take("</page>", text)) {
    if (Take("<word", text)) {
      if (!TakeWord(text, page)) return false;
    } else if (Take("<block", text) || Take("<line", text)) {
      if (!TakeBox(text, &unused)) return false;
    } else if (Take("</line>", text)) {
      if (!page->words.empty()) page->words.back().ends_line = true;
    } else if (Take("</block>", text)) {
      if (!page->words.empty()) page->words.back().ends_block = true;
    } else if (!Take("<flow>", text) && !Take("</flow>", text)) {
      return false;
    }
  }
  return true;
}

// Takes a decimal number and the one white space behind it.
bool TakeHeaderNumber(absl::string_view* text, int* number) {
  const size_t end = text->find_first_of(" \t\r\n");
  if (end == absl::string_view::npos || !absl::SimpleAtoi(text->substr(0, end), number)) return false;
  text->remove_prefix(end + 1);
  return *number > 0 && *number <= kMaxSide;
}

}  // namespace

absl::StatusOr<std::vector<PdfPage>> ParsePdfPages(absl::string_view output) {
  const size_t begin = output.find("<doc>");
  if (begin == absl::string_view::npos) return Malformed("no <doc>");
  output.remove_prefix(begin);
  Take("<doc>", &output);
  std::vector<PdfPage> pages;
  while (Take("<page", &output)) {
    if (!TakePage(&output, &pages.emplace_back()))
      return Malformed(absl::StrCat("page ", pages.size(), " of its words"));
  }
  if (!Take("</doc>", &output)) return Malformed("no </doc>");
  return pages;
}

absl::StatusOr<std::vector<PdfDrawing>> ParsePdfDrawings(absl::string_view output) {
  std::vector<PdfDrawing> drawings;
  while (!output.empty()) {
    PdfDrawing drawing;
    int white = 0;
    const bool whole = Take("P5", &output) && Take("", &output) && TakeHeaderNumber(&output, &drawing.width) &&
                       TakeHeaderNumber(&output, &drawing.height) && TakeHeaderNumber(&output, &white) && white == 255;
    const size_t size = static_cast<size_t>(drawing.width) * static_cast<size_t>(drawing.height);
    if (!whole || size > output.size()) return Malformed(absl::StrCat("image ", drawings.size() + 1));
    drawing.pixels = output.substr(0, size);
    output.remove_prefix(size);
    drawings.push_back(drawing);
  }
  return drawings;
}

}  // namespace lastro::ingest
