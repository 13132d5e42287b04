#include "services/answer/support.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "base/sentence.h"
#include "services/answer/words.h"

namespace lastro::services::answer {
namespace {

// Where each word of the passages stands.
class PassageWords {
 public:
  explicit PassageWords(absl::Span<const v1::SearchHit> passages) {
    for (size_t passage = 0; passage < passages.size(); ++passage) {
      words_.push_back(SplitWords(passages[passage].chunk().text()));
      for (size_t at = 0; at < words_.back().size(); ++at) {
        places_[words_.back()[at].folded].push_back({static_cast<int>(passage), at});
      }
    }
  }

  // The longest run of `sentence` words from `first` on that stands in a passage, preferably a `named` one; its number
  // of words, 0 when none.
  size_t LongestRun(absl::Span<const Word> sentence, size_t first, absl::Span<const int> named,
                    SupportedRun* run) const {
    auto is_named = [&](int passage) { return std::binary_search(named.begin(), named.end(), passage); };
    auto found = places_.find(sentence[first].folded);
    if (found == places_.end()) return 0;
    size_t longest = 0;
    for (const Place& place : found->second) {
      const std::vector<Word>& words = words_[place.passage];
      size_t length = 1;
      while (first + length < sentence.size() && place.at + length < words.size() &&
             sentence[first + length].folded == words[place.at + length].folded) {
        ++length;
      }
      if (length < longest) continue;
      if (length == longest && (is_named(run->passage) || !is_named(place.passage))) continue;
      longest = length;
      *run = {sentence[first].begin, sentence[first + length - 1].end, place.passage, words[place.at].begin,
              words[place.at + length - 1].end};
    }
    return longest;
  }

 private:
  struct Place {
    int passage;
    size_t at;
  };
  std::vector<std::vector<Word>> words_;
  absl::flat_hash_map<std::string, std::vector<Place>> places_;
};

SupportedSentence CoverSentence(const std::string& answer, const TextRange& range, std::vector<int> named,
                                const PassageWords& passages, const SupportOptions& options) {
  SupportedSentence sentence{range.begin, range.end, false, {}, std::move(named)};
  std::vector<Word> words = SplitWords(absl::string_view(answer).substr(range.begin, range.end - range.begin));
  for (Word& word : words) {
    word.begin += range.begin;
    word.end += range.begin;
  }
  size_t covered = 0;
  for (size_t first = 0; first < words.size();) {
    SupportedRun run;
    size_t length = passages.LongestRun(words, first, sentence.named, &run);
    if (length >= static_cast<size_t>(options.min_run_words) || (length > 0 && length == words.size())) {
      sentence.runs.push_back(run);
      covered += length;
      first += length;
    } else {
      ++first;
    }
  }
  sentence.supported = !words.empty() && covered == words.size();
  return sentence;
}

// Of each sentence the passages that were named in it or between it and the next.
std::vector<std::vector<int>> NamedBehind(absl::Span<const TextRange> sentences, absl::Span<const NamedPassage> named) {
  std::vector<std::vector<int>> behind(sentences.size());
  size_t sentence = 0;
  for (const NamedPassage& passage : named) {
    while (sentence + 1 < sentences.size() && sentences[sentence + 1].begin < passage.at) ++sentence;
    if (sentence < sentences.size()) behind[sentence].push_back(passage.passage);
  }
  for (std::vector<int>& passages : behind) {
    std::sort(passages.begin(), passages.end());
    passages.erase(std::unique(passages.begin(), passages.end()), passages.end());
  }
  return behind;
}

}  // namespace

std::vector<SupportedSentence> FindSupport(const std::string& answer, absl::Span<const v1::SearchHit> passages,
                                           const SupportOptions& options) {
  PassageWords words(passages);
  const std::vector<TextRange> ranges = SplitSentences(answer);
  std::vector<std::vector<int>> named = NamedBehind(ranges, options.named);
  std::vector<SupportedSentence> sentences;
  for (size_t i = 0; i < ranges.size(); ++i) {
    sentences.push_back(CoverSentence(answer, ranges[i], std::move(named[i]), words, options));
  }
  return sentences;
}

}  // namespace lastro::services::answer
