#include "retrieval/row_scan.h"

#include <algorithm>
#include <limits>

namespace lastro::retrieval {
namespace {

constexpr uint32_t kBlockRows = 256;  // scored at once
constexpr uint32_t kGroupRows = 16;   // compared at once
constexpr uint32_t kBlockGroups = kBlockRows / kGroupRows;
constexpr float kNoBound = -std::numeric_limits<float>::infinity();
static_assert(kBlockRows % kGroupRows == 0);

uint32_t GroupsOf(uint32_t rows) { return (rows + kGroupRows - 1) / kGroupRows; }

// Whether one of kGroupRows bounds is not below `worst`; without a branch, for hardly any is.
bool AnyReaches(const float* bounds, float worst) {
  int reached = 0;
  for (uint32_t i = 0; i < kGroupRows; ++i) reached |= bounds[i] >= worst ? 1 : 0;
  return reached != 0;
}

// Where coarse scores are faster, they tell first which groups of rows may have one to keep, while these are few.
class RowScan {
 public:
  RowScan(const QuantizedVectors& vectors, const QueryVector& query, TopRows* top)
      : vectors_(vectors), query_(query), top_(*top), may_be_coarse_(CoarseIsFaster()) {
    Choose();
  }

  void Scan(RowRange range) {
    for (uint32_t begin = range.begin; begin < range.end; begin += kBlockRows) {
      const uint32_t count = std::min(kBlockRows, range.end - begin);
      open_ += coarse_ ? LookCoarsely(begin, count) : Look(begin, count);
      groups_ += GroupsOf(count);
      if (groups_ >= kBlockGroups) Choose();
    }
  }

 private:
  static constexpr uint32_t kShareOpen = 4;  // coarse scores pay while no more than one in four groups is open

  void Choose() {
    coarse_ = may_be_coarse_ && top_.full() && kShareOpen * open_ <= groups_;
    open_ = groups_ = 0;
  }

  // Offers `count` rows from `begin` on. Gives the number of groups that coarse scores would most likely leave open.
  uint32_t Look(uint32_t begin, uint32_t count) {
    float bounds[kBlockRows];
    ScoreRange(query_.operand(), vectors_.rows(), begin, count, bounds);
    AddErrors(
        begin, count, [&](float error) { return query_.ErrorOf(error); }, bounds);
    return ForOpenGroups(bounds, count, query_.coarse_error(), [&](uint32_t first, uint32_t end) {
      for (uint32_t i = first; i < end; ++i) {
        if (bounds[i] >= top_.worst()) top_.Add({bounds[i], begin + i});
      }
    });
  }

  // The same, but of groups that are not open only the coarse scores are looked at.
  uint32_t LookCoarsely(uint32_t begin, uint32_t count) {
    float bounds[kBlockRows];
    ScoreRangeCoarsely(query_.coarse_operand(), vectors_.rows(), begin, count, bounds);
    AddErrors(
        begin, count, [&](float error) { return query_.CoarseErrorOf(error); }, bounds);
    return ForOpenGroups(bounds, count, 0, [&](uint32_t first, uint32_t end) { Look(begin + first, end - first); });
  }

  template <typename ErrorOf>
  void AddErrors(uint32_t begin, uint32_t count, const ErrorOf& error_of, float* bounds) const {
    const float* errors = vectors_.errors() + begin;
    for (uint32_t i = 0; i < count; ++i) bounds[i] += error_of(errors[i]);
    std::fill(bounds + count, bounds + GroupsOf(count) * kGroupRows, kNoBound);
  }

  // Calls visit(first, end) for the groups with a bound that is no more than `slack` below what is kept; how many.
  template <typename Visit>
  uint32_t ForOpenGroups(const float* bounds, uint32_t count, float slack, const Visit& visit) const {
    uint32_t open = 0;
    for (uint32_t first = 0; first < count; first += kGroupRows) {
      if (!AnyReaches(bounds + first, top_.worst() - slack)) continue;
      ++open;
      visit(first, std::min(first + kGroupRows, count));
    }
    return open;
  }

  const QuantizedVectors& vectors_;
  const QueryVector& query_;
  TopRows& top_;
  const bool may_be_coarse_;
  bool coarse_ = false;
  uint32_t groups_ = 0;  // looked at since coarse scores were chosen or not
  uint32_t open_ = 0;    // of these
};

}  // namespace

void ScanRange(const QuantizedVectors& vectors, const QueryVector& query, RowRange range, TopRows* top) {
  RowScan(vectors, query, top).Scan(range);
}

void ScanRows(const QuantizedVectors& vectors, const QueryVector& query, const AllowedRows* allowed, TopRows* top) {
  RowScan scan(vectors, query, top);
  if (allowed == nullptr) return scan.Scan({0, static_cast<uint32_t>(vectors.size())});
  for (const RowRange& range : allowed->ranges) scan.Scan(range);
}

}  // namespace lastro::retrieval
