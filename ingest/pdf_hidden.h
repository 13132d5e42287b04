// Text that a PDF hides: what pdftotext reads and nobody sees. Text in it is not read, as that of a page's hidden
// elements is not (html_hidden.h): it would be an attack on whoever reads it next.
//
// What is hidden is found by looking: poppler draws the pages, and a word is hidden where the drawing has one colour
// all over its box (white on white, render mode 3, covered, clipped, outside the page), or where it is too small to be
// read, below half a square point a letter. Text drawn invisibly over a scanned page is a layer of recognised text: the
// image shows there, and so it is read. Not told apart: hidden text that lies just on shown text or touches it without
// a space, and pages with fonts that poppler cannot draw, whose words are all taken to be shown unless they are too
// small.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/call_context.h"
#include "ingest/pdf_pages.h"
#include "ingest/pdf_reader.h"

namespace lastro::ingest {

// Whether `word` of `page` is hidden. `drawing`: of the page; null where it says nothing about what is shown.
bool IsHidden(const PdfWord& word, const PdfPage& page, const PdfDrawing* drawing);

// `extracted`, the text of `pdf` by pdftotext, pages ended by form feeds. Pages that hide something are written anew
// from the words that are shown: lines by line breaks, blocks by empty lines; the others are as they were. Errors:
// those of RunChild; FAILED_PRECONDITION when pdftoppm is not installed; INVALID_ARGUMENT when it cannot draw the file.
absl::StatusOr<std::string> WithoutHiddenText(absl::string_view pdf, const std::string& extracted,
                                              const PdfOptions& options, const CallContext& context);

}  // namespace lastro::ingest
