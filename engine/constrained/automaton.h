// Automaton: a recursive transition network over bytes. A rule is a start node; from a node lead byte ranges, empty
// steps and calls of rules, which go on behind the call once the rule has ended. Built once, const afterwards.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lastro::engine::constrained {

using NodeId = uint32_t;

struct Edge {
  enum class Kind : uint8_t { kBytes, kEmpty, kCall };
  Kind kind;
  bool nests = false;         // of a call: one level deeper, see kMaxNesting
  uint8_t low = 0, high = 0;  // of kBytes, inclusive
  NodeId target = 0;          // of a call: where it goes on
  NodeId callee = 0;          // of a call: the start of the rule
};

struct Node {
  bool final = false;  // a rule ends here
  std::vector<Edge> edges;
};

// How deep calls that nest may stand in each other; deeper ones are not followed.
inline constexpr int kMaxNesting = 128;

class Automaton {
 public:
  const Node& node(NodeId id) const { return nodes_[id]; }
  size_t size() const { return nodes_.size(); }
  NodeId start() const { return start_; }

  // Building. Each adds edges behind `from`.
  NodeId NewNode() { return nodes_.emplace_back(), static_cast<NodeId>(nodes_.size() - 1); }
  NodeId NewFinal();
  void AddBytes(NodeId from, uint8_t low, uint8_t high, NodeId to);
  void AddEmpty(NodeId from, NodeId to);
  void AddCall(NodeId from, NodeId callee, NodeId to, bool nests = false);
  // The bytes of `text` in order; returns the node behind the last.
  NodeId AddLiteral(NodeId from, absl::string_view text);

  // Ends the building: what leads nowhere is removed. INVALID_ARGUMENT when no text is accepted, or when a rule calls
  // itself before it has read a byte.
  absl::Status Finish(NodeId start);

 private:
  std::vector<bool> NodesThatEnd() const;
  absl::Status CheckLeftRecursion() const;

  std::vector<Node> nodes_;
  NodeId start_ = 0;
};

}  // namespace lastro::engine::constrained
