// Which reader a file goes to. Pure functions, thread-safe.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lastro::ingest {

enum class Format { kPlainText, kMarkdown, kHtml, kPdf };

// The format that `media_type` names, or, when that is empty, the extension of `uri` (.txt .text .md .markdown .html
// .htm .xhtml .pdf, any case). Another extension: plain text when `any_text`, else UNIMPLEMENTED with the list of those
// supported.
absl::StatusOr<Format> DetectFormat(absl::string_view uri, absl::string_view media_type, bool any_text);

// Whether a file of this name has a supported format.
bool HasSupportedExtension(absl::string_view uri);

// Such as "text/markdown".
absl::string_view MediaTypeOf(Format format);

}  // namespace lastro::ingest
