#include "services/answer/follow_up.h"

#include <algorithm>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "retrieval/search_terms.h"
#include "retrieval/stop_words.h"
#include "retrieval/word_breaker.h"

namespace lastro::services::answer {
namespace {

constexpr int kMaxTurns = 32;
constexpr size_t kMaxTurnBytes = 32'768;
constexpr size_t kMaxQuestionBytes = 8'192;
constexpr size_t kMaxAddedWords = 12;
constexpr size_t kMaxAnswerWords = 6;  // of an answer that a pronoun may stand for
// A question with so many words of its own is about them, whatever "it" stands for.
constexpr size_t kEnoughWords = 4;
constexpr int kMaxNewTokens = 96;
constexpr size_t kMaxRewrittenBytes = 1'024;

constexpr char kInstruction[] =
    "Rewrite the user's last question so that it can be understood without the conversation. Keep its language and its "
    "meaning, replace pronouns by what they stand for, add nothing else. Write the question only.";

using WordSet = absl::flat_hash_set<absl::string_view>;

// In lower case without accents, as every word is compared here.
const WordSet& Pronouns() {
  static const auto* const words = new WordSet(
      {"it",    "its",   "they",  "them",  "their", "theirs", "this",   "these",   "those",   "he",     "she",
       "him",   "his",   "her",   "hers",  "ele",   "ela",    "eles",   "elas",    "isso",    "isto",   "aquilo",
       "esse",  "essa",  "esses", "essas", "este",  "estes",  "dele",   "dela",    "deles",   "delas",  "disso",
       "disto", "nisso", "nisto", "nele",  "nela",  "neles",  "nelas",  "desse",   "dessa",   "desses", "dessas",
       "deste", "desta", "nesse", "nessa", "neste", "aquele", "aquela", "aqueles", "aquelas", "lhe",    "lhes"});
  return *words;
}

const WordSet& Openers() {
  static const auto* const words =
      new WordSet({"and", "but", "then", "also", "otherwise", "e", "mas", "entao", "tambem"});
  return *words;
}

struct FoldedWord {
  std::string text;    // as written
  std::string folded;  // lower case, no accents
};

std::vector<FoldedWord> WordsOf(absl::string_view text) {
  std::vector<FoldedWord> words;
  retrieval::WordBreaker breaker(text);
  for (retrieval::Word word; breaker.Next(&word);) {
    words.push_back({std::string(word.text), retrieval::FoldAccents(retrieval::FoldCase(word.text))});
  }
  return words;
}

bool IsContent(const FoldedWord& word) {
  return !retrieval::IsStopWord(word.folded) && !Pronouns().contains(word.folded) && !Openers().contains(word.folded);
}

// Adds words to an order of first mention.
class Topic {
 public:
  explicit Topic(absl::string_view question) {
    for (const FoldedWord& word : WordsOf(question)) known_.insert(word.folded);
  }
  void Add(absl::string_view text, size_t at_most) {
    size_t added = 0;
    for (const FoldedWord& word : WordsOf(text)) {
      if (added == at_most || words_.size() == kMaxAddedWords) return;
      if (!IsContent(word) || !known_.insert(word.folded).second) continue;
      words_.push_back(word.text);
      ++added;
    }
  }
  const std::vector<std::string>& words() const { return words_; }

 private:
  absl::flat_hash_set<std::string> known_;
  std::vector<std::string> words_;
};

bool HasPronoun(absl::string_view question) {
  const std::vector<FoldedWord> words = WordsOf(question);
  return std::any_of(words.begin(), words.end(),
                     [](const FoldedWord& word) { return Pronouns().contains(word.folded); });
}

// Where the conversation's topic begins: the latest question of the user that stands alone, else the first turn.
int TopicBegin(const History& history) {
  for (int i = history.size() - 1; i >= 0; --i) {
    if (history[i].role() == v1::Turn::USER && !RefersBack(history[i].text())) return i;
  }
  return 0;
}

// One line that looks like a question rather than an essay; "" when the model did not do what it was asked.
std::string CleanRewriting(absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  text = absl::StripAsciiWhitespace(text.substr(0, text.find('\n')));
  while (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
  return text.size() <= kMaxRewrittenBytes ? std::string(text) : std::string();
}

absl::StatusOr<std::string> CompleteByModel(const std::string& question, const History& history,
                                            GenerationApi& generation, const CallContext& context) {
  v1::GenerateRequest request;
  v1::Chat& chat = *request.mutable_prompt()->mutable_chat();
  auto add = [&chat](const char* role, const std::string& text) {
    v1::ChatMessage* message = chat.add_messages();
    message->set_role(role);
    message->set_content(text);
  };
  std::string conversation;
  for (const v1::Turn& turn : history) {
    absl::StrAppend(&conversation, turn.role() == v1::Turn::USER ? "User: " : "Assistant: ", turn.text(), "\n");
  }
  add("user", absl::StrCat(kInstruction, "\n\n", conversation, "User: ", question));
  request.set_max_new_tokens(kMaxNewTokens);
  LASTRO_ASSIGN_OR_RETURN(v1::GenerateResponse response, generation.Generate(request, context));
  return CleanRewriting(response.text());
}

}  // namespace

absl::Status CheckHistory(const History& history) {
  if (history.size() > kMaxTurns) {
    return absl::InvalidArgumentError(absl::StrCat("history has ", history.size(), " turns; the limit is ", kMaxTurns));
  }
  for (const v1::Turn& turn : history) {
    if (turn.role() != v1::Turn::USER && turn.role() != v1::Turn::ASSISTANT) {
      return absl::InvalidArgumentError("history: a turn's role is USER or ASSISTANT");
    }
    if (turn.text().empty() || turn.text().size() > kMaxTurnBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("history: a turn has ", turn.text().size(), " bytes; 1 to ", kMaxTurnBytes, " are allowed"));
    }
    if (!IsValidUtf8(turn.text())) return absl::InvalidArgumentError("history: a turn is not valid UTF-8");
  }
  return absl::OkStatus();
}

bool RefersBack(absl::string_view question) {
  const std::vector<FoldedWord> words = WordsOf(question);
  const auto content = static_cast<size_t>(std::count_if(words.begin(), words.end(), IsContent));
  if (content <= 1) return true;
  if (Openers().contains(words.front().folded)) return true;
  return content < kEnoughWords && HasPronoun(question);
}

std::string CompleteByRules(const std::string& question, const History& history) {
  if (history.empty() || !RefersBack(question)) return question;
  Topic topic(question);
  const bool pronoun = HasPronoun(question);
  for (int i = TopicBegin(history); i < history.size(); ++i) {
    const bool asked = history[i].role() == v1::Turn::USER;
    if (asked || pronoun) topic.Add(history[i].text(), asked ? kMaxAddedWords : kMaxAnswerWords);
  }
  if (topic.words().empty()) return question;
  std::string completed = absl::StrCat(question, " (", absl::StrJoin(topic.words(), " "), ")");
  return completed.size() <= kMaxQuestionBytes ? completed : question;
}

absl::StatusOr<std::string> StandaloneQuestion(const std::string& question, const History& history,
                                               GenerationApi& generation, const CallContext& context) {
  if (history.empty()) return question;
  absl::StatusOr<std::string> rewritten = CompleteByModel(question, history, generation, context);
  LASTRO_RETURN_IF_ERROR(context.Check());
  if (rewritten.ok() && !rewritten->empty()) return *std::move(rewritten);
  return CompleteByRules(question, history);  // a decoder without a chat template, or one that could not
}

}  // namespace lastro::services::answer
