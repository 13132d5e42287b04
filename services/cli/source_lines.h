// Line numbers of citations: read from the sources themselves, since the store knows bytes only.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "base/call_context.h"
#include "lastro/v1/ask.pb.h"
#include "services/api.h"

namespace lastro::services {

// Lines from 1, both included; {0, 0}: unknown.
struct LineRange {
  int64_t first = 0;
  int64_t last = 0;
};

// The lines of each citation. Unknown where the source cannot be read any more, has changed, is in an encoding of wide
// units (UTF-16, UTF-32), or where the citation lies beyond its first 32 MiB.
std::vector<LineRange> FindLines(absl::Span<const v1::Citation> citations, const std::string& collection,
                                 RetrievalApi& retrieval, const CallContext& context);

}  // namespace lastro::services
