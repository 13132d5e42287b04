// Table: columns of text aligned by what they measure on a terminal. Cells are made printable (see text_width.h), so
// that no document can command the terminal. Not thread-safe.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "services/cli/terminal.h"

namespace lastro::services {

class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // REQUIRES: one cell a column.
  void AddRow(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }

  // On a terminal the widest left-aligned columns are cut with "…" until a row fits its width (right-aligned ones, the
  // quantities, never are); elsewhere nothing is cut.
  void Print(std::ostream& out, const Terminal& terminal) const;

 private:
  std::vector<int> Widths(const Terminal& terminal) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// Lines "name  value" with the names in one column; for showing one thing.
class Properties {
 public:
  void Add(const std::string& name, const std::string& value) { pairs_.emplace_back(name, value); }
  void Print(std::ostream& out, const Terminal& terminal) const;

 private:
  std::vector<std::pair<std::string, std::string>> pairs_;
};

}  // namespace lastro::services
