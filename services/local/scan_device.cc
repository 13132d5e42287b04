#include "services/local/scan_device.h"

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"

namespace lastro::services {
namespace {

using retrieval::AllowedRows;
using retrieval::CodeOperand;
using retrieval::QuantizedVectors;
using retrieval::QueryVector;
using retrieval::RowBitmap;
using retrieval::TopRows;

// Reports the first failure at once and then hardly any.
class FailureReport {
 public:
  explicit FailureReport(DeviceReport report) : report_(std::move(report)) {}

  void Note(const absl::Status& status) {
    {
      absl::MutexLock lock(&mutex_);
      const absl::Time now = absl::Now();
      if (report_ == nullptr || now < next_) return;
      next_ = now + absl::Seconds(10);
    }
    report_(status);
  }

 private:
  const DeviceReport report_;
  absl::Mutex mutex_;
  absl::Time next_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

class ScannedRows : public retrieval::DeviceRows {
 public:
  ScannedRows(std::unique_ptr<engine::VectorScan::Rows> rows, size_t size, size_t stride, FailureReport* report)
      : rows_(std::move(rows)), size_(size), stride_(stride), report_(*report) {}

  int64_t bytes() const { return rows_->bytes(); }

  bool Scan(const QueryVector& query, const AllowedRows* allowed, TopRows* top) const override {
    if (top->k() > engine::VectorScan::kMostWanted) return false;
    const CodeOperand operand = query.operand();
    engine::ScanQuery scan;
    scan.high = {operand.high, stride_};
    scan.low = {operand.low, stride_};
    scan.scale = operand.scale;
    scan.slack = QueryVector::kNormSlack;
    scan.error = query.error();
    scan.wanted = top->k();
    const RowBitmap bitmap = allowed != nullptr ? RowBitmap(size_, allowed->ranges) : RowBitmap(0, {});
    scan.allowed = bitmap.words();
    absl::StatusOr<std::vector<engine::ScannedRow>> found = rows_->Best(scan);
    if (!found.ok()) {
      report_.Note(found.status());
      return false;
    }
    for (const engine::ScannedRow& row : *found) top->Add({row.bound, row.row});
    return true;
  }

 private:
  const std::unique_ptr<engine::VectorScan::Rows> rows_;
  const size_t size_, stride_;
  FailureReport& report_;
};

class ScanDevice : public retrieval::RowDevice {
 public:
  ScanDevice(std::unique_ptr<engine::VectorScan> scan, DeviceReport report)
      : scan_(std::move(scan)), report_(std::move(report)) {}

  bool HasRoom(size_t rows, int dimension, const retrieval::DeviceRows* instead_of) const override {
    const auto stride = static_cast<int64_t>(QuantizedVectors(dimension).rows().stride);
    const auto* old = static_cast<const ScannedRows*>(instead_of);
    return scan_->BytesOf(static_cast<int64_t>(rows), stride) <=
           scan_->free_bytes() + (old != nullptr ? old->bytes() : 0);
  }

  std::shared_ptr<const retrieval::DeviceRows> Load(const QuantizedVectors& vectors) override {
    const retrieval::CodeRows codes = vectors.rows();
    absl::StatusOr<std::unique_ptr<engine::VectorScan::Rows>> rows =
        scan_->Load({codes.codes, codes.scales, vectors.errors(), static_cast<int64_t>(vectors.size()),
                     static_cast<int64_t>(codes.stride)});
    if (rows.ok()) return std::make_shared<ScannedRows>(*std::move(rows), vectors.size(), codes.stride, &report_);
    report_.Note(rows.status());
    return nullptr;
  }

 private:
  const std::unique_ptr<engine::VectorScan> scan_;
  FailureReport report_;
};

}  // namespace

std::unique_ptr<retrieval::RowDevice> MakeScanDevice(std::unique_ptr<engine::VectorScan> scan, DeviceReport report) {
  return std::make_unique<ScanDevice>(std::move(scan), std::move(report));
}

}  // namespace lastro::services
