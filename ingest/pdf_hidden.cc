#include "ingest/pdf_hidden.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "ingest/child_process.h"

namespace lastro::ingest {
namespace {

constexpr size_t kPagesAtOnce = 32;     // bounds what is held of words and drawings
constexpr char kLongerSide[] = "640";   // pixels of a drawing
constexpr double kMinLetterArea = 0.5;  // square points; letters of 1 pt have less
constexpr double kMargin = 0.1;         // of a box's sides, where neighbours may reach in
constexpr int kMinContrast = 8;         // of 255

size_t CountRunes(absl::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

bool IsTooSmall(const PdfWord& word) {
  const double width = word.box.right - word.box.left, height = word.box.bottom - word.box.top;
  // Also where a number is none.
  return !(width * height >= kMinLetterArea * static_cast<double>(CountRunes(word.text)));
}

// Those of `pixels` that [from, to) lies on at `scale`, [begin, end), but for the margins; empty beside them.
std::pair<int, int> PixelsOf(double from, double to, double scale, int pixels) {
  const double margin = kMargin * (to - from);
  // Of what is no number, 0.
  auto clamped = [&](double at) { return at > 0 ? static_cast<int>(std::min(at, static_cast<double>(pixels))) : 0; };
  return {clamped(std::floor((from + margin) * scale)), clamped(std::floor((to - margin) * scale) + 1)};
}

bool HasOneColour(const PdfBox& box, const PdfPage& page, const PdfDrawing& drawing) {
  // The sides of a page that is turned are those before it was, its boxes and its drawing are turned.
  const double scale = std::max(drawing.width, drawing.height) / std::max(page.width, page.height);
  const auto [left, right] = PixelsOf(box.left, box.right, scale, drawing.width);
  const auto [top, bottom] = PixelsOf(box.top, box.bottom, scale, drawing.height);
  int darkest = 255, lightest = 0;
  for (int y = top; y < bottom; ++y) {
    const char* row = drawing.pixels.data() + static_cast<ptrdiff_t>(y) * drawing.width;
    for (int x = left; x < right; ++x) {
      darkest = std::min(darkest, static_cast<int>(static_cast<uint8_t>(row[x])));
      lightest = std::max(lightest, static_cast<int>(static_cast<uint8_t>(row[x])));
    }
  }
  return lightest - darkest < kMinContrast;
}

// Code points that are seen: no white space, and none of those that order lines of right-to-left text.
size_t CountInk(absl::string_view text) {
  size_t count = 0;
  while (!text.empty()) {
    const DecodedRune decoded = DecodeRune(text);
    count += decoded.rune > ' ' && (decoded.rune < 0x2000 || decoded.rune > 0x206F);
    text.remove_prefix(decoded.length);
  }
  return count;
}

// A page of its words that are not hidden.
struct ShownPage {
  std::string text;
  bool hides = false;  // it has others
  size_t ink = 0;      // code points that are seen in all its words
};

ShownPage ShownWords(const PdfPage& page, const PdfDrawing* drawing) {
  ShownPage shown;
  bool line_ended = false, block_ended = false;
  for (const PdfWord& word : page.words) {
    shown.ink += CountInk(word.text);
    if (IsHidden(word, page, drawing)) {
      shown.hides = true;
    } else {
      if (!shown.text.empty()) shown.text += block_ended ? "\n\n" : line_ended ? "\n" : " ";
      shown.text += word.text;
      line_ended = block_ended = false;
    }
    line_ended |= word.ends_line;
    block_ended |= word.ends_block;
  }
  if (!shown.text.empty()) shown.text += "\n";
  return shown;
}

// The programs that look at a file, and what it may cost.
class Poppler {
 public:
  Poppler(absl::string_view pdf, std::string text_program, std::string drawing_program, const PdfOptions& options,
          const CallContext& context)
      : pdf_(pdf),
        text_program_(std::move(text_program)),
        drawing_program_(std::move(drawing_program)),
        options_(options),
        context_(context) {}

  // The pages first to last, from 1.
  absl::StatusOr<std::string> Words(int first, int last) const {
    LASTRO_ASSIGN_OR_RETURN(ChildResult result, Run(text_program_, {"-q", "-cropbox", "-bbox-layout", "-enc", "UTF-8"},
                                                    {"-"}, first, last));
    return std::move(result.output);
  }
  absl::StatusOr<ChildResult> Drawings(int first, int last) const {
    return Run(drawing_program_, {"-gray", "-cropbox", "-scale-to", kLongerSide}, {}, first, last);
  }

 private:
  absl::StatusOr<ChildResult> Run(const std::string& program, std::vector<std::string> arguments,
                                  const std::vector<std::string>& output, int first, int last) const {
    // Words come with their places: some hundred bytes each.
    const ChildLimits limits{options_.timeout_s, options_.memory_bytes, 16 * options_.max_text_bytes};
    arguments.insert(arguments.begin(), program);
    for (const std::string& argument :
         {std::string("-f"), absl::StrCat(first), std::string("-l"), absl::StrCat(last)}) {
      arguments.push_back(argument);
    }
    arguments.push_back("-");
    arguments.insert(arguments.end(), output.begin(), output.end());
    LASTRO_ASSIGN_OR_RETURN(ChildResult result, RunChild(arguments, pdf_, limits, context_));
    if (result.exit_code == 0) return result;
    return absl::InvalidArgumentError(absl::StrCat(program, " could not read pages ", first, " to ", last,
                                                   " of the PDF (exit code ", result.exit_code, ")"));
  }

  const absl::string_view pdf_;
  const std::string text_program_, drawing_program_;
  const PdfOptions& options_;
  const CallContext& context_;
};

// Whether what pdftoppm complained about says that letters are missing from its drawings.
bool LacksFonts(const std::string& errors) {
  const std::string lower = absl::AsciiStrToLower(errors);
  return absl::StrContains(lower, "font") || absl::StrContains(lower, "language pack");
}

// Adds the pages first to last to `pages`, or fewer when the file ends before.
absl::Status LookAt(const Poppler& poppler, int first, int last, std::vector<ShownPage>* pages) {
  LASTRO_ASSIGN_OR_RETURN(const std::string words, poppler.Words(first, last));
  LASTRO_ASSIGN_OR_RETURN(const std::vector<PdfPage> layout, ParsePdfPages(words));
  LASTRO_ASSIGN_OR_RETURN(const ChildResult drawn, poppler.Drawings(first, last));
  LASTRO_ASSIGN_OR_RETURN(const std::vector<PdfDrawing> drawings, ParsePdfDrawings(drawn.output));
  if (layout.size() != drawings.size()) {
    return absl::InvalidArgumentError(absl::StrCat("poppler read ", layout.size(), " and drew ", drawings.size(),
                                                   " of the pages ", first, " to ", last));
  }
  const bool lacks_fonts = LacksFonts(drawn.errors);
  for (size_t i = 0; i < layout.size(); ++i) {
    pages->push_back(ShownWords(layout[i], lacks_fonts ? nullptr : &drawings[i]));
  }
  return absl::OkStatus();
}

}  // namespace

bool IsHidden(const PdfWord& word, const PdfPage& page, const PdfDrawing* drawing) {
  if (IsTooSmall(word)) return true;
  return drawing != nullptr && page.width > 0 && page.height > 0 && HasOneColour(word.box, page, *drawing);
}

absl::StatusOr<std::string> WithoutHiddenText(absl::string_view pdf, const std::string& extracted,
                                              const PdfOptions& options, const CallContext& context) {
  const std::string text_program = options.program.empty() ? FindProgram("pdftotext") : options.program;
  const std::string drawing_program =
      options.drawing_program.empty() ? FindProgram("pdftoppm") : options.drawing_program;
  if (drawing_program.empty()) {
    return absl::FailedPreconditionError("pdftoppm is not installed; install poppler-utils to read PDF files");
  }
  const Poppler poppler(pdf, text_program, drawing_program, options, context);
  const std::vector<absl::string_view> pages = absl::StrSplit(extracted, '\f');
  const size_t count = pages.size() - 1;  // each is ended by a form feed; text may hold more of them
  std::vector<ShownPage> shown;
  for (size_t looked_at = 0; looked_at < count && shown.size() == looked_at; looked_at += kPagesAtOnce) {
    LASTRO_RETURN_IF_ERROR(context.Check());
    const size_t last = std::min(count, looked_at + kPagesAtOnce);
    LASTRO_RETURN_IF_ERROR(LookAt(poppler, static_cast<int>(looked_at) + 1, static_cast<int>(last), &shown));
  }
  std::string text;
  for (size_t i = 0; i < shown.size(); ++i) {
    // Text outside the part of the page that is shown is in none of the words.
    const bool as_it_was = shown.size() == count && !shown[i].hides && CountInk(pages[i]) <= shown[i].ink;
    absl::StrAppend(&text, as_it_was ? pages[i] : absl::string_view(shown[i].text), "\f");
  }
  return text;
}

}  // namespace lastro::ingest
