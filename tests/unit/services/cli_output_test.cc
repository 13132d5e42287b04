// Widths, wrapping, tables, numbers, progress and NumPy files.
#include <sstream>
#include <string>

#include "services/cli/format.h"
#include "services/cli/npy.h"
#include "services/cli/progress.h"
#include "services/cli/table.h"
#include "services/cli/text_width.h"
#include "tests/test_util.h"

namespace lastro::services {
namespace {

using ::lastro::testing::StatusIs;
using ::testing::_;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(DisplayWidth, CountsColumns) {
  EXPECT_EQ(DisplayWidth("abc"), 3);
  EXPECT_EQ(DisplayWidth("ação"), 4);
  EXPECT_EQ(DisplayWidth("ac\u0327a\u0303o"), 4);  // combining marks
  EXPECT_EQ(DisplayWidth("日本語"), 6);
  EXPECT_EQ(DisplayWidth("👍"), 2);
  EXPECT_EQ(DisplayWidth("👩\u200d💻"), 2);  // one emoji out of two
  EXPECT_EQ(DisplayWidth("\u200b"), 0);
  EXPECT_EQ(DisplayWidth("\u1112\u1161\u11ab"), 2);  // one Hangul syllable
  EXPECT_EQ(DisplayWidth("\xff"), 1);
}

TEST(CutToWidth, NeverExceedsTheWidth) {
  EXPECT_EQ(CutToWidth("abc", 3), "abc");
  EXPECT_EQ(CutToWidth("abcd", 3), "ab…");
  EXPECT_EQ(CutToWidth("日本語", 5), "日本…");
  EXPECT_EQ(CutToWidth("日本語", 4), "日…");
  EXPECT_EQ(CutToWidth("日本語", 1), "…");
}

TEST(WrapText, BreaksAtSpaces) {
  EXPECT_THAT(WrapText("one two three", 7), ElementsAre("one two", "three"));
  EXPECT_THAT(WrapText("a\n\nb", 10), ElementsAre("a", "", "b"));
  EXPECT_THAT(WrapText("abcdefgh i", 3), ElementsAre("abc", "def", "gh", "i"));
  EXPECT_THAT(WrapText("日本語", 1), ElementsAre("日", "本", "語", ""));
  EXPECT_THAT(WrapText("one two", 0), ElementsAre("one two"));
}

TEST(Printable, TakesCommandsAway) {
  EXPECT_THAT(Printable("a\x1b[31mb"), Not(HasSubstr("\x1b")));
  EXPECT_EQ(Printable("a\tb\nc"), "a b c");
  EXPECT_EQ(Printable("a\nb", true), "a\nb");
  EXPECT_EQ(Printable("a\u202eb"), "a\ufffdb");
  EXPECT_EQ(Printable("\u009b2J"), "\ufffd2J");  // the C1 form of an escape sequence
  EXPECT_EQ(OneLine("  a \n\n b "), "a b");
}

TEST(RowsOnTerminal, WrapsAsTerminalsDo) {
  EXPECT_EQ(RowsOnTerminal("", 10), 1);
  EXPECT_EQ(RowsOnTerminal("0123456789", 10), 1);
  EXPECT_EQ(RowsOnTerminal("0123456789a", 10), 2);
  EXPECT_EQ(RowsOnTerminal("a\nb\n", 10), 3);
  EXPECT_EQ(RowsOnTerminal("日本語", 5), 2);
}

TEST(Table, AlignsWideCharacters) {
  Table table({{"name"}, {"n", Table::Align::kRight}, {"x"}});
  table.AddRow({"日本", "5", "a"});
  table.AddRow({"abc", "12", "b\x1b"});
  std::ostringstream out;
  table.Print(out, Terminal());
  EXPECT_EQ(out.str(),
            "name   n  x\n"
            "日本   5  a\n"
            "abc   12  b\ufffd\n");
}

TEST(Table, FitsTheTerminal) {
  Table table({{"a"}, {"b"}, {"n", Table::Align::kRight}});
  table.AddRow({std::string(100, 'x'), "short", "1,234,567"});
  std::ostringstream out;
  Terminal terminal;
  terminal.is_terminal = true;
  terminal.columns = 30;
  table.Print(out, terminal);
  std::istringstream lines(out.str());
  for (std::string line; std::getline(lines, line);) EXPECT_LE(DisplayWidth(line), 30);
  EXPECT_THAT(out.str(), HasSubstr("…  short  1,234,567"));
}

TEST(Table, ColoursOnlyWhenAsked) {
  Table table({{"a"}});
  std::ostringstream plain, coloured;
  table.Print(plain, Terminal());
  Terminal terminal;
  terminal.colours = true;
  table.Print(coloured, terminal);
  EXPECT_EQ(plain.str(), "a\n");
  EXPECT_THAT(coloured.str(), HasSubstr("\x1b[1m"));
}

TEST(Format, Numbers) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
  EXPECT_EQ(FormatBytes(int64_t{3} << 30), "3.0 GiB");
  EXPECT_EQ(FormatCount(1234567), "1,234,567");
  EXPECT_EQ(FormatCount(-1000), "-1,000");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(ShortDuration(absl::Milliseconds(420)), "0.4 s");
  EXPECT_EQ(ShortDuration(absl::Seconds(200)), "3 min 20 s");
  EXPECT_EQ(ShortDuration(absl::Seconds(7500)), "2 h 5 min");
}

TEST(ProgressLine, ShowsShareRateAndRest) {
  v1::Job job;
  job.set_files_found(4);
  job.set_files_added(1);
  job.set_bytes_read(10 << 20);
  EXPECT_EQ(ProgressLine(job, absl::Seconds(10), 100),
            "[#####...............] 1/4 files  0 chunks  1.0 MiB/s  30 s left");
  EXPECT_LE(DisplayWidth(ProgressLine(job, absl::Seconds(10), 25)), 25);
  EXPECT_THAT(ProgressLine(v1::Job(), absl::ZeroDuration(), 80), HasSubstr("0/0 files"));
}

TEST(Progress, IsSilentWithoutATerminal) {
  std::ostringstream err;
  {
    Progress progress(Terminal(), err);
    progress.Show(v1::Job());
  }
  EXPECT_EQ(err.str(), "");
}

TEST(Npy, HeaderIsWhatNumPyReads) {
  std::string header = NpyHeader(3, 384);
  EXPECT_EQ(header.size() % 64, 0u);
  EXPECT_EQ(header.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  EXPECT_EQ(header.size(), 10u + static_cast<unsigned char>(header[8]) + 256u * static_cast<unsigned char>(header[9]));
  EXPECT_EQ(header.substr(10, 64), "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 384), }   ");
  EXPECT_EQ(header.back(), '\n');
}

TEST(Npy, SizesMustAgree) {
  lastro::testing::TempFolder folder;
  EXPECT_THAT(WriteNpy(folder / "a.npy", 2, 2, "x"), StatusIs(absl::StatusCode::kInvalidArgument, _));
  EXPECT_THAT(WriteNpy(folder / "a.npy", -1, 2, ""), StatusIs(absl::StatusCode::kInvalidArgument, _));
  EXPECT_THAT(WriteNpy(folder / "a.npy", int64_t{1} << 62, 4, ""), StatusIs(absl::StatusCode::kInvalidArgument, _));
  EXPECT_THAT(WriteNpy(folder / "missing/a.npy", 0, 2, ""), Not(lastro::testing::IsOk()));
}

}  // namespace
}  // namespace lastro::services
