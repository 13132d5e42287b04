#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "services/eval/dataset_builder.h"
#include "services/eval/input_file.h"
#include "services/eval/readers.h"

namespace lastro::services::eval {
namespace {

class LinesReader {
 public:
  LinesReader(std::string path, const ReadOptions& options) : builder_(std::move(path)), options_(options) {}

  absl::Status Add(const JsonValue& line, const std::string& where) {
    ++lines_;
    Question question;
    LASTRO_RETURN_IF_ERROR(FillQuestion(line, &question));
    LASTRO_RETURN_IF_ERROR(line.Has("context") ? JudgeByContext(line, where, &question) : JudgeByUri(line, &question));
    if (line.Has("context") != with_context_) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, ": either every line has a `context` (a passage to search) or none has"));
    }
    return builder_.AddQuestion(std::move(question), where);
  }

  absl::StatusOr<Dataset> Build() && { return std::move(builder_).Build(); }

 private:
  absl::Status FillQuestion(const JsonValue& line, Question* question) {
    LASTRO_ASSIGN_OR_RETURN(question->id, line.GetString("id", absl::StrCat("q", lines_)));
    LASTRO_ASSIGN_OR_RETURN(question->text, line.GetString("question", ""));
    LASTRO_ASSIGN_OR_RETURN(std::string language, line.GetString("lang", options_.language));
    LASTRO_ASSIGN_OR_RETURN(question->group, line.GetString("source", ""));
    LASTRO_ASSIGN_OR_RETURN(question->answers, StringsOf(line, line.Has("answers") ? "answers" : "answer"));
    LASTRO_ASSIGN_OR_RETURN(question->answerable, line.GetBool("answerable", true));
    if (!question->answerable) question->answers.clear();
    question->language = LanguageOf(language);
    return absl::OkStatus();
  }

  absl::Status JudgeByContext(const JsonValue& line, const std::string& where, Question* question) {
    if (lines_ == 1) with_context_ = true;
    LASTRO_ASSIGN_OR_RETURN(std::string title, line.GetString("title", ""));
    LASTRO_ASSIGN_OR_RETURN(std::string context, line.GetString("context", ""));
    LASTRO_ASSIGN_OR_RETURN(std::string passage,
                            builder_.PassageOfText(title, context, absl::StrCat("p", lines_), where));
    if (question->answerable) question->judgements = {{passage, 1}};
    return absl::OkStatus();
  }

  absl::Status JudgeByUri(const JsonValue& line, Question* question) {
    LASTRO_ASSIGN_OR_RETURN(std::vector<std::string> uris, StringsOf(line, "document"));
    if (!question->answerable) return absl::OkStatus();
    std::sort(uris.begin(), uris.end());
    uris.erase(std::unique(uris.begin(), uris.end()), uris.end());
    for (std::string& uri : uris) question->judgements.push_back({std::move(uri), 1});
    return absl::OkStatus();
  }

  DatasetBuilder builder_;
  const ReadOptions& options_;
  int64_t lines_ = 0;
  bool with_context_ = false;
};

}  // namespace

absl::StatusOr<Dataset> ReadLines(absl::string_view content, const std::string& path, const ReadOptions& options) {
  LinesReader reader(path, options);
  LASTRO_RETURN_IF_ERROR(ForEachJsonLine(
      content, path, [&](const JsonValue& line, const std::string& where) { return reader.Add(line, where); }));
  return std::move(reader).Build();
}

}  // namespace lastro::services::eval
