// What poppler says of a PDF's pages: the words that pdftotext finds, with their places, and the pages as pdftoppm
// draws them. Plain data and parsers of the programs' output; pure functions, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lastro::ingest {

// Points from the upper left corner of the page as it is shown (its crop box, rotated).
struct PdfBox {
  double left = 0, top = 0, right = 0, bottom = 0;
};

struct PdfWord {
  std::string text;  // valid UTF-8
  PdfBox box;
  bool ends_line = false;
  bool ends_block = false;  // and its line
};

struct PdfPage {
  double width = 0, height = 0;  // points; of a page that is turned, before it was
  std::vector<PdfWord> words;    // in reading order
};

// 8 bits of grey a pixel, row by row, 0 is black. `pixels` points into what was parsed.
struct PdfDrawing {
  int width = 0, height = 0;
  absl::string_view pixels;
};

// The output of pdftotext -bbox-layout. INVALID_ARGUMENT for anything else.
absl::StatusOr<std::vector<PdfPage>> ParsePdfPages(absl::string_view output);

// The output of pdftoppm -gray: a PGM image a page. INVALID_ARGUMENT for anything else.
absl::StatusOr<std::vector<PdfDrawing>> ParsePdfDrawings(absl::string_view output);

}  // namespace lastro::ingest
