// Segment: a stretch of text on its way to the model, and the pieces it has been cut into so far.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/tokenizers/aligned_text.h"

namespace lastro::engine::tokenizers {

struct Piece {
  uint32_t begin = 0;  // bytes of the segment's text
  uint32_t end = 0;
  int32_t added_id = -1;  // >= 0: an added token, to be left alone
};

struct Segment {
  AlignedText text;
  std::vector<Piece> pieces;  // in order; none is empty
};

}  // namespace lastro::engine::tokenizers
