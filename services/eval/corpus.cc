#include "services/eval/corpus.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"

namespace lastro::services::eval {
namespace {

// Titles longer than this are read as a paragraph (ingest/text_reader.cc tells headings by their width).
constexpr size_t kMaxUnderlined = 80;

bool HasText(const EvalPassage& passage) {
  return !absl::StripAsciiWhitespace(passage.text).empty() || !absl::StripAsciiWhitespace(passage.title).empty();
}

}  // namespace

std::string DocumentOf(const EvalPassage& passage) {
  const std::string title =
      absl::StrJoin(absl::StrSplit(passage.title, absl::ByAnyChar(" \t\r\n"), absl::SkipEmpty()), " ");
  if (title.empty()) return passage.text;
  if (title.size() > kMaxUnderlined) return absl::StrCat(title, "\n\n", passage.text);
  return absl::StrCat(title, "\n", std::string(title.size(), '='), "\n\n", passage.text);
}

absl::StatusOr<Corpus> IngestPassages(const Dataset& dataset, const std::string& collection, IngestApi& ingest,
                                      const CallContext& context, const EvalProgress& progress) {
  Corpus corpus;
  for (size_t i = 0; i < dataset.passages.size(); ++i) {
    const EvalPassage& passage = dataset.passages[i];
    progress(i, dataset.passages.size());
    LASTRO_RETURN_IF_ERROR(context.Check());
    v1::UploadRequest::Header header;
    header.set_collection(collection);
    header.set_uri(absl::StrFormat("p%08d", i));
    header.set_media_type("text/plain");
    (*header.mutable_metadata())["passage"].set_string_value(passage.id);
    absl::Status status = HasText(passage) ? ingest.Upload(header, DocumentOf(passage), context).status()
                                           : absl::InvalidArgumentError("no text");
    if (absl::IsInvalidArgument(status)) {
      ++corpus.skipped;
      continue;
    }
    LASTRO_RETURN_IF_ERROR(status);
    corpus.passage_of_uri.emplace(header.uri(), passage.id);
  }
  progress(dataset.passages.size(), dataset.passages.size());
  if (!corpus.passage_of_uri.empty() || dataset.passages.empty()) return corpus;
  return absl::InvalidArgumentError(absl::StrCat(dataset.name, ": no passage has a text that can be read"));
}

}  // namespace lastro::services::eval
