// The inner products behind every dense score of the store, in the widest SIMD the machine has (Highway's run-time
// choice; LASTRO_SIMD=scalar takes the plain versions). Thread-safe.
//
// DotProduct is the one product of stored vectors with a query, so that the same pair always has the same score.
// ScoreRange and ScoreRows are products over rows of codes (see quantized_vectors.h), many rows a call: four rows meet
// each part of the query that was loaded, while the next are fetched. VNNI where the CPU has it, else 16-bit products.
// Of these, ScoreRangeCoarsely makes do with a third, for a look that tells which rows are worth scoring.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lastro::retrieval {

// sum of a[i] * b[i] over i < n; a, b: [n], any alignment.
float DotProduct(const float* a, const float* b, size_t n);

// Rows of codes c in [-127, 127], each kept as the byte c + 128, and a scale for each row.
struct CodeRows {
  const uint8_t* codes = nullptr;  // [rows, stride], aligned to kCodeAlignment
  const float* scales = nullptr;   // [rows]
  size_t stride = 0;               // a multiple of kCodeAlignment
};
inline constexpr size_t kCodeAlignment = 64;

// The other side: whole numbers w in [-kMaxWide, kMaxWide], also as w = 128 high + low.
struct CodeOperand {
  const int16_t* wide = nullptr;  // [2, stride / 2]: w of even places, then of odd ones
  const int8_t* high = nullptr;   // [stride]
  const int8_t* low = nullptr;    // [stride]; null: all zero
  int64_t sum = 0;                // of w
  float scale = 0;
};
inline constexpr int kMaxWide = 127 * 128;

// The other side in fewer bits: whole numbers w in [-127, 127]. Of kCoarseGroup places in a row, a lane of 16 bits sums
// up what meets the eight whose remainders by kCoarseVector have the same half. The positive ones of each such eight
// are kMaxCoarseSum together at most, and the negative ones, so that no sum goes beyond 16 bits.
struct CoarseOperand {
  const int8_t* numbers = nullptr;  // [stride]
  int64_t sum = 0;                  // of w
  float scale = 0;
};
inline constexpr size_t kCoarseGroup = 128;
inline constexpr size_t kCoarseVector = 32;
inline constexpr int kMaxCoarseSum = 128;  // bytes of rows are up to 255, and 255 * 128 < 2^15

// out[i] = operand.scale * rows.scales[r] * (the sum of w[k] * c[r][k]) with r = begin + i, for i < count.
void ScoreRange(const CodeOperand& operand, const CodeRows& rows, size_t begin, size_t count, float* out);
// The same with r = indices[i].
void ScoreRows(const CodeOperand& operand, const CodeRows& rows, const uint32_t* indices, size_t count, float* out);
// As ScoreRange. Right on every CPU, but faster than that only where CoarseIsFaster.
void ScoreRangeCoarsely(const CoarseOperand& operand, const CodeRows& rows, size_t begin, size_t count, float* out);
bool CoarseIsFaster();

// Which column of `columns`, [kPartNumbers, kPartColumns], is nearest to x, [kPartNumbers], by Euclidean distance; of
// several the first (see product_quantizer.h).
inline constexpr size_t kPartNumbers = 8;
inline constexpr size_t kPartColumns = 256;
uint32_t NearestColumn(const float* x, const float* columns);

enum class SimdLimit { kNone, kNoVnni, kScalar };
// In place of what LASTRO_SIMD says; not while others compute. Highway's targets are limited by hwy::DisableTargets.
void SetSimdLimitForTest(SimdLimit limit);

}  // namespace lastro::retrieval
