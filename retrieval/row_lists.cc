#include "retrieval/row_lists.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"
#include "base/status_macros.h"
#include "retrieval/row_threads.h"

namespace lastro::retrieval {
namespace {

constexpr size_t kMaxLists = 65536;
constexpr size_t kSamplePerList = 32;
constexpr int kIterations = 8;

size_t ListCount(size_t rows) {
  const size_t wanted = static_cast<size_t>(4 * std::sqrt(static_cast<double>(rows)));
  return std::min({wanted, kMaxLists, rows});
}

// `count` rows at equal distances.
QuantizedVectors Sample(const QuantizedVectors& vectors, size_t count) {
  QuantizedVectors sample(vectors.dimension());
  sample.Reserve(count);
  for (size_t i = 0; i < count; ++i) {
    const size_t row = i * vectors.size() / count;
    sample.Append(vectors, row, row + 1);
  }
  return sample;
}

// The directions of the sums of the rows assigned to each centroid; one that got no row stays.
QuantizedVectors Means(const QuantizedVectors& sample, absl::Span<const uint32_t> assigned,
                       const QuantizedVectors& before) {
  const size_t n = static_cast<size_t>(sample.dimension());
  std::vector<float> sums(before.size() * n), row(n);
  for (size_t i = 0; i < sample.size(); ++i) {
    sample.Decode(i, row.data());
    float* sum = &sums[assigned[i] * n];
    for (size_t k = 0; k < n; ++k) sum[k] += row[k];
  }
  QuantizedVectors means(sample.dimension());
  means.Reserve(before.size());
  for (size_t list = 0; list < before.size(); ++list) {
    float* sum = &sums[list * n];
    const float length = std::sqrt(DotProduct(sum, sum, n));
    if (length > 1e-6f) {
      for (size_t k = 0; k < n; ++k) sum[k] /= length;
      means.Append(sum);
    } else {
      means.Append(before, list, list + 1);
    }
  }
  return means;
}

}  // namespace

Centroids Centroids::Train(const QuantizedVectors& vectors, int threads) {
  const size_t lists = ListCount(vectors.size());
  const QuantizedVectors sample = Sample(vectors, std::min(vectors.size(), kSamplePerList * lists));
  Centroids centroids(Sample(sample, lists));
  for (int i = 0; i < kIterations && lists > 0; ++i) {
    const std::vector<uint32_t> assigned = centroids.Assign(sample, threads);
    centroids = Centroids(Means(sample, assigned, centroids.vectors()));
  }
  return centroids;
}

std::vector<uint32_t> Centroids::Assign(const QuantizedVectors& vectors, int threads) const {
  LASTRO_CHECK(size() > 0 || vectors.size() == 0);
  std::vector<uint32_t> assigned(vectors.size());
  RowPieces pieces(0, vectors.size());
  OnThreads(threads, [&] {
    RowOperand operand(vectors);
    std::vector<float> scores(size());
    pieces.ForEach([&](uint32_t row) {
      ScoreRange(operand.Of(row), vectors_->rows(), 0, size(), scores.data());
      assigned[row] = static_cast<uint32_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
    });
  });
  return assigned;
}

std::vector<ScoredRow> Centroids::Ranked(const QueryVector& query) const {
  std::vector<float> scores(size());
  ScoreRange(query.operand(), vectors_->rows(), 0, size(), scores.data());
  std::vector<ScoredRow> ranked;
  ranked.reserve(size());
  for (size_t i = 0; i < size(); ++i) ranked.push_back({scores[i], static_cast<uint32_t>(i)});
  std::sort(ranked.begin(), ranked.end());
  return ranked;
}

void Centroids::Write(IndexSink sink) const {
  WriteNumber<uint64_t>(sink, size());
  vectors_->Write(sink);
}

absl::StatusOr<Centroids> Centroids::Read(int dimension, IndexReader* reader) {
  uint64_t lists = 0;
  LASTRO_RETURN_IF_ERROR(reader->Read(&lists));
  if (lists > kMaxLists) return absl::InvalidArgumentError("vector index: too many lists");
  QuantizedVectors vectors(dimension);
  LASTRO_RETURN_IF_ERROR(QuantizedVectors::Read(reader, lists, &vectors));
  return Centroids(std::move(vectors));
}

RowLists::RowLists(size_t lists, absl::Span<const uint32_t> list_of_row) {
  starts_.Resize(lists + 1);
  std::fill_n(starts_.data(), lists + 1, uint64_t{0});
  for (uint32_t list : list_of_row) ++starts_[list + 1];
  std::partial_sum(starts_.begin(), starts_.end(), starts_.data());
  std::vector<uint64_t> next(starts_.begin(), starts_.end());
  rows_.Resize(list_of_row.size());
  for (size_t row = 0; row < list_of_row.size(); ++row) rows_[next[list_of_row[row]]++] = static_cast<uint32_t>(row);
}

std::vector<uint32_t> RowLists::ListOfRow() const {
  std::vector<uint32_t> list_of_row(rows());
  for (size_t list = 0; list < lists(); ++list) {
    for (uint32_t row : RowsOf(list)) list_of_row[row] = static_cast<uint32_t>(list);
  }
  return list_of_row;
}

void RowLists::Write(IndexSink sink) const {
  WriteNumbers(sink, starts_.data(), starts_.size());
  WriteNumbers(sink, rows_.data(), rows_.size());
}

absl::Status RowLists::Read(IndexReader* reader, size_t lists, size_t rows) {
  const absl::Status bad = absl::InvalidArgumentError("vector index: the lists are malformed");
  LASTRO_RETURN_IF_ERROR(reader->Read(lists + 1, &starts_));
  LASTRO_RETURN_IF_ERROR(reader->Read(rows, &rows_));
  if (starts_[0] != 0 || starts_[lists] != rows || !std::is_sorted(starts_.begin(), starts_.end())) return bad;
  std::vector<bool> seen(rows);
  for (uint32_t row : rows_) {
    if (row >= rows || seen[row]) return bad;
    seen[row] = true;
  }
  return absl::OkStatus();
}

}  // namespace lastro::retrieval
