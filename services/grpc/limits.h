// Sizes that both ends of a gRPC connection of Lastro agree on.
#pragma once

#include <cstddef>

namespace lastro::services {

inline constexpr int kMaxRequestBytes = 64 << 20;
// A response may carry 64 MiB of logits and something around them.
inline constexpr int kMaxResponseBytes = kMaxRequestBytes + (1 << 20);
// Of the pieces that a large value is cut into for a stream.
inline constexpr size_t kStreamPieceBytes = 1 << 20;
// A document on its way into the store, with its chunks and vectors.
inline constexpr size_t kMaxStoredDocumentBytes = 512u << 20;

}  // namespace lastro::services
