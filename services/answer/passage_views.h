// Passage views: what a reader is shown of a passage. Prose is shown as it stands. Of a table whose columns have names,
// each row is shown by itself, a cell behind its column's name ("Office: South | City: Faro"): far from its header, or
// between other rows, a cell does not say what it is. Pure functions, thread-safe.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/sentence.h"
#include "lastro/v1/common.pb.h"

namespace lastro::services::answer {

struct PassageView {
  // Bytes [shown, shown + length) of the view are bytes [begin, begin + length) of the chunk's text.
  struct Piece {
    size_t shown = 0;
    size_t begin = 0;
    size_t length = 0;
  };

  std::string text;
  std::vector<Piece> pieces;     // in the order of the view, without overlap; between them is what the view adds
  std::vector<int> cells;        // of the chunk, by index, that the view shows behind their names
  std::optional<TextRange> row;  // of the chunk's text, where the view is one row of a table

  // The bytes of the chunk's text that `shown`, of this view, stands for, without what the view adds at its ends;
  // nullopt where it is nothing else, or reaches over more than one piece.
  std::optional<TextRange> InChunk(TextRange shown) const;
};

// At least one view, of at most `max_bytes` each, and at most `max_views`: where there are more rows, the last view has
// those left over. The text alone where the chunk's cells are not as they should be. REQUIRES: max_views >= 1.
std::vector<PassageView> ViewsOf(const v1::Chunk& chunk, size_t max_bytes, size_t max_views);

// `text` without the bytes `left_out`, which are in order and do not overlap.
PassageView ViewWithout(absl::string_view text, absl::Span<const TextRange> left_out);

}  // namespace lastro::services::answer
