#include "services/answer/abstention.h"

#include "base/check.h"
#include "services/answer/question_form.h"

namespace lastro::services::answer {
namespace {

std::string EnglishText(v1::Answerability reason) {
  switch (reason) {
    case v1::NO_HIT:
      return "No document in this collection matches the question.";
    case v1::WEAK_EVIDENCE:
      return "The documents do not answer this question well enough to quote them.";
    case v1::CONFLICTING:
      return "The documents contradict each other:";
    case v1::OUT_OF_SCOPE:
      return "The question is not about the documents of this collection.";
    case v1::OVER_BUDGET:
      return "Not even one passage fits into the prompt.";
    default:
      LASTRO_CHECK(false, "no abstention");
  }
}

std::string PortugueseText(v1::Answerability reason) {
  switch (reason) {
    case v1::NO_HIT:
      return "Nenhum documento desta coleção corresponde à pergunta.";
    case v1::WEAK_EVIDENCE:
      return "Os documentos não respondem a esta pergunta com segurança suficiente para os citar.";
    case v1::CONFLICTING:
      return "Os documentos contradizem-se:";
    case v1::OUT_OF_SCOPE:
      return "A pergunta não é sobre os documentos desta coleção.";
    case v1::OVER_BUDGET:
      return "Nem uma única passagem cabe no prompt.";
    default:
      LASTRO_CHECK(false, "no abstention");
  }
}

}  // namespace

std::string AbstentionText(v1::Answerability reason, const std::string& question) {
  return IsInPortuguese(question) ? PortugueseText(reason) : EnglishText(reason);
}

}  // namespace lastro::services::answer
