#include "engine/tokenizers/vocabulary.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/tokenizers/component.h"

namespace lastro::engine::tokenizers {

absl::StatusOr<Vocabulary> Vocabulary::Parse(const JsonValue& object) {
  simdjson::dom::object fields;
  if (object.element().get(fields) != simdjson::SUCCESS) {
    return absl::InvalidArgumentError(absl::StrCat(object.path(), " must be an object"));
  }
  Vocabulary vocabulary;
  vocabulary.ids_.reserve(fields.size());
  for (const auto& field : fields) {
    absl::string_view token(field.key.data(), field.key.size());
    if (vocabulary.ids_.contains(token)) {
      return absl::InvalidArgumentError(absl::StrCat(object.path(), ": token \"", token, "\" occurs twice"));
    }
    LASTRO_ASSIGN_OR_RETURN(int32_t id, AsTokenId(JsonValue(field.value, object.path())));
    LASTRO_RETURN_IF_ERROR(vocabulary.Add(token, id, object.path()));
  }
  return vocabulary;
}

absl::StatusOr<Vocabulary> Vocabulary::ParseArray(const JsonValue& array) {
  simdjson::dom::array entries;
  if (array.element().get(entries) != simdjson::SUCCESS) {
    return absl::InvalidArgumentError(absl::StrCat(array.path(), " must be an object or an array"));
  }
  Vocabulary vocabulary;
  for (simdjson::dom::element entry : entries) {
    std::string_view token;
    simdjson::dom::array fields;
    if (entry.get(fields) != simdjson::SUCCESS || fields.at(0).get(token) != simdjson::SUCCESS) {
      return absl::InvalidArgumentError(
          absl::StrCat(array.path(), "[", vocabulary.size(), "] must be [\"piece\", score]"));
    }
    LASTRO_RETURN_IF_ERROR(
        vocabulary.Add(absl::string_view(token.data(), token.size()), vocabulary.size(), array.path()));
  }
  return vocabulary;
}

absl::Status Vocabulary::Add(absl::string_view token, int32_t id, absl::string_view where) {
  if (token.size() > kMaxTokenBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": a token of ", token.size(), " bytes; the limit is ", kMaxTokenBytes));
  }
  std::optional<int32_t> known = IdOf(token);
  size_t index = static_cast<size_t>(id);
  bool taken = index < present_.size() && present_[index];
  if (known == id) return absl::OkStatus();
  if (known.has_value() || taken) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": token \"", token, "\" with id ", id,
                     known.has_value() ? " has another id too" : " shares it with another"));
  }
  if (ids_.size() >= kMaxVocabulary) {
    return absl::ResourceExhaustedError(absl::StrCat(where, ": more than ", kMaxVocabulary, " tokens"));
  }
  if (index >= tokens_.size()) {
    tokens_.resize(index + 1);
    present_.resize(index + 1);
  }
  tokens_[index] = std::string(token);
  present_[index] = true;
  ids_.emplace(tokens_[index], id);
  return absl::OkStatus();
}

absl::Status Vocabulary::CheckDense(absl::string_view where) const {
  for (size_t id = 0; id < present_.size(); ++id) {
    if (present_[id]) continue;
    return absl::InvalidArgumentError(absl::StrCat(where, ": id ", id, " has no token although the largest id is ",
                                                   present_.size() - 1, "; ids must be dense"));
  }
  return absl::OkStatus();
}

std::optional<int32_t> Vocabulary::IdOf(absl::string_view token) const {
  auto found = ids_.find(token);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

absl::string_view Vocabulary::TokenOf(int32_t id) const {
  if (id < 0 || id >= size()) return "";
  return tokens_[static_cast<size_t>(id)];
}

}  // namespace lastro::engine::tokenizers
