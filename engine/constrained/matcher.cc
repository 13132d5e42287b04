#include "engine/constrained/matcher.h"

#include <algorithm>

namespace lastro::engine::constrained {
namespace {

constexpr size_t kMaxWays = 4096;
constexpr size_t kMaxStacks = 1 << 20;
// Steps of one closure; a well-formed automaton needs few.
constexpr size_t kMaxSteps = 1 << 16;

}  // namespace

Matcher::Matcher(const Automaton& automaton) : automaton_(automaton) {
  stacks_.push_back({0, 0, 0});
  Close(automaton.start(), 0, &start_);
  Sort(&start_);
}

uint32_t Matcher::Push(uint32_t stack, NodeId returns_to, bool nests) {
  // A nesting call and one that does not, at the same place, differ in what they call only.
  auto [at, inserted] = stack_ids_.emplace(std::pair(stack, returns_to), static_cast<uint32_t>(stacks_.size()));
  if (inserted) stacks_.push_back({stack, returns_to, stacks_[stack].nesting + (nests ? 1 : 0)});
  return at->second;
}

void Matcher::Close(NodeId node, uint32_t stack, State* state) {
  pending_.assign(1, {node, stack});
  for (size_t steps = 0; !pending_.empty(); ++steps) {
    if (steps == kMaxSteps || stacks_.size() >= kMaxStacks || state->ways.size() > kMaxWays) {
      exhausted_ = true;
      return;
    }
    const auto [at, calls] = pending_.back();
    pending_.pop_back();
    const Node& here = automaton_.node(at);
    if (here.final && calls == 0) state->accepts = true;
    if (here.final && calls != 0) pending_.emplace_back(stacks_[calls].returns_to, stacks_[calls].below);
    bool reads = false;
    for (const Edge& edge : here.edges) {
      if (edge.kind == Edge::Kind::kBytes) {
        reads = true;
      } else if (edge.kind == Edge::Kind::kEmpty) {
        pending_.emplace_back(edge.target, calls);
      } else if (!edge.nests || stacks_[calls].nesting < kMaxNesting) {
        pending_.emplace_back(edge.callee, Push(calls, edge.target, edge.nests));
      }
    }
    if (reads) state->ways.emplace_back(at, calls);
  }
}

void Matcher::Sort(State* state) {
  std::sort(state->ways.begin(), state->ways.end());
  state->ways.erase(std::unique(state->ways.begin(), state->ways.end()), state->ways.end());
}

Matcher::State Matcher::Next(const State& state, uint8_t byte) {
  State next;
  for (const auto& [node, stack] : state.ways) {
    for (const Edge& edge : automaton_.node(node).edges) {
      if (edge.kind == Edge::Kind::kBytes && edge.low <= byte && byte <= edge.high) Close(edge.target, stack, &next);
    }
  }
  Sort(&next);
  return next;
}

Matcher::State Matcher::Next(const State& state, absl::string_view bytes) {
  State at = state;
  for (char byte : bytes) at = Next(at, static_cast<uint8_t>(byte));
  return at;
}

}  // namespace lastro::engine::constrained
