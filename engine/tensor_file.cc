#include "engine/tensor_file.h"

#include <iterator>

namespace lastro::engine {
namespace {

struct TypeRow {
  StoredType type;
  const char* name;
  BlockSize block;
};

// In the order of the enumeration.
constexpr TypeRow kTypes[] = {
    {StoredType::kF64, "F64", {1, 8}},       {StoredType::kF32, "F32", {1, 4}},
    {StoredType::kF16, "F16", {1, 2}},       {StoredType::kBF16, "BF16", {1, 2}},
    {StoredType::kI64, "I64", {1, 8}},       {StoredType::kI32, "I32", {1, 4}},
    {StoredType::kI16, "I16", {1, 2}},       {StoredType::kI8, "I8", {1, 1}},
    {StoredType::kU8, "U8", {1, 1}},         {StoredType::kBool, "BOOL", {1, 1}},
    {StoredType::kQ4_0, "Q4_0", {32, 18}},   {StoredType::kQ4_1, "Q4_1", {32, 20}},
    {StoredType::kQ5_0, "Q5_0", {32, 22}},   {StoredType::kQ5_1, "Q5_1", {32, 24}},
    {StoredType::kQ8_0, "Q8_0", {32, 34}},   {StoredType::kQ2_K, "Q2_K", {256, 84}},
    {StoredType::kQ3_K, "Q3_K", {256, 110}}, {StoredType::kQ4_K, "Q4_K", {256, 144}},
    {StoredType::kQ5_K, "Q5_K", {256, 176}}, {StoredType::kQ6_K, "Q6_K", {256, 210}},
    {StoredType::kMXFP4, "MXFP4", {32, 17}},
};

constexpr bool InOrder() {
  for (size_t i = 0; i < std::size(kTypes); ++i) {
    if (static_cast<size_t>(kTypes[i].type) != i) return false;
  }
  return true;
}
static_assert(InOrder());

const TypeRow& RowOf(StoredType type) { return kTypes[static_cast<size_t>(type)]; }

}  // namespace

BlockSize BlockOf(StoredType type) { return RowOf(type).block; }
absl::string_view NameOf(StoredType type) { return RowOf(type).name; }

}  // namespace lastro::engine
