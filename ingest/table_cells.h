// Cells of a table's rows: which columns they stand in, and where their texts lie. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ingest/block.h"
#include "ingest/block_text.h"

namespace lastro::ingest {

// The columns of cells that reach over several of them, and down over several rows (HTML standard, "forming a table").
class TableGrid {
 public:
  static constexpr int kMaxColumns = 256;
  static constexpr int kNoColumn = -1;  // of a cell to the right of all these

  void StartRow();
  // The column, from 0, of the row's next cell, which takes `columns` columns of this row and of the `rows` - 1 below.
  // Numbers below 1 count as 1.
  int Place(int columns, int rows);

 private:
  std::vector<int64_t> free_from_;  // by column, the row that the cells so far leave free
  size_t next_ = 0;
  int64_t row_ = -1;
};

// Those of `cells`, the cells of a row in order, that have a column and a text, with where it lies. `fields`: of the
// row's text, a separator between each two cells.
std::vector<TableCell> CellsWithText(const std::vector<BlockText::Field>& fields, const std::vector<TableCell>& cells);

}  // namespace lastro::ingest
