#include "ingest/decode.h"

#include <uchardet/uchardet.h>
#include <unicode/ucnv.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "base/utf8.h"

namespace lastro::ingest {
namespace {

constexpr size_t kSniffBytes = 64u << 10;
constexpr double kMaxControlShare = 0.02;      // of characters; more is binary content
constexpr double kMaxUndecodableShare = 0.05;  // of characters; more means a wrong encoding
constexpr double kMinWesternShare = 0.9;       // of bytes above 127 that western text uses

using Converter = std::unique_ptr<UConverter, decltype(&ucnv_close)>;

struct Mark {
  absl::string_view bytes;
  const char* encoding;
};

// Byte order marks; UTF-32LE begins with that of UTF-16LE and so comes first.
const Mark* FindMark(absl::string_view bytes) {
  static const Mark kMarks[] = {{absl::string_view("\xFF\xFE\0\0", 4), "UTF-32LE"},
                                {absl::string_view("\0\0\xFE\xFF", 4), "UTF-32BE"},
                                {absl::string_view("\xEF\xBB\xBF", 3), "UTF-8"},
                                {absl::string_view("\xFF\xFE", 2), "UTF-16LE"},
                                {absl::string_view("\xFE\xFF", 2), "UTF-16BE"}};
  for (const Mark& mark : kMarks) {
    if (absl::StartsWith(bytes, mark.bytes)) return &mark;
  }
  return nullptr;
}

// UTF-16 of mostly Latin text has its zero bytes all on one side. nullptr when that is not so.
const char* GuessUtf16(absl::string_view bytes) {
  absl::string_view head = bytes.substr(0, kSniffBytes);
  if (bytes.size() % 2 != 0 || head.size() < 4) return nullptr;
  size_t zeros[2] = {0, 0};
  for (size_t i = 0; i < head.size(); ++i) zeros[i % 2] += head[i] == '\0';
  size_t pairs = head.size() / 2;
  if (zeros[1] * 10 > pairs * 4 && zeros[0] * 50 < pairs) return "UTF-16LE";
  if (zeros[0] * 10 > pairs * 4 && zeros[1] * 50 < pairs) return "UTF-16BE";
  return nullptr;
}

bool IsControl(char32_t rune) {
  return (rune < 0x20 && rune != '\t' && rune != '\n' && rune != '\r' && rune != '\f' && rune != 0x1B) || rune == 0x7F;
}

absl::Status BinaryContent() {
  return absl::InvalidArgumentError("the content is binary, not text; remove the file or give it its true extension");
}

// Whether the share of control characters among the bytes is that of binary content.
bool LooksBinary(absl::string_view bytes) {
  size_t controls = 0;
  for (char c : bytes) controls += IsControl(static_cast<unsigned char>(c));
  bool has_zero = bytes.find('\0') != absl::string_view::npos;
  return has_zero || static_cast<double>(controls) > kMaxControlShare * static_cast<double>(bytes.size());
}

// Whether windows-1252 fits: nearly all bytes above 127 are letters and marks of western European languages, and
// they are a minority. uchardet is weak on short texts of this kind, which are the common ones here.
bool LooksWestern(absl::string_view bytes) {
  static constexpr absl::string_view kUsual =
      "\xC0\xC1\xC2\xC3\xC4\xC7\xC8\xC9\xCA\xCB\xCC\xCD\xCE\xCF\xD1\xD2\xD3\xD4\xD5\xD6\xD9\xDA\xDB\xDC\xDF"
      "\xE0\xE1\xE2\xE3\xE4\xE7\xE8\xE9\xEA\xEB\xEC\xED\xEE\xEF\xF1\xF2\xF3\xF4\xF5\xF6\xF9\xFA\xFB\xFC"
      "\x80\x85\x91\x92\x93\x94\x95\x96\x97\xA0\xA3\xA7\xA9\xAA\xAB\xAD\xAE\xB0\xB4\xBA\xBB\xBF\xA1";
  size_t high = 0, usual = 0;
  for (char c : bytes) {
    if ((c & 0x80) == 0) continue;
    ++high;
    usual += kUsual.find(c) != absl::string_view::npos;
  }
  return high * 3 < bytes.size() && static_cast<double>(usual) >= kMinWesternShare * static_cast<double>(high);
}

// ISO-8859-1 when no byte lies where windows-1252 has characters of its own.
const char* WesternName(absl::string_view bytes) {
  bool own = std::any_of(bytes.begin(), bytes.end(), [](char c) { return (c & 0xE0) == 0x80; });
  return own ? "windows-1252" : "ISO-8859-1";
}

std::string GuessByUchardet(absl::string_view bytes) {
  std::unique_ptr<std::remove_pointer_t<uchardet_t>, decltype(&uchardet_delete)> detector(uchardet_new(),
                                                                                          &uchardet_delete);
  uchardet_handle_data(detector.get(), bytes.data(), bytes.size());
  uchardet_data_end(detector.get());
  return uchardet_get_charset(detector.get());
}

// An open ICU converter, or null when ICU does not know the name.
Converter OpenConverter(const std::string& encoding) {
  UErrorCode error = U_ZERO_ERROR;
  Converter converter(ucnv_open(encoding.c_str(), &error), &ucnv_close);
  if (U_FAILURE(error)) converter.reset();
  return converter;
}

struct ConversionCounts {
  size_t runes = 0;
  size_t undecodable = 0;
  size_t controls = 0;
};

// Converts source bytes [begin, bytes.size()) one character at a time, so that each knows its bytes.
absl::Status ConvertRunes(absl::string_view bytes, size_t begin, UConverter* converter, uint64_t max_text_bytes,
                          MappedTextBuilder* out, ConversionCounts* counts) {
  const char* at = bytes.data() + begin;
  const char* end = bytes.data() + bytes.size();
  std::string rune_text;
  while (at < end) {
    const char* start = at;
    UErrorCode error = U_ZERO_ERROR;
    UChar32 rune = ucnv_getNextUChar(converter, &at, end, &error);
    if (error == U_INDEX_OUTOFBOUNDS_ERROR) break;  // only shift sequences were left
    bool valid = U_SUCCESS(error) && rune >= 0 && rune <= 0x10FFFF && !(rune >= 0xD800 && rune < 0xE000);
    if (at <= start) at = start + 1;
    if (!valid) rune = kReplacementCharacter;
    ++counts->runes;
    counts->undecodable += rune == static_cast<UChar32>(kReplacementCharacter);
    counts->controls += IsControl(static_cast<char32_t>(rune));
    rune_text.clear();
    AppendRune(static_cast<char32_t>(rune), &rune_text);
    absl::string_view source(start, static_cast<size_t>(at - start));
    uint64_t offset = static_cast<uint64_t>(start - bytes.data());
    source == rune_text ? out->AppendVerbatim(rune_text, offset) : out->AppendChanged(rune_text, offset, source.size());
    if (out->size() > max_text_bytes) {
      return absl::ResourceExhaustedError(absl::StrCat("the text is longer than ", max_text_bytes, " bytes"));
    }
  }
  return absl::OkStatus();
}

// FAILED_PRECONDITION when the encoding is unknown or does not fit.
absl::StatusOr<DecodedText> Convert(absl::string_view bytes, size_t begin, const std::string& encoding,
                                    uint64_t max_text_bytes) {
  Converter converter = OpenConverter(encoding);
  if (converter == nullptr) return absl::FailedPreconditionError(absl::StrCat("unknown encoding ", encoding));
  MappedTextBuilder out;
  ConversionCounts counts;
  LASTRO_RETURN_IF_ERROR(ConvertRunes(bytes, begin, converter.get(), max_text_bytes, &out, &counts));
  double runes = static_cast<double>(std::max<size_t>(counts.runes, 1));
  if (static_cast<double>(counts.undecodable) > kMaxUndecodableShare * runes) {
    return absl::FailedPreconditionError(absl::StrCat("the bytes are not ", encoding));
  }
  if (static_cast<double>(counts.controls) > kMaxControlShare * runes) return BinaryContent();
  return DecodedText{out.Finish(), encoding};
}

absl::StatusOr<DecodedText> DecodeUtf8(absl::string_view bytes, size_t begin, uint64_t max_text_bytes) {
  absl::string_view text = bytes.substr(begin);
  if (text.size() > max_text_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat("the text is longer than ", max_text_bytes, " bytes"));
  }
  DecodedText decoded{IdentityText(std::string(text)), "UTF-8"};
  for (retrieval::SourceSegment& segment : decoded.mapped.segments) segment.source_begin = begin;
  return decoded;
}

// The candidates for bytes without a mark that are not UTF-8, most trusted first.
std::vector<std::string> Candidates(absl::string_view bytes, absl::string_view declared) {
  std::vector<std::string> names;
  if (const char* utf16 = GuessUtf16(bytes)) names.push_back(utf16);
  bool says_unicode = absl::StartsWithIgnoreCase(declared, "utf");
  if (!declared.empty() && !says_unicode) names.emplace_back(declared);
  std::string guess = GuessByUchardet(bytes);
  if (LooksWestern(bytes)) {
    // The two differ in eight characters only, the euro sign among them.
    bool has_euro = bytes.find('\xA4') != absl::string_view::npos;
    names.emplace_back(guess == "ISO-8859-15" && has_euro ? guess : WesternName(bytes));
  }
  if (!guess.empty() && guess != "ASCII" && guess != "UTF-8") names.push_back(guess);
  return names;
}

}  // namespace

absl::StatusOr<DecodedText> DecodeText(absl::string_view bytes, absl::string_view declared, uint64_t max_text_bytes) {
  if (const Mark* mark = FindMark(bytes)) {
    size_t begin = mark->bytes.size();
    bool utf8 = absl::string_view(mark->encoding) == "UTF-8";
    if (!utf8) return Convert(bytes, begin, mark->encoding, max_text_bytes);
    if (IsValidUtf8(bytes.substr(begin)) && !LooksBinary(bytes)) return DecodeUtf8(bytes, begin, max_text_bytes);
  }
  bool binary = LooksBinary(bytes);
  if (!binary && IsValidUtf8(bytes)) return DecodeUtf8(bytes, 0, max_text_bytes);
  if (binary && GuessUtf16(bytes) == nullptr) return BinaryContent();
  for (const std::string& name : Candidates(bytes, declared)) {
    absl::StatusOr<DecodedText> decoded = Convert(bytes, 0, name, max_text_bytes);
    if (decoded.ok() || !absl::IsFailedPrecondition(decoded.status())) return decoded;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("the character encoding is unknown (not UTF-8, and no other fits); convert the file to UTF-8"));
}

absl::StatusOr<std::string> TranscodeToUtf8(absl::string_view bytes, const std::string& encoding) {
  if (encoding.empty() || encoding == "UTF-8") return std::string(bytes);
  Converter converter = OpenConverter(encoding);
  if (converter == nullptr) return absl::InvalidArgumentError(absl::StrCat("unknown encoding ", encoding));
  MappedTextBuilder out;
  ConversionCounts counts;
  LASTRO_RETURN_IF_ERROR(ConvertRunes(bytes, 0, converter.get(), std::numeric_limits<uint64_t>::max(), &out, &counts));
  return out.Finish().text;
}

std::string DeclaredHtmlCharset(absl::string_view bytes) {
  std::string head = absl::AsciiStrToLower(bytes.substr(0, 1024));
  for (absl::string_view key : {"charset=", "encoding="}) {
    size_t at = head.find(key.data());
    if (at == std::string::npos) continue;
    at += key.size();
    if (at < head.size() && (head[at] == '"' || head[at] == '\'')) ++at;
    size_t end = at;
    while (end < head.size() && (absl::ascii_isalnum(head[end]) || head[end] == '-' || head[end] == '_')) ++end;
    if (end > at && end - at <= 40) return head.substr(at, end - at);
  }
  return "";
}

}  // namespace lastro::ingest
