// A store of many chunks, measured: searches alone, beside ingestion, and while a tenth of the documents is deleted and
// the index made smaller; every hit is checked against what was deleted before its search began.
#pragma once

#include <cstddef>
#include <string>

namespace lastro::bench {

// Prints the figures; 1 when a search failed or found what is not there. kind: see retrieval/index_kind.h.
int BenchStore(size_t chunks, const std::string& kind);

}  // namespace lastro::bench
