#include "engine/chunk_reuse.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/status_macros.h"

namespace lastro::engine {
namespace {

// Where what follows reused tokens is kept.
KvScope ScopeOfInexact(const KvScope& scope) { return {scope.name, scope.version, /*exact=*/false}; }

// The runs of both scopes, what is exact first, the rest in what lies between; without their first kRecomputedTokens.
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
  for (KnownRun& run : runs) run.DropFirst(kRecomputedTokens);
  return runs;
}

// Goes on with what lies before `run`, then with it. RESOURCE_EXHAUSTED as Splice, or when what holds the runs takes
// the room that was promised.
absl::Status GoOn(const KvScope& scope, absl::Span<const int32_t> prompt, KnownRun run, bool exact,
                  const CallContext& context, CachedSession* session) {
  const size_t held = static_cast<size_t>(session->length()), begin = static_cast<size_t>(run.begin);
  LASTRO_RETURN_IF_ERROR(session->Extend(prompt.subspan(held, begin - held), LogitsOf::kNone, context, nullptr));
  if (exact) session->core().prefixes->Add(scope, prompt.first(begin), session->table());
  return session->Splice(std::move(run), context);
}

}  // namespace

absl::StatusOr<int64_t> ReuseChunks(const KvScope& scope, absl::Span<const int32_t> prompt, int64_t limit,
                                    const CallContext& context, CachedSession* session) {
  PrefixCache& cache = *session->core().prefixes;
  int64_t reused = 0;
  for (KnownRun& run : FindRuns(cache, scope, prompt, session->length(), limit)) {
    const int64_t begin = run.begin;
    const absl::Status status = GoOn(scope, prompt, std::move(run), reused == 0, context, session);
    reused += std::max<int64_t>(0, session->length() - begin);
    if (absl::IsResourceExhausted(status)) break;  // the rest is computed, when no runs are held any more
    LASTRO_RETURN_IF_ERROR(status);
  }
  const KvScope kept = reused == 0 ? scope : ScopeOfInexact(scope);
  const absl::Span<const int32_t> held = prompt.first(static_cast<size_t>(session->length()));
  cache.Add(kept, held, session->table());
  session->KeepFor(kept, held);
  return reused;
}

}  // namespace lastro::engine
