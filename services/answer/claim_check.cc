#include "services/answer/claim_check.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "base/status_macros.h"
#include "retrieval/search_terms.h"
#include "retrieval/stop_words.h"
#include "retrieval/word_breaker.h"
#include "services/answer/negation.h"
#include "services/answer/reader_call.h"
#include "services/answer/words.h"

namespace lastro::services::answer {
namespace {

constexpr size_t kLeastContent = 3;    // words that make a claim: of fewer ("Until 30.") any sentence has them all
constexpr double kShareInOrder = 0.8;  // of the claim's content words
constexpr size_t kMaxWords = 400;      // of a sentence; longer ones are not compared
constexpr int kMaxRead = 16;           // sentences that the reader is asked about

// A sentence as it is compared.
struct Statement {
  std::vector<std::vector<std::string>> content;  // words without stop words, each as its search terms
  absl::flat_hash_set<std::string> words;         // all, in lower case without accents
  std::vector<std::string> facts;                 // of them: with a digit, or capitalised behind the first word
  bool denies = false;
};

bool IsFact(absl::string_view word, bool first) { return HasDigit(word) || (!first && HasCapital(word)); }

Statement Analyze(const std::string& text) {
  Statement statement;
  retrieval::SearchTerms terms;
  retrieval::WordBreaker breaker(text);
  std::string before;
  size_t count = 0;
  for (retrieval::Word word; count < kMaxWords && breaker.Next(&word); ++count) {
    std::string folded = retrieval::FoldAccents(retrieval::FoldCase(word.text));
    if (IsFact(word.text, count == 0)) statement.facts.push_back(folded);
    statement.denies |= Denies(before, folded);
    const std::vector<std::string>& of_word = terms.Of(word);
    if (!of_word.empty() && !retrieval::IsStopWord(of_word.front())) statement.content.push_back(of_word);
    before = folded;
    statement.words.insert(std::move(folded));
  }
  return statement;
}

bool ShareATerm(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return std::any_of(a.begin(), a.end(),
                     [&](const std::string& term) { return std::find(b.begin(), b.end(), term) != b.end(); });
}

// Length of the longest common subsequence of their content words.
size_t WordsInOrder(const Statement& a, const Statement& b) {
  std::vector<size_t> row(b.content.size() + 1, 0);
  for (const std::vector<std::string>& word : a.content) {
    size_t diagonal = 0;
    for (size_t j = 0; j < b.content.size(); ++j) {
      const size_t longest = ShareATerm(word, b.content[j]) ? diagonal + 1 : std::max(row[j], row[j + 1]);
      diagonal = std::exchange(row[j + 1], longest);
    }
  }
  return row.back();
}

bool MaySayIt(const Statement& source, const Statement& claim) {
  if (claim.content.size() < kLeastContent || claim.denies != source.denies) return false;
  if (!std::all_of(claim.facts.begin(), claim.facts.end(),
                   [&](const std::string& fact) { return source.words.contains(fact); })) {
    return false;
  }
  return static_cast<double>(WordsInOrder(claim, source)) >= kShareInOrder * static_cast<double>(claim.content.size());
}

}  // namespace

bool MaySay(const std::string& source, const std::string& claim) { return MaySayIt(Analyze(source), Analyze(claim)); }

absl::StatusOr<std::optional<Candidate>> FindParaphrased(const std::string& claim,
                                                         absl::Span<const v1::SearchHit> passages,
                                                         absl::Span<const int> named, GenerationApi& generation,
                                                         const CallContext& context) {
  const Statement wanted = Analyze(claim);
  v1::ReadRequest request;
  request.set_question(claim);
  std::vector<Candidate> candidates;
  for (Candidate& sentence : FindCandidates(passages)) {
    LASTRO_RETURN_IF_ERROR(context.Check());
    if (request.passages_size() == kMaxRead || !MaySayIt(Analyze(sentence.text), wanted)) continue;
    request.add_passages(sentence.text);
    candidates.push_back(std::move(sentence));
  }
  if (candidates.empty()) return std::nullopt;
  LASTRO_ASSIGN_OR_RETURN(const std::optional<v1::ReadResponse> response, AskReader(request, generation, context));
  if (!response.has_value()) return std::nullopt;
  std::optional<size_t> best;
  std::pair<bool, double> best_rank;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const double relevance = response->readings(static_cast<int>(i)).relevance();
    if (relevance <= 0) continue;  // likelier that it does not
    const std::pair<bool, double> rank = {std::count(named.begin(), named.end(), candidates[i].passage) > 0, relevance};
    if (!best.has_value() || rank > best_rank) best = i, best_rank = rank;
  }
  if (!best.has_value()) return std::nullopt;
  return std::move(candidates[*best]);
}

}  // namespace lastro::services::answer
