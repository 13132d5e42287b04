// Fuzzes the reader of text extracted from PDF files. pdftotext itself runs in a process of its own and is not ours.
#include "base/utf8.h"
#include "ingest/pdf_reader.h"
#include "tests/fuzz/ingest_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string text = lastro::ReplaceInvalidUtf8(absl::string_view(reinterpret_cast<const char*>(data), size));
  auto blocks = lastro::ingest::ReadPdfText(text, lastro::CallContext());
  LASTRO_CHECK(blocks.ok());
  lastro::ingest::CheckChunks(*blocks, text);
  return 0;
}
