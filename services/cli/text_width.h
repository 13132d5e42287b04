// How text looks on a terminal: its width in columns, cutting and wrapping by columns, and the removal of what could
// command the terminal. Pure functions; malformed UTF-8 counts as U+FFFD.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace lastro::services {

// Columns of one code point: 0 (combining marks, joiners, controls), 2 (East Asian wide and full-width, emoji), else 1.
int RuneWidth(char32_t rune);

// Columns of a line of text. An emoji after a zero-width joiner belongs to the one before it.
int DisplayWidth(absl::string_view text);

// `text` fit to print: malformed bytes become U+FFFD, control characters (escape sequences begin with one) and
// bidirectional overrides U+FFFD, tabs a space. Line breaks stay when `keep_lines`, else they become spaces.
std::string Printable(absl::string_view text, bool keep_lines = false);

// Printable text with every run of white space made one space, and none at the ends.
std::string OneLine(absl::string_view text);

// The longest prefix of at most `columns` columns, with "…" in place of what was cut. REQUIRES: columns >= 1.
std::string CutToWidth(absl::string_view text, int columns);

// `text` broken at spaces into lines of at most `columns` columns; longer words are broken. Line breaks in it stay.
// columns <= 0: only at its line breaks.
std::vector<std::string> WrapText(absl::string_view text, int columns);

// Rows that `text`, line breaks included, takes on a terminal that wraps at `columns`. REQUIRES: columns >= 1.
int RowsOnTerminal(absl::string_view text, int columns);

}  // namespace lastro::services
