#include "services/analytics/terms.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <cmath>

#include "absl/container/flat_hash_map.h"
#include "base/check.h"
#include "base/utf8.h"

namespace lastro::services {
namespace {

constexpr size_t kMaxTextBytes = 16 << 10;
constexpr size_t kMaxWordBytes = 64;
constexpr size_t kMinWordRunes = 3;
constexpr size_t kMaxVocabulary = 1 << 20;  // further words are not counted

bool IsWordRune(char32_t rune) { return u_isalnum(rune) || (U_GET_GC_MASK(rune) & U_GC_M_MASK) != 0; }

// Collects the runes of one word.
class WordBuilder {
 public:
  explicit WordBuilder(std::vector<std::string>* out) : out_(out) {}

  void Add(char32_t rune) {
    AppendRune(static_cast<char32_t>(u_tolower(rune)), &word_);
    ++runes_;
    has_letter_ |= static_cast<bool>(u_isalpha(rune));
  }

  void Finish() {
    bool keep = has_letter_ && runes_ >= kMinWordRunes && word_.size() <= kMaxWordBytes && !IsStopWord(word_);
    if (keep) out_->push_back(std::move(word_));
    word_.clear();
    runes_ = 0;
    has_letter_ = false;
  }

 private:
  std::vector<std::string>* const out_;
  std::string word_;
  size_t runes_ = 0;
  bool has_letter_ = false;
};

using Counts = absl::flat_hash_map<std::string, double>;

struct Vocabulary {
  std::vector<Counts> by_cluster;
  Counts overall;
  double words = 0;
};

Vocabulary CountWords(absl::Span<const absl::string_view> texts, absl::Span<const int32_t> assignments, int clusters) {
  Vocabulary vocabulary;
  vocabulary.by_cluster.resize(clusters);
  for (size_t i = 0; i < texts.size(); ++i) {
    for (const std::string& word : ContentWords(texts[i])) {
      vocabulary.words += 1;
      auto known = vocabulary.overall.find(word);
      if (known == vocabulary.overall.end()) {
        if (vocabulary.overall.size() >= kMaxVocabulary) continue;
        known = vocabulary.overall.emplace(word, 0).first;
      }
      known->second += 1;
      vocabulary.by_cluster[assignments[i]][word] += 1;
    }
  }
  return vocabulary;
}

std::vector<std::string> BestTerms(const Counts& counts, const Counts& overall, double mean_words, int count) {
  std::vector<std::pair<double, const std::string*>> scored;
  scored.reserve(counts.size());
  for (const auto& [word, frequency] : counts) {
    scored.emplace_back(frequency * std::log1p(mean_words / overall.at(word)), &word);
  }
  auto better = [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : *a.second < *b.second;
  };
  size_t kept = std::min<size_t>(count, scored.size());
  std::partial_sort(scored.begin(), scored.begin() + kept, scored.end(), better);
  std::vector<std::string> terms;
  for (size_t i = 0; i < kept; ++i) terms.push_back(*scored[i].second);
  return terms;
}

}  // namespace

std::vector<std::string> ContentWords(absl::string_view text) {
  std::vector<std::string> words;
  WordBuilder word(&words);
  text = text.substr(0, kMaxTextBytes);
  while (!text.empty()) {
    DecodedRune decoded = DecodeRune(text);
    if (decoded.valid && IsWordRune(decoded.rune)) {
      word.Add(decoded.rune);
    } else {
      word.Finish();
    }
    text.remove_prefix(decoded.length);
  }
  word.Finish();
  return words;
}

std::vector<std::vector<std::string>> TopTerms(absl::Span<const absl::string_view> texts,
                                               absl::Span<const int32_t> assignments, int clusters, int count) {
  LASTRO_CHECK(texts.size() == assignments.size() && clusters > 0);
  Vocabulary vocabulary = CountWords(texts, assignments, clusters);
  std::vector<std::vector<std::string>> result;
  for (const Counts& counts : vocabulary.by_cluster) {
    result.push_back(BestTerms(counts, vocabulary.overall, vocabulary.words / clusters, count));
  }
  return result;
}

}  // namespace lastro::services
