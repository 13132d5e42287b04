#include "ingest/table_cells.h"

#include <algorithm>

namespace lastro::ingest {

void TableGrid::StartRow() {
  ++row_;
  next_ = 0;
}

int TableGrid::Place(int columns, int rows) {
  while (next_ < free_from_.size() && free_from_[next_] > row_) ++next_;
  if (next_ >= kMaxColumns) return kNoColumn;
  const size_t column = next_;
  next_ = std::min<size_t>(column + static_cast<size_t>(std::max(columns, 1)), kMaxColumns);
  if (free_from_.size() < next_) free_from_.resize(next_, 0);
  for (size_t i = column; i < next_; ++i) free_from_[i] = row_ + std::max(rows, 1);
  return static_cast<int>(column);
}

std::vector<TableCell> CellsWithText(const std::vector<BlockText::Field>& fields, const std::vector<TableCell>& cells) {
  std::vector<TableCell> with_text;
  for (const BlockText::Field& field : fields) {
    const auto index = static_cast<size_t>(field.separators);
    if (index >= cells.size() || cells[index].column == TableGrid::kNoColumn || field.begin >= field.end) continue;
    with_text.push_back({field.begin, field.end, cells[index].column, cells[index].span});
  }
  return with_text;
}

}  // namespace lastro::ingest
