// Scans of rows: every row is scored from its codes, in memory order, so that a scan runs at about the speed memory is
// read with. Thread-safe but for `top`, which is the caller's.
#pragma once

#include "retrieval/allowed_rows.h"
#include "retrieval/quantized_vectors.h"
#include "retrieval/top_candidates.h"

namespace lastro::retrieval {

// Offers all rows, those of `allowed` unless null, by certain upper bounds.
void ScanRows(const QuantizedVectors& vectors, const QueryVector& query, const AllowedRows* allowed, TopRows* top);
// The same of rows [range.begin, range.end).
void ScanRange(const QuantizedVectors& vectors, const QueryVector& query, RowRange range, TopRows* top);

}  // namespace lastro::retrieval
