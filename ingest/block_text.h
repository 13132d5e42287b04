// BlockText: assembles the text of one block from pieces of the parsed text. White space is collapsed, and trimmed at
// both ends, unless it is preformatted. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "ingest/mapped_text.h"

namespace lastro::ingest {

class BlockText {
 public:
  // Bytes of the block between two separators, or its ends, and how many separators lie before them.
  struct Field {
    size_t begin = 0;
    size_t end = 0;
    int separators = 0;
  };

  // `piece` are parsed bytes [begin, begin + piece.size()).
  void Text(absl::string_view piece, uint64_t begin);
  // `piece` stands for parsed bytes [begin, begin + length): an entity, for example.
  void Replaced(absl::string_view piece, uint64_t begin, uint64_t length);
  // White space of parsed bytes [begin, begin + length), `length` may be 0 when there are none.
  void Space(uint64_t begin, uint64_t length);
  // A hard line break from parsed bytes [begin, begin + length), `length` may be 0.
  void LineBreak(uint64_t begin, uint64_t length);
  // As Text, every character kept.
  void Preformatted(absl::string_view piece, uint64_t begin);
  // A separator of ours, written before the next text, whose source is what lies between the texts around it; drops
  // white space around it. Nothing when the block is still empty, or when no text follows.
  void Separator(absl::string_view separator);

  bool empty() const { return out_.size() == 0; }
  size_t size() const { return out_.size(); }
  // The text so far, without white space at its ends; this object is then empty again. `fields`: those with text, of a
  // block that has no preformatted text.
  MappedText Take(std::vector<Field>* fields = nullptr);

 private:
  enum class Pending { kNone, kSpace, kLine };
  // `next` is where the text that is about to be written begins.
  void FlushPending(uint64_t next);
  void Extend(Pending kind, uint64_t begin, uint64_t length);

  MappedTextBuilder out_;
  std::string separator_;             // not yet written
  int separators_ = 0;                // so far, those at the start that are not written included
  std::vector<Field> fields_;         // of the text so far; the last one goes on
  uint64_t source_end_ = 0;           // of the last text
  Pending pending_ = Pending::kNone;  // white space seen but not yet written
  uint64_t pending_begin_ = 0;
  uint64_t pending_length_ = 0;
  bool pending_plain_ = false;  // exactly the one byte that would be written
};

}  // namespace lastro::ingest
