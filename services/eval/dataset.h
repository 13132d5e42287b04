// Dataset: passages and questions about them, whatever file they came from. Plain data.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace lastro::services::eval {

struct EvalPassage {
  std::string id;
  std::string title;  // may be empty
  std::string text;
};

// A passage that answers a question, and how well: above 0.
struct Judgement {
  std::string passage;  // id
  double gain = 1;
};

struct Question {
  std::string id;
  std::string text;
  std::string language;              // "en", "pt", or "" when not known
  std::string group;                 // may be empty
  std::vector<std::string> answers;  // empty: unanswerable, or not known
  bool answerable = true;
  std::vector<Judgement> judgements;  // empty: none known
  std::string asked_of;  // id of the passage that it was written about, answered there or not; may be empty
};

struct Dataset {
  std::string name;
  std::vector<EvalPassage> passages;  // empty: the questions are about a collection that there is, judged by uri
  std::vector<Question> questions;
};

}  // namespace lastro::services::eval
