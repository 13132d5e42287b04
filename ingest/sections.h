// Sections: the blocks of a document under one path of headings. Pure functions, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "ingest/block.h"

namespace lastro::ingest {

// Points into the blocks it was made from, which must outlive it.
struct Section {
  std::vector<std::string> headings;  // outermost first
  size_t first_block = 0;             // number of blocks in the sections before this one
  std::vector<const Block*> blocks;   // none of them a heading, unless the section is one heading without a text
  // Beside `blocks`: the header row of a row's table, and the paragraph that announces a list item's list; else null.
  std::vector<const Block*> table_headers, list_announcers;
};

// A heading without text below it becomes a section of its own, so that it can be found.
std::vector<Section> SplitSections(const std::vector<Block>& blocks);

// Whether the block, no list item or row itself, announces the one behind it: "Visitors must bring:".
bool Announces(const Block& block);

// The text of a heading, or of any block, as one line of at most 300 bytes; and its last sentence, likewise.
std::string HeadingText(const Block& block);
std::string LastSentence(const Block& block);

}  // namespace lastro::ingest
