#include "services/answer/passage_views.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/utf8.h"
#include "services/answer/words.h"

namespace lastro::services::answer {
namespace {

// The line, or lines, that cells of one row stand in.
struct Row {
  TextRange lines;
  std::vector<int> cells;  // of the chunk, by index
};

bool IsHeader(const v1::Chunk& chunk, const Row& row) {
  return std::all_of(row.cells.begin(), row.cells.end(), [&](int cell) { return chunk.cells(cell).column().empty(); });
}

bool AreSound(const v1::Chunk& chunk) {
  const auto size = static_cast<int64_t>(chunk.text().size());
  int64_t end = 0;
  for (const v1::NamedCell& cell : chunk.cells()) {
    if (cell.begin() < end || cell.begin() >= cell.end() || cell.end() > size) return false;
    for (int64_t at : {cell.begin(), cell.end()}) {
      if (!IsRuneBoundary(chunk.text(), static_cast<size_t>(at))) return false;
    }
    end = cell.end();
  }
  return true;
}

std::vector<Row> RowsOf(const v1::Chunk& chunk) {
  const absl::string_view text = chunk.text();
  std::vector<Row> rows;
  for (int i = 0; i < chunk.cells_size(); ++i) {
    const auto begin = static_cast<size_t>(chunk.cells(i).begin()), end = static_cast<size_t>(chunk.cells(i).end());
    if (rows.empty() || begin >= rows.back().lines.end) {
      const size_t line_end = begin == 0 ? text.npos : text.rfind('\n', begin - 1);
      rows.push_back({{line_end == text.npos ? 0 : line_end + 1, 0}, {}});
    }
    rows.back().lines.end = std::min(text.find('\n', end), text.size());
    rows.back().cells.push_back(i);
  }
  return rows;
}

void Show(absl::string_view text, TextRange range, PassageView* view) {
  if (range.begin >= range.end) return;
  view->pieces.push_back({view->text.size(), range.begin, range.end - range.begin});
  absl::StrAppend(&view->text, text.substr(range.begin, range.end - range.begin));
}

void ShowRow(const v1::Chunk& chunk, const Row& row, PassageView* view) {
  const absl::string_view text = chunk.text();
  if (!view->text.empty()) view->text += '\n';
  size_t at = row.lines.begin;
  for (int index : row.cells) {
    const v1::NamedCell& cell = chunk.cells(index);
    const auto begin = static_cast<size_t>(cell.begin());
    if (cell.column().empty()) continue;
    Show(text, {at, begin}, view);
    absl::StrAppend(&view->text, cell.column(), ": ");
    view->cells.push_back(index);
    at = begin;
  }
  Show(text, {at, row.lines.end}, view);
}

PassageView Plain(absl::string_view text, size_t max_bytes) {
  size_t end = std::min(text.size(), max_bytes);  // the first bytes of an unbroken giant, whole characters
  while (end > 0 && !IsRuneBoundary(text, end)) --end;
  PassageView view;
  Show(text, {0, end}, &view);
  return view;
}

}  // namespace

std::optional<TextRange> PassageView::InChunk(TextRange shown) const {
  std::optional<TextRange> found;
  for (const Piece& piece : pieces) {
    const size_t from = std::max(shown.begin, piece.shown), to = std::min(shown.end, piece.shown + piece.length);
    if (from >= to) continue;
    if (found.has_value()) return std::nullopt;
    found = TextRange{piece.begin + from - piece.shown, piece.begin + to - piece.shown};
  }
  return found;
}

std::vector<PassageView> ViewsOf(const v1::Chunk& chunk, size_t max_bytes, size_t max_views) {
  const absl::string_view text = chunk.text();
  std::vector<PassageView> views;
  if (chunk.cells().empty() || text.size() > max_bytes || !AreSound(chunk)) return {Plain(text, max_bytes)};
  const std::vector<Row> rows = RowsOf(chunk);
  std::vector<TextRange> lines;
  for (const Row& row : rows) lines.push_back(row.lines);
  PassageView around = ViewWithout(text, lines);
  if (!SplitWords(around.text).empty()) views.push_back(std::move(around));
  for (const Row& row : rows) {
    if (IsHeader(chunk, row)) continue;
    if (views.size() < max_views) {
      views.emplace_back().row = row.lines;
    } else {
      views.back().row.reset();
    }
    ShowRow(chunk, row, &views.back());
    if (views.back().text.size() > max_bytes) return {Plain(text, max_bytes)};
  }
  if (views.empty()) return {Plain(text, max_bytes)};
  return views;
}

PassageView ViewWithout(absl::string_view text, absl::Span<const TextRange> left_out) {
  PassageView view;
  size_t at = 0;
  for (const TextRange& range : left_out) {
    Show(text, {at, range.begin}, &view);
    at = range.end;
  }
  Show(text, {at, text.size()}, &view);
  return view;
}

}  // namespace lastro::services::answer
