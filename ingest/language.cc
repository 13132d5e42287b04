#include "ingest/language.h"

#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"

namespace lastro::ingest {
namespace {

constexpr size_t kMaxBytes = 64u << 10;
constexpr double kMinShare = 0.12;  // of words that must be stop words of the language
constexpr double kMinRatio = 1.5;   // by which it must beat the other
constexpr int kMinStopWords = 2;

using Words = absl::flat_hash_set<absl::string_view>;

// Frequent words of one language that are rare in the other and in Spanish, French and German.
const Words& English() {
  static const auto* const words = new Words{
      "the",   "of",    "and",   "to",   "is",    "that", "it",   "for",   "was",    "on",   "are",   "with", "they",
      "be",    "at",    "have",  "this", "from",  "or",   "had",  "by",    "but",    "what", "were",  "we",   "when",
      "your",  "can",   "there", "each", "which", "she",  "how",  "their", "will",   "if",   "about", "then", "them",
      "would", "these", "has",   "must", "may",   "any",  "been", "who",   "should", "than", "its",   "you",  "not"};
  return *words;
}

const Words& Portuguese() {
  static const auto* const words = new Words{
      "que",  "não",  "uma",  "um",   "os",    "do",    "da",   "em",     "com",   "para",  "por",  "dos",   "das",
      "na",   "no",   "ao",   "aos",  "à",     "às",    "é",    "são",    "foi",   "ou",    "mais", "seu",   "sua",
      "nos",  "nas",  "pela", "pelo", "pelos", "pelas", "como", "também", "está",  "estão", "ser",  "tem",   "têm",
      "isso", "isto", "este", "esta", "num",   "numa",  "até",  "quando", "muito", "já",    "deve", "devem", "ele",
      "ela",  "você", "onde", "qual", "quais", "após",  "cada", "podem",  "pode",  "seus",  "suas", "você"};
  return *words;
}

// Frequent words of Spanish, French and German, some of which look Portuguese or English to the lists above.
const Words& Others() {
  static const auto* const words =
      new Words{"el",  "los",   "las", "y",    "del", "con", "una", "es",   "pero", "muy", "ha",   "lo",  "le",  "les",
                "des", "et",    "est", "dans", "une", "du",  "pas", "pour", "sur",  "il",  "elle", "qui", "der", "und",
                "ist", "nicht", "ein", "eine", "den", "mit", "auf", "von",  "zu",   "im",  "auch", "sich"};
  return *words;
}

bool IsWordByte(char c) { return absl::ascii_isalpha(static_cast<unsigned char>(c)) || (c & 0x80) != 0; }

}  // namespace

retrieval::Language DetectLanguage(absl::string_view text) {
  text = text.substr(0, kMaxBytes);
  int words = 0, english = 0, portuguese = 0, others = 0;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    while (end < text.size() && IsWordByte(text[end])) ++end;
    if (end > at) {
      std::string word = absl::AsciiStrToLower(text.substr(at, end - at));
      ++words;
      english += English().contains(word);
      others += Others().contains(word);
      // The tilded vowels and the cedilla with ã/õ ("ção", "ões") are a strong sign of Portuguese.
      bool typical = word.find("ção") != std::string::npos || word.find("ões") != std::string::npos ||
                     word.find("ão") != std::string::npos;
      portuguese += typical || Portuguese().contains(word);
    }
    at = end + 1;
  }
  auto wins = [words, others](int one, int other) {
    return one >= kMinStopWords && one >= kMinShare * words && one >= kMinRatio * other && one >= kMinRatio * others;
  };
  if (wins(english, portuguese)) return retrieval::Language::kEnglish;
  if (wins(portuguese, english)) return retrieval::Language::kPortuguese;
  return retrieval::Language::kUnknown;
}

}  // namespace lastro::ingest
