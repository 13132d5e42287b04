#include "ingest/normalize.h"

#include <unicode/bytestream.h>
#include <unicode/edits.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/utf8.h"

namespace lastro::ingest {
namespace {

enum class Treatment { kKeep, kRemove, kSpace, kLineEnd };

bool IsJoiner(char32_t rune) { return rune == 0x200C || rune == 0x200D; }

// Scripts whose spelling needs joiners: Arabic to Sinhala.
bool NeedsJoiners(char32_t rune) { return rune >= 0x0600 && rune <= 0x0DFF; }

Treatment TreatmentOf(char32_t rune) {
  if (rune == '\n' || rune == '\t') return Treatment::kKeep;
  if (rune == '\r' || rune == '\f' || rune == '\v' || rune == 0x85 || rune == 0x2028 || rune == 0x2029) {
    return Treatment::kLineEnd;
  }
  if (rune < 0x20 || (rune >= 0x7F && rune < 0xA0)) return Treatment::kRemove;
  if (rune < 0x80) return Treatment::kKeep;
  if (rune == 0xFFFD) return Treatment::kKeep;
  if (u_hasBinaryProperty(static_cast<UChar32>(rune), UCHAR_DEFAULT_IGNORABLE_CODE_POINT)) return Treatment::kRemove;
  switch (u_charType(static_cast<UChar32>(rune))) {
    case U_SPACE_SEPARATOR:
      return Treatment::kSpace;
    case U_FORMAT_CHAR:
    case U_CONTROL_CHAR:
      return Treatment::kRemove;
    default:
      return U_IS_UNICODE_NONCHAR(static_cast<UChar32>(rune)) ? Treatment::kRemove : Treatment::kKeep;
  }
}

bool IsPlainAscii(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= 0x20 && c < 0x7F) || c == '\n' || c == '\t'; });
}

// Whether the joiner at `at` stands between letters that need it.
bool KeepJoiner(absl::string_view text, size_t at, char32_t before) {
  size_t next = at + 3;  // both joiners take three bytes
  return NeedsJoiners(before) && next < text.size() && NeedsJoiners(DecodeRune(text.substr(next)).rune);
}

// One pass of removal and folding; the result's source is `text` itself.
MappedText Filter(absl::string_view text) {
  MappedTextBuilder out;
  size_t run = 0;  // start of the bytes kept but not yet appended
  char32_t before = 0;
  for (size_t at = 0; at < text.size();) {
    DecodedRune decoded = DecodeRune(text.substr(at));
    size_t length = decoded.length;
    Treatment treatment = TreatmentOf(decoded.rune);
    if (IsJoiner(decoded.rune) && KeepJoiner(text, at, before)) treatment = Treatment::kKeep;
    before = decoded.rune;
    if (treatment != Treatment::kKeep) {
      out.AppendVerbatim(text.substr(run, at - run), run);
      if (decoded.rune == '\r' && at + 1 < text.size() && text[at + 1] == '\n') ++length;
      if (treatment == Treatment::kSpace) out.AppendChanged(" ", at, length);
      if (treatment == Treatment::kLineEnd) out.AppendChanged("\n", at, length);
      run = at + length;
    }
    at += length;
  }
  out.AppendVerbatim(text.substr(run), run);
  return out.Finish();
}

// The composed form; the result's source is `text` itself.
MappedText ComposeCharacters(const std::string& text, const icu::Normalizer2& nfc) {
  std::string composed;
  icu::StringByteSink<std::string> sink(&composed);
  icu::Edits edits;
  UErrorCode error = U_ZERO_ERROR;
  nfc.normalizeUTF8(0, icu::StringPiece(text.data(), static_cast<int32_t>(text.size())), sink, &edits, error);
  LASTRO_CHECK(U_SUCCESS(error), u_errorName(error));
  MappedTextBuilder out;
  auto it = edits.getFineIterator();
  absl::string_view view = composed;
  while (it.next(error)) {
    absl::string_view piece =
        view.substr(static_cast<size_t>(it.destinationIndex()), static_cast<size_t>(it.newLength()));
    if (it.hasChange()) {
      out.AppendChanged(piece, static_cast<uint64_t>(it.sourceIndex()), static_cast<uint64_t>(it.oldLength()));
    } else {
      out.AppendVerbatim(piece, static_cast<uint64_t>(it.sourceIndex()));
    }
  }
  return out.Finish();
}

const icu::Normalizer2& Nfc() {
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* nfc = icu::Normalizer2::getNFCInstance(error);
  LASTRO_CHECK(U_SUCCESS(error), u_errorName(error));
  return *nfc;
}

}  // namespace

MappedText Normalize(MappedText text) {
  if (IsPlainAscii(text.text)) return text;
  MappedText filtered = Compose(Filter(text.text), text);
  UErrorCode error = U_ZERO_ERROR;
  icu::StringPiece piece(filtered.text.data(), static_cast<int32_t>(filtered.text.size()));
  if (Nfc().isNormalizedUTF8(piece, error)) return filtered;
  return Compose(ComposeCharacters(filtered.text, Nfc()), filtered);
}

}  // namespace lastro::ingest
