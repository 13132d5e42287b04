#include "services/eval/input_file.h"

#include <zstd.h>

#include <filesystem>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/utf8.h"

namespace lastro::services::eval {
namespace {

constexpr absl::string_view kZstdMagic("\x28\xB5\x2F\xFD", 4);
constexpr int kMaxWindowLog = 27;

struct StreamDeleter {
  void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
};

absl::StatusOr<std::string> Decompress(absl::string_view frames, const std::string& path, uint64_t max_bytes) {
  std::unique_ptr<ZSTD_DStream, StreamDeleter> stream(ZSTD_createDStream());
  if (stream == nullptr) return absl::ResourceExhaustedError("no memory for zstd");
  ZSTD_DCtx_setParameter(stream.get(), ZSTD_d_windowLogMax, kMaxWindowLog);
  std::string out;
  std::string piece(ZSTD_DStreamOutSize(), '\0');
  ZSTD_inBuffer in{frames.data(), frames.size(), 0};
  for (;;) {
    ZSTD_outBuffer filled{piece.data(), piece.size(), 0};
    const size_t left = ZSTD_decompressStream(stream.get(), &filled, &in);
    if (ZSTD_isError(left)) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": damaged zstd file: ", ZSTD_getErrorName(left)));
    }
    if (out.size() + filled.pos > max_bytes) {
      return absl::ResourceExhaustedError(absl::StrCat(path, " has more than ", max_bytes, " bytes when decompressed"));
    }
    out.append(piece.data(), filled.pos);
    const bool drained = filled.pos < filled.size;
    if (in.pos < in.size || !drained) continue;
    if (left == 0) return out;
    return absl::InvalidArgumentError(absl::StrCat(path, ": the zstd file ends in the middle of a frame"));
  }
}

}  // namespace

absl::StatusOr<std::string> ReadInput(const std::string& path, uint64_t max_bytes) {
  LASTRO_ASSIGN_OR_RETURN(std::string content, ReadFile(path, max_bytes));
  if (!absl::StartsWith(content, kZstdMagic)) return content;
  return Decompress(content, path, max_bytes);
}

std::optional<std::string> FindInput(const std::string& path) {
  for (const char* suffix : {"", ".zst"}) {
    std::error_code ignored;
    if (std::filesystem::is_regular_file(path + suffix, ignored)) return path + suffix;
  }
  return std::nullopt;
}

absl::Status ForEachLine(absl::string_view content, const std::string& path,
                         const std::function<absl::Status(absl::string_view, const std::string&)>& visit) {
  int64_t number = 0;
  while (!content.empty()) {
    const size_t end = content.find('\n');
    absl::string_view line = content.substr(0, end);
    content.remove_prefix(end == absl::string_view::npos ? content.size() : end + 1);
    const std::string where = absl::StrCat(path, " line ", ++number);
    if (line.size() > kMaxLineBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, " has ", line.size(), " bytes; up to ", kMaxLineBytes, " are read"));
    }
    if (absl::EndsWith(line, "\r")) line.remove_suffix(1);
    if (absl::StripAsciiWhitespace(line).empty()) continue;
    if (!IsValidUtf8(line)) return absl::InvalidArgumentError(absl::StrCat(where, " is no UTF-8"));
    LASTRO_RETURN_IF_ERROR(visit(line, where));
  }
  return absl::OkStatus();
}

absl::Status ForEachJsonLine(absl::string_view content, const std::string& path,
                             const std::function<absl::Status(const JsonValue&, const std::string&)>& visit) {
  return ForEachLine(content, path, [&](absl::string_view line, const std::string& where) -> absl::Status {
    LASTRO_ASSIGN_OR_RETURN(JsonDocument document, JsonDocument::Parse(line, where, kMaxLineBytes));
    if (!document.root().is_object()) return absl::InvalidArgumentError(absl::StrCat(where, " is no JSON object"));
    return visit(document.root(), where);
  });
}

}  // namespace lastro::services::eval
