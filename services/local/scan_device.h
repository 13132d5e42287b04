// The retrieval::RowDevice of a GPU: an engine::VectorScan in the store's terms. Thread-safe.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "engine/vector_scan.h"
#include "retrieval/row_device.h"

namespace lastro::services {

// It outlives the rows that it loads. What the device refuses the CPU does; `report`, unless null, gets why, at most
// once in ten seconds, from any thread.
using DeviceReport = std::function<void(const absl::Status& status)>;
std::unique_ptr<retrieval::RowDevice> MakeScanDevice(std::unique_ptr<engine::VectorScan> scan, DeviceReport report);

}  // namespace lastro::services
