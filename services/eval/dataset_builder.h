// DatasetBuilder: what the readers of evaluation data put into a dataset, checked. Not thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/json.h"
#include "services/eval/dataset.h"

namespace lastro::services::eval {

inline constexpr size_t kMaxPassages = 2'000'000;
inline constexpr size_t kMaxQuestions = 1'000'000;

class DatasetBuilder {
 public:
  explicit DatasetBuilder(std::string name) { dataset_.name = std::move(name); }

  // `where` opens the messages of errors: an id that is empty, longer than 512 bytes or there already, a passage of
  // more than 16 MiB, a question that is empty or longer than 8,192 bytes (what Ask takes), too many of either.
  absl::Status AddPassage(EvalPassage passage, const std::string& where);
  absl::Status AddQuestion(Question question, const std::string& where);
  // The id of the passage of this title and text, which is added as `id` when it is new.
  absl::StatusOr<std::string> PassageOfText(const std::string& title, const std::string& text, const std::string& id,
                                            const std::string& where);

  bool HasPassage(absl::string_view id) const { return passages_.contains(id); }
  // Null when there is none.
  Question* FindQuestion(absl::string_view id);

  // INVALID_ARGUMENT when there is no question.
  absl::StatusOr<Dataset> Build() &&;

 private:
  Dataset dataset_;
  absl::flat_hash_map<std::string, size_t> passages_;   // index by id
  absl::flat_hash_map<std::string, size_t> questions_;  // index by id
  absl::flat_hash_map<std::string, std::string> ids_by_text_;
};

// The member `key`: a string, an array of strings, or absent (none).
absl::StatusOr<std::vector<std::string>> StringsOf(const JsonValue& object, absl::string_view key);

// "en" or "pt" of a language name or tag such as "pt-BR"; "" of any other.
std::string LanguageOf(absl::string_view tag);

}  // namespace lastro::services::eval
