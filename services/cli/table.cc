#include "services/cli/table.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "services/cli/text_width.h"

namespace lastro::services {
namespace {

constexpr int kGap = 2;
constexpr int kMinColumnWidth = 6;

std::string Pad(const std::string& text, int width, Table::Align align, bool last) {
  std::string cut = CutToWidth(text, std::max(width, 1));
  std::string space(std::max(0, width - DisplayWidth(cut)), ' ');
  if (align == Table::Align::kRight) return space + cut;
  return last ? cut : cut + space;
}

}  // namespace

void Table::AddRow(std::vector<std::string> cells) {
  LASTRO_CHECK(cells.size() == columns_.size());
  for (std::string& cell : cells) cell = OneLine(cell);
  rows_.push_back(std::move(cells));
}

std::vector<int> Table::Widths(const Terminal& terminal) const {
  std::vector<int> widths;
  for (const Column& column : columns_) widths.push_back(DisplayWidth(column.title));
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], DisplayWidth(row[i]));
  }
  if (!terminal.is_terminal) return widths;
  int excess =
      std::accumulate(widths.begin(), widths.end(), kGap * (static_cast<int>(widths.size()) - 1)) - terminal.columns;
  while (excess > 0) {
    int widest = -1;
    for (size_t i = 0; i < widths.size(); ++i) {
      bool may_cut = columns_[i].align == Align::kLeft && widths[i] > kMinColumnWidth;
      if (may_cut && (widest < 0 || widths[i] > widths[widest])) widest = static_cast<int>(i);
    }
    if (widest < 0) break;
    --widths[widest];
    --excess;
  }
  return widths;
}

void Table::Print(std::ostream& out, const Terminal& terminal) const {
  std::vector<int> widths = Widths(terminal);
  Style style(terminal.colours);
  auto print_row = [&](const auto& cell_of, bool header) {
    for (size_t i = 0; i < columns_.size(); ++i) {
      std::string cell = Pad(cell_of(i), widths[i], columns_[i].align, i + 1 == columns_.size());
      out << (i > 0 ? std::string(kGap, ' ') : "") << (header ? style.Bold(cell) : cell);
    }
    out << "\n";
  };
  print_row([&](size_t i) { return columns_[i].title; }, true);
  for (const auto& row : rows_) print_row([&](size_t i) { return row[i]; }, false);
}

void Properties::Print(std::ostream& out, const Terminal& terminal) const {
  int width = 0;
  for (const auto& [name, value] : pairs_) width = std::max(width, DisplayWidth(name));
  Style style(terminal.colours);
  for (const auto& [name, value] : pairs_) {
    out << style.Bold(Pad(name, width, Table::Align::kLeft, false)) << std::string(kGap, ' ') << OneLine(value) << "\n";
  }
}

}  // namespace lastro::services
