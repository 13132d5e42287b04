#include "services/eval/readers.h"

#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "services/eval/input_file.h"

namespace lastro::services::eval {
namespace {

// Whether the file is one JSON document with `data`, rather than an object a line.
bool LooksLikeSquad(absl::string_view content) {
  content = absl::StripLeadingAsciiWhitespace(content);
  const absl::string_view line = absl::StripTrailingAsciiWhitespace(content.substr(0, content.find('\n')));
  if (!absl::EndsWith(line, "}")) return true;  // the document goes on
  absl::StatusOr<JsonDocument> document = JsonDocument::Parse(line, "", kMaxInputBytes);
  return document.ok() && document->root().Has("data");
}

}  // namespace

absl::StatusOr<Dataset> ReadDataset(const std::string& path, const ReadOptions& options) {
  std::error_code error;
  const bool folder = std::filesystem::is_directory(path, error);
  if (options.format == DataFormat::kBeir || (options.format == DataFormat::kAuto && folder)) {
    return ReadBeir(std::string(absl::StripSuffix(path, "/")), options);
  }
  if (folder) return absl::InvalidArgumentError(absl::StrCat(path, " is a folder; only BEIR data is"));
  LASTRO_ASSIGN_OR_RETURN(std::string content, ReadInput(path));
  bool squad = options.format == DataFormat::kSquad;
  if (options.format == DataFormat::kAuto) squad = LooksLikeSquad(content);
  return squad ? ReadSquad(content, path, options) : ReadLines(content, path, options);
}

}  // namespace lastro::services::eval
