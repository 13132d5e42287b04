// Precompiled: a SentencePiece charsmap applied as the reference applies it: cluster by cluster, and where a cluster
// has six bytes or more or no rule, character by character. A rule need only match the start of the cluster or
// character and then replaces all of it.
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "engine/tokenizers/charsmap.h"
#include "engine/tokenizers/grapheme.h"
#include "engine/tokenizers/normalizer.h"

namespace lastro::engine::tokenizers {
namespace {

constexpr size_t kMaxClusterBytes = 5;  // of a cluster that is looked up as a whole

int CountRunes(absl::string_view text) {
  int count = 0;
  for (; !text.empty(); text.remove_prefix(DecodeRune(text).length)) ++count;
  return count;
}

class Precompiled : public Normalizer {
 public:
  explicit Precompiled(CharsMap map) : map_(std::move(map)) {}

  void Apply(AlignedText* text) const override {
    std::vector<RuneChange> changes;
    changes.reserve(text->text().size());
    bool changed = false;
    for (absl::string_view rest = text->text(); !rest.empty();) {
      absl::string_view cluster = rest.substr(0, FirstGraphemeLength(rest));
      rest.remove_prefix(cluster.size());
      if (cluster.size() <= kMaxClusterBytes && Rewrite(cluster, &changes)) {
        changed = true;
      } else {
        changed = RewriteRunes(cluster, &changes) || changed;
      }
    }
    if (changed) text->Transform(changes);
  }

 private:
  bool RewriteRunes(absl::string_view cluster, std::vector<RuneChange>* changes) const {
    bool changed = false;
    while (!cluster.empty()) {
      DecodedRune decoded = DecodeRune(cluster);
      if (Rewrite(cluster.substr(0, decoded.length), changes)) {
        changed = true;
      } else {
        changes->push_back({decoded.rune, 0});
      }
      cluster.remove_prefix(decoded.length);
    }
    return changed;
  }

  bool Rewrite(absl::string_view part, std::vector<RuneChange>* changes) const {
    std::optional<CharsMap::Rewrite> rule = map_.Shortest(part);
    if (!rule.has_value()) return false;
    const size_t first = changes->size();
    for (absl::string_view rest = rule->replacement; !rest.empty();) {
      DecodedRune decoded = DecodeRune(rest);
      changes->push_back({decoded.rune, 0});
      rest.remove_prefix(decoded.length);
    }
    const int grown = static_cast<int>(changes->size() - first) - CountRunes(part);
    for (int i = 0; i < grown; ++i) (*changes)[changes->size() - 1 - static_cast<size_t>(i)].change = 1;
    if (grown < 0 && !changes->empty()) changes->back().change += grown;
    return true;
  }

  CharsMap map_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Normalizer>> ParsePrecompiled(const JsonValue& component) {
  LASTRO_ASSIGN_OR_RETURN(std::string encoded, component.GetString("precompiled_charsmap", ""));
  std::string blob;
  if (!absl::Base64Unescape(encoded, &blob)) {
    return absl::InvalidArgumentError(absl::StrCat(component.path(), ".precompiled_charsmap is not base64"));
  }
  LASTRO_ASSIGN_OR_RETURN(CharsMap map, CharsMap::Parse(blob, component.path()));
  return std::unique_ptr<Normalizer>(std::make_unique<Precompiled>(std::move(map)));
}

}  // namespace lastro::engine::tokenizers
