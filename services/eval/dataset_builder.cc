#include "services/eval/dataset_builder.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status_macros.h"

namespace lastro::services::eval {
namespace {

constexpr size_t kMaxIdBytes = 512;
constexpr size_t kMaxPassageBytes = 16u << 20;
constexpr size_t kMaxQuestionBytes = 8'192;

absl::Status Invalid(const std::string& where, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(where, ": ", what));
}

absl::Status CheckId(const std::string& id, const std::string& where) {
  if (!id.empty() && id.size() <= kMaxIdBytes) return absl::OkStatus();
  return Invalid(where, absl::StrCat("an id must have 1 to ", kMaxIdBytes, " bytes"));
}

}  // namespace

absl::Status DatasetBuilder::AddPassage(EvalPassage passage, const std::string& where) {
  LASTRO_RETURN_IF_ERROR(CheckId(passage.id, where));
  if (passage.text.size() > kMaxPassageBytes) {
    return Invalid(
        where, absl::StrCat("the passage has ", passage.text.size(), " bytes; up to ", kMaxPassageBytes, " are taken"));
  }
  if (dataset_.passages.size() >= kMaxPassages) return Invalid(where, "too many passages");
  if (!passages_.emplace(passage.id, dataset_.passages.size()).second) {
    return Invalid(where, absl::StrCat("the passage ", passage.id, " was there already"));
  }
  dataset_.passages.push_back(std::move(passage));
  return absl::OkStatus();
}

absl::Status DatasetBuilder::AddQuestion(Question question, const std::string& where) {
  LASTRO_RETURN_IF_ERROR(CheckId(question.id, where));
  if (absl::StripAsciiWhitespace(question.text).empty()) return Invalid(where, "the question is empty");
  if (question.text.size() > kMaxQuestionBytes) {
    return Invalid(where, absl::StrCat("the question has ", question.text.size(), " bytes; up to ", kMaxQuestionBytes,
                                       " are taken"));
  }
  if (dataset_.questions.size() >= kMaxQuestions) return Invalid(where, "too many questions");
  if (!questions_.emplace(question.id, dataset_.questions.size()).second) {
    return Invalid(where, absl::StrCat("the question ", question.id, " was there already"));
  }
  dataset_.questions.push_back(std::move(question));
  return absl::OkStatus();
}

absl::StatusOr<std::string> DatasetBuilder::PassageOfText(const std::string& title, const std::string& text,
                                                          const std::string& id, const std::string& where) {
  auto [known, is_new] = ids_by_text_.try_emplace(Sha256Hex(absl::StrCat(title.size(), ":", title, text)), id);
  if (is_new) LASTRO_RETURN_IF_ERROR(AddPassage({id, title, text}, where));
  return known->second;
}

Question* DatasetBuilder::FindQuestion(absl::string_view id) {
  auto found = questions_.find(id);
  return found == questions_.end() ? nullptr : &dataset_.questions[found->second];
}

absl::StatusOr<Dataset> DatasetBuilder::Build() && {
  if (dataset_.questions.empty()) return Invalid(dataset_.name, "there is no question in it");
  return std::move(dataset_);
}

absl::StatusOr<std::vector<std::string>> StringsOf(const JsonValue& object, absl::string_view key) {
  std::vector<std::string> strings;
  if (!object.Has(key)) return strings;
  LASTRO_ASSIGN_OR_RETURN(JsonValue value, object.Get(key));
  if (value.is_string()) {
    LASTRO_ASSIGN_OR_RETURN(absl::string_view text, value.AsString());
    strings.emplace_back(text);
    return strings;
  }
  LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> items, value.AsArray());
  for (const JsonValue& item : items) {
    LASTRO_ASSIGN_OR_RETURN(absl::string_view text, item.AsString());
    strings.emplace_back(text);
  }
  return strings;
}

std::string LanguageOf(absl::string_view tag) {
  const std::string lower = absl::AsciiStrToLower(tag);
  if (absl::StartsWith(lower, "pt") || absl::StartsWith(lower, "por")) return "pt";
  if (absl::StartsWith(lower, "en")) return "en";
  return "";
}

}  // namespace lastro::services::eval
