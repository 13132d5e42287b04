// Fuzzes decoding, normalisation, the markdown reader and the chunker.
#include "tests/fuzz/ingest_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lastro::ingest::CheckReader(data, size, "fuzz.md");
  return 0;
}
