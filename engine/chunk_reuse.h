// Reuse of keys and values at other positions, as an opt-in (RuntimeOptions::reuse_chunks): a retrieved chunk is
// computed once in its scope, and where a later prompt holds the same tokens at another place, its keys are rotated on
// to there.
//
// This is not exact: deeper layers have seen what stood before the chunk the first time, not what stands there now. The
// first kRecomputedTokens of each run are computed again, as attention leans on the beginning of what it reads (Hu et
// al. 2024, "EPIC"). BENCHMARKS.md has what it costs in accuracy. What was computed behind reused tokens is kept apart
// from what is exact: other prompts find it as chunks only, never as their beginning.
//
// So what a caller put before a chunk has a say in what later callers of the same scope are told of it, unlike with
// PrefixCache alone: for scopes whose callers may trust each other.
#pragma once

#include "engine/decoder_session.h"

namespace lastro::engine {

inline constexpr int64_t kLeastReusedRun = 64;    // tokens that are worth a piece of their own
inline constexpr int64_t kRecomputedTokens = 16;  // of each run, at its beginning

// Goes on with `session`, which holds the beginning of `prompt` as others of the scope left it, up to the end of the
// last run of prompt[0, limit) that is known: computes what is not. Gives how many tokens were not computed. From then
// on the session leaves what it holds to others of the scope. CANCELLED, DEADLINE_EXCEEDED. REQUIRES:
// core.reuse_chunks.
absl::StatusOr<int64_t> ReuseChunks(const KvScope& scope, absl::Span<const int32_t> prompt, int64_t limit,
                                    const CallContext& context, CachedSession* session);

}  // namespace lastro::engine
