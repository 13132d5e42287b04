// The ranking function against its formula, computed here over random documents.
#include "retrieval/bm25.h"

#include <array>
#include <cmath>
#include <map>
#include <set>
#include <sstream>

#include "tests/unit/retrieval/store_fixture.h"

namespace lastro::retrieval::testing {
namespace {

using lastro::testing::IsOk;

using Columns = std::array<std::vector<std::string>, 3>;  // words of title, headings, body

std::vector<std::string> Split(const std::string& text) {
  std::istringstream words(text);
  return {std::istream_iterator<std::string>(words), {}};
}

// Words that no stemmer changes into each other.
std::string RandomText(std::mt19937_64& random, int min_words, int max_words) {
  constexpr const char* kWords[] = {"xa1", "xb2", "xc3", "xd4", "xe5", "xf6"};
  std::string text;
  const int count = min_words + static_cast<int>(random() % static_cast<uint64_t>(max_words - min_words + 1));
  for (int i = 0; i < count; ++i) {
    const uint64_t pick = std::min(random() % 6, random() % 6);  // the first are common
    text += std::string(i > 0 ? " " : "") + kWords[pick];
  }
  return text;
}

class Model {
 public:
  void Add(const Columns& columns) { documents_.push_back(columns); }
  double Score(const Columns& document, const std::set<std::string>& query) const {
    constexpr double kWeight[] = {3, 2, 1}, kLengthShare[] = {0, 0, 0.75}, k1 = 1.2;
    double score = 0;
    for (const std::string& word : query) {
      double frequency = 0;
      for (size_t c = 0; c < 3; ++c) {
        const double tf = static_cast<double>(std::count(document[c].begin(), document[c].end(), word));
        if (tf == 0) continue;
        const double b = kLengthShare[c], length = static_cast<double>(document[c].size());
        frequency += kWeight[c] * tf / (1 - b + b * length / MeanLength(c));
      }
      score += Idf(word) * (k1 + 1) * frequency / (k1 + frequency);
    }
    return score;
  }

 private:
  double MeanLength(size_t column) const {
    double sum = 0;
    for (const Columns& document : documents_) sum += static_cast<double>(document[column].size());
    return sum / static_cast<double>(documents_.size());
  }
  double Idf(const std::string& word) const {
    double having = 0;
    for (const Columns& document : documents_) {
      bool found = false;
      for (const auto& words : document) found = found || std::count(words.begin(), words.end(), word) > 0;
      having += found;
    }
    return std::log(1 + (static_cast<double>(documents_.size()) - having + 0.5) / (having + 0.5));
  }
  std::vector<Columns> documents_;
};

using Bm25Test = StoreTest;

TEST_F(Bm25Test, IsItsFormula) {
  std::mt19937_64 random = lastro::testing::SeededRandom(5);
  Model model;
  std::map<std::string, Columns> documents;  // by uri
  for (int i = 0; i < 60; ++i) {
    TestDocument test = MakeDocument("d" + std::to_string(i), {RandomText(random, 1, 40)});
    test.document.title = RandomText(random, 0, 4);
    test.chunks[0].headings = {RandomText(random, 1, 3), RandomText(random, 1, 3)};
    ASSERT_THAT(Put(*store_, test), IsOk());
    Columns columns = {Split(test.document.title), Split(test.chunks[0].headings[0] + " " + test.chunks[0].headings[1]),
                       Split(test.chunks[0].text)};
    documents[test.document.uri] = columns;
    model.Add(columns);
  }
  for (int round = 0; round < 20; ++round) {
    const std::string text = RandomText(random, 1, 4);
    const std::vector<std::string> words = Split(text);
    const std::set<std::string> query(words.begin(), words.end());
    SearchQuery search = MakeQuery(SearchMode::kLexical, text);
    search.limit = 100;
    ASSERT_OK_AND_ASSIGN(SearchResult result, store_->Search(search, CallContext()));
    double last = 1e9;
    for (const SearchHit& hit : result.hits) {
      EXPECT_NEAR(hit.lexical_score, model.Score(documents[hit.document.uri], query), 1e-9) << text;
      EXPECT_LE(hit.lexical_score, last);
      last = hit.lexical_score;
    }
    size_t matching = 0;
    for (const auto& [uri, columns] : documents) matching += model.Score(columns, query) > 0;
    EXPECT_EQ(result.hits.size(), matching);
  }
}

}  // namespace
}  // namespace lastro::retrieval::testing
