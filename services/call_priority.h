// How a call says over gRPC that nobody waits for it: request metadata "lastro-priority: background". It then computes
// after those that somebody waits for. Any other value, and none, is interactive.
#pragma once

namespace lastro::services {

inline constexpr char kPriorityHeader[] = "lastro-priority";
inline constexpr char kBackgroundPriority[] = "background";

}  // namespace lastro::services
