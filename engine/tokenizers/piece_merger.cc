#include "engine/tokenizers/piece_merger.h"

#include <algorithm>
#include <optional>

#include "base/utf8.h"

namespace lastro::engine::tokenizers {

using Type = VocabularySpec::Type;

PieceMerger::PieceMerger(const VocabularySpec& spec, int32_t unknown_id, const PieceTrie& user_defined)
    : scores_(spec.scores), user_defined_(user_defined), unknown_id_(unknown_id) {
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    const Type type = spec.types.empty() ? Type::kNormal : spec.types[id];
    if (type != Type::kNormal && type != Type::kUserDefined && type != Type::kUnused) continue;
    pieces_.emplace(spec.tokens[id], Known{static_cast<int32_t>(id), type == Type::kUnused});
    longest_ = std::max(longest_, spec.tokens[id].size());
  }
}

// The merging of one text.
class PieceMerger::Merging {
 public:
  Merging(const PieceMerger& merger, absl::string_view text) : merger_(merger), text_(text) {}

  void Run(std::vector<PathPiece>* pieces) {
    Split();
    for (int32_t i = 0; i + 1 < static_cast<int32_t>(symbols_.size()); ++i) Offer(i, i + 1);
    while (!queue_.empty()) MergeNext();
    for (int32_t i = symbols_.empty() ? -1 : 0; i >= 0; i = At(i).next) Emit(At(i).begin, At(i).end, pieces);
  }

 private:
  struct Symbol {
    int32_t previous, next;  // -1 at the ends
    uint32_t begin, end;     // begin == end: merged into its neighbour
    bool frozen;             // user-defined
  };
  struct Candidate {
    float score;
    int32_t left, right;
    uint32_t size;  // bytes of both together, by which a stale candidate is told
  };
  static bool ComesLater(const Candidate& a, const Candidate& b) {
    return a.score < b.score || (a.score == b.score && a.left > b.left);
  }

  Symbol& At(int32_t index) { return symbols_[static_cast<size_t>(index)]; }
  absl::string_view Text(uint32_t begin, uint32_t end) const { return text_.substr(begin, end - begin); }

  // One symbol for each character and each user-defined piece.
  void Split() {
    for (uint32_t begin = 0; begin < text_.size();) {
      size_t length = 0;
      merger_.user_defined_.ForEachPrefix(text_.substr(begin),
                                          [&length](size_t matched, int32_t) { length = matched; });
      const bool frozen = length > 0;
      if (!frozen) length = DecodeRune(text_.substr(begin)).length;
      const int32_t index = static_cast<int32_t>(symbols_.size());
      const uint32_t end = begin + static_cast<uint32_t>(length);
      symbols_.push_back({index - 1, end < text_.size() ? index + 1 : -1, begin, end, frozen});
      begin = end;
    }
  }

  void Offer(int32_t left, int32_t right) {
    if (left < 0 || right < 0 || At(left).frozen || At(right).frozen) return;
    const uint32_t begin = At(left).begin, end = At(right).end;
    if (end - begin > merger_.longest_) return;
    auto piece = merger_.pieces_.find(Text(begin, end));
    if (piece == merger_.pieces_.end()) return;
    queue_.push_back({merger_.scores_[static_cast<size_t>(piece->second.id)], left, right, end - begin});
    std::push_heap(queue_.begin(), queue_.end(), ComesLater);
    if (piece->second.unused) parts_[piece->first] = At(left).end - begin;
  }

  void MergeNext() {
    std::pop_heap(queue_.begin(), queue_.end(), ComesLater);
    const Candidate top = queue_.back();
    queue_.pop_back();
    Symbol& left = At(top.left);
    Symbol& right = At(top.right);
    const bool stale = left.begin == left.end || right.begin == right.end ||
                       left.end - left.begin + right.end - right.begin != top.size;
    if (stale) return;
    left.end = right.end;
    left.next = right.next;
    right.begin = right.end;
    if (left.next >= 0) At(left.next).previous = top.left;
    Offer(left.previous, top.left);
    Offer(top.left, left.next);
  }

  // Appends the piece that is text [begin, end); an unused one in the parts it was last made of. Those are shorter, and
  // may be unused as well.
  void Emit(uint32_t begin, uint32_t end, std::vector<PathPiece>* pieces) {
    std::vector<uint32_t> ends = {end};  // of what is still to come, the next one last
    while (!ends.empty()) {
      end = ends.back();
      auto piece = merger_.pieces_.find(Text(begin, end));
      const bool known = piece != merger_.pieces_.end();
      if (known && piece->second.unused) {
        auto part = parts_.find(Text(begin, end));
        if (part != parts_.end()) {
          ends.push_back(begin + part->second);
          continue;
        }
      }
      pieces->push_back({known ? piece->second.id : merger_.unknown_id_, begin, end});
      ends.pop_back();
      begin = end;
    }
  }

  const PieceMerger& merger_;
  absl::string_view text_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> queue_;                            // a heap
  absl::flat_hash_map<absl::string_view, uint32_t> parts_;  // unused piece -> bytes of its left part
};

void PieceMerger::Segment(absl::string_view text, std::vector<PathPiece>* pieces) const {
  pieces->clear();
  Merging(*this, text).Run(pieces);
}

}  // namespace lastro::engine::tokenizers
