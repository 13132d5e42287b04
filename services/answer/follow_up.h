// Follow-up questions: made to stand alone with what was said before, by the decoder where it converses, otherwise by
// rules. Thread-safe.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "services/api.h"

namespace lastro::services::answer {

using History = google::protobuf::RepeatedPtrField<v1::Turn>;

// INVALID_ARGUMENT: too many turns, too much text, a role that does not exist, text that is empty or no UTF-8.
absl::Status CheckHistory(const History& history);

// Whether `question` seems to need what was said before: it says "it", "those", "isso", ..., begins with "and", "e se",
// ..., or has hardly a word of its own. English and Portuguese.
bool RefersBack(absl::string_view question);

// `question` with the words in brackets that the conversation was about: of the latest question that stands alone and
// of what followed it, each word once. Unchanged when it does not refer back.
std::string CompleteByRules(const std::string& question, const History& history);

// `question` so that it can be understood alone; unchanged without a history. The decoder is asked where it has a chat
// template. Errors: what `context` ended with.
absl::StatusOr<std::string> StandaloneQuestion(const std::string& question, const History& history,
                                               GenerationApi& generation, const CallContext& context);

}  // namespace lastro::services::answer
