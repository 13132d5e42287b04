// What form of answer a question asks for. Pure function, thread-safe.
#pragma once

#include "absl/strings/string_view.h"

namespace lastro::services::answer {

// Whether `question` asks how, why, or for a description or a list, which a few words seldom answer: "how do I ...",
// "por que ...", "list the ...". "how many", "how old", "como se chama" and their like ask for a fact. English and
// Portuguese.
bool AsksToExplain(absl::string_view question);

}  // namespace lastro::services::answer
