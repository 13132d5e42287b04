// RowDevice: memory beside the CPU's, a GPU's, in which the codes of exact indexes lie and are scanned faster than the
// CPU reads them. What is found there is what a scan by the CPU finds, bound for bound. Thread-safe.
#pragma once

#include <cstddef>
#include <memory>

#include "retrieval/allowed_rows.h"
#include "retrieval/quantized_vectors.h"
#include "retrieval/top_candidates.h"

namespace lastro::retrieval {

// The rows of one index there. Immutable.
class DeviceRows {
 public:
  virtual ~DeviceRows() = default;
  // Offers to `top` what ScanRows (row_scan.h) would keep in it. False, with nothing offered: the device failed, or
  // does not find so many.
  virtual bool Scan(const QueryVector& query, const AllowedRows* allowed, TopRows* top) const = 0;
};

class RowDevice {
 public:
  virtual ~RowDevice() = default;
  // Whether so many rows fit, once those of `instead_of`, unless null, are gone.
  virtual bool HasRoom(size_t rows, int dimension, const DeviceRows* instead_of) const = 0;
  // Null where there is no room, or the device failed. `vectors` are read during the call only.
  virtual std::shared_ptr<const DeviceRows> Load(const QuantizedVectors& vectors) = 0;
};

}  // namespace lastro::retrieval
