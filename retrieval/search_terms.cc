#include "retrieval/search_terms.h"

#include <libstemmer.h>
#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/utf8.h"

namespace lastro::retrieval {
namespace {

constexpr size_t kMaxCachedWords = 20000;

bool IsAscii(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

std::string Normalize(const icu::Normalizer2* normalizer, absl::string_view text) {
  UErrorCode error = U_ZERO_ERROR;
  std::string out;
  icu::StringByteSink<std::string> sink(&out);
  icu::StringPiece piece(text.data(), static_cast<int32_t>(text.size()));
  normalizer->normalizeUTF8(0, piece, sink, nullptr, error);
  return U_SUCCESS(error) ? out : std::string(text);
}

const icu::Normalizer2* CaseFolder() {
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* instance = icu::Normalizer2::getNFKCCasefoldInstance(error);
  LASTRO_CHECK(U_SUCCESS(error), "ICU has no NFKC_Casefold data");
  return instance;
}

const icu::Normalizer2* Decomposer() {
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* instance = icu::Normalizer2::getNFKDInstance(error);
  LASTRO_CHECK(U_SUCCESS(error), "ICU has no NFKD data");
  return instance;
}

std::string WithoutMarks(absl::string_view text) {
  std::string out;
  while (!text.empty()) {
    DecodedRune decoded = DecodeRune(text);
    bool mark = (U_GET_GC_MASK(static_cast<UChar32>(decoded.rune)) & U_GC_M_MASK) != 0;
    if (!mark) AppendRune(decoded.rune, &out);
    text.remove_prefix(decoded.length);
  }
  return out;
}

bool HasDigit(absl::string_view text) { return std::any_of(text.begin(), text.end(), absl::ascii_isdigit); }

void AddDistinct(std::string term, std::vector<std::string>* terms) {
  if (!term.empty() && std::find(terms->begin(), terms->end(), term) == terms->end()) terms->push_back(std::move(term));
}

struct PluralRule {
  absl::string_view plural;
  absl::string_view singular;
  size_t min_bytes;  // shorter words are left alone: mais is no plural of mal
};
constexpr PluralRule kPluralRules[] = {
    {"ões", "ão", 5}, {"ães", "ão", 5}, {"oes", "ao", 5}, {"aes", "ao", 5},
    {"ais", "al", 6}, {"éis", "el", 5}, {"eis", "il", 6}, {"óis", "ol", 5},
};

}  // namespace

std::string FoldCase(absl::string_view text) {
  if (IsAscii(text)) return absl::AsciiStrToLower(text);
  return Normalize(CaseFolder(), IsValidUtf8(text) ? std::string(text) : ReplaceInvalidUtf8(text));
}

std::string FoldAccents(absl::string_view text) {
  if (IsAscii(text)) return std::string(text);
  return WithoutMarks(Normalize(Decomposer(), text));
}

std::string PortugueseSingular(absl::string_view word) {
  for (const PluralRule& rule : kPluralRules) {
    if (word.size() >= rule.min_bytes && absl::EndsWith(word, rule.plural)) {
      return absl::StrCat(word.substr(0, word.size() - rule.plural.size()), rule.singular);
    }
  }
  return std::string(word);
}

void SearchTerms::StemmerDeleter::operator()(sb_stemmer* stemmer) const { sb_stemmer_delete(stemmer); }

SearchTerms::SearchTerms()
    : english_(sb_stemmer_new("english", "UTF_8")), portuguese_(sb_stemmer_new("portuguese", "UTF_8")) {
  LASTRO_CHECK(english_ != nullptr && portuguese_ != nullptr, "libstemmer lacks English or Portuguese");
}

SearchTerms::~SearchTerms() = default;

std::string SearchTerms::Stem(const Stemmer& stemmer, absl::string_view word) {
  const auto* bytes = reinterpret_cast<const sb_symbol*>(word.data());
  const sb_symbol* stem = sb_stemmer_stem(stemmer.get(), bytes, static_cast<int>(word.size()));
  if (stem == nullptr) return std::string(word);  // out of memory
  return std::string(reinterpret_cast<const char*>(stem), static_cast<size_t>(sb_stemmer_length(stemmer.get())));
}

std::vector<std::string> SearchTerms::Compute(absl::string_view text) const {
  std::string lower = FoldCase(text);
  std::vector<std::string> terms;
  AddDistinct(FoldAccents(lower), &terms);
  if (terms.empty() || HasDigit(lower)) return terms;
  AddDistinct(FoldAccents(Stem(english_, lower)), &terms);
  AddDistinct(FoldAccents(Stem(portuguese_, lower)), &terms);
  AddDistinct(FoldAccents(PortugueseSingular(lower)), &terms);
  return terms;
}

const std::vector<std::string>& SearchTerms::Of(const Word& word) {
  auto cached = cache_.find(word.text);
  if (cached == cache_.end()) {
    if (cache_.size() >= kMaxCachedWords) cache_.clear();
    cached = cache_.emplace(std::string(word.text), Compute(word.text)).first;
  }
  if (word.compound.empty()) return cached->second;
  with_compound_ = cached->second;
  AddDistinct(FoldAccents(FoldCase(word.compound)), &with_compound_);
  return with_compound_;
}

}  // namespace lastro::retrieval
