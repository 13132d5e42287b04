#include "engine/constrained/automaton.h"

#include <algorithm>

#include "base/status_macros.h"

namespace lastro::engine::constrained {

NodeId Automaton::NewFinal() {
  const NodeId id = NewNode();
  nodes_[id].final = true;
  return id;
}

void Automaton::AddBytes(NodeId from, uint8_t low, uint8_t high, NodeId to) {
  nodes_[from].edges.push_back({Edge::Kind::kBytes, false, low, high, to, 0});
}

void Automaton::AddEmpty(NodeId from, NodeId to) {
  nodes_[from].edges.push_back({Edge::Kind::kEmpty, false, 0, 0, to, 0});
}

void Automaton::AddCall(NodeId from, NodeId callee, NodeId to, bool nests) {
  nodes_[from].edges.push_back({Edge::Kind::kCall, nests, 0, 0, to, callee});
}

NodeId Automaton::AddLiteral(NodeId from, absl::string_view text) {
  for (char byte : text) {
    const NodeId next = NewNode();
    AddBytes(from, static_cast<uint8_t>(byte), static_cast<uint8_t>(byte), next);
    from = next;
  }
  return from;
}

// A fixed point: grows until nothing changes.
std::vector<bool> Automaton::NodesThatEnd() const {
  std::vector<bool> ends(nodes_.size());
  for (bool changed = true; changed;) {
    changed = false;
    // Backwards, as most edges lead forwards.
    for (size_t i = nodes_.size(); i-- > 0;) {
      if (ends[i]) continue;
      ends[i] = nodes_[i].final || std::any_of(nodes_[i].edges.begin(), nodes_[i].edges.end(), [&](const Edge& edge) {
                  return ends[edge.target] && (edge.kind != Edge::Kind::kCall || ends[edge.callee]);
                });
      changed |= ends[i];
    }
  }
  return ends;
}

// A search, depth first and without recursion, over the steps that read nothing. A path is open while its end is on the
// stack; meeting an open node again is a loop.
absl::Status Automaton::CheckLeftRecursion() const {
  enum class Mark : uint8_t { kNew, kOpen, kDone };
  std::vector<Mark> marks(nodes_.size(), Mark::kNew);
  std::vector<std::pair<NodeId, size_t>> path;  // node, its next edge
  for (NodeId root = 0; root < nodes_.size(); ++root) {
    if (marks[root] == Mark::kNew) path.emplace_back(root, 0);
    while (!path.empty()) {
      auto& [id, next] = path.back();
      marks[id] = Mark::kOpen;
      if (next == nodes_[id].edges.size()) {
        marks[id] = Mark::kDone;
        path.pop_back();
        continue;
      }
      const Edge& edge = nodes_[id].edges[next++];
      if (edge.kind == Edge::Kind::kBytes) continue;
      const NodeId to = edge.kind == Edge::Kind::kCall ? edge.callee : edge.target;
      if (marks[to] == Mark::kOpen) {
        return absl::InvalidArgumentError("a definition refers to itself before anything of it is written");
      }
      if (marks[to] == Mark::kNew) path.emplace_back(to, 0);
    }
  }
  return absl::OkStatus();
}

absl::Status Automaton::Finish(NodeId start) {
  start_ = start;
  const std::vector<bool> ends = NodesThatEnd();
  if (!ends[start]) return absl::InvalidArgumentError("no text satisfies it");
  for (Node& node : nodes_) {
    auto leads_nowhere = [&](const Edge& edge) {
      return !ends[edge.target] || (edge.kind == Edge::Kind::kCall && !ends[edge.callee]);
    };
    node.edges.erase(std::remove_if(node.edges.begin(), node.edges.end(), leads_nowhere), node.edges.end());
  }
  return CheckLeftRecursion();
}

}  // namespace lastro::engine::constrained
