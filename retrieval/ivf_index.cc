#include "retrieval/ivf_index.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "base/status_macros.h"
#include "retrieval/row_scan.h"
#include "retrieval/row_threads.h"

namespace lastro::retrieval {
namespace {

constexpr size_t kProbedShare = 16;     // one of so many lists is looked into
constexpr size_t kFilteredProbes = 6;   // times as many with a filter, whose rows are farther away, and fewer to score
constexpr size_t kScoredPerWanted = 4;  // rows scored, at least, for each that is wanted
constexpr size_t kBlockRows = 256;

constexpr size_t kTrainingRows = 16384;
// What product codes leave over is no random direction: rows near a question have in common with it what codes do not
// tell. So many times as far from zero is its product (measured on overlapping subjects).
constexpr float kAlignedRest = 2;

}  // namespace

template <typename Score>
void IvfIndex::Probe(const QueryVector& query, bool filtered, size_t enough, const Score& score) const {
  const size_t probes = std::max(kLeastProbes, lists_.lists() / kProbedShare) * (filtered ? kFilteredProbes : 1);
  size_t probed = 0, scored = 0;
  for (const ScoredRow& list : centroids_.Ranked(query)) {
    if (probed++ >= probes && scored >= enough) return;
    scored += score(list.row, list.score);
  }
}

RowLists IvfIndex::UpdatedLists(const std::vector<RowRange>& kept, absl::Span<const uint32_t> added_lists) const {
  const std::vector<uint32_t> before = lists_.ListOfRow();
  std::vector<uint32_t> list_of_row;
  for (const RowRange& range : kept) {
    list_of_row.insert(list_of_row.end(), before.begin() + range.begin, before.begin() + range.end);
  }
  list_of_row.insert(list_of_row.end(), added_lists.begin(), added_lists.end());
  return RowLists(centroids_.size(), list_of_row);
}

// Which rows a search may find.
class RowFilter {
 public:
  RowFilter(size_t rows, const AllowedRows* allowed) {
    if (allowed != nullptr) bitmap_.emplace(rows, allowed->ranges);
  }
  bool Allows(uint32_t row) const { return !bitmap_.has_value() || bitmap_->Contains(row); }

 private:
  std::optional<RowBitmap> bitmap_;
};

// --- IvfSqIndex

IvfSqIndex::IvfSqIndex(QuantizedVectors vectors, Centroids centroids, RowLists lists, size_t made_for)
    : IvfIndex(std::move(centroids), std::move(lists), made_for), vectors_(std::move(vectors)) {}

std::unique_ptr<RowIndex> IvfSqIndex::Build(QuantizedVectors vectors, int threads) {
  Centroids centroids = Centroids::Train(vectors, threads);
  RowLists lists(centroids.size(), centroids.Assign(vectors, threads));
  const size_t rows = vectors.size();
  return std::unique_ptr<RowIndex>(new IvfSqIndex(std::move(vectors), std::move(centroids), std::move(lists), rows));
}

size_t IvfSqIndex::bytes() const {
  const size_t row = QuantizedVectors::BytesPerRow(vectors_.dimension());
  return (size() + centroids_.size()) * row + lists_.bytes();
}

RowIndex::Found IvfSqIndex::Search(const QueryVector& query, const AllowedRows* allowed, TopRows* top) const {
  const size_t enough = kScoredPerWanted * top->k();
  const size_t possible = allowed != nullptr ? allowed->count : size();
  if (possible <= std::max(enough, size() / kProbedShare)) {  // lists would score about as many rows
    ScanRows(vectors_, query, allowed, top);
    return Found::kCertain;
  }
  const RowFilter filter(size(), allowed);
  const CodeOperand operand = query.operand();
  const float likely = LikelyShare(query.dimension());
  Probe(query, allowed != nullptr, enough, [&](size_t list, float) {
    uint32_t rows[kBlockRows] = {};
    float scores[kBlockRows];
    size_t scored = 0, count = 0;
    auto flush = [&] {
      ScoreRows(operand, vectors_.rows(), rows, count, scores);
      for (size_t i = 0; i < count; ++i) {
        top->Add({scores[i] + query.ErrorOf(likely * vectors_.error(rows[i])), rows[i]});
      }
      scored += count;
      count = 0;
    };
    for (uint32_t row : lists_.RowsOf(list)) {
      rows[count] = row;
      count += filter.Allows(row);
      if (count == kBlockRows) flush();
    }
    flush();
    return scored;
  });
  return Found::kLikely;
}

std::unique_ptr<RowIndex> IvfSqIndex::Updated(const std::vector<RowRange>& kept, const QuantizedVectors& added,
                                              int threads) const {
  QuantizedVectors rows = KeptRows(vectors_, kept, added.size());
  rows.Append(added, 0, added.size());
  if (centroids_.size() == 0) return Build(std::move(rows), threads);
  RowLists lists = UpdatedLists(kept, centroids_.Assign(added, threads));
  return std::unique_ptr<RowIndex>(new IvfSqIndex(std::move(rows), centroids_, std::move(lists), made_for_));
}

void IvfSqIndex::Write(IndexSink sink) const {
  WriteNumber<uint64_t>(sink, made_for_);
  vectors_.Write(sink);
  centroids_.Write(sink);
  lists_.Write(sink);
}

absl::StatusOr<std::unique_ptr<RowIndex>> IvfSqIndex::Read(int dimension, size_t rows, IndexReader* reader) {
  uint64_t made_for = 0;
  QuantizedVectors vectors(dimension);
  RowLists lists;
  LASTRO_RETURN_IF_ERROR(reader->Read(&made_for));
  LASTRO_RETURN_IF_ERROR(QuantizedVectors::Read(reader, rows, &vectors));
  LASTRO_ASSIGN_OR_RETURN(Centroids centroids, Centroids::Read(dimension, reader));
  LASTRO_RETURN_IF_ERROR(lists.Read(reader, centroids.size(), rows));
  return std::unique_ptr<RowIndex>(
      new IvfSqIndex(std::move(vectors), std::move(centroids), std::move(lists), made_for));
}

// --- IvfPqIndex

namespace {

// What rows differ from their centroids by.
class Residuals {
 public:
  Residuals(const QuantizedVectors& vectors, absl::Span<const uint32_t> list_of_row, const Centroids& centroids)
      : vectors_(vectors),
        list_of_row_(list_of_row),
        centroids_(centroids),
        centroid_(static_cast<size_t>(vectors.dimension())) {}

  // out: [dimension]
  void Of(size_t row, float* out) {
    vectors_.Decode(row, out);
    centroids_.vectors().Decode(list_of_row_[row], centroid_.data());
    for (size_t i = 0; i < centroid_.size(); ++i) out[i] -= centroid_[i];
  }

 private:
  const QuantizedVectors& vectors_;
  const absl::Span<const uint32_t> list_of_row_;
  const Centroids& centroids_;
  std::vector<float> centroid_;
};

ProductQuantizer TrainQuantizer(const QuantizedVectors& vectors, Residuals residuals, int threads) {
  const size_t count = std::min(vectors.size(), kTrainingRows);
  auto rest = [&](size_t i, float* out) { residuals.Of(i * vectors.size() / count, out); };
  return ProductQuantizer::Train(vectors.dimension(), count, rest, threads);
}

float RootMeanSquare(const QuantizedVectors& vectors, Residuals residuals, const ProductQuantizer& quantizer) {
  const size_t count = std::min(vectors.size(), kTrainingRows);
  std::vector<uint8_t> code(quantizer.code_bytes());
  std::vector<float> rest(quantizer.padded_dimension()), decoded(rest.size());
  double sum = 0;
  for (size_t i = 0; i < count; ++i) {
    residuals.Of(i * vectors.size() / count, rest.data());
    quantizer.Encode(rest.data(), code.data());
    quantizer.Decode(code.data(), decoded.data());
    for (size_t k = 0; k < rest.size(); ++k) sum += (rest[k] - decoded[k]) * (rest[k] - decoded[k]);
  }
  return count == 0 ? 0 : static_cast<float>(std::sqrt(sum / static_cast<double>(count)));
}

}  // namespace

IvfPqIndex::IvfPqIndex(Centroids centroids, RowLists lists, size_t made_for, Quantizer quantizer, float error,
                       HugeArray<uint8_t> codes)
    : IvfIndex(std::move(centroids), std::move(lists), made_for),
      quantizer_(std::move(quantizer)),
      error_(error),
      codes_(std::move(codes)) {}

HugeArray<uint8_t> IvfPqIndex::Encode(const QuantizedVectors& vectors, absl::Span<const uint32_t> list_of_row,
                                      const Centroids& centroids, const ProductQuantizer& quantizer, int threads) {
  HugeArray<uint8_t> codes;
  codes.Resize(vectors.size() * quantizer.code_bytes());
  RowPieces pieces(0, vectors.size());
  OnThreads(threads, [&] {
    Residuals residuals(vectors, list_of_row, centroids);
    std::vector<float> rest(quantizer.padded_dimension());
    pieces.ForEach([&](uint32_t row) {
      residuals.Of(row, rest.data());
      quantizer.Encode(rest.data(), codes.data() + row * quantizer.code_bytes());
    });
  });
  return codes;
}

namespace {

// codes[i] of row i, in the order of the lists.
HugeArray<uint8_t> InListOrder(const RowLists& lists, const HugeArray<uint8_t>& codes, size_t code_bytes) {
  HugeArray<uint8_t> ordered;
  ordered.Reserve(codes.size());
  for (size_t list = 0; list < lists.lists(); ++list) {
    for (uint32_t row : lists.RowsOf(list)) ordered.Append(&codes[row * code_bytes], code_bytes);
  }
  return ordered;
}

}  // namespace

std::unique_ptr<RowIndex> IvfPqIndex::Build(const QuantizedVectors& vectors, int threads) {
  Centroids centroids = Centroids::Train(vectors, threads);
  const std::vector<uint32_t> list_of_row = centroids.Assign(vectors, threads);
  const Residuals residuals(vectors, list_of_row, centroids);
  auto quantizer = std::make_shared<const ProductQuantizer>(TrainQuantizer(vectors, residuals, threads));
  const float error = RootMeanSquare(vectors, residuals, *quantizer);
  const HugeArray<uint8_t> codes = Encode(vectors, list_of_row, centroids, *quantizer, threads);
  RowLists lists(centroids.size(), list_of_row);
  HugeArray<uint8_t> ordered = InListOrder(lists, codes, quantizer->code_bytes());
  return std::unique_ptr<RowIndex>(new IvfPqIndex(std::move(centroids), std::move(lists), vectors.size(),
                                                  std::move(quantizer), error, std::move(ordered)));
}

size_t IvfPqIndex::bytes() const {
  return codes_.capacity() + lists_.bytes() + quantizer_->bytes() +
         centroids_.size() * QuantizedVectors::BytesPerRow(centroids_.vectors().dimension());
}

RowIndex::Found IvfPqIndex::Search(const QueryVector& query, const AllowedRows* allowed, TopRows* top) const {
  const RowFilter filter(size(), allowed);
  if ((allowed != nullptr ? allowed->count : size()) <= top->k()) {  // whoever reads all needs no scores
    for (uint32_t row = 0; row < size(); ++row) {
      if (filter.Allows(row)) top->Add({std::numeric_limits<float>::max(), row});
    }
    return Found::kCertain;
  }
  std::vector<float> padded(quantizer_->padded_dimension()), products(code_bytes() * ProductQuantizer::kParts);
  std::copy_n(query.values(), query.dimension(), padded.begin());
  quantizer_->Products(padded.data(), products.data());
  const float likely = kAlignedRest * LikelyShare(query.dimension()) * error_;
  Probe(query, allowed != nullptr, kScoredPerWanted * top->k(), [&](size_t list, float centroid_score) {
    const uint8_t* code = codes_.data() + lists_.StartOf(list) * code_bytes();
    size_t scored = 0;
    for (uint32_t row : lists_.RowsOf(list)) {
      if (filter.Allows(row)) {
        float sums[4] = {centroid_score + likely, 0, 0, 0};
        for (size_t part = 0; part < code_bytes(); ++part) {
          sums[part % 4] += products[part * ProductQuantizer::kParts + code[part]];
        }
        top->Add({(sums[0] + sums[1]) + (sums[2] + sums[3]), row});
        ++scored;
      }
      code += code_bytes();
    }
    return scored;
  });
  return Found::kLikely;
}

std::unique_ptr<RowIndex> IvfPqIndex::Updated(const std::vector<RowRange>& kept, const QuantizedVectors& added,
                                              int threads) const {
  if (centroids_.size() == 0) return Build(added, threads);
  const std::vector<uint32_t> added_lists = centroids_.Assign(added, threads);
  const HugeArray<uint8_t> added_codes = Encode(added, added_lists, centroids_, *quantizer_, threads);
  HugeArray<uint8_t> by_row, codes;
  by_row.Resize(codes_.size());
  for (size_t list = 0, at = 0; list < lists_.lists(); ++list) {
    for (uint32_t row : lists_.RowsOf(list)) {
      std::copy_n(&codes_[at++ * code_bytes()], code_bytes(), &by_row[row * code_bytes()]);
    }
  }
  for (const RowRange& range : kept) {
    codes.Append(by_row.data() + range.begin * code_bytes(), (range.end - range.begin) * code_bytes());
  }
  codes.Append(added_codes.data(), added_codes.size());
  RowLists lists = UpdatedLists(kept, added_lists);
  HugeArray<uint8_t> ordered = InListOrder(lists, codes, code_bytes());
  return std::unique_ptr<RowIndex>(
      new IvfPqIndex(centroids_, std::move(lists), made_for_, quantizer_, error_, std::move(ordered)));
}

void IvfPqIndex::Write(IndexSink sink) const {
  WriteNumber<uint64_t>(sink, made_for_);
  WriteNumber(sink, error_);
  centroids_.Write(sink);
  lists_.Write(sink);
  quantizer_->Write(sink);
  WriteNumbers(sink, codes_.data(), codes_.size());
}

absl::StatusOr<std::unique_ptr<RowIndex>> IvfPqIndex::Read(int dimension, size_t rows, IndexReader* reader) {
  uint64_t made_for = 0;
  float error = 0;
  RowLists lists;
  HugeArray<uint8_t> codes;
  LASTRO_RETURN_IF_ERROR(reader->Read(&made_for));
  LASTRO_RETURN_IF_ERROR(reader->Read(&error));
  if (!(error >= 0 && error <= 4)) return absl::InvalidArgumentError("vector index: an error is out of range");
  LASTRO_ASSIGN_OR_RETURN(Centroids centroids, Centroids::Read(dimension, reader));
  LASTRO_RETURN_IF_ERROR(lists.Read(reader, centroids.size(), rows));
  LASTRO_ASSIGN_OR_RETURN(ProductQuantizer parts, ProductQuantizer::Read(dimension, reader));
  auto quantizer = std::make_shared<const ProductQuantizer>(std::move(parts));
  LASTRO_RETURN_IF_ERROR(reader->Read(rows * quantizer->code_bytes(), &codes));
  return std::unique_ptr<RowIndex>(
      new IvfPqIndex(std::move(centroids), std::move(lists), made_for, std::move(quantizer), error, std::move(codes)));
}

}  // namespace lastro::retrieval
