// The terms under which a word is indexed and searched. Collections mix languages, so a word has several: itself in
// lower case without accents, its English and Portuguese stems (Snowball) and its Portuguese singular, all without
// accents; the first word of a compound adds the compound. Two words match when they share a term. Not thread-safe
// (stemmers and a cache); instances are cheap enough for one per connection.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "retrieval/word_breaker.h"

struct sb_stemmer;

namespace lastro::retrieval {

// NFKC with case folding; malformed UTF-8 becomes U+FFFD. "Ação" -> "ação".
std::string FoldCase(absl::string_view text);
// NFKD without marks. "ação" -> "acao".
std::string FoldAccents(absl::string_view text);
// The singular of a lower-case word with one of the Portuguese plurals that Snowball leaves apart: citações -> citação,
// pães -> pão, animais -> animal, papéis -> papel, fáceis -> fácil (as "facil" in the end), faróis -> farol. Any other
// word comes back unchanged.
std::string PortugueseSingular(absl::string_view word);

class SearchTerms {
 public:
  SearchTerms();
  ~SearchTerms();
  SearchTerms(const SearchTerms&) = delete;
  SearchTerms& operator=(const SearchTerms&) = delete;

  // The distinct terms of `word`, its plain form first; empty when nothing is left of it. Valid until the next call.
  const std::vector<std::string>& Of(const Word& word);

 private:
  struct StemmerDeleter {
    void operator()(sb_stemmer* stemmer) const;
  };
  using Stemmer = std::unique_ptr<sb_stemmer, StemmerDeleter>;

  std::vector<std::string> Compute(absl::string_view text) const;
  static std::string Stem(const Stemmer& stemmer, absl::string_view word);

  Stemmer english_;
  Stemmer portuguese_;
  absl::flat_hash_map<std::string, std::vector<std::string>> cache_;
  std::vector<std::string> with_compound_;
};

}  // namespace lastro::retrieval
