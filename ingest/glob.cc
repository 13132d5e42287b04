#include "ingest/glob.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace lastro::ingest {
namespace {

// Which prefixes of `path` the pattern read so far matches, as a vector of flags: one step for each pattern element.
class Matcher {
 public:
  explicit Matcher(absl::string_view path) : path_(path), reached_(path.size() + 1, false) { reached_[0] = true; }

  void Character(char c) {
    for (size_t i = path_.size(); i > 0; --i) reached_[i] = reached_[i - 1] && path_[i - 1] == c;
    reached_[0] = false;
  }

  void AnyCharacter() {
    for (size_t i = path_.size(); i > 0; --i) reached_[i] = reached_[i - 1] && path_[i - 1] != '/';
    reached_[0] = false;
  }

  void Star(bool crosses_folders) {
    for (size_t i = 1; i <= path_.size(); ++i) {
      reached_[i] = reached_[i] || (reached_[i - 1] && (crosses_folders || path_[i - 1] != '/'));
    }
  }

  // "**/": nothing, or any number of whole folders.
  void Folders() {
    bool open = false;
    for (size_t i = 0; i <= path_.size(); ++i) {
      bool behind_slash = i > 0 && path_[i - 1] == '/';
      open = open || reached_[i];
      reached_[i] = reached_[i] || (open && behind_slash);
    }
  }

  bool Matches() const { return reached_[path_.size()]; }

 private:
  const absl::string_view path_;
  std::vector<bool> reached_;
};

}  // namespace

bool MatchesGlob(absl::string_view pattern, absl::string_view path) {
  absl::ConsumePrefix(&pattern, "./");
  bool name_only = !absl::StrContains(pattern, "/");
  if (name_only) path = path.substr(path.rfind('/') == absl::string_view::npos ? 0 : path.rfind('/') + 1);
  absl::ConsumePrefix(&pattern, "/");
  Matcher matcher(path);
  while (!pattern.empty()) {
    if (absl::ConsumePrefix(&pattern, "**/")) {
      matcher.Folders();
    } else if (absl::ConsumePrefix(&pattern, "**")) {
      matcher.Star(true);
    } else if (absl::ConsumePrefix(&pattern, "*")) {
      matcher.Star(false);
    } else if (absl::ConsumePrefix(&pattern, "?")) {
      matcher.AnyCharacter();
    } else {
      matcher.Character(pattern[0]);
      pattern.remove_prefix(1);
    }
  }
  return matcher.Matches();
}

bool MatchesAnyGlob(const std::vector<std::string>& patterns, absl::string_view path) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [path](const std::string& pattern) { return MatchesGlob(pattern, path); });
}

}  // namespace lastro::ingest
