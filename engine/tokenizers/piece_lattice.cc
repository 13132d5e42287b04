#include "engine/tokenizers/piece_lattice.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace lastro::engine::tokenizers {

using Type = VocabularySpec::Type;

namespace {
constexpr float kScoreLimit = 100'000;
}

PieceLattice::PieceLattice(const VocabularySpec& spec, int32_t unknown_id) : spec_(spec), unknown_id_(unknown_id) {
  std::vector<PieceTrie::Entry> entries;
  float lowest = std::numeric_limits<float>::max();
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    const Type type = spec.types.empty() ? Type::kNormal : spec.types[id];
    if (type == Type::kNormal) lowest = std::min(lowest, spec.scores[id]);
    if (type == Type::kNormal || type == Type::kUserDefined) {
      entries.emplace_back(spec.tokens[id], static_cast<int32_t>(id));
    }
  }
  trie_ = PieceTrie(std::move(entries));
  unknown_score_ = lowest - static_cast<float>(kUnknownPenalty);
}

float PieceLattice::ScoreOf(int32_t id, size_t length) const {
  const size_t index = static_cast<size_t>(id);
  const bool user_defined = !spec_.types.empty() && spec_.types[index] == Type::kUserDefined;
  // Log-probabilities are negative: user-defined pieces always win, long ones over short ones.
  return user_defined ? static_cast<float>(0.1 * static_cast<double>(length - 1)) : spec_.scores[index];
}

void PieceLattice::Segment(absl::string_view text, std::vector<PathPiece>* pieces) const {
  std::vector<PathNode<float>> nodes;
  FindBestPaths<float>(
      text, trie_, [this](int32_t id, size_t length) { return ScoreOf(id, length); }, unknown_score_, unknown_id_,
      kScoreLimit, &nodes);
  ReadBestPath(nodes, pieces);
}

}  // namespace lastro::engine::tokenizers
