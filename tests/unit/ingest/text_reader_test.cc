#include "ingest/text_reader.h"

#include "ingest/language.h"
#include "ingest/pdf_reader.h"
#include "tests/test_util.h"
#include "tests/unit/ingest/fakes.h"

namespace lastro::ingest {
namespace {

using ::testing::ElementsAre;

std::vector<Block> Read(const std::string& text, const PlainTextOptions& options = {}) {
  absl::StatusOr<std::vector<Block>> blocks = ReadPlainText(text, options, CallContext());
  EXPECT_TRUE(blocks.ok());
  for (const Block& block : *blocks) EXPECT_EQ(MapError(block.content, text), "");
  return *blocks;
}

TEST(TextReaderTest, WrappedLinesJoinAndKeepTheirBytes) {
  std::string text =
      "This paragraph was wrapped by an editor at a width of\n"
      "   fifty or so columns, and so its lines must be joined.\n\nA second one.\n";
  std::vector<Block> blocks = Read(text);
  EXPECT_THAT(TextsOf(blocks),
              ElementsAre("This paragraph was wrapped by an editor at a width of fifty or so columns, and so its lines "
                          "must be joined.",
                          "A second one."));
  EXPECT_EQ(SourceOf(blocks[0].content, text, "of fifty"), "of\n   fifty");
}

TEST(TextReaderTest, ShortLinesStandForThemselves) {
  EXPECT_THAT(TextsOf(Read("Name: Ana\nPhone: 123\nCity: Porto\n")), ElementsAre("Name: Ana\nPhone: 123\nCity: Porto"));
}

TEST(TextReaderTest, ColumnsAreKeptApart) {
  std::string text =
      "Item name          Price in euro and cents          Stock\nBolt               3.50                 12\n";
  EXPECT_THAT(TextsOf(Read(text)), ElementsAre("Item name Price in euro and cents Stock\nBolt 3.50 12"));
}

TEST(TextReaderTest, Headings) {
  EXPECT_THAT(
      TextsOf(Read("Title\n=====\n\nPart\n----\nbody text\n\nALL ABOUT IT\n\nmore\n\n1.2 Scope of work\n\nend.\n")),
      ElementsAre("1:Title", "2:Part", "body text", "2:ALL ABOUT IT", "more", "3:1.2 Scope of work", "end."));
}

TEST(TextReaderTest, WhatOnlyLooksLikeAHeadingIsNone) {
  EXPECT_THAT(TextsOf(Read("STOP!\n\n1. Buy milk\n\nOK\n\n---\n")), ElementsAre("STOP!", "1. Buy milk", "OK", "---"));
}

TEST(TextReaderTest, ListItemsAreBlocks) {
  std::vector<Block> blocks = Read("- one\n- two\n  goes on\n3) three\n");
  EXPECT_THAT(TextsOf(blocks), ElementsAre("- one", "- two goes on", "3) three"));
  EXPECT_EQ(blocks[1].kind, BlockKind::kListItem);
}

TEST(TextReaderTest, GiganticLineAndManyLines) {
  EXPECT_EQ(Read(std::string(5 << 20, 'x')).size(), 1u);
  std::string lines;
  for (int i = 0; i < 200'000; ++i) lines += "ab\n";
  EXPECT_EQ(Read(lines).size(), 1u);
}

TEST(PdfTextTest, PagesAndHyphens) {
  std::string text =
      "A informação é guar-\ndada num cofre e torna-\nse segura; um guarda-chuva e outro guarda-\nchuva ficam.\n\f"
      "Second page with some more text on it.\n\f";
  ASSERT_OK_AND_ASSIGN(std::vector<Block> blocks, ReadPdfText(text, CallContext()));
  EXPECT_THAT(TextsOf(blocks),
              ElementsAre("A informação é guardada num cofre e torna-se segura; um guarda-chuva e outro guarda-chuva "
                          "ficam.",
                          "Second page with some more text on it."));
  EXPECT_EQ(blocks[0].page, 1);
  EXPECT_EQ(blocks[1].page, 2);
  for (const Block& block : blocks) EXPECT_EQ(MapError(block.content, text), "");
  EXPECT_EQ(SourceOf(blocks[0].content, text, "guardada"), "guar-\ndada");
}

TEST(PdfTextTest, TitleAndNumberedFirstLinesAreHeadings) {
  std::string text =
      "Dangerous Goods: Carriage\nOwner: the manager of the department, extension 7310.\n\n1. Who must read this\n"
      "This part is for clerks, planners and officers, and for all others.\n\n2. one of a list\n3. two of a list\n\f";
  ASSERT_OK_AND_ASSIGN(std::vector<Block> blocks, ReadPdfText(text, CallContext()));
  EXPECT_THAT(
      TextsOf(blocks),
      ElementsAre("1:Dangerous Goods: Carriage", "Owner: the manager of the department, extension 7310.",
                  "2:1. Who must read this", "This part is for clerks, planners and officers, and for all others.",
                  "2. one of a list", "3. two of a list"));
}

TEST(PdfTextTest, RunningHeadersAndFootersAreLeftOut) {
  std::string text =
      "The Manual\n\nFirst page has this text in it.\n\nManual, part 4 - page 1\n\f"
      "The Manual\n\nSecond page has that text in it.\n\nManual, part 4 - page 2\n\f";
  ASSERT_OK_AND_ASSIGN(std::vector<Block> blocks, ReadPdfText(text, CallContext()));
  EXPECT_THAT(TextsOf(blocks), ElementsAre("First page has this text in it.", "Second page has that text in it."));
}

TEST(PdfTextTest, HeadingAtTheFootOfAPage) {
  std::string text =
      "1. The first part\nIt has a line of text of its own, which is long enough.\n\n2. The second part\n\f"
      "Its text is on the other page of the same document.\n\f";
  ASSERT_OK_AND_ASSIGN(std::vector<Block> blocks, ReadPdfText(text, CallContext()));
  EXPECT_EQ(blocks[2].kind, BlockKind::kHeading);
}

TEST(LanguageTest, EnglishPortugueseAndUnknown) {
  using retrieval::Language;
  EXPECT_EQ(DetectLanguage("The cat sat on the mat and it was happy with that."), Language::kEnglish);
  EXPECT_EQ(DetectLanguage("O gato não está em casa, mas a porta ficou aberta para ele."), Language::kPortuguese);
  EXPECT_EQ(DetectLanguage("Der Hund ist nicht im Haus und die Katze auch nicht."), Language::kUnknown);
  EXPECT_EQ(DetectLanguage("El perro no está en la casa y el gato tampoco lo ha visto nunca."), Language::kUnknown);
  EXPECT_EQ(DetectLanguage("12345 67890"), Language::kUnknown);
  EXPECT_EQ(DetectLanguage(""), Language::kUnknown);
}

}  // namespace
}  // namespace lastro::ingest
