#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "services/eval/dataset_builder.h"
#include "services/eval/input_file.h"
#include "services/eval/readers.h"

namespace lastro::services::eval {
namespace {

absl::StatusOr<std::string> NeededInput(const std::string& path) {
  if (std::optional<std::string> found = FindInput(path)) return *std::move(found);
  return absl::NotFoundError(absl::StrCat("there is no ", path, " (nor ", path,
                                          ".zst); a BEIR folder has corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv"));
}

absl::Status ReadJsonLines(const std::string& path,
                           const std::function<absl::Status(const JsonValue&, const std::string&)>& visit) {
  LASTRO_ASSIGN_OR_RETURN(std::string file, NeededInput(path));
  LASTRO_ASSIGN_OR_RETURN(std::string content, ReadInput(file));
  return ForEachJsonLine(content, file, visit);
}

absl::StatusOr<std::string> NeededString(const JsonValue& object, absl::string_view key) {
  LASTRO_ASSIGN_OR_RETURN(JsonValue member, object.Get(key));
  LASTRO_ASSIGN_OR_RETURN(absl::string_view text, member.AsString());
  return std::string(text);
}

absl::Status AddCorpusLine(const JsonValue& line, const std::string& where, DatasetBuilder* builder) {
  EvalPassage passage;
  LASTRO_ASSIGN_OR_RETURN(passage.id, NeededString(line, "_id"));
  LASTRO_ASSIGN_OR_RETURN(passage.title, line.GetString("title", ""));
  LASTRO_ASSIGN_OR_RETURN(passage.text, NeededString(line, "text"));
  return builder->AddPassage(std::move(passage), where);
}

absl::Status AddQueryLine(const JsonValue& line, const std::string& where, const ReadOptions& options,
                          DatasetBuilder* builder) {
  Question question;
  LASTRO_ASSIGN_OR_RETURN(question.id, NeededString(line, "_id"));
  LASTRO_ASSIGN_OR_RETURN(question.text, NeededString(line, "text"));
  LASTRO_ASSIGN_OR_RETURN(std::string language, line.GetString("lang", options.language));
  LASTRO_ASSIGN_OR_RETURN(question.group, line.GetString("source", ""));
  LASTRO_ASSIGN_OR_RETURN(question.answers, StringsOf(line, line.Has("answers") ? "answers" : "answer"));
  question.language = LanguageOf(language);
  return builder->AddQuestion(std::move(question), where);
}

absl::StatusOr<std::string> FindJudgements(const std::string& folder, const std::string& split) {
  if (std::optional<std::string> flat = FindInput(folder + "/qrels.tsv")) return *std::move(flat);
  return NeededInput(absl::StrCat(folder, "/qrels/", split, ".tsv"));
}

// query-id, corpus-id and score with tabs between them; the first line may name them.
absl::Status AddJudgementLine(absl::string_view line, const std::string& where, bool first, DatasetBuilder* builder,
                              absl::flat_hash_set<std::pair<std::string, std::string>>* judged) {
  const std::vector<std::string> cells = absl::StrSplit(line, '\t');
  double gain = 0;
  if (cells.size() != 3 || !absl::SimpleAtod(cells[2], &gain) || !(gain > -1e6 && gain < 1e6)) {
    if (first) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": expected query-id, corpus-id and a score with tabs between them"));
  }
  Question* question = builder->FindQuestion(cells[0]);
  if (question == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": queries.jsonl has no query ", cells[0]));
  }
  if (!builder->HasPassage(cells[1])) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": corpus.jsonl has no passage ", cells[1]));
  }
  if (!judged->emplace(cells[0], cells[1]).second) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": this pair was judged already"));
  }
  if (gain > 0) question->judgements.push_back({cells[1], gain});
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Dataset> ReadBeir(const std::string& folder, const ReadOptions& options) {
  DatasetBuilder builder(folder);
  LASTRO_RETURN_IF_ERROR(ReadJsonLines(folder + "/corpus.jsonl", [&](const JsonValue& line, const std::string& where) {
    return AddCorpusLine(line, where, &builder);
  }));
  LASTRO_RETURN_IF_ERROR(ReadJsonLines(folder + "/queries.jsonl", [&](const JsonValue& line, const std::string& where) {
    return AddQueryLine(line, where, options, &builder);
  }));
  LASTRO_ASSIGN_OR_RETURN(std::string judgements, FindJudgements(folder, options.split));
  LASTRO_ASSIGN_OR_RETURN(std::string content, ReadInput(judgements));
  absl::flat_hash_set<std::pair<std::string, std::string>> judged;
  bool first = true;
  LASTRO_RETURN_IF_ERROR(ForEachLine(content, judgements, [&](absl::string_view line, const std::string& where) {
    return AddJudgementLine(line, where, std::exchange(first, false), &builder, &judged);
  }));
  LASTRO_ASSIGN_OR_RETURN(Dataset dataset, std::move(builder).Build());
  std::erase_if(dataset.questions, [](const Question& question) { return question.judgements.empty(); });
  if (!dataset.questions.empty()) return dataset;
  return absl::InvalidArgumentError(absl::StrCat(judgements, ": no query has a judgement above 0"));
}

}  // namespace lastro::services::eval
