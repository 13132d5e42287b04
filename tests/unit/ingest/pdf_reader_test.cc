#include "ingest/pdf_reader.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "ingest/child_process.h"
#include "ingest/reader.h"
#include "tests/test_util.h"
#include "tests/unit/ingest/fakes.h"

namespace lastro::ingest {
namespace {

using ::lastro::testing::StatusIs;
using ::testing::HasSubstr;

// A one-page PDF file that shows `lines` in Helvetica.
std::string MakePdf(const std::vector<std::string>& lines) {
  std::string drawing = "BT /F1 12 Tf 72 720 Td 14 TL\n";
  for (const std::string& line : lines) absl::StrAppend(&drawing, "(", line, ") Tj T*\n");
  drawing += "ET";
  const std::vector<std::string> objects = {
      "<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
      "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
      absl::StrCat("<< /Length ", drawing.size(), " >>\nstream\n", drawing, "\nendstream"),
      "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"};
  std::string pdf = "%PDF-1.4\n", table;
  for (size_t i = 0; i < objects.size(); ++i) {
    std::string offset = std::to_string(pdf.size());
    absl::StrAppend(&table, std::string(10 - offset.size(), '0'), offset, " 00000 n \n");
    absl::StrAppend(&pdf, i + 1, " 0 obj\n", objects[i], "\nendobj\n");
  }
  size_t xref = pdf.size();
  absl::StrAppend(&pdf, "xref\n0 6\n0000000000 65535 f \n", table, "trailer << /Size 6 /Root 1 0 R >>\nstartxref\n",
                  xref, "\n%%EOF\n");
  return pdf;
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
