// What is said when there is no answer, in the question's language. Pure functions.
#pragma once

#include <string>

#include "lastro/v1/ask.pb.h"

namespace lastro::services::answer {

// A sentence for every answerability but ANSWERED. `question` decides between English and Portuguese.
std::string AbstentionText(v1::Answerability reason, const std::string& question);

}  // namespace lastro::services::answer
