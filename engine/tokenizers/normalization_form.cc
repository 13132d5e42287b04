// NFC, NFD, NFKC and NFKD over AlignedText: the algorithm of UAX #15, with each character's RuneChange carried along,
// as in the crate `unicode-normalization-alignments` that the reference uses.
#include <algorithm>
#include <optional>
#include <vector>

#include "engine/tokenizers/normalizer.h"
#include "engine/tokenizers/unicode.h"

namespace lastro::engine::tokenizers {
namespace {

struct ClassedRune {
  RuneChange change;
  int combining_class;
};

// Decomposed and canonically ordered.
std::vector<ClassedRune> Decompose(const std::string& text, bool compatibility) {
  std::vector<ClassedRune> runes;
  runes.reserve(text.size());
  std::vector<char32_t> parts;
  size_t pending = 0;  // where the current run of combining marks begins
  auto sort_pending = [&] {
    std::stable_sort(runes.begin() + static_cast<std::ptrdiff_t>(pending), runes.end(),
                     [](const ClassedRune& a, const ClassedRune& b) { return a.combining_class < b.combining_class; });
  };
  for (size_t at = 0; at < text.size();) {
    DecodedRune decoded = DecodeRune(absl::string_view(text).substr(at));
    at += decoded.length;
    parts.clear();
    AppendDecomposition(decoded.rune, compatibility, &parts);
    for (size_t i = 0; i < parts.size(); ++i) {
      int combining_class = CombiningClass(parts[i]);
      if (combining_class == 0) {
        sort_pending();
        pending = runes.size() + 1;
      }
      runes.push_back({{parts[i], i == 0 ? 0 : 1}, combining_class});
    }
  }
  pending = std::min(pending, runes.size());
  sort_pending();
  return runes;
}

// Composes what can be composed: a starter with each following mark that is not blocked.
class Composer {
 public:
  std::vector<RuneChange> Run(const std::vector<ClassedRune>& runes) {
    out_.reserve(runes.size());
    for (const ClassedRune& rune : runes) Push(rune);
    Flush();
    return std::move(out_);
  }

 private:
  void Push(const ClassedRune& rune) {
    if (!starter_.has_value()) {
      if (rune.combining_class != 0) {
        out_.push_back(rune.change);
      } else {
        starter_ = rune.change;
      }
      return;
    }
    bool blocked = last_class_.has_value() && *last_class_ >= rune.combining_class;
    char32_t composed = blocked ? 0 : Compose(starter_->rune, rune.change.rune);
    if (composed != 0) {
      starter_ = RuneChange{composed, starter_->change + rune.change.change - 1};
    } else if (rune.combining_class == 0) {
      Flush();
      starter_ = rune.change;
    } else {
      marks_.push_back(rune.change);
      last_class_ = rune.combining_class;
    }
  }

  void Flush() {
    if (starter_.has_value()) out_.push_back(*starter_);
    out_.insert(out_.end(), marks_.begin(), marks_.end());
    starter_.reset();
    marks_.clear();
    last_class_.reset();
  }

  std::optional<RuneChange> starter_;
  std::vector<RuneChange> marks_;  // after starter_, not composed
  std::optional<int> last_class_;
  std::vector<RuneChange> out_;
};

}  // namespace

void ApplyNormalizationForm(bool compatibility, bool composed, AlignedText* text) {
  if (IsNormalized(text->text(), compatibility, composed)) return;
  std::vector<ClassedRune> runes = Decompose(text->text(), compatibility);
  if (composed) {
    text->Transform(Composer().Run(runes));
    return;
  }
  std::vector<RuneChange> changes;
  changes.reserve(runes.size());
  for (const ClassedRune& rune : runes) changes.push_back(rune.change);
  text->Transform(changes);
}

}  // namespace lastro::engine::tokenizers
