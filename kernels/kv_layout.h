// How the CPU keeps keys and values of a model's tokens: in blocks of kKvBlock tokens, in one of three precisions.
//
// G KV heads, D head width. Block b of a layer holds G heads, one behind the other, each of head_bytes():
//   keys   [D, kKvBlock], a vector over tokens per component, so that scores need no horizontal sums
//   values [kKvBlock, D]
// of fp32, fp16, or int8. Int8 codes are followed by fp32 scales, one for every kKvGroup components of a token (the
// last group may be smaller): of keys [groups, kKvBlock], of values [kKvBlock, groups]. Nothing is aligned but to four
// bytes.
#pragma once

#include <cstdint>

namespace lastro::kernels {

enum class KvType { kF32, kF16, kInt8 };

inline constexpr int64_t kKvBlock = 16;
inline constexpr int64_t kKvGroup = 32;

constexpr int64_t KvGroups(int64_t head_dim) { return (head_dim + kKvGroup - 1) / kKvGroup; }

// Of one head's key, or value, of one token.
constexpr int64_t KvVectorBytes(KvType type, int64_t head_dim) {
  switch (type) {
    case KvType::kF32:
      return 4 * head_dim;
    case KvType::kF16:
      return 2 * head_dim;
    case KvType::kInt8:
      return head_dim + 4 * KvGroups(head_dim);
  }
  return 0;
}

// One layer; not owned.
struct KvView {
  uint8_t* k;
  uint8_t* v;
  KvType type;
  int64_t kv_heads;  // G
  int64_t head_dim;  // D

  int64_t head_bytes() const { return kKvBlock * KvVectorBytes(type, head_dim); }
  int64_t block_bytes() const { return kv_heads * head_bytes(); }
  uint8_t* Keys(int64_t block, int64_t head) const { return k + block * block_bytes() + head * head_bytes(); }
  uint8_t* Values(int64_t block, int64_t head) const { return v + block * block_bytes() + head * head_bytes(); }
};

}  // namespace lastro::kernels
