// Matcher: where in an Automaton a text stands: every way to read it at once. Not thread-safe; one per text.
//
// A way is a node and a stack of calls to return to. Stacks share their lower parts and equal stacks have one number,
// so that a state is a short sorted list of pairs of numbers.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "engine/constrained/automaton.h"

namespace lastro::engine::constrained {

class Matcher {
 public:
  // The ways after some text; `accepts` when the text may end here.
  struct State {
    std::vector<std::pair<NodeId, uint32_t>> ways;  // (node with byte edges, stack), sorted, distinct
    bool accepts = false;
    bool dead() const { return ways.empty() && !accepts; }
    friend bool operator==(const State& a, const State& b) { return a.accepts == b.accepts && a.ways == b.ways; }
    template <typename H>
    friend H AbslHashValue(H h, const State& s) {
      return H::combine(std::move(h), s.ways, s.accepts);
    }
  };

  // `automaton` must outlive the matcher.
  explicit Matcher(const Automaton& automaton);

  const State& start() const { return start_; }

  // The state behind `byte`; dead when the byte cannot follow.
  State Next(const State& state, uint8_t byte);
  State Next(const State& state, absl::string_view bytes);

  // True once there were more ways or stacks than the limits allow; states since then lack some.
  bool exhausted() const { return exhausted_; }

 private:
  struct Stack {
    uint32_t below;
    NodeId returns_to;
    int nesting;
  };
  // Adds what can be reached from (node, stack) without reading, to state.
  void Close(NodeId node, uint32_t stack, State* state);
  uint32_t Push(uint32_t stack, NodeId returns_to, bool nests);
  void Sort(State* state);

  const Automaton& automaton_;
  std::vector<Stack> stacks_;  // 0 is the empty one
  absl::flat_hash_map<std::pair<uint32_t, NodeId>, uint32_t> stack_ids_;
  std::vector<std::pair<NodeId, uint32_t>> pending_;  // scratch of Close
  State start_;
  bool exhausted_ = false;
};

}  // namespace lastro::engine::constrained
