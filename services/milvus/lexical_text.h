// The words of documents and queries as Milvus's BM25 gets them. A collection mixes languages, so words are taken apart
// by Lastro (WordBreaker, SearchTerms) and Milvus sees a text of plain tokens, one for each term: the letter "u" and
// the 16 hexadecimal digits of the term's hash, which every analyzer of Milvus's takes for one word and no text of a
// user can imitate. Pure functions, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lastro::services {

struct LexicalColumns {
  // The terms of title, headings and text; those of title and headings more than once, which is their weight.
  std::string terms;
  // " token token ... " of each word's plain form in the text's order: what phrases are looked for in.
  std::string words;
};

LexicalColumns LexicalColumnsOf(absl::string_view title, absl::Span<const std::string> headings,
                                absl::string_view text);

struct LexicalSearchText {
  std::string terms;    // "" when the text has no word
  std::string phrases;  // an expression that holds where every quoted phrase is; "" without phrases
  std::string loose;    // the terms outside of the phrases, for where no text has all of these
};

// Reads the text as retrieval/lexical_query.h does; but a word with a star stands for itself only.
LexicalSearchText ParseLexicalSearch(absl::string_view text);

}  // namespace lastro::services
