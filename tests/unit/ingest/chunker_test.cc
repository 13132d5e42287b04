#include "ingest/chunker.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "ingest/reader.h"
#include "ingest/verify.h"
#include "tests/test_util.h"
#include "tests/unit/ingest/fakes.h"

namespace lastro::ingest {
namespace {

using ::lastro::testing::IsOk;
using ::lastro::testing::StatusIs;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

class ChunkerTest : public ::testing::Test {
 protected:
  std::vector<retrieval::Chunk> Chunk(const std::string& content, const std::string& uri = "a.md", int tokens = 60) {
    absl::StatusOr<ReadResult> read = ReadContent(content, uri, "", ReaderOptions(), CallContext());
    EXPECT_TRUE(read.ok()) << read.status();
    blocks_ = read->blocks;
    absl::StatusOr<std::vector<retrieval::Chunk>> chunks =
        ChunkBlocks(read->blocks, ChunkerOptions{tokens}, &embedder_, CallContext());
    EXPECT_TRUE(chunks.ok()) << chunks.status();
    EXPECT_THAT(VerifyChunks(*chunks, content), IsOk());
    for (const retrieval::Chunk& chunk : *chunks) {
      EXPECT_LE(FakeEmbedder::Spans(EmbeddedText(chunk)).size() + 2, static_cast<size_t>(embedder_.max_tokens));
      EXPECT_EQ(chunk.text_sha256, Sha256Hex(EmbeddedText(chunk)));
    }
    return *chunks;
  }

  // All letters and digits of the text, to see that nothing was lost or doubled.
  static std::string Letters(const std::string& text) {
    std::string letters;
    for (char c : text) {
      if (!absl::ascii_isspace(c)) letters += c;
    }
    return letters;
  }

  FakeEmbedder embedder_;
  std::vector<Block> blocks_;
};

std::string Paragraph(std::mt19937_64* random, int sentences) {
  std::string text;
  for (int i = 0; i < sentences; ++i) {
    text += "Sentence";
    for (int word = 0; word < 8; ++word) absl::StrAppend(&text, " w", (*random)() % 1000);
    text += ". ";
  }
  return text;
}

TEST_F(ChunkerTest, HeadingsArePathsAndNotText) {
  auto chunks = Chunk("# A\n\nintro\n\n## B\n\nfirst\n\n### C\n\nsecond\n\n## D\n\nthird\n");
  ASSERT_THAT(chunks, SizeIs(4));
  EXPECT_THAT(chunks[2].headings, ElementsAre("A", "B", "C"));
  EXPECT_THAT(chunks[3].headings, ElementsAre("A", "D"));
  EXPECT_EQ(chunks[2].text, "second");
  EXPECT_EQ(chunks[2].ordinal, 2);
  EXPECT_EQ(chunks[2].tokens, 2);
  EXPECT_EQ(EmbeddedText(chunks[2]), "A > B > C\nsecond");
}

TEST_F(ChunkerTest, HeadingWithoutTextIsFound) {
  auto chunks = Chunk("# A\n\n## B\n\n## C\n\ntext\n\n## D\n");
  ASSERT_THAT(chunks, SizeIs(3));
  EXPECT_EQ(chunks[0].text, "B");
  EXPECT_THAT(chunks[0].headings, ElementsAre("A"));
  EXPECT_EQ(chunks[1].text, "text");
  EXPECT_EQ(chunks[2].text, "D");
}

TEST_F(ChunkerTest, TableRowsKnowTheirColumns) {
  std::string markdown = "# T\n\n| Item | Price |\n|---|---|\n";
  for (int i = 0; i < 60; ++i) absl::StrAppend(&markdown, "| bolt", i, " | ", i, " |\n");
  auto chunks = Chunk(markdown);
  ASSERT_GT(chunks.size(), 2u);
  EXPECT_THAT(chunks[0].headings, ElementsAre("T"));
  EXPECT_THAT(chunks[0].text, HasSubstr("Item | Price\nbolt0 | 0\nbolt1 | 1"));
  EXPECT_THAT(chunks[1].headings, ElementsAre("T", "Item | Price"));
}

// `count` items of four tokens each.
std::string Items(int count) {
  std::string items;
  for (int i = 0; i < count; ++i) absl::StrAppend(&items, "- item w", i, "\n");
  return items;
}

TEST_F(ChunkerTest, AListThatFitsIsKeptWholeWithWhatAnnouncesIt) {
  const std::string before = "w1 w2 w3 w4 w5 w6 w7 w8 w9 w10 w11 w12 w13 w14 w15 w16 w17 w18 w19 w20.\n\n";
  auto chunks = Chunk(before + before + "You need:\n\n" + Items(10));
  ASSERT_THAT(chunks, SizeIs(2));
  EXPECT_THAT(chunks[0].text, EndsWith("w20."));
  EXPECT_THAT(chunks[1].text, StartsWith("You need:\n\n- item w0\n"));
  EXPECT_THAT(chunks[1].headings, IsEmpty());
  chunks = Chunk(before + before + "Nothing follows.\n\n" + Items(3));
  EXPECT_THAT(chunks[0].text, HasSubstr("follows."));
}

TEST_F(ChunkerTest, AListThatIsCutIsAnnouncedInEachOfItsChunks) {
  const std::string before = "w1 w2 w3 w4 w5 w6 w7 w8 w9 w10 w11 w12 w13 w14 w15 w16 w17 w18 w19 w20.\n\n";
  auto chunks = Chunk("# T\n\n" + before + before + "Each has a form. You need:\n\n" + Items(60) + "\nAfter it.\n");
  ASSERT_GT(chunks.size(), 3u);
  EXPECT_THAT(chunks[0].headings, ElementsAre("T"));
  int begun_inside = 0;
  for (const retrieval::Chunk& chunk : chunks) {
    EXPECT_THAT(chunk.text, Not(EndsWith("You need:"))) << "the announcement stands alone";
    if (!absl::StartsWith(chunk.text, "- ")) continue;
    ++begun_inside;
    EXPECT_THAT(chunk.headings, ElementsAre("T", "You need:"));
  }
  EXPECT_GT(begun_inside, 1);
}

TEST_F(ChunkerTest, WhatAnnouncesNoListIsNoHeadingOfIt) {
  auto chunks = Chunk("# T\n\nYou may bring what you like.\n\n" + Items(60));
  ASSERT_GT(chunks.size(), 2u);
  for (const retrieval::Chunk& chunk : chunks) EXPECT_THAT(chunk.headings, ElementsAre("T"));
}

// Each cell as "column: text"; a name of a column as "text".
std::vector<std::string> CellsOf(const retrieval::Chunk& chunk) {
  std::vector<std::string> cells;
  for (const retrieval::NamedCell& cell : chunk.cells) {
    const std::string text = chunk.text.substr(cell.begin, cell.end - cell.begin);
    cells.push_back(cell.column.empty() ? text : absl::StrCat(cell.column, ": ", text));
  }
  return cells;
}

TEST_F(ChunkerTest, CellsKnowTheNamesOfTheirColumns) {
  auto chunks = Chunk(
      "# T\n\nAbove.\n\n| Item | Price | |\n|---|---|---|\n| Bolt | 3 | x |\n| | 4 | |\n| Nut | | y |\n\nBelow | "
      "it.\n");
  ASSERT_THAT(chunks, SizeIs(1));
  EXPECT_THAT(CellsOf(chunks[0]), ElementsAre("Item", "Price", "Item: Bolt", "Price: 3", "Price: 4", "Item: Nut"));
}

TEST_F(ChunkerTest, NamesReachIntoEveryChunkOfATableAndEveryPieceOfACell) {
  std::string markdown = "| Item | Note |\n|---|---|\n";
  for (int i = 0; i < 30; ++i) absl::StrAppend(&markdown, "| bolt", i, " | ", i, " |\n");
  markdown += "| long |";
  for (int i = 0; i < 150; ++i) absl::StrAppend(&markdown, " w", i, ".");
  markdown += " |\n";
  auto chunks = Chunk(markdown);
  ASSERT_GT(chunks.size(), 4u);
  EXPECT_EQ(CellsOf(chunks[0])[1], "Note");
  for (size_t i = 1; i + 1 < chunks.size(); ++i) {
    ASSERT_FALSE(chunks[i].cells.empty()) << i;
    EXPECT_THAT(CellsOf(chunks[i]), Not(Contains("Item"))) << "there is no header";
  }
  EXPECT_THAT(CellsOf(chunks.back()), ElementsAre("Note: " + chunks.back().text)) << "the end of the long cell";
}

TEST_F(ChunkerTest, TablesSideBySideKeepTheirOwnNames) {
  const std::string row = "<tr><td>a<td>b</tr>";
  auto chunks =
      Chunk("<table><tr><th>A<th>B</tr>" + row + "</table><table>" + row + "</table><table><tr><th>C<th>D</tr>" + row +
                "</table><table><tr><th colspan=2>Over both</tr>" + row + "</table>",
            "a.html");
  ASSERT_THAT(chunks, SizeIs(1));
  EXPECT_THAT(CellsOf(chunks[0]), ElementsAre("A", "B", "A: a", "B: b", "C", "D", "C: a", "D: b", "Over both"));
}

// What character references bring back is removed behind the reader.
TEST_F(ChunkerTest, CellsAreWhereTheyAreOnceHiddenCharactersAreGone) {
  const std::string html =
      "<table><tr><th>A&zwnj;&shy;<th>B&#8203;b<th>C</tr><tr><td>&#8203;<td>o&shy;ne &amp; "
      "two<td>\u00e9&#x200d;3</tr></table>";
  auto chunks = Chunk(html, "a.html");
  ASSERT_THAT(chunks, SizeIs(1));
  EXPECT_THAT(CellsOf(chunks[0]), ElementsAre("A", "Bb", "C", "Bb: one & two", "C: \u00e93"));
}

TEST_F(ChunkerTest, SentencesAreNoNamesOfColumns) {
  const std::string sentence(101, 's');
  auto chunks = Chunk("| Item | " + sentence + " |\n|---|---|\n| Bolt | 3 |\n");
  ASSERT_THAT(chunks, SizeIs(1));
  EXPECT_THAT(CellsOf(chunks[0]), ElementsAre("Item", sentence, "Item: Bolt"));
}

// A few bytes of a file, a cell, must not become a hundred in each row.
TEST_F(ChunkerTest, NamesOfOneChunkHaveABound) {
  std::string header = "|", rule = "|", row = "|";
  for (int i = 0; i < 100; ++i) {
    absl::StrAppend(&header, "c", i, std::string(90, 'n'), "|");
    rule += "---|";
    row += "x|";
  }
  size_t named = 0, most = 0;
  for (const retrieval::Chunk& chunk : Chunk(header + "\n" + rule + "\n" + row + "\n" + row + "\n", "a.md", 1000)) {
    size_t bytes = 0;
    for (const retrieval::NamedCell& cell : chunk.cells) bytes += cell.column.size();
    named += bytes > 0;
    most = std::max(most, bytes);
  }
  EXPECT_GT(named, 0u);
  EXPECT_GT(most, 3'000u);
  EXPECT_LE(most, 4'096u);
}

TEST_F(ChunkerTest, CoversAllTextWithinTheLimit) {
  auto random = lastro::testing::SeededRandom(5);
  for (int tokens : {10, 60, 200, 1000}) {
    std::string markdown;
    for (int section = 0; section < 5; ++section) {
      absl::StrAppend(&markdown, "# Section ", section, "\n\n");
      for (int i = 0; i < 6; ++i) absl::StrAppend(&markdown, Paragraph(&random, 1 + random() % 12), "\n\n");
    }
    auto chunks = Chunk(markdown, "a.md", tokens);
    std::string all, expected;
    for (const Block& block : blocks_) {
      if (block.kind != BlockKind::kHeading) expected += block.content.text;
    }
    for (const retrieval::Chunk& chunk : chunks) all += chunk.text;
    EXPECT_EQ(Letters(all), Letters(expected));
  }
}

TEST_F(ChunkerTest, ChunksAreNearTheTargetAndEndWithSentences) {
  auto random = lastro::testing::SeededRandom(6);
  auto chunks = Chunk(Paragraph(&random, 100), "a.txt", 100);
  for (size_t i = 0; i + 1 < chunks.size(); ++i) {
    EXPECT_LE(chunks[i].tokens, 125);
    EXPECT_GE(chunks[i].tokens, 50);
    EXPECT_EQ(chunks[i].text.back(), '.');
  }
}

TEST_F(ChunkerTest, GiganticWordsAndLinesAreCut) {
  auto chunks = Chunk(std::string(300'000, 'x'), "a.txt", 60);
  EXPECT_GT(chunks.size(), 100u);
  std::string accents;
  for (int i = 0; i < 50'000; ++i) accents += "é";
  Chunk(accents, "a.txt", 60);
  std::string marks;
  for (int i = 0; i < 20'000; ++i) marks += "!?";
  Chunk(marks, "a.txt", 60);
}

TEST_F(ChunkerTest, LongHeadingsLeaveRoomForText) {
  std::string heading(2000, 'h');
  for (size_t i = 3; i < heading.size(); i += 4) heading[i] = ' ';
  auto chunks = Chunk("# " + heading + "\n\nbody text\n");
  ASSERT_THAT(chunks, SizeIs(1));
  EXPECT_LE(chunks[0].headings[0].size(), 300u);
}

TEST_F(ChunkerTest, EditChangesOnlyItsSection) {
  auto random = lastro::testing::SeededRandom(8);
  std::vector<std::string> sections;
  for (int i = 0; i < 6; ++i) {
    sections.push_back(absl::StrCat("# S", i, "\n\n", Paragraph(&random, 20), "\n\n", Paragraph(&random, 20), "\n\n"));
  }
  auto join = [&] {
    std::string all;
    for (const std::string& section : sections) all += section;
    return all;
  };
  std::set<std::string> before;
  for (const auto& chunk : Chunk(join())) before.insert(chunk.text_sha256);
  sections[2].insert(sections[2].find("Sentence"), "An entirely new sentence was put in here. ");
  for (const auto& chunk : Chunk(join())) {
    EXPECT_TRUE(chunk.headings[0] == "S2" || before.contains(chunk.text_sha256)) << chunk.text;
  }
}

TEST_F(ChunkerTest, CutsBehindAnEditFallAsBefore) {
  auto random = lastro::testing::SeededRandom(9);
  std::string text;
  for (int i = 0; i < 200; ++i) absl::StrAppend(&text, Paragraph(&random, 2), "\n\n");
  std::set<std::string> before;
  for (const auto& chunk : Chunk(text, "a.txt", 100)) before.insert(chunk.text_sha256);
  auto after = Chunk("A new first paragraph that was not there before.\n\n" + text, "a.txt", 100);
  size_t same = 0;
  for (const auto& chunk : after) same += before.contains(chunk.text_sha256);
  EXPECT_GT(same * 10, after.size() * 8) << same << " of " << after.size();
}

TEST_F(ChunkerTest, PagesAreNamedButNotEmbedded) {
  std::vector<Block> blocks(2);
  blocks[0].content = IdentityText("first");
  blocks[0].page = 3;
  blocks[1].content = IdentityText("second");
  blocks[1].page = 4;
  ASSERT_OK_AND_ASSIGN(auto chunks, ChunkBlocks(blocks, ChunkerOptions{}, &embedder_, CallContext()));
  ASSERT_THAT(chunks, SizeIs(1));
  EXPECT_THAT(chunks[0].headings, ElementsAre("pp. 3-4"));
  EXPECT_EQ(EmbeddedText(chunks[0]), chunks[0].text);
}

TEST_F(ChunkerTest, NoBlocksNoChunks) {
  ASSERT_OK_AND_ASSIGN(auto chunks, ChunkBlocks({}, ChunkerOptions{}, &embedder_, CallContext()));
  EXPECT_THAT(chunks, IsEmpty());
}

TEST_F(ChunkerTest, ModelThatTakesNothingIsRefused) {
  embedder_.max_tokens = 5;
  EXPECT_THAT(ChunkBlocks({}, ChunkerOptions{}, &embedder_, CallContext()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("only 5 tokens")));
}

TEST(VerifyTest, FindsEveryKindOfBrokenMap) {
  retrieval::Chunk good;
  good.text = "abc";
  good.segments = {{0, 3, 1, 3, true}};
  std::vector<retrieval::Chunk> chunks = {good};
  EXPECT_THAT(VerifyChunks(chunks, "xabc"), IsOk());
  EXPECT_THAT(VerifyChunks(chunks, "xabd"), StatusIs(absl::StatusCode::kInternal, HasSubstr("differs")));
  EXPECT_THAT(VerifyChunks(chunks, "xab"), StatusIs(absl::StatusCode::kInternal, HasSubstr("out of range")));
  chunks[0].segments = {{0, 2, 1, 2, true}, {1, 2, 2, 2, true}};
  EXPECT_THAT(VerifyChunks(chunks, "xabc"), StatusIs(absl::StatusCode::kInternal, HasSubstr("overlap")));
  chunks[0].segments = {{1, 2, 2, 2, true}};
  EXPECT_THAT(VerifyChunks(chunks, "xabc"), StatusIs(absl::StatusCode::kInternal, HasSubstr("no source")));
  chunks[0].segments = {{0, 3, UINT64_MAX, 3, true}};
  EXPECT_THAT(VerifyChunks(chunks, "xabc"), StatusIs(absl::StatusCode::kInternal, HasSubstr("out of range")));
}

}  // namespace
}  // namespace lastro::ingest
