#include "services/milvus/lexical_text.h"

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/hash.h"
#include "retrieval/lexical_query.h"
#include "retrieval/search_terms.h"
#include "retrieval/word_breaker.h"

namespace lastro::services {
namespace {

using retrieval::SearchTerms;
using retrieval::Word;
using retrieval::WordBreaker;

// As the local store weighs them (retrieval/bm25.cc).
constexpr int kTitleWeight = 3;
constexpr int kHeadingsWeight = 2;

std::string Token(absl::string_view term) { return absl::StrCat("u", absl::Hex(Hash64(term), absl::kZeroPad16)); }

// The tokens of all terms of `text`, and of its words' plain forms where asked for, each with a space before it.
void AddTokens(absl::string_view text, SearchTerms* terms, std::string* all, std::string* plain) {
  WordBreaker breaker(text);
  Word word;
  while (breaker.Next(&word)) {
    bool first = true;
    for (const std::string& term : terms->Of(word)) {
      const std::string token = Token(term);
      absl::StrAppend(all, " ", token);
      if (first && plain != nullptr) absl::StrAppend(plain, " ", token);
      first = false;
    }
  }
}

// The strings in double quotes of an FTS5 expression; none has a quote within.
std::vector<absl::string_view> QuotedStrings(absl::string_view expression) {
  std::vector<absl::string_view> strings;
  while (true) {
    const size_t open = expression.find('"');
    if (open == absl::string_view::npos) return strings;
    const size_t close = expression.find('"', open + 1);
    if (close == absl::string_view::npos) return strings;
    strings.push_back(expression.substr(open + 1, close - open - 1));
    expression.remove_prefix(close + 1);
  }
}

std::string PhraseExpression(absl::string_view phrase, SearchTerms* terms) {
  std::string all, plain;
  AddTokens(phrase, terms, &all, &plain);
  return plain.empty() ? "" : absl::StrCat("(words like \"%", plain, " %\")");
}

}  // namespace

LexicalColumns LexicalColumnsOf(absl::string_view title, absl::Span<const std::string> headings,
                                absl::string_view text) {
  SearchTerms terms;
  LexicalColumns columns;
  std::string in_title, in_headings;
  AddTokens(title, &terms, &in_title, nullptr);
  AddTokens(absl::StrJoin(headings, "\n"), &terms, &in_headings, nullptr);
  for (int i = 0; i < kTitleWeight; ++i) columns.terms += in_title;
  for (int i = 0; i < kHeadingsWeight; ++i) columns.terms += in_headings;
  AddTokens(text, &terms, &columns.terms, &columns.words);
  columns.words += " ";
  return columns;
}

LexicalSearchText ParseLexicalSearch(absl::string_view text) {
  const retrieval::LexicalQuery query = retrieval::ParseLexicalQuery(text);
  SearchTerms terms;
  LexicalSearchText search;
  std::vector<std::string> conditions;
  absl::flat_hash_set<absl::string_view> phrases;
  if (query.strict != query.any) {
    // The phrases, then " AND (" and `any` and ")".
    const absl::string_view strict(query.strict.data(), query.strict.size() - query.any.size());
    for (absl::string_view phrase : QuotedStrings(strict)) {
      phrases.insert(phrase);
      std::string condition = PhraseExpression(phrase, &terms);
      if (!condition.empty()) conditions.push_back(std::move(condition));
    }
  }
  for (absl::string_view piece : QuotedStrings(query.any)) {
    AddTokens(piece, &terms, &search.terms, nullptr);
    if (!phrases.contains(piece)) AddTokens(piece, &terms, &search.loose, nullptr);
  }
  search.phrases = absl::StrJoin(conditions, " and ");
  return search;
}

}  // namespace lastro::services
