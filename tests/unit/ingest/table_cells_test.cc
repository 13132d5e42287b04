#include "ingest/table_cells.h"

#include "tests/test_util.h"

namespace lastro::ingest {
namespace {

TEST(TableGridTest, CellsGoWhereNoneReachesDownFromAbove) {
  TableGrid grid;
  grid.StartRow();  // a a b
  EXPECT_EQ(grid.Place(2, 2), 0);
  EXPECT_EQ(grid.Place(1, 3), 2);
  grid.StartRow();  // a a b c
  EXPECT_EQ(grid.Place(1, 1), 3);
  grid.StartRow();  // d e b f
  EXPECT_EQ(grid.Place(1, 1), 0);
  EXPECT_EQ(grid.Place(0, -1), 1) << "counts as 1";
  EXPECT_EQ(grid.Place(1, 1), 3);
  grid.StartRow();
  EXPECT_EQ(grid.Place(3, 1), 0);
  EXPECT_EQ(grid.Place(1, 1), 3);
}

TEST(TableGridTest, ThereAreOnlySoManyColumns) {
  TableGrid grid;
  grid.StartRow();
  EXPECT_EQ(grid.Place(TableGrid::kMaxColumns - 1, 2), 0);
  EXPECT_EQ(grid.Place(1'000'000, 1'000'000), TableGrid::kMaxColumns - 1);
  EXPECT_EQ(grid.Place(1, 1), TableGrid::kNoColumn);
  grid.StartRow();
  EXPECT_EQ(grid.Place(1, 1), TableGrid::kNoColumn) << "all of them are taken from above";
  grid.StartRow();
  EXPECT_EQ(grid.Place(1, 1), 0);
}

TEST(TableCellsTest, CellsWithoutTextAreLeftOut) {
  const std::vector<TableCell> cells = {{0, 0, 0, 1}, {0, 0, 1, 2}, {0, 0, 3, 1}, {0, 0, TableGrid::kNoColumn, 1}};
  const std::vector<BlockText::Field> fields = {{0, 4, 1}, {7, 7, 2}, {7, 9, 3}, {12, 13, 9}};
  const std::vector<TableCell> with_text = CellsWithText(fields, cells);
  ASSERT_EQ(with_text.size(), 1u);
  EXPECT_EQ(with_text[0].begin, 0u);
  EXPECT_EQ(with_text[0].end, 4u);
  EXPECT_EQ(with_text[0].column, 1);
  EXPECT_EQ(with_text[0].span, 2);
}

}  // namespace
}  // namespace lastro::ingest
