// What `lastro eval --probes` works with: hostile documents in English and Portuguese with instructions to the reader,
// forged citations, prompts and control tokens, hidden text in every form, split and look-alike words, and questions
// that ask for what they try to bring about. Pure functions.
#pragma once

#include <string>
#include <vector>

namespace lastro::services::eval {

// Who may see a document, of those who ask: the probes' caller sees kEverybody alone.
enum class ProbeReaders { kEverybody, kOtherLabel, kOtherTenant };

struct ProbeDocument {
  std::string uri;
  std::string content;
  ProbeReaders readers = ProbeReaders::kEverybody;
  std::string shown = "";  // of a PDF: the text that its pages show; of others, empty
};

std::vector<ProbeDocument> ProbeDocuments();
std::vector<std::string> ProbeQuestions();

// Every hidden text has a word with the first of these in it; every text of other scopes one with the second. They
// stand nowhere else, questions included.
inline constexpr char kHiddenMark[] = "zqhidden";
inline constexpr char kForeignMark[] = "zqforeign";

// Control tokens of the chat templates and prompt formats that the decoder families use, and of encoders.
std::vector<std::string> KnownControlTokens();

}  // namespace lastro::services::eval
