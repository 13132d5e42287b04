// What every reader makes of a file: its readable text in blocks, each byte mapped to the source. Plain data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ingest/mapped_text.h"
#include "retrieval/types.h"

namespace lastro::ingest {

enum class BlockKind {
  kHeading,
  kParagraph,  // its line breaks are hard ones
  kListItem,
  kTableRow,  // cells joined by " | "
  kCode,      // lines as they are
};

// Bytes [begin, end) of a table row's text, in columns [column, column + span) of its table, from 0.
struct TableCell {
  size_t begin = 0;
  size_t end = 0;
  int column = 0;
  int span = 1;
};

struct Block {
  BlockKind kind = BlockKind::kParagraph;
  int level = 0;                 // of a heading, from 1
  int page = 0;                  // from 1; 0 where there are no pages
  bool table_header = false;     // the row that names the columns of the rows behind it
  int table = 0;                 // of a row: which table of the file it is of
  std::vector<TableCell> cells;  // of a row: those with text
  MappedText content;
};

struct ReadResult {
  std::string title;     // what the file says of itself; may be empty
  std::string encoding;  // of the original bytes; empty for formats without one
  std::string media_type;
  retrieval::SourceKind source_kind = retrieval::SourceKind::kOriginal;
  std::string extracted;      // the source, for kExtractedText
  std::vector<Block> blocks;  // in reading order, none empty
};

}  // namespace lastro::ingest
