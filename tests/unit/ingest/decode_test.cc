#include "ingest/decode.h"

#include <string>

#include "ingest/normalize.h"
#include "tests/test_util.h"
#include "tests/unit/ingest/fakes.h"

namespace lastro::ingest {
namespace {

using ::lastro::testing::IsOk;
using ::lastro::testing::StatusIs;
using ::testing::HasSubstr;

constexpr uint64_t kMax = 1 << 20;

std::string Utf16(const std::u16string& text, bool little_endian) {
  std::string bytes;
  for (char16_t unit : text) {
    char low = static_cast<char>(unit & 0xFF), high = static_cast<char>(unit >> 8);
    bytes += little_endian ? low : high;
    bytes += little_endian ? high : low;
  }
  return bytes;
}

TEST(DecodeTest, Utf8IsItself) {
  std::string bytes = "Olá, mundo — €5";
  ASSERT_OK_AND_ASSIGN(DecodedText decoded, DecodeText(bytes, "", kMax));
  EXPECT_EQ(decoded.encoding, "UTF-8");
  EXPECT_EQ(decoded.mapped.text, bytes);
  ASSERT_EQ(decoded.mapped.segments.size(), 1u);
  EXPECT_TRUE(decoded.mapped.segments[0].verbatim);
}

TEST(DecodeTest, Utf8MarkIsNoText) {
  ASSERT_OK_AND_ASSIGN(DecodedText decoded, DecodeText("\xEF\xBB\xBFOlá", "", kMax));
  EXPECT_EQ(decoded.mapped.text, "Olá");
  EXPECT_EQ(decoded.mapped.segments[0].source_begin, 3u);
}

TEST(DecodeTest, Latin1MapsEachLetter) {
  std::string bytes = "A decis\xE3o n\xE3o \xE9 final. Informa\xE7\xE3o adicional em anexo.";
  ASSERT_OK_AND_ASSIGN(DecodedText decoded, DecodeText(bytes, "", kMax));
  EXPECT_EQ(decoded.encoding, "ISO-8859-1");
  EXPECT_EQ(decoded.mapped.text, "A decisão não é final. Informação adicional em anexo.");
  EXPECT_EQ(MapError(decoded.mapped, bytes), "");
  EXPECT_EQ(SourceOf(decoded.mapped, bytes, "decisão"), "decis\xE3o");
  EXPECT_EQ(SourceOf(decoded.mapped, bytes, "final"), "final");
}

TEST(DecodeTest, Windows1252Marks) {
  std::string bytes = "The price is \x80 5 \x96 he said \x93yes\x94.";
  ASSERT_OK_AND_ASSIGN(DecodedText decoded, DecodeText(bytes, "", kMax));
  EXPECT_EQ(decoded.encoding, "windows-1252");
  EXPECT_EQ(decoded.mapped.text, "The price is € 5 – he said “yes”.");
  EXPECT_EQ(SourceOf(decoded.mapped, bytes, "“yes”"), "\x93yes\x94");
}

TEST(DecodeTest, Utf16WithAndWithoutMark) {
  std::u16string text = u"Olá mundo, a decisão é final.";
  for (bool little : {true, false}) {
    for (bool mark : {true, false}) {
      std::string bytes = (mark ? Utf16(u"\uFEFF", little) : "") + Utf16(text, little);
      ASSERT_OK_AND_ASSIGN(DecodedText decoded, DecodeText(bytes, "", kMax));
      EXPECT_EQ(decoded.mapped.text, "Olá mundo, a decisão é final.");
      EXPECT_EQ(decoded.encoding, little ? "UTF-16LE" : "UTF-16BE");
      EXPECT_EQ(SourceOf(decoded.mapped, bytes, "decisão"), Utf16(u"decisão", little));
    }
  }
}

TEST(DecodeTest, ShiftJis) {
  // 日本語のテキストです。これは文字コードの判定を試すための文章です。
  std::string bytes =
      "\x93\xFA\x96\x7B\x8C\xEA\x82\xCC\x83\x65\x83\x4C\x83\x58\x83\x67\x82\xC5\x82\xB7\x81\x42\x82\xB1\x82\xEA\x82\xCD"
      "\x95\xB6\x8E\x9A\x83\x52\x81\x5B\x83\x68\x82\xCC\x94\xBB\x92\xE8\x82\xF0\x8E\x8E\x82\xB7\x82\xBD\x82\xDF\x82\xCC"
      "\x95\xB6\x8F\xCD\x82\xC5\x82\xB7\x81\x42";
  ASSERT_OK_AND_ASSIGN(DecodedText decoded, DecodeText(bytes, "", kMax));
  EXPECT_THAT(decoded.mapped.text, HasSubstr("日本語のテキスト"));
  EXPECT_EQ(MapError(decoded.mapped, bytes), "");
}

TEST(DecodeTest, DeclaredCharsetIsTried) {
  std::string bytes = "<meta charset=\"iso-8859-2\"> \xB1\xE6\xEA\xB3\xF1";
  EXPECT_EQ(DeclaredHtmlCharset(bytes), "iso-8859-2");
  ASSERT_OK_AND_ASSIGN(DecodedText decoded, DecodeText(bytes, DeclaredHtmlCharset(bytes), kMax));
  EXPECT_THAT(decoded.mapped.text, HasSubstr("ąćęłń"));
}

TEST(DecodeTest, BinaryContentIsRefused) {
  std::string zeros("text\0more\0\x01\x02", 12);
  EXPECT_THAT(DecodeText(zeros, "", kMax), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("binary")));
  std::string png = "\x89PNG\r\n\x1A\n" + std::string("\0\0\0\rIHDR\0\0\1\0", 12);
  EXPECT_THAT(DecodeText(png, "", kMax), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("binary")));
}

TEST(DecodeTest, LongTextIsRefused) {
  EXPECT_THAT(DecodeText(std::string(100, 'a'), "", 99),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("99")));
  std::string latin = std::string(60, '\xE9') + std::string(200, 'a');
  EXPECT_THAT(DecodeText(latin, "", 100), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("100")));
}

TEST(DecodeTest, RandomBytesNeverBreakTheMap) {
  auto random = lastro::testing::SeededRandom(3);
  for (int round = 0; round < 500; ++round) {
    std::string bytes;
    size_t size = random() % 200;
    bool mostly_ascii = random() % 2 == 0;
    for (size_t i = 0; i < size; ++i) {
      bytes += mostly_ascii && random() % 5 != 0 ? static_cast<char>('a' + random() % 26) : static_cast<char>(random());
    }
    absl::StatusOr<DecodedText> decoded = DecodeText(bytes, "", kMax);
    if (!decoded.ok()) continue;
    MappedText normal = Normalize(decoded->mapped);
    EXPECT_EQ(MapError(decoded->mapped, bytes), "");
    EXPECT_EQ(MapError(normal, bytes), "");
  }
}

TEST(NormalizeTest, LineEndsSpacesAndHiddenCharacters) {
  std::string text = "a\r\nb\rc\u00A0d\u200Be\u202Ef\u00ADg\u0007h\uFEFFi";
  MappedText normal = Normalize(IdentityText(text));
  EXPECT_EQ(normal.text, "a\nb\nc defghi");
  EXPECT_EQ(MapError(normal, text), "");
  EXPECT_EQ(SourceOf(normal, text, "\n"), "\r\n");
  EXPECT_EQ(SourceOf(normal, text, "d"), "d");
}

TEST(NormalizeTest, ComposesAndKeepsTheMap) {
  std::string text = "cafe\u0301 ok";
  MappedText normal = Normalize(IdentityText(text));
  EXPECT_EQ(normal.text, "café ok");
  EXPECT_EQ(SourceOf(normal, text, "é"), "e\u0301");
  EXPECT_EQ(SourceOf(normal, text, "ok"), "ok");
}

TEST(NormalizeTest, PlainTextIsUntouchedAndIdempotent) {
  std::string text = "Nada a mudar: “olá” — 5 €\n\tfim";
  MappedText once = Normalize(IdentityText(text));
  EXPECT_EQ(once.text, text);
  EXPECT_EQ(Normalize(once).text, once.text);
}

TEST(MappedTextTest, ComposeAndSlice) {
  std::string source = "0123\xE9xyz";
  MappedTextBuilder inner;
  inner.AppendVerbatim("0123", 0);
  inner.AppendChanged("é", 4, 1);
  inner.AppendVerbatim("xyz", 5);
  MappedText decoded = inner.Finish();  // "0123éxyz"
  MappedTextBuilder outer;
  outer.AppendVerbatim("23éx", 2);
  outer.AppendWithoutSource(" | ");
  outer.AppendChanged("Z", 8, 1);
  MappedText composed = Compose(outer.Finish(), decoded);
  EXPECT_EQ(composed.text, "23éx | Z");
  EXPECT_EQ(MapError(composed, source), "");
  EXPECT_EQ(SourceOf(composed, source, "3éx"), "3\xE9x");
  EXPECT_EQ(SourceOf(composed, source, "Z"), "z");
  MappedText slice = Slice(composed, 1, composed.text.size());
  EXPECT_EQ(slice.text, "3éx | Z");
  EXPECT_EQ(SourceOf(slice, source, "3"), "3");
  EXPECT_EQ(MapError(slice, source), "");
}

}  // namespace
}  // namespace lastro::ingest
