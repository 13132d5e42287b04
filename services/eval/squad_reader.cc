#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/status_macros.h"
#include "services/eval/dataset_builder.h"
#include "services/eval/input_file.h"
#include "services/eval/readers.h"

namespace lastro::services::eval {
namespace {

absl::StatusOr<std::vector<JsonValue>> Items(const JsonValue& object, absl::string_view key) {
  LASTRO_ASSIGN_OR_RETURN(JsonValue member, object.Get(key));
  return member.AsArray();
}

absl::StatusOr<std::vector<std::string>> AnswersOf(const JsonValue& qa) {
  std::vector<std::string> answers;
  LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> items, Items(qa, "answers"));
  for (const JsonValue& item : items) {
    LASTRO_ASSIGN_OR_RETURN(std::string text, item.GetString("text", ""));
    if (std::find(answers.begin(), answers.end(), text) == answers.end()) answers.push_back(std::move(text));
  }
  return answers;
}

absl::Status AddQuestionOf(const JsonValue& qa, const std::string& title, const std::string& passage,
                           const ReadOptions& options, DatasetBuilder* builder) {
  Question question;
  LASTRO_ASSIGN_OR_RETURN(question.id, qa.GetString("id", ""));
  LASTRO_ASSIGN_OR_RETURN(question.text, qa.GetString("question", ""));
  LASTRO_ASSIGN_OR_RETURN(bool impossible, qa.GetBool("is_impossible", false));
  question.language = LanguageOf(options.language);
  question.group = title;
  question.answerable = !impossible;
  question.asked_of = passage;
  if (!impossible) {
    LASTRO_ASSIGN_OR_RETURN(question.answers, AnswersOf(qa));
    question.judgements = {{passage, 1}};
  }
  return builder->AddQuestion(std::move(question), qa.path());
}

absl::Status AddParagraph(const JsonValue& paragraph, const std::string& title, const ReadOptions& options,
                          DatasetBuilder* builder, int* number) {
  LASTRO_ASSIGN_OR_RETURN(std::string context, paragraph.GetString("context", ""));
  LASTRO_ASSIGN_OR_RETURN(
      std::string passage,
      builder->PassageOfText(title, context, absl::StrCat(title, "#", ++*number), paragraph.path()));
  LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> qas, Items(paragraph, "qas"));
  for (const JsonValue& qa : qas) LASTRO_RETURN_IF_ERROR(AddQuestionOf(qa, title, passage, options, builder));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Dataset> ReadSquad(absl::string_view content, const std::string& path, const ReadOptions& options) {
  LASTRO_ASSIGN_OR_RETURN(JsonDocument document, JsonDocument::Parse(content, path, kMaxInputBytes));
  LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> articles, Items(document.root(), "data"));
  DatasetBuilder builder(path);
  int number = 0;
  for (const JsonValue& article : articles) {
    LASTRO_ASSIGN_OR_RETURN(std::string title, article.GetString("title", ""));
    title = absl::StrReplaceAll(title, {{"_", " "}});  // as in addresses of Wikipedia
    LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> paragraphs, Items(article, "paragraphs"));
    for (const JsonValue& paragraph : paragraphs) {
      LASTRO_RETURN_IF_ERROR(AddParagraph(paragraph, title, options, &builder, &number));
    }
  }
  return std::move(builder).Build();
}

}  // namespace lastro::services::eval
