#include "ingest/pdf_reader.h"

#include <cmath>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "ingest/child_process.h"
#include "ingest/pdf_hidden.h"
#include "ingest/pdf_pages.h"
#include "ingest/reader.h"
#include "tests/test_util.h"
#include "tests/unit/ingest/fakes.h"

namespace lastro::ingest {
namespace {

using ::lastro::testing::StatusIs;
using ::testing::HasSubstr;

// A one-page PDF file, drawn by `drawing` with the font F1, Helvetica, and the image I, a fine pattern of black and
// white; `page`: more of the page's dictionary.
std::string DrawnPdf(const std::string& drawing, const std::string& page = "") {
  std::string pattern;
  for (int i = 0; i < 64 * 64; ++i) pattern += (i / 64 + i) % 2 == 0 ? "00" : "FF";
  const std::vector<std::string> objects = {
      "<< /Type /Catalog /Pages 2 0 R >>",
      "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
      absl::StrCat("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] ", page,
                   " /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> /XObject << /I 6 0 R >> >> >>"),
      absl::StrCat("<< /Length ", drawing.size(), " >>\nstream\n", drawing, "\nendstream"),
      "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
      absl::StrCat("<< /Type /XObject /Subtype /Image /Width 64 /Height 64 /ColorSpace /DeviceGray /BitsPerComponent 8 "
                   "/Filter /ASCIIHexDecode /Length ",
                   pattern.size() + 1, " >>\nstream\n", pattern, ">\nendstream")};
  std::string pdf = "%PDF-1.4\n", table;
  for (size_t i = 0; i < objects.size(); ++i) {
    std::string offset = std::to_string(pdf.size());
    absl::StrAppend(&table, std::string(10 - offset.size(), '0'), offset, " 00000 n \n");
    absl::StrAppend(&pdf, i + 1, " 0 obj\n", objects[i], "\nendobj\n");
  }
  size_t xref = pdf.size();
  absl::StrAppend(&pdf, "xref\n0 7\n0000000000 65535 f \n", table, "trailer << /Size 7 /Root 1 0 R >>\nstartxref\n",
                  xref, "\n%%EOF\n");
  return pdf;
}

// One that shows `lines`.
std::string MakePdf(const std::vector<std::string>& lines) {
  std::string drawing = "BT /F1 12 Tf 72 720 Td 14 TL\n";
  for (const std::string& line : lines) absl::StrAppend(&drawing, "(", line, ") Tj T*\n");
  return DrawnPdf(drawing + "ET");
}

// Draws `text` at a place, after `state`.
std::string Written(const std::string& state, const std::string& text, int x, int y, double size = 12) {
  return absl::StrCat("q ", state, " BT /F1 ", size, " Tf ", x, " ", y, " Td (", text, ") Tj ET Q\n");
}

class PdfReaderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (FindProgram("pdftotext").empty()) GTEST_SKIP() << "pdftotext is not installed";
  }
};

TEST_F(PdfReaderTest, ReadsTextWithPagesAndSource) {
  std::string pdf = MakePdf({"The first line of a page goes on", "to a second line of the same length."});
  ASSERT_OK_AND_ASSIGN(ReadResult read, ReadContent(pdf, "a.pdf", "", ReaderOptions(), CallContext()));
  EXPECT_EQ(read.source_kind, retrieval::SourceKind::kExtractedText);
  ASSERT_EQ(read.blocks.size(), 1u);
  EXPECT_EQ(read.blocks[0].content.text, "The first line of a page goes on to a second line of the same length.");
  EXPECT_EQ(read.blocks[0].page, 1);
  EXPECT_EQ(MapError(read.blocks[0].content, read.extracted), "");
}

TEST_F(PdfReaderTest, HiddenTextIsNotRead) {
  const std::string shown = Written("", "The harbour fee is due.", 72, 700);
  struct Case {
    const char* what;
    std::string drawing;
    std::string page = "";
  };
  const Case cases[] = {
      {"in the colour of the page", Written("1 g", "The zebra key", 72, 600)},
      {"almost in its colour", Written("0.99 g", "The zebra key", 72, 600)},
      {"in the colour of a box", "0.3 g 60 590 300 30 re f\n" + Written("0.3 g", "The zebra key", 72, 600)},
      {"invisibly", Written("3 Tr", "The zebra key", 72, 600)},
      {"as a clip", Written("7 Tr", "The zebra key", 72, 600)},
      {"clipped away", Written("0 0 10 10 re W n", "The zebra key", 72, 600)},
      {"covered", Written("", "The zebra key", 72, 600) + "1 g 60 590 300 30 re f\n"},
      {"too small", Written("", "The zebra key", 72, 600, 0.6)},
      {"of no size", Written("", "The zebra key", 72, 600, 0)},
      {"beside the page", Written("", "The zebra key", 700, 600)},
      {"beside what is shown of the page", Written("", "The zebra key", 72, 100), "/CropBox [0 400 612 792]"},
      {"on a page that is turned", Written("1 g", "The zebra key", 72, 600), "/Rotate 90"},
      {"behind words of its line", Written("", "See it", 72, 600) + Written("1 g", "zebra zebra", 120, 600)}};
  for (const Case& c : cases) {
    ASSERT_OK_AND_ASSIGN(std::string text, ExtractPdfText(DrawnPdf(shown + c.drawing, c.page), {}, CallContext()));
    EXPECT_THAT(text, HasSubstr("The harbour fee is due.")) << c.what;
    EXPECT_THAT(text, ::testing::Not(HasSubstr("zebra"))) << c.what;
    EXPECT_EQ(text.back(), '\f') << c.what;
  }
  EXPECT_THAT(ExtractPdfText(DrawnPdf(cases[0].drawing), {}, CallContext()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("shows no text")));
}

TEST_F(PdfReaderTest, ShownTextIsReadHoweverItIsDrawn) {
  const std::string hidden = Written("1 g", "zebra", 400, 50);
  const std::pair<const char*, std::string> cases[] = {
      {"white on dark", "0.2 g 60 590 300 30 re f\n" + Written("1 g", "The harbour fee", 72, 600)},
      {"pale", Written("0.85 g", "The harbour fee", 72, 600)},
      {"in small print", Written("", "The harbour fee", 72, 600, 5)},
      {"as an outline", Written("1 Tr", "The harbour fee", 72, 600)},
      {"in colour", Written("1 0.9 0 rg", "The harbour fee", 72, 600)},
      {"recognised in a scan", "q 400 0 0 100 60 560 cm /I Do Q\n" + Written("3 Tr", "The harbour fee", 72, 600)}};
  for (const auto& [what, drawing] : cases) {
    for (const std::string& beside : {std::string(), hidden}) {
      ASSERT_OK_AND_ASSIGN(std::string text, ExtractPdfText(DrawnPdf(drawing + beside), {}, CallContext()));
      EXPECT_EQ(text, beside.empty() ? "The harbour fee\n\n\f" : "The harbour fee\n\f") << what;
    }
  }
}

TEST_F(PdfReaderTest, APageThatHidesSomethingKeepsLinesAndBlocks) {
  const std::string pdf =
      DrawnPdf(Written("", "First line of a block & <more>,", 72, 700) + Written("", "and its second line.", 72, 686) +
               Written("1 g", "A zebra block.", 72, 640) + Written("", "Another block.", 72, 560));
  ASSERT_OK_AND_ASSIGN(std::string text, ExtractPdfText(pdf, PdfOptions(), CallContext()));
  EXPECT_EQ(text, "First line of a block & <more>,\nand its second line.\n\nAnother block.\n\f");
}

TEST(PdfPagesTest, OutputThatIsNoneIsAnError) {
  const std::string whole =
      "<html><doc> <page width=\"10.0\" height=\"20\"> <flow> <block xMin=\"1\" yMin=\"1\" xMax=\"2\" yMax=\"2\">"
      "<line xMin=\"1\" yMin=\"1\" xMax=\"2\" yMax=\"2\"><word xMin=\"1\" yMin=\"1.5\" xMax=\"2\" "
      "yMax=\"2\">a&amp;b</word></line></block></flow></page></doc>";
  ASSERT_OK_AND_ASSIGN(std::vector<PdfPage> pages, ParsePdfPages(whole));
  ASSERT_EQ(pages.size(), 1u);
  ASSERT_EQ(pages[0].words.size(), 1u);
  EXPECT_EQ(pages[0].words[0].text, "a&b");
  EXPECT_EQ(pages[0].words[0].box.top, 1.5);
  EXPECT_TRUE(pages[0].words[0].ends_line && pages[0].words[0].ends_block);
  EXPECT_EQ(pages[0].height, 20);
  for (size_t length = 0; length + 1 < whole.size(); ++length) {
    EXPECT_THAT(ParsePdfPages(whole.substr(0, length)),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("poppler's output")))
        << length;
  }
  ASSERT_OK_AND_ASSIGN(std::vector<PdfDrawing> drawings, ParsePdfDrawings("P5\n2 1\n255\nabP5\n1 1\n255\n\n"));
  ASSERT_EQ(drawings.size(), 2u);
  EXPECT_EQ(drawings[0].pixels, "ab");
  EXPECT_EQ(drawings[1].pixels, "\n");
  for (const char* bad : {"P5", "P6\n1 1\n255\na", "P5\n2 1\n255\na", "P5\n0 1\n255\n", "P5\n-1 -1\n255\na",
                          "P5\n99999 99999\n255\na", "P5\n1 1\n65535\naa", "P5\n1 1\n255"}) {
    EXPECT_THAT(ParsePdfDrawings(bad), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("image 1"))) << bad;
  }
}

// Boxes of any numbers are looked at within the drawing.
TEST(PdfHiddenTest, BoxesOfAnyNumbers) {
  const std::string pixels = {'\xFF', '\xFF', '\x00', '\xFF'};
  const PdfDrawing drawing = {2, 2, pixels};
  const PdfPage page = {20, 20, {}};
  auto hidden = [&](PdfBox box) { return IsHidden({"a", box}, page, &drawing); };
  EXPECT_FALSE(hidden({0, 0, 20, 20}));
  EXPECT_TRUE(hidden({10, 0, 20, 9}));
  EXPECT_TRUE(hidden({-1e300, 30, 1e300, 40}));
  EXPECT_TRUE(hidden({0, 0, NAN, 20}));
  EXPECT_TRUE(hidden({20, 20, 0, 0})) << "turned inside out";
  EXPECT_TRUE(hidden({-INFINITY, -INFINITY, INFINITY, INFINITY}));
  EXPECT_FALSE(IsHidden({"a", {10, 0, 20, 9}}, page, nullptr)) << "nothing is known of what shows";
  EXPECT_TRUE(IsHidden({"abcdefgh", {0, 0, 2, 1}}, page, nullptr));
}

TEST_F(PdfReaderTest, DamagedEmptyAndForeignFiles) {
  auto read = [](const std::string& bytes) { return ExtractPdfText(bytes, PdfOptions(), CallContext()); };
  EXPECT_THAT(read("plain text"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no PDF")));
  EXPECT_THAT(read("%PDF-1.4\ngarbage"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("")));
  EXPECT_THAT(read(MakePdf({})), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no text")));
}

TEST_F(PdfReaderTest, OutputIsCapped) {
  PdfOptions options;
  options.max_text_bytes = 100;
  EXPECT_THAT(ExtractPdfText(MakePdf(std::vector<std::string>(40, "many lines of text")), options, CallContext()),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("more than 100 bytes")));
}

TEST(PdfReaderWithoutProgramTest, SaysWhatIsMissing) {
  PdfOptions options;
  options.program = "/does/not/exist";
  EXPECT_THAT(ExtractPdfText("%PDF-1.4", options, CallContext()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/does/not/exist")));
}

TEST(ChildProcessTest, PassesInputAndOutputButNoEnvironment) {
  ASSERT_OK_AND_ASSIGN(ChildResult result,
                       RunChild({"/bin/sh", "-c", "cat; env | grep -v -e PWD -e _= -e SHLVL; echo bad >&2; exit 3"},
                                "in put", ChildLimits(), CallContext()));
  EXPECT_EQ(result.output, "in put");
  EXPECT_EQ(result.errors, "bad\n");
  EXPECT_EQ(result.exit_code, 3);
}

TEST(ChildProcessTest, IsKilledWithItsChildrenWhenTimeIsUp) {
  ChildLimits limits;
  limits.timeout_s = 0.2;
  EXPECT_THAT(RunChild({"/bin/sh", "-c", "sleep 1000 & sleep 1000"}, "", limits, CallContext()),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("0.2 s")));
}

TEST(ChildProcessTest, CancellationEndsIt) {
  CallContext context;
  context.Cancel();
  EXPECT_THAT(RunChild({"/bin/sleep", "1000"}, "", ChildLimits(), context),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("")));
}

TEST(ChildProcessTest, MemoryAndOutputAreLimited) {
  ChildLimits limits;
  limits.output_bytes = 1000;
  EXPECT_THAT(RunChild({"/bin/sh", "-c", "while :; do echo 0123456789; done"}, "", limits, CallContext()),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("1000")));
  limits = ChildLimits();
  limits.memory_bytes = 64u << 20;
  absl::StatusOr<ChildResult> result = RunChild(
      {"/bin/sh", "-c", "x=$(head -c 200000000 /dev/zero | tr '\\0' a); echo alive"}, "", limits, CallContext());
  EXPECT_FALSE(result.ok() && result->output == "alive\n");
}

TEST(ChildProcessTest, CrashIsAnError) {
  EXPECT_THAT(RunChild({"/bin/sh", "-c", "kill -SEGV $$"}, "", ChildLimits(), CallContext()),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("signal 11")));
}

}  // namespace
}  // namespace lastro::ingest
