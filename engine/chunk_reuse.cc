#include "engine/chunk_reuse.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace lastro::engine {
namespace {

// Where what follows reused tokens is kept.
KvScope ScopeOfInexact(const KvScope& scope) { return {absl::StrCat(scope.name, "\ninexact"), scope.version}; }

// The runs of both scopes: what is exact first, the rest in what lies between.
std::vector<KnownRun> FindRuns(PrefixCache& cache, const KvScope& scope, absl::Span<const int32_t> prompt, int64_t from,
                               int64_t limit) {
  std::vector<KnownRun> runs;
  auto add_between = [&](int64_t begin, int64_t end) {
    for (KnownRun& run : cache.FindRuns(ScopeOfInexact(scope), prompt, begin, end, kLeastReusedRun)) {
      runs.push_back(std::move(run));
    }
  };
  for (KnownRun& run : cache.FindRuns(scope, prompt, from, limit, kLeastReusedRun)) {
    add_between(from, run.begin);
    from = run.begin + run.tokens;
    runs.push_back(std::move(run));
  }
  add_between(from, limit);
  return runs;
}

// The run without its first kRecomputedTokens.
void Shorten(int64_t block, KnownRun* run) {
  const int64_t blocks_before = run->position / block;
  run->begin += kRecomputedTokens;
  run->position += kRecomputedTokens;
  run->tokens -= kRecomputedTokens;
  BlockTable table(run->table.pool());
  table.Share(run->table.blocks().subspan(static_cast<size_t>(run->position / block - blocks_before)));
  run->table = std::move(table);
}

}  // namespace

absl::StatusOr<int64_t> ReuseChunks(const KvScope& scope, absl::Span<const int32_t> prompt, int64_t limit,
                                    const CallContext& context, CachedSession* session) {
  const DecoderCore& core = session->core();
  PrefixCache& cache = *core.prefixes;
  auto held = [&] { return prompt.first(static_cast<size_t>(session->length())); };
  int64_t reused = 0;
  for (KnownRun& run : FindRuns(cache, scope, prompt, session->length(), limit)) {
    Shorten(core.pool->shape().block_tokens, &run);
    const size_t fresh = static_cast<size_t>(run.begin) - held().size();
    LASTRO_RETURN_IF_ERROR(session->Extend(prompt.subspan(held().size(), fresh), LogitsOf::kNone, context, nullptr));
    if (reused == 0) cache.Add(scope, held(), session->table());  // exact so far
    const absl::Status spliced = session->Splice(run, context);
    if (absl::IsResourceExhausted(spliced)) break;  // what holds the runs takes room: the rest is computed
    LASTRO_RETURN_IF_ERROR(spliced);
    reused += run.tokens;
  }
  const KvScope kept = reused == 0 ? scope : ScopeOfInexact(scope);
  cache.Add(kept, held(), session->table());
  session->KeepFor(kept, held());
  return reused;
}

}  // namespace lastro::engine
