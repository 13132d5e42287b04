#include "ingest/markdown_reader.h"

#include "absl/strings/str_cat.h"
#include "ingest/reader.h"
#include "tests/test_util.h"
#include "tests/unit/ingest/fakes.h"

namespace lastro::ingest {
namespace {

using ::testing::ElementsAre;

constexpr uint64_t kMarkdownMemory = 1u << 30;

std::vector<Block> BlocksOf(const std::string& markdown) {
  absl::StatusOr<MarkdownPage> page = ReadMarkdown(markdown, kMarkdownMemory, CallContext());
  EXPECT_TRUE(page.ok()) << page.status();
  for (const Block& block : page->blocks) EXPECT_EQ(MapError(block.content, markdown), "");
  return page->blocks;
}

TEST(MarkdownReaderTest, HeadingsAndParagraphs) {
  std::string markdown = "# One\n\nSome **bold** and *soft* text\nwrapped [link](http://x.y/z).\n\nTwo\n---\nEnd.\n";
  std::vector<Block> blocks = BlocksOf(markdown);
  EXPECT_THAT(TextsOf(blocks), ElementsAre("1:One", "Some bold and soft text wrapped link.", "2:Two", "End."));
  EXPECT_EQ(SourceOf(blocks[1].content, markdown, "bold and soft"), "bold** and *soft");
  EXPECT_EQ(SourceOf(blocks[1].content, markdown, "text wrapped"), "text\nwrapped");
}

TEST(MarkdownReaderTest, ItemsThatBeginWithEmphasisCodeOrALinkKeepTheirMarkers) {
  const std::string markdown =
      "* **Tier 1**: all\n* `make`\n* *one*\n* ***two***\n\n- [a link](x)\n- [ ] **task**\n- ~~no~~\n\n1. "
      "__x__\n\n**bold** text\n";
  const std::vector<Block> blocks = BlocksOf(markdown);
  EXPECT_THAT(TextsOf(blocks), ElementsAre("* Tier 1: all", "* make", "* one", "* two", "- a link", "- task", "- no",
                                           "1. x", "bold text"));
  EXPECT_EQ(SourceOf(blocks[0].content, markdown, "* Tier 1"), "* **Tier 1");
}

TEST(MarkdownReaderTest, ListsKeepTheirMarkers) {
  std::string markdown = "- one\n- two\n  1. deep\n  2. deeper\n- [x] done\n\n10) ten\n";
  std::vector<Block> blocks = BlocksOf(markdown);
  EXPECT_THAT(TextsOf(blocks), ElementsAre("- one", "- two", "1. deep", "2. deeper", "- done", "10) ten"));
  EXPECT_EQ(blocks[3].kind, BlockKind::kListItem);
  EXPECT_EQ(SourceOf(blocks[3].content, markdown, "2. deeper"), "2. deeper");
}

TEST(MarkdownReaderTest, TablesAreRowsOfCells) {
  std::string markdown = "| Item | Price |\n|---|---|\n| Bolt | 3 |\n| | 4 |\n| Nut | |\n";
  std::vector<Block> blocks = BlocksOf(markdown);
  EXPECT_THAT(TextsOf(blocks), ElementsAre("Item | Price", "Bolt | 3", "4", "Nut"));
  EXPECT_TRUE(blocks[0].table_header);
  EXPECT_EQ(blocks[1].kind, BlockKind::kTableRow);
  EXPECT_EQ(SourceOf(blocks[1].content, markdown, "Bolt | 3"), "Bolt | 3");
}

TEST(MarkdownReaderTest, CellsStandInColumns) {
  std::string markdown =
      "| A | B | C |\n|---|---|---|\n| 1 | 2<br>two | 3 |\n| | | x \\| y |\n| 1 | | 3 "
      "|\n\n<table><tr><td>1<td>2</table>\n\n"
      "| A |\n|---|\n| `1` |\n";
  std::vector<std::string> rows;
  for (const Block& row : BlocksOf(markdown)) {
    rows.push_back(absl::StrCat(row.table, ":"));
    for (const TableCell& cell : row.cells) {
      absl::StrAppend(&rows.back(), " ", cell.column, "=", row.content.text.substr(cell.begin, cell.end - cell.begin));
    }
  }
  EXPECT_THAT(rows, ElementsAre("1: 0=A 1=B 2=C", "1: 0=1 1=2\ntwo 2=3", "1: 2=x | y", "1: 0=1 2=3", "2: 0=1 1=2",
                                "3: 0=A", "3: 0=1"));
}

TEST(MarkdownReaderTest, CodeStaysAsItIs) {
  std::string markdown = "```cpp\nint  a;\n\n  return a;\n```\n\n    indented  code\n    more\n";
  std::vector<Block> blocks = BlocksOf(markdown);
  EXPECT_THAT(TextsOf(blocks), ElementsAre("int  a;\n\n  return a;", "indented  code\nmore"));
  EXPECT_EQ(blocks[0].kind, BlockKind::kCode);
  EXPECT_EQ(SourceOf(blocks[0].content, markdown, "int  a;\n\n  return"), "int  a;\n\n  return");
}

TEST(MarkdownReaderTest, EntitiesAndEscapes) {
  std::string markdown = "Caf&eacute; &amp; \\*tea\\* &notathing; `a  b`\n";
  std::vector<Block> blocks = BlocksOf(markdown);
  EXPECT_THAT(TextsOf(blocks), ElementsAre("Café & *tea* &notathing; a b"));
  EXPECT_EQ(SourceOf(blocks[0].content, markdown, "Café &"), "Caf&eacute; &amp;");
  EXPECT_EQ(SourceOf(blocks[0].content, markdown, "tea"), "tea");
}

TEST(MarkdownReaderTest, QuotesAndHtml) {
  std::string markdown =
      "> quoted text\n> goes on\n\n<div>\n<p>in <b>html</b> &lt;here&gt;</p>\n</div>\n\n<!-- secret -->\n\na<br>b "
      "<i>c</i>\n";
  std::vector<Block> blocks = BlocksOf(markdown);
  EXPECT_THAT(TextsOf(blocks), ElementsAre("quoted text goes on", "in html <here>", "a\nb c"));
  EXPECT_EQ(SourceOf(blocks[1].content, markdown, "html <here>"), "html</b> &lt;here&gt;");
}

TEST(MarkdownReaderTest, TextThatIsNotShownIsLeftOut) {
  const std::vector<std::string> hidden = {
      "one <span hidden>secret</span> two",
      "one <span style=\"display:none\">secret *secret* `secret` &amp; [secret](x)</span> two",
      "one <!-- secret --> two",
      "one <!-- secret\nsecret --> two",
      "[//]: # (secret)\n\none [two](http://x.y \"secret\")\n\n[//]: # \"secret\"",
      "one\n\n<!--\nsecret\n\nsecret\n-->\n\ntwo",
      "one\n\n<div hidden>\n\nsecret\n\n- secret\n\n    secret\n\n| secret |\n|---|\n| secret |\n\n</div>\n\ntwo",
      "one\n\n<div\n hidden>\n\n<p>secret</p>\n\n<section>\n\nsecret\n\n</section>\n\nsecret\n\n</div>\ntwo",
      "one\n\n<template>\n\nsecret\n\n</template>\n\ntwo",
      "one <b style='opacity:0'>secret\n\nsecret</b> two",
      "one <span\nhidden >secret</span> two",
      "one <span title='>' hidden>secret</span> two",
      "> one <i hidden>secret</i>\n\ntwo",
      "one\n\n<p hidden>secret\n\ntwo",
      "one <span hidden>secret\n\ntwo",
      "- one <em hidden>secret</em>\n- two",
      "one\n\n<script>\n\nsecret </b>\n\n</script>\n\ntwo",
      "one two\n\n<div><!--\n\nsecret -- > secret\n\n<i>secret</i>\n\nsecret",
      "one\n\n<div><!--\n\nsecret\n\n<p>\n--></div>\n\ntwo",
      "one\n\n<div><!--></div>\n\ntwo",
      "one\n\n<script>if (a<b) c = \"'</b\" + \"</i\";</script >\n\ntwo",
      "one\n\n<table><tr hidden>\n\n<td>\n\nsecret\n\n</td></tr></table>\n\ntwo",
      "one\n\n<table><tr><td style='display:none'>\n\nsecret\n\n</td></tr></table>\n\ntwo"};
  for (const std::string& markdown : hidden) {
    std::string text;
    for (const std::string& block : TextsOf(BlocksOf(markdown))) text += block + " ";
    EXPECT_THAT(text, ::testing::Not(::testing::HasSubstr("secret"))) << markdown;
    EXPECT_THAT(text, ::testing::HasSubstr("one")) << markdown;
    EXPECT_THAT(text, ::testing::HasSubstr("two")) << markdown;
  }
}

TEST(MarkdownReaderTest, TextInElementsThatAreShownStays) {
  EXPECT_THAT(TextsOf(BlocksOf(
                  "a <span class=x>b</span> c<br>d <kbd>e</kbd> 1 < 2 > 0\n\n<details>\n<summary>f</summary>\n\ng\n\n"
                  "</details>\n\nh")),
              ElementsAre("a b c\nd e 1 < 2 > 0", "f", "g", "h"));
}

TEST(MarkdownReaderTest, WhatIsTooDeepIsLeftOut) {
  std::string markdown = "one\n\n<div>";
  for (int i = 0; i < 10'001; ++i) markdown += "<b>";
  EXPECT_THAT(TextsOf(BlocksOf(markdown + "\n\n<span hidden>secret</span>\n")), ElementsAre("one"));
}

// Work that grows with the square of a block would take hours here.
TEST(MarkdownReaderTest, ManyTagsInOneBlockAreLinearWork) {
  for (const std::string& piece : std::vector<std::string>{"<b></b>", "<", "<!--", "</x>"}) {
    std::string markdown = "<div>";
    while (markdown.size() < (3u << 20)) markdown += piece;
    const bool goes_on = piece == "<!--";  // to the end of the text
    EXPECT_EQ(TextsOf(BlocksOf(markdown + "</div>\n\nend")).empty(), goes_on) << piece;
  }
}

TEST(MarkdownReaderTest, FrontMatterGivesTheTitle) {
  std::string markdown = "---\ntitle: \"The Title\"\ntags: [a]\n---\n\nBody.\n";
  ASSERT_OK_AND_ASSIGN(MarkdownPage page, ReadMarkdown(markdown, kMarkdownMemory, CallContext()));
  EXPECT_EQ(page.title, "The Title");
  EXPECT_THAT(TextsOf(page.blocks), ElementsAre("Body."));
  EXPECT_EQ(MapError(page.blocks[0].content, markdown), "");
  ASSERT_OK_AND_ASSIGN(page, ReadMarkdown("---\nno end\n", kMarkdownMemory, CallContext()));
  EXPECT_EQ(page.title, "");
}

TEST(MarkdownReaderTest, DeepNestingIsHarmless) {
  for (const char* piece : {">", "[", "![", "- ", "*", "<div>", "`", "| "}) {
    std::string markdown;
    for (int i = 0; i < 100'000; ++i) markdown += piece;
    ReaderOptions options;
    options.parser_timeout_s = 2;
    absl::StatusOr<ReadResult> read = ReadContent(markdown + "x", "a.md", "", options, CallContext());
    EXPECT_FALSE(absl::IsInternal(read.status())) << read.status();
  }
}

TEST(MarkdownReaderTest, RandomInputKeepsItsMap) {
  auto random = lastro::testing::SeededRandom(11);
  const std::vector<std::string> pieces = {
      "word ", "*",   "**",    "_",          "`",    "\n",     "\n\n", "# ",  "- ",       "1. ",   "> ",
      "|",     "---", "[",     "](",         ")",    "&amp;",  "é",    "<b>", "</b>",     "<div>", "    ",
      "\t",    "\\",  "```\n", "<i hidden>", "</i>", "&#233;", "<!--", "-->", "&#x202E;", "  \n"};
  for (int round = 0; round < 500; ++round) {
    std::string markdown;
    for (int i = 0; i < 40; ++i) markdown += pieces[random() % pieces.size()];
    for (const char* uri : {"a.md", "a.txt", "a.html"}) {
      absl::StatusOr<ReadResult> read = ReadContent(markdown, uri, "", ReaderOptions(), CallContext());
      if (!read.ok()) continue;
      for (const Block& block : read->blocks)
        ASSERT_EQ(MapError(block.content, markdown), "") << uri << ": " << markdown;
    }
  }
}

}  // namespace
}  // namespace lastro::ingest
