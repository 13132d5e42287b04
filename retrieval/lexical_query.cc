#include "retrieval/lexical_query.h"

#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "retrieval/search_terms.h"
#include "retrieval/stop_words.h"
#include "retrieval/word_breaker.h"

namespace lastro::retrieval {
namespace {

constexpr int kMaxPhraseWords = 32;

constexpr size_t kMinPrefixBytes = 2;

// Collects distinct quoted FTS5 strings.
class TermList {
 public:
  bool full() const { return terms_.size() >= static_cast<size_t>(kMaxQueryTerms); }
  bool empty() const { return terms_.empty(); }
  // `term`: words and connectors only, so that quoting needs no escapes. `suffix`: "" or the star of a prefix.
  void Add(absl::string_view term, absl::string_view suffix = "") {
    if (full() || !seen_.insert(absl::StrCat(FoldAccents(FoldCase(term)), suffix)).second) return;
    terms_.push_back(absl::StrCat("\"", term, "\"", suffix));
  }
  std::string Joined(absl::string_view operation) const { return absl::StrJoin(terms_, operation); }

 private:
  std::vector<std::string> terms_;
  absl::flat_hash_set<std::string> seen_;
};

struct Piece {
  absl::string_view text;
  bool quoted = false;
};

// The position and length of the first double quote (straight or curly) of `text` at or after `from`; npos: none.
std::pair<size_t, size_t> FindQuote(absl::string_view text, size_t from) {
  for (size_t at = from; (at = text.find_first_of("\"\xE2", at)) != absl::string_view::npos; ++at) {
    for (absl::string_view quote : {absl::string_view("\""), absl::string_view("“"), absl::string_view("”")}) {
      if (absl::StartsWith(text.substr(at), quote)) return {at, quote.size()};
    }
  }
  return {absl::string_view::npos, 0};
}

// Text between two quotes is quoted; a quote without a partner means nothing.
std::vector<Piece> SplitQuotes(absl::string_view text) {
  std::vector<Piece> pieces;
  size_t position = 0;
  while (true) {
    auto [open, open_length] = FindQuote(text, position);
    if (open == absl::string_view::npos) break;
    auto [close, close_length] = FindQuote(text, open + open_length);
    if (close == absl::string_view::npos) break;
    pieces.push_back({text.substr(position, open - position), false});
    pieces.push_back({text.substr(open + open_length, close - open - open_length), true});
    position = close + close_length;
  }
  pieces.push_back({text.substr(position), false});
  return pieces;
}

// Whether the word that ends at `end` has a star behind it that is no multiplication or emphasis.
bool HasStar(absl::string_view text, size_t begin, size_t end) {
  if (end - begin < kMinPrefixBytes || end >= text.size() || text[end] != '*') return false;
  if (begin > 0 && text[begin - 1] == '*') return false;
  const absl::string_view behind = text.substr(end + 1);
  return behind.empty() || absl::ascii_isspace(behind[0]) || (absl::ascii_ispunct(behind[0]) && behind[0] != '*');
}

void AddPhrase(absl::string_view text, TermList* terms) {
  std::vector<absl::string_view> words;
  WordBreaker breaker(text);
  Word word;
  bool star = false;
  while (words.size() < static_cast<size_t>(kMaxPhraseWords) && breaker.Next(&word)) {
    words.push_back(word.text);
    star = HasStar(text, word.begin, word.end);
  }
  if (!words.empty()) terms->Add(absl::StrJoin(words, " "), star ? "*" : "");
}

// The compound as one token, its parts side by side, and then each part like any other word.
void AddCompound(absl::string_view compound, TermList* terms) {
  terms->Add(compound);
  AddPhrase(compound, terms);
}

// Where the prefix that begins with `word` ends, a compound as a whole or the word; 0 when there is none.
size_t AddPrefix(absl::string_view text, const Word& word, TermList* terms) {
  const absl::string_view whole = word.compound.empty() ? word.text : word.compound;
  const size_t end = word.begin + whole.size();
  if (!HasStar(text, word.begin, end)) return 0;
  terms->Add(whole, "*");
  return end;
}

void AddWords(absl::string_view text, TermList* terms, TermList* stop_words) {
  WordBreaker breaker(text);
  Word word;
  size_t prefix_end = 0;
  while (!terms->full() && breaker.Next(&word)) {
    if (word.begin < prefix_end) continue;  // a part of a compound
    prefix_end = AddPrefix(text, word, terms);
    if (prefix_end > 0) continue;
    if (!word.compound.empty()) AddCompound(word.compound, terms);
    bool stop = IsStopWord(FoldAccents(FoldCase(word.text)));
    (stop ? stop_words : terms)->Add(word.text);
  }
}

}  // namespace

LexicalQuery ParseLexicalQuery(absl::string_view text) {
  TermList phrases, terms, stop_words;
  for (const Piece& piece : SplitQuotes(text.substr(0, kMaxQueryTextBytes))) {
    if (terms.full()) break;
    if (piece.quoted) {
      AddPhrase(piece.text, &phrases);
      AddPhrase(piece.text, &terms);
    } else {
      AddWords(piece.text, &terms, &stop_words);
    }
  }
  LexicalQuery query;
  query.any = (terms.empty() ? stop_words : terms).Joined(" OR ");
  query.strict = phrases.empty() ? query.any : absl::StrCat(phrases.Joined(" AND "), " AND (", query.any, ")");
  return query;
}

}  // namespace lastro::retrieval
