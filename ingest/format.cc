#include "ingest/format.h"

#include <optional>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace lastro::ingest {
namespace {

// In lower case with the dot; empty when the name has none.
std::string ExtensionOf(absl::string_view uri) {
  size_t slash = uri.rfind('/');
  absl::string_view name = slash == absl::string_view::npos ? uri : uri.substr(slash + 1);
  size_t dot = name.rfind('.');
  return dot == absl::string_view::npos || dot == 0 ? "" : absl::AsciiStrToLower(name.substr(dot));
}

std::optional<Format> FormatOfExtension(absl::string_view extension) {
  if (extension == ".txt" || extension == ".text") return Format::kPlainText;
  if (extension == ".md" || extension == ".markdown") return Format::kMarkdown;
  if (extension == ".html" || extension == ".htm" || extension == ".xhtml") return Format::kHtml;
  if (extension == ".pdf") return Format::kPdf;
  return std::nullopt;
}

std::optional<Format> FormatOfMediaType(absl::string_view media_type) {
  std::string type = absl::AsciiStrToLower(absl::StripAsciiWhitespace(media_type.substr(0, media_type.find(';'))));
  if (type == "text/plain") return Format::kPlainText;
  if (type == "text/markdown" || type == "text/x-markdown") return Format::kMarkdown;
  if (type == "text/html" || type == "application/xhtml+xml") return Format::kHtml;
  if (type == "application/pdf") return Format::kPdf;
  return std::nullopt;
}

}  // namespace

absl::StatusOr<Format> DetectFormat(absl::string_view uri, absl::string_view media_type, bool any_text) {
  if (!media_type.empty()) {
    if (std::optional<Format> format = FormatOfMediaType(media_type)) return *format;
    return absl::UnimplementedError(
        absl::StrCat("the media type is not supported; text/plain, text/markdown, text/html and application/pdf are"));
  }
  std::string extension = ExtensionOf(uri);
  if (std::optional<Format> format = FormatOfExtension(extension)) return *format;
  if (any_text) return Format::kPlainText;
  return absl::UnimplementedError(absl::StrCat(
      "the format ", extension.empty() ? "without an extension" : extension,
      " is not supported; .txt, .md, .html and .pdf are (text of another kind is read where it is named or included)"));
}

bool HasSupportedExtension(absl::string_view uri) { return FormatOfExtension(ExtensionOf(uri)).has_value(); }

absl::string_view MediaTypeOf(Format format) {
  switch (format) {
    case Format::kPlainText:
      return "text/plain";
    case Format::kMarkdown:
      return "text/markdown";
    case Format::kHtml:
      return "text/html";
    case Format::kPdf:
      return "application/pdf";
  }
  return "";
}

}  // namespace lastro::ingest
